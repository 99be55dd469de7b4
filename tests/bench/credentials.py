"""OCI API-key credentials for one benchmark: an RSA-2048 key and the configuration file that names it."""

import configparser
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

KEY_BITS = 2048


def write(folder: Path) -> Path:
    """Write a new key and its configuration file into an existing folder; return the path of the configuration."""
    key = generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    key_file = folder / "key.pem"
    key_file.touch(mode=0o600)
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    settings = {
        "tenancy": "ocid1.tenancy.oc1..bench",
        "user": "ocid1.user.oc1..bench",
        "fingerprint": ":".join(["ab"] * 16),
        "key_file": str(key_file),
        "region": "us-ashburn-1",
    }
    config = folder / "oci.cfg"
    config.touch(mode=0o600)
    config.write_text("\n".join(["[DEFAULT]", *(f"{name}={value}" for name, value in settings.items())]))
    return config


def profile(config: Path) -> dict[str, str]:
    """Return the settings of the default profile of an OCI configuration file."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(config)
    return dict(parser.defaults())
