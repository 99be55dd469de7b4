"""File systems: which kind holds a path, by Linux's list of mounts (proc(5))."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
"""Linux's list of mounts. Where it is missing, no kind is known."""

NETWORK = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone",
    "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb2", "smb3", "smbfs",
})  # fmt: skip
"""The kinds whose locks and shared memory can't be trusted."""

IN_MEMORY = frozenset({"tmpfs", "ramfs"})
"""The kinds that a restart empties; also those on which secrets are mounted."""


def filesystem_of(path: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the kind of the file system that holds `path`, which need not exist; None if that is not known."""
    try:
        lines = mounts.read_bytes().decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    place = path.resolve()
    above = [(point, kind) for point, kind in map(_mount, lines) if place.is_relative_to(point)]
    # The deepest mount point is the nearest; of two mounts on one point, the later covers the earlier.
    nearest = max(reversed(above), key=lambda mount: len(mount[0].parts), default=None)
    return None if nearest is None else nearest[1]


def _mount(line: str) -> tuple[Path, str]:
    """Read the mount point and the kind from a line of mountinfo; octal escapes stand for blanks in the former."""
    before, _, after = line.partition(" - ")
    point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), before.split(" ")[4])
    return Path(point), after.split(" ")[0]
