from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from yarl import URL

from ingestor.api.signing import Identity, signed_headers
from tests.bench import credentials
from tests.bench.bare import _HEADERS, signing


def test_the_bare_loop_signs_as_the_program_does(tmp_path: Path) -> None:
    config = credentials.write(tmp_path)
    profile = credentials.profile(config)
    key = load_pem_private_key(Path(profile["key_file"]).read_bytes(), password=None)
    assert isinstance(key, RSAPrivateKey)
    identity = Identity("/".join(profile[part] for part in ("tenancy", "user", "fingerprint")), key)
    url, body = URL("http://127.0.0.1:8080/a/b", encoded=True), b'{"tags":[]}'

    headers = signing(config, url)(body)

    assert _HEADERS | headers == _HEADERS | signed_headers(identity, "POST", url, body, headers["date"])
