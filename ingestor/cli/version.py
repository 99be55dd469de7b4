"""What `ingestor --version` prints."""

import platform

from ingestor import __version__
from ingestor.system.commit import commit


def version() -> str:
    """Return the version of the program and of Python, and the commit where it is known, in one line."""
    made_from = commit()
    parts = [f"Python {platform.python_version()}", *([] if made_from is None else [f"commit {made_from[:12]}"])]
    return f"ingestor {__version__} ({', '.join(parts)})"
