"""An input that is not JSON Lines is refused at its first line, with the command that converts it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from ingestor.model.sources import STDIN
from ingestor.sources.errors import DamagedSourceError, OtherFormatError
from ingestor.sources.formats import format_of
from ingestor.sources.json_formats import is_empty_array, is_object, may_be_array
from ingestor.sources.locate import is_descriptor
from ingestor.sources.opening import Format, Opening
from ingestor.sources.shell import quoted

_LOOKED_AT = 256 * 1024
"""Bytes, after blank lines, by which the format is recognized."""

_HELD = 1024 * 1024
"""Bytes, with blank lines, that are held back at most."""

_SHOWN = 1000  # bytes of the first line in a reject

_T = TypeVar("_T")


def json_lines(
    blocks: Iterator[_T],
    content: Callable[[_T], bytes],
    name: str,
    *,
    unpack: str = "",
    is_cut: bool = False,
    held: list[_T] | None = None,
) -> Iterator[_T]:
    """Yield the blocks of an input from its beginning, unless they begin another format.

    The first ones are held back until the format is certain: in JSON Lines, until the first line is complete. This
    never waits for more than comes.

    Args:
        blocks: parts of the input.
        content: returns the bytes of a block.
        name: the name of the source, for advice; `-` is standard input.
        unpack: the command that decompresses the source; empty if it is not compressed.
        is_cut: the input may continue in another one: if it ends before the format is certain, it is not judged.
        held: the list that holds blocks back, and keeps those of an empty array, of which none is yielded.

    Raises:
        OtherFormatError: it begins another format. No block was yielded.
        DamagedSourceError: what `blocks` raises, after what it yielded.
    """
    held, damage = [] if held is None else held, None
    try:
        opening, is_ended = _read(blocks, content, held)
    except DamagedSourceError as error:
        damage, is_ended, opening = error, False, Opening(b"".join(map(content, held)), is_cut=True)
    if is_ended and is_empty_array(opening.head):
        return
    if not (is_ended and is_cut) and (found := format_of(opening)) is not None:
        raise refusal(found, opening, name, unpack)
    yield from held
    held.clear()
    if damage is not None:
        raise damage
    yield from blocks


def _read(blocks: Iterator[_T], content: Callable[[_T], bytes], held: list[_T]) -> tuple[Opening, bool]:
    """Read until the format is certain, or the input ends. Return how it begins, and whether it ended."""
    begun = bytearray()
    for block in blocks:
        held.append(block)
        text = content(block)
        begun += text
        if b"\n" in text or len(begun) >= _LOOKED_AT:
            opening = Opening(bytes(begun), is_cut=True)
            if _is_certain(opening) or len(opening.head) >= _LOOKED_AT or len(begun) >= _HELD:
                return opening, False
    return Opening(bytes(begun), is_cut=False), True


def _is_certain(opening: Opening) -> bool:
    """Whether more bytes can't change what the format is taken for."""
    if opening.is_complete:
        return opening.has_records or not opening.is_plain or format_of(opening) is not None
    if may_be_array(opening):  # whose entries may be lines that are records
        return opening.records[:1] == [True]
    # An object that is a bad record, and not one of the other formats, is so whatever comes after it.
    return opening.has_records or (bool(opening.records) and is_object(opening.lines[0]) and format_of(opening) is None)


def refusal(found: Format, opening: Opening, name: str, unpack: str) -> OtherFormatError:
    """Return why an input that begins so is not read, and the command that converts it."""
    if found.convert and opening.skipped:  # few of the commands accept a byte order mark
        found = replace(found, convert=f"tail -c +{opening.skipped + 1} | {found.convert}")
    reason = f"this is {found.name}: nothing of it was read; {_advice(found, name, unpack)}"
    return OtherFormatError(reason, blank=opening.blank, begun=opening.lines[0][:_SHOWN])


def _advice(found: Format, name: str, unpack: str) -> str:
    """Say how to convert a source: a command that can be copied, and what it needs."""
    if not found.convert:
        return found.advice
    begin = "…" if name == STDIN or is_descriptor(name) else f"{unpack or 'cat'} {quoted(name)}"
    note = f" ({found.advice})" if found.advice else ""
    return f"convert it with `{begin} | {found.convert} | ingestor run -` and the same settings{note}"
