"""Which files with secrets other users of this machine can read."""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from ingestor.api.credential_files import FileError, expanded
from ingestor.api.oci_config import ConfigFileError, find_config, read_section
from ingestor.api.options import AuthOptions
from ingestor.api.values import AuthKind
from ingestor.model.text import WHOLE, printable
from ingestor.system.mounts import IN_MEMORY, MOUNTS, filesystem_of

_OF_PROFILES = {AuthKind.API_KEY: ("key_file",), AuthKind.SESSION_TOKEN: ("key_file", "security_token_file")}


def exposed_files(auth: AuthOptions, others: Iterable[Path] = ()) -> list[str]:
    """Return a sentence for each file of these credentials, and for each of `others`, that other users can read.

    What can't be found or read is left out: loading the credentials fails with the reason.
    """
    found = dict.fromkeys(os.path.realpath(file) for file in (*secret_files(auth), *others))
    return [sentence for file in found if (sentence := exposure_of(Path(file))) is not None]


def secret_files(auth: AuthOptions) -> Iterator[Path]:
    """Yield the files whose content is secret, as far as they can be found without a request."""
    if auth.kind is AuthKind.BEARER and auth.bearer_token_file is not None:
        yield auth.bearer_token_file
    if auth.kind not in _OF_PROFILES:
        return
    try:
        config = find_config(auth.oci_config)
        fields = read_section(config, auth.oci_profile).fields
    except (FileError, ConfigFileError):
        return
    if fields.get("pass_phrase"):
        yield config
    for name in _OF_PROFILES[auth.kind]:
        try:
            yield expanded(fields.get(name, ""))
        except FileError:
            continue


def exposure_of(file: Path, mounts: Path = MOUNTS) -> str | None:
    """Return who else can read or change a file, in a sentence with advice; None: nobody, or there is no such file.

    A file in a folder that they can't enter is not exposed. The right of a group is no exposure where secrets are
    mounted (Kubernetes gives them to the group of a pod, with mode 0440), nor where this user has the file by that
    right alone.
    """
    try:
        status = file.stat()
        mode = stat.S_IMODE(status.st_mode)
        folders = [folder.stat().st_mode for folder in file.resolve().parents]
    except (OSError, RuntimeError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    if mode & 0o007 and all(folder & stat.S_IXOTH for folder in folders):
        return _sentence(file, mode, "every user of this machine")
    is_mounted = status.st_uid != os.geteuid() or filesystem_of(file, mounts) in IN_MEMORY
    if mode & (0o020 if is_mounted else 0o060) and all(folder & (stat.S_IXGRP | stat.S_IXOTH) for folder in folders):
        return _sentence(file, mode, "its group")
    return None


def _sentence(file: Path, mode: int, who: str) -> str:
    what = "can change" if mode & 0o022 else "can read"
    name = printable(str(file), WHOLE)
    return (
        f"{name} holds a secret, and {who} {what} it (mode {mode:04o}). Run `chmod 600 {name}`; for a mounted "
        "secret, set the mode 0440."
    )
