"""The proxy in use, for `ingestor config`: the environment names it, and it is no setting."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ingestor.model.errors import UsageError
from ingestor.settings.load import Place

if TYPE_CHECKING:
    from ingestor.api.proxy import Proxy
    from ingestor.app.target import Target


def json_row(target: Callable[[], "Target"]) -> dict[str, object]:
    """Return a row of the settings as JSON, the password masked. `target` may raise UsageError."""
    proxy = _proxy_of(target)
    if proxy is None:
        return {"value": None, "from": Place.DEFAULT, "name": None}
    return {"value": proxy.display, "from": Place.ENVIRONMENT, "name": proxy.variable}


def table_row(target: Callable[[], "Target"]) -> tuple[str, str, str]:
    """Return a row of the settings as text, the password masked. `target` may raise UsageError."""
    proxy = _proxy_of(target)
    return ("proxy", "(none)", Place.DEFAULT) if proxy is None else ("proxy", proxy.display, proxy.variable)


def _proxy_of(target: Callable[[], "Target"]) -> "Proxy | None":
    """Return the proxy in use; None, too, as long as the address is not known or the proxy's is wrong."""
    from ingestor.api.proxy import proxy_for

    try:
        return proxy_for(target().endpoint.url(""))
    except UsageError:
        return None
