"""HTML of a document that loads and runs nothing: the one function that escapes text, and what documents share."""

from collections.abc import Iterable
from html import escape

from ingestor.model.text import printable


def shown(text: object, limit: int = 300) -> str:
    """Return a text as HTML shows it: escaped, printable, and not too long."""
    return escape(printable(str(text), limit))


def code(text: object) -> str:
    """Return a name or a command that a reader may copy."""
    return f'<code class="code">{shown(text, 2000)}</code>'


def marked(sentence: str) -> str:
    """Return a sentence in which the parts between backticks are commands."""
    parts = shown(sentence, 2000).split("`")
    return "".join(f'<code class="code">{it}</code>' if number % 2 else it for number, it in enumerate(parts))


def section(key: str, title: str, content: str) -> str:
    """Return a section of a document. `key` is unique in it; title and content are HTML."""
    return f'<section aria-labelledby="{key}-title"><h2 id="{key}-title">{title}</h2>{content}</section>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a list of names and values. Both are HTML."""
    return f'<dl class="facts">{"".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in pairs)}</dl>'


def heads(*names: str) -> str:
    """Return the head of a table. The names are HTML."""
    cells = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f"<tr>{cells}</tr>"
