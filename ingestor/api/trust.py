"""Which authorities are trusted, and since which version of TLS: one context for every connection."""

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from ingestor.model.errors import UsageError
from ingestor.model.text import WHOLE, printable

CA_FILE = "--ca-file"
VARIABLE = "SSL_CERT_FILE"
"""The variable of OpenSSL that names a file of trusted certificates."""


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that verifies certificates and host names, and allows TLS 1.2 and later.

    `ca_file` has the certificates of the trusted authorities, instead of SSL_CERT_FILE and the system's store.
    Raises UsageError if it can't be used.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        if ca_file is None:
            raise
        problem = problem_of(ca_file) or f"can't be used: {error}"
        raise UsageError(f"{CA_FILE}: {printable(str(ca_file), WHOLE)} {problem}.") from None
    # The system's configuration of OpenSSL may allow more.
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    return context


@dataclass(frozen=True, slots=True)
class Trusted:
    """The file whose authorities are trusted, and what names it; None: the system's store."""

    file: Path | None
    named_by: str

    @property
    def problem(self) -> str | None:
        """What is wrong with the file; None: nothing."""
        return None if self.file is None else problem_of(self.file)


SYSTEM = Trusted(None, "")
"""The system's store."""


def trusted_by(ca_file: Path | None) -> Trusted:
    """Return which authorities are trusted where `ca_file` is the option's value."""
    if ca_file is not None:
        return Trusted(ca_file, CA_FILE)
    named = os.environ.get(VARIABLE)
    return Trusted(Path(named), VARIABLE) if named else SYSTEM


def problem_of(file: Path) -> str | None:
    """Return what is wrong with a file of certificates, as the end of a sentence; None: nothing."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return "does not exist"
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    if not content.strip():
        return "is empty"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=str(file))
    except ssl.SSLError:
        return "holds no certificate in PEM form"
    return None
