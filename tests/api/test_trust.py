"""Which authorities are trusted, by this process and by every other that sends, and which versions of TLS."""

import asyncio
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from ingestor.api.options import AuthOptions, TargetOptions, check, mlflow
from ingestor.api.senders import SenderPool
from ingestor.api.service import HttpService
from ingestor.api.trust import SYSTEM, Trusted, client_context, trusted_by
from ingestor.api.values import AuthKind
from ingestor.model.errors import UsageError
from ingestor.model.reply import Fault
from tests.api.conftest import Serve
from tests.support.certificates import certificate

NOBODY = AuthOptions(kind=AuthKind.NONE)
_CONNECT = """
import socket, ssl, sys
from pathlib import Path
python = ssl.create_default_context

def debian(**options):  # where OpenSSL's configuration decides, and not Python
    context = python(**options)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context

ssl.create_default_context = debian
context = {context}
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as plain:
    print(context.wrap_socket(plain, server_hostname="127.0.0.1").version())
"""
OURS = "__import__('ingestor.api.trust').api.trust.client_context(Path(sys.argv[2]))"
PYTHONS = "ssl.create_default_context(cafile=sys.argv[2])"


async def an_experiment(_: web.BaseRequest) -> web.StreamResponse:
    return web.json_response({"experiments": []})


@pytest.mark.parametrize("senders", [0, 1])
async def test_a_file_of_authorities_replaces_the_systems_in_this_process_and_in_senders(
    serve: Serve, tmp_path: Path, senders: int
) -> None:
    root, other = certificate(), certificate()
    (tmp_path / "ca.pem").write_bytes(root.pem)
    (tmp_path / "other.pem").write_bytes(other.pem)
    faults: list[Fault | None] = []
    async with serve(an_experiment, certificate(issuer=root).context(tmp_path)) as base:
        for name in ("ca.pem", "other.pem"):
            options = TargetOptions(
                endpoint=mlflow(str(base)), auth=NOBODY, connections=1, timeout=10, ca_file=tmp_path / name
            )
            async with SenderPool(options, senders) if senders else HttpService(options) as service:
                faults.append((await service.probe()).fault)
    assert faults == [None, Fault.TLS]


async def test_a_refused_certificate_names_the_file_of_authorities(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(certificate().pem)
    async with serve(an_experiment, certificate(issuer=certificate()).context(tmp_path)) as base:
        options = TargetOptions(
            endpoint=mlflow(str(base)), auth=NOBODY, connections=1, timeout=10, ca_file=tmp_path / "ca.pem"
        )
        async with HttpService(options) as service:
            reply = await service.probe()
    assert f"--ca-file names {tmp_path / 'ca.pem'}, which does not hold the certificate of that" in reply.message


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "does not exist"), (b"", "is empty"), (b"no certificate", "holds no certificate in PEM form")],
)
def test_a_file_of_authorities_that_can_not_be_used_is_refused_before_anything_is_sent(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    options = TargetOptions(endpoint=mlflow("https://127.0.0.1:9"), auth=NOBODY, connections=1, timeout=1, ca_file=file)
    with pytest.raises(UsageError, match=f"--ca-file: {file} {problem}"):
        check(options)


def test_the_file_of_the_option_comes_before_the_one_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/b.pem")
    assert trusted_by(Path("/a.pem")) == Trusted(Path("/a.pem"), "--ca-file")
    assert trusted_by(None) == Trusted(Path("/b.pem"), "SSL_CERT_FILE")
    monkeypatch.delenv("SSL_CERT_FILE")
    assert trusted_by(None) == SYSTEM


def test_certificates_and_host_names_are_always_verified(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(certificate().pem)
    for context in (client_context(None), client_context(tmp_path / "ca.pem")):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


async def version_with(context: str, folder: Path, port: int) -> tuple[int, str]:
    """Connect in a process whose Python allows old versions; return its exit code and output."""
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "ignore", "-c", _CONNECT.format(context=context), str(port), str(folder / "ca.pem")],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return ended.returncode, ended.stdout + ended.stderr


async def test_tls_before_1_2_is_refused_also_where_the_systems_configuration_allows_it(
    serve: Serve, tmp_path: Path
) -> None:
    root = certificate()
    (tmp_path / "ca.pem").write_bytes(root.pem)
    context = certificate(issuer=root).context(tmp_path)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with serve(an_experiment, context) as base:
        assert base.port is not None
        assert await version_with(PYTHONS, tmp_path, base.port) == (0, "TLSv1.1\n")
        code, said = await version_with(OURS, tmp_path, base.port)
    assert code != 0
    assert "ssl.SSL" in said
