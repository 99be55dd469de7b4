"""Secrets are removed from what comes from outside: an answer, a proxy or the SDK may quote our own credentials.

A quotation may be escaped, even several times: as JSON, as HTML or with percent signs. So a text is also searched after
decoding, and what is found is replaced in the original. Ids of OCI and fingerprints are not secret and stay readable.
"""

import html
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import unquote

from ingestor.api.values import MASK
from ingestor.model.reply import Reply

PIECE = 12
"""Characters of a secret that are still secret, wherever they stand."""

_GRAM = 6  # a common piece of 12 characters contains a 6-gram that begins at a multiple of 7 in the text
_STRIDE = PIECE - _GRAM + 1
_SHORT = 6  # characters; a shorter secret is found only where it is a word of its own, or every "a" would be one
_ROUNDS = 4  # how often a text may be escaped
_MOST_SECRETS = 32  # that are kept: answers may quote a credential that was replaced

_ESCAPES = re.compile(
    r"(?:\\u[0-9a-fA-F]{4})+|\\x[0-9a-fA-F]{2}|\\[\"'\\/bfnrt]|(?:%[0-9a-fA-F]{2})+|&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|\w{2,8});"
)
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_JWT = re.compile(r"(?:ST\$)?eyJ[\w-]{8,}(?:\.[\w-]*)*")
"""Any token of the kind that OCI issues; also one that this process does not know."""


class _View(NamedTuple):
    """A text after some rounds of decoding, and for each of its characters where it begins and ends in the original."""

    text: str
    begins: list[int]
    ends: list[int]

    def originals(self, places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return where places of this text begin and end in the original."""
        return [(self.begins[start], self.ends[end - 1]) for start, end in places]


class Redactor:
    """Knows the secrets of a process, and removes them from texts."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: dict[str, None] = {}
        self._pieces: frozenset[str] = frozenset()
        self._grams: frozenset[str] = frozenset()  # of six characters, of all pieces
        self._whole: tuple[str, ...] = ()
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        """Add secrets. Also their forms in a text whose white space was changed."""
        forms = {form for secret in secrets for form in (secret, _spaced(secret), secret.replace(" ", "+")) if form}
        if forms <= self._secrets.keys():
            return
        for form in forms:
            self._secrets.pop(form, None)
            self._secrets[form] = None
        for oldest in list(self._secrets)[: -_MOST_SECRETS * 3]:
            del self._secrets[oldest]
        self._pieces = frozenset(piece for secret in self._secrets for piece in _windows(secret, PIECE))
        self._grams = frozenset(gram for piece in self._pieces for gram in _windows(piece, _GRAM))
        self._whole = tuple(secret for secret in self._secrets if len(secret) < PIECE)

    def reply(self, reply: Reply, *of_request: str) -> Reply:
        """Return a reply without secrets in any of its texts; `of_request` are further ones, which its request had."""
        if reply.message or reply.code:
            message, code = self.text(reply.message), reply.code and self.text(reply.code)
            if quoted := [secret for secret in of_request if _has_gram(message, secret)]:
                message = Redactor(quoted).text(message)
            if message != reply.message or code != reply.code:
                reply = replace(reply, message=message, code=code)
        if self._secrets and not self._is_clean_id(reply.run_id, reply.experiment_id, reply.opc_request_id):
            reply = replace(
                reply,
                run_id=self._id(reply.run_id),
                experiment_id=self._id(reply.experiment_id),
                opc_request_id=self._id(reply.opc_request_id),
            )
        return reply

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        found = [match.span() for match in _JWT.finditer(text)]
        if self._secrets:
            for view in _views(text):
                found += view.originals(self._places(view.text))
        return _masked(text, found)

    def body(self, body: bytes) -> bytes:
        """Return the body of an answer without long secrets. A short one may be a part of it by chance."""
        if not self._grams or self._is_clean(text := body.decode(errors="replace")):
            return body
        found = [place for view in _views(text) for place in view.originals(self._long_places(view.text))]
        return _masked(text, found).encode(errors="replace") if found else body

    def _is_clean(self, text: str) -> bool:
        """Whether a text certainly contains no long secret, in no form."""
        for _ in range(_ROUNDS):
            if _has_gram(text, self._grams):
                return False
            if (decoded := _ESCAPES.sub(_decoded, text)) == text:
                return True
            text = decoded
        return not _has_gram(text, self._grams)

    def _is_clean_id(self, *ids: str | None) -> bool:
        known = [one for one in ids if one]
        together = "\n".join(known)
        grams = [together[at : at + _GRAM] for at in range(0, len(together), _STRIDE)]  # as `_has_gram`, but faster
        return self._grams.isdisjoint(grams) and self._secrets.keys().isdisjoint(known)

    def _id(self, text: str | None) -> str | None:
        """Return an id without secrets. A short secret counts only if it is the complete id: it may occur by chance."""
        if text is None or (text in self._whole and len(text) < _SHORT):
            return text
        if text in self._secrets:
            return MASK
        return _masked(text, [place for view in _views(text) for place in view.originals(self._long_places(view.text))])

    def _places(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where secrets begin and end in a text."""
        yield from self._long_places(text)
        for secret in self._whole:
            if secret in text:
                word = re.escape(secret)
                pattern = rf"(?<!\w){word}(?!\w)" if len(secret) < _SHORT else word
                yield from (match.span() for match in re.finditer(pattern, text))

    def _long_places(self, text: str) -> Iterator[tuple[int, int]]:
        if _has_gram(text, self._grams):
            yield from ((at, at + PIECE) for at, piece in enumerate(_windows(text, PIECE)) if piece in self._pieces)


def _has_gram(text: str, grams: Container[str]) -> bool:
    """Whether a text may contain a piece of a secret: it does so if one of these n-grams is in it, at few positions."""
    return any(text[at : at + _GRAM] in grams for at in range(0, len(text) - _GRAM + 1, _STRIDE))


def _windows(text: str, length: int) -> list[str]:
    """Return every piece of a text that has this length."""
    return [text[at : at + length] for at in range(len(text) - length + 1)]


def _spaced(text: str) -> str:
    """Return a text as `one_line` shows it: control characters are spaces, and a run of spaces is one."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _views(text: str) -> Iterator[_View]:
    """Yield a text as it is, and after each round of decoding that changes it."""
    view = _View(text, list(range(len(text))), list(range(1, len(text) + 1)))
    for _ in range(_ROUNDS):
        yield view
        decoded = _decode(view)
        if decoded.text == view.text:
            return
        view = decoded
    yield view


def _decode(view: _View) -> _View:
    parts: list[str] = []
    begins: list[int] = []
    ends: list[int] = []
    at = 0
    for match in _ESCAPES.finditer(view.text):
        start, end = match.span()
        decoded = _decoded(match)
        parts += [view.text[at:start], decoded]
        begins += [*view.begins[at:start], *[view.begins[start]] * len(decoded)]
        ends += [*view.ends[at:start], *[view.ends[end - 1]] * len(decoded)]
        at = end
    return _View("".join([*parts, view.text[at:]]), [*begins, *view.begins[at:]], [*ends, *view.ends[at:]])


def _decoded(match: re.Match[str]) -> str:
    r"""Return what an escape stands for: `\u003d`, `\x3d`, `\"`, `%3D`, `&#61;`, `&amp;`."""
    escape = match[0]
    if escape.startswith("\\u"):
        units = b"".join(int(unit, 16).to_bytes(2) for unit in escape.split("\\u")[1:])
        return units.decode("utf-16-be", "replace")
    if escape.startswith("\\x"):
        return chr(int(escape[2:4], 16))
    if escape.startswith("\\"):
        return _CONTROLS.get(escape[1], escape[1])
    return unquote(escape) if escape.startswith("%") else html.unescape(escape)


def _masked(text: str, found: list[tuple[int, int]]) -> str:
    """Return a text in which the places that were found, which may overlap, are replaced."""
    if not found:
        return text
    parts: list[str] = []
    at = 0
    for start, end in _merged(found):
        parts += [text[at:start], MASK]
        at = end
    return "".join([*parts, text[at:]])


def _merged(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
