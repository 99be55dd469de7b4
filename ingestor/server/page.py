"""The page at `/`: one document that loads nothing else, made of the files in `assets`."""

import secrets
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from ingestor.server.connection import CSP
from ingestor.server.messages import HTML, Request, Response


async def page(_request: Request) -> Response:
    """Answer with the page. It asks for everything that it shows, so it contains no data itself."""
    return _answer(200)


async def sign_in(_request: Request) -> Response:
    """Answer where a token is needed and none was sent: the page asks for it.

    A token after `#token=` in the address, which browsers do not send, is used at once.
    """
    return _answer(401)


def _answer(status: int) -> Response:
    nonce = secrets.token_urlsafe(16)
    policy = f"{CSP}; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'"
    headers = {"Content-Security-Policy": policy} | ({"WWW-Authenticate": "Bearer"} if status == 401 else {})
    return Response(status=status, body=render(nonce).encode(), content_type=HTML, headers=headers)


def render(nonce: str) -> str:
    """Return the page. Its Content-Security-Policy must allow styles and scripts with this nonce."""
    return _template().replace("{{nonce}}", nonce)


@cache
def _template() -> str:
    here, report = files("ingestor.server") / "assets", files("ingestor.report.html")
    styles = (report / "style.css", report / "layout.css", here / "page.css")
    scripts = (here / "text.js", here / "status.js", here / "page.js")
    page = (here / "page.html").read_text("utf-8").replace("{{style}}", _joined(styles))
    return page.replace("{{script}}", _joined(scripts))


def _joined(parts: Iterable[Traversable]) -> str:
    return "\n".join(part.read_text("utf-8") for part in parts)
