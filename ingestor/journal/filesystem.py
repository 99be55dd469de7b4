"""What lies under a path: durable directory entries, and whether it is the network."""

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
"""Linux's list of mounts (proc(5)); where it is missing, every file system passes for a local one."""

_NETWORK = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone",
    "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb2", "smb3", "smbfs",
})  # fmt: skip


def network_filesystem(path: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the type of the network file system that holds `path` (which need not exist), None for a local one."""
    try:
        lines = mounts.read_bytes().decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    place = path.resolve()
    above = [(point, kind) for point, kind in map(_mount, lines) if place.is_relative_to(point)]
    # The deepest mount point is the nearest; of two mounts on one point, the later covers the earlier.
    nearest = max(reversed(above), key=lambda mount: len(mount[0].parts), default=None)
    return nearest[1] if nearest is not None and nearest[1] in _NETWORK else None


def _mount(line: str) -> tuple[Path, str]:
    """Read the mount point and the type from a line of mountinfo; octal escapes stand for blanks in the former."""
    before, _, after = line.partition(" - ")
    point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), before.split(" ")[4])
    return Path(point), after.split(" ")[0]


def make_directory(path: Path) -> None:
    """Create a directory and its missing parents, each 0700 and each durable in its parent. Raises OSError."""
    if path.exists():
        return
    make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make a directory's entries durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
