"""Remove the clients of OCI's services that authentication does not use: most of the package `oci`.

Run it with the Python of the environment that is reduced. It prints how much it removed.
"""

import os
import shutil
import sys
from pathlib import Path

os.environ["OCI_PYTHON_SDK_NO_SERVICE_IMPORTS"] = "1"  # else `import oci` imports every service

import oci.auth.signers  # imports all that the kinds of --auth use
import oci.config
import oci.retry


def is_service(folder: Path) -> bool:
    """Return whether a folder of `oci` holds the client of a service."""
    return any(folder.glob("*_client.py"))


def main() -> None:
    """Remove each service that no import needed."""
    root = Path(oci.__file__).parent
    used = {name.split(".")[1] for name in sys.modules if name.startswith("oci.")}
    removed = [it for it in root.iterdir() if it.is_dir() and is_service(it) and it.name not in used]
    size = sum(file.stat().st_size for folder in removed for file in folder.rglob("*") if file.is_file())
    for folder in removed:
        shutil.rmtree(folder)
    sys.stdout.write(f"removed {len(removed)} services of oci, {size / 2**20:.0f} MiB\n")


if __name__ == "__main__":
    main()
