"""The proxy between us and the service, from the environment as other tools read it."""

import urllib.request

from yarl import URL

from ingestor.api.endpoint import is_loopback
from ingestor.model.errors import UsageError


def proxy_for(url: URL) -> URL | None:
    """Return the proxy that the environment names for an address; none for this machine's own. Raises UsageError."""
    host = url.raw_host or ""
    named = urllib.request.getproxies().get(url.scheme, "")
    if not named or is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    try:
        proxy = URL(named if "://" in named else f"http://{named}")
    except ValueError:
        proxy = URL()
    if proxy.scheme not in {"http", "https"} or not proxy.raw_host:
        raise UsageError(f"{url.scheme.upper()}_PROXY is not the address of an http proxy, such as http://host:3128.")
    return proxy
