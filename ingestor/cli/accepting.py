"""Where records are accepted, as the settings say."""

from ingestor.app.accepting import Accepting
from ingestor.server.access import Access
from ingestor.server.address import address
from ingestor.settings.load import Loaded


def accepting_of(where: str, loaded: Loaded) -> Accepting:
    """Return what accepts records at an address. Raises UsageError for a bad token file."""
    listened, spelled = address(where), loaded.spell("accept_token_file")
    token_file = loaded.settings.accept_token_file
    access = Access.from_file(token_file, spelled, required=not listened.is_loopback)
    declared = loaded.settings.listen_name
    names = frozenset(declared.split(",")) if declared else frozenset()
    quiet = loaded.settings.quiet and not where.endswith(":0")  # else nobody would know the port
    return Accepting(listened, access, names, quiet=quiet)
