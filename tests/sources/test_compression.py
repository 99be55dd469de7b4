import bz2
import gzip
import lzma
import random
import sys
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from ingestor.sources.compression import compression_of, decompressed, is_undecided
from ingestor.sources.errors import DamagedSourceError, OtherFormatError

Pack = Callable[[bytes], bytes]


def lzma_alone(content: bytes) -> bytes:
    return lzma.compress(content, lzma.FORMAT_ALONE, preset=0)


def xz(content: bytes) -> bytes:
    return lzma.compress(content, preset=0)


FORMATS: list[Pack] = [gzip.compress, bz2.compress, xz, lzma_alone, zstd.compress]
NAMES = ["gzip", "bzip2", "xz", "lzma", "zstd"]
EACH = pytest.mark.parametrize("pack", FORMATS, ids=NAMES)
CONTENT = b"".join(b'{"job_id":"%d"}\n' % number for number in range(20_000))
SKIPPABLE = b"\x5a\x2a\x4d\x18\x03\0\0\0abc"


def unpack(packed: bytes, piece: int = 1000, size: int = 5000) -> Iterator[bytes]:
    """Decompress bytes that arrive in pieces."""
    pieces = (packed[start : start + piece] for start in range(0, len(packed), piece))
    return decompressed(lambda: next(pieces, b""), size)


@EACH
@pytest.mark.parametrize(("piece", "size"), [(1, 10_000), (7, 1), (10**9, 10**9), (1000, 333)])
def test_any_sizes_of_pieces_and_blocks_give_the_same(pack: Pack, piece: int, size: int) -> None:
    content = CONTENT[:20_000]
    blocks = list(unpack(pack(content), piece, size))
    assert b"".join(blocks) == content
    assert max(map(len, blocks)) <= size


@given(st.lists(st.tuples(st.sampled_from(FORMATS), st.binary(max_size=50), st.integers(0, 20))), st.integers(1, 40))
def test_members_of_any_formats_may_follow_each_other_with_padding_between(
    members: list[tuple[Pack, bytes, int]], piece: int
) -> None:
    packed = b"".join(pack(content) + bytes(padding) for pack, content, padding in members)
    assert b"".join(unpack(packed, piece)) == b"".join(content for _, content, _ in members)


def test_frames_that_zstd_skips_are_skipped() -> None:
    packed = SKIPPABLE + zstd.compress(CONTENT) + SKIPPABLE + zstd.compress(b"end")
    assert b"".join(unpack(packed)) == CONTENT + b"end"


@EACH
def test_data_of_a_format_is_recognized_and_text_is_not(pack: Pack) -> None:
    for content in (b"", b"{}", CONTENT):
        assert compression_of(pack(content)[:10]) is not None
    assert not is_undecided(pack(b""))
    for text in (b"", b"{", b'{"a":1}', b"BZh9", b"BZh9 and text", b"(text)", b"PAR1", b"[1]", b"]"):
        assert compression_of(text) is None


@pytest.mark.parametrize("head", [b"", b"\x1f", b"BZh9", b"\x28\xb5\x2f", b"P*", b"]", b"["])
def test_the_beginning_of_a_format_alone_is_undecided(head: bytes) -> None:
    assert is_undecided(head)


@pytest.mark.parametrize("head", [b"{", b"\xef", b"[\n", b"\n", b" ", b"BZh9 and text"])
def test_a_record_is_never_waited_for(head: bytes) -> None:
    assert not is_undecided(head)


@EACH
@pytest.mark.parametrize("left", [0.1, 0.5, 0.99])
def test_what_is_before_the_end_of_a_truncated_stream_is_yielded(pack: Pack, left: float) -> None:
    packed = pack(CONTENT)
    found: list[bytes] = []
    with pytest.raises(DamagedSourceError, match=r"cut short or damaged \(its end is missing\)"):
        found.extend(unpack(packed[: int(len(packed) * left)]))
    assert CONTENT.startswith(b"".join(found))
    assert found or left < 0.9 or pack is bz2.compress  # which has blocks of 900 kB


@EACH
@pytest.mark.parametrize("rest", [b"garbage", b'{"job_id":"x"}\n', b"\0\0x", b"\x1f"])
def test_other_data_after_a_stream_is_never_dropped_silently(pack: Pack, rest: bytes) -> None:
    blocks = unpack(pack(b"x") + rest)
    assert next(blocks) == b"x"
    with pytest.raises(DamagedSourceError, match="after the compressed data comes data that is not compressed"):
        next(blocks)


@EACH
def test_a_damaged_stream_is_an_error(pack: Pack) -> None:
    packed = bytearray(pack(random.Random(1).randbytes(100_000)))
    for at in range(len(packed) // 2, len(packed) // 2 + 50):
        packed[at] ^= 0xFF
    if pack is zstd.compress:
        packed = bytearray(zstd.compress(CONTENT, options={zstd.CompressionParameter.checksum_flag: 1}))
        packed[-1] ^= 0xFF
    with pytest.raises(DamagedSourceError, match=r"cut short or damaged \("):
        list(unpack(bytes(packed)))


def zstd_with_window(log: int) -> bytes:
    """Return the header of a frame with this window, and one raw block that ends it."""
    return b"\x28\xb5\x2f\xfd\x00" + bytes([(log - 10) << 3]) + b"\x09\x00\x00x"


def test_a_zstd_window_of_128_mib_is_read_and_a_larger_one_is_refused_with_the_command_that_reads_it() -> None:
    assert list(unpack(zstd_with_window(27))) == [b"x"]
    with pytest.raises(OtherFormatError) as caught:
        list(unpack(zstd_with_window(31)))
    assert str(caught.value) == (
        "the zstd data has a window of more than 128 MiB: use `zstd -dc --long=31 FILE | ingestor run -` "
        "with the same settings"
    )


def test_an_xz_dictionary_that_needs_too_much_memory_is_refused_with_the_command_that_reads_it() -> None:
    packed = bytearray(lzma_alone(b"x"))
    packed[1:5] = (2**30).to_bytes(4, "little")  # the size of the dictionary
    with pytest.raises(OtherFormatError, match=r"dictionary of more than 256 MiB: use `xz -dc FILE \| ingestor run"):
        list(unpack(bytes(packed)))


def test_zstd_data_that_needs_a_dictionary_is_refused_with_the_command_that_reads_it() -> None:
    texts = [b'{"job_id":"%d","run_name":"the run"}' % number for number in range(1000)]
    packed = zstd.compress(texts[0], zstd_dict=zstd.train_dict(texts, 1000))
    with pytest.raises(OtherFormatError, match="zstd -dc -D DICT FILE"):
        list(unpack(packed))


def test_a_python_without_a_module_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bz2", None)  # as where Python was built without it
    with pytest.raises(OtherFormatError, match=r"can't decompress bzip2: use `bzip2 -dc FILE \| ingestor run -`"):
        list(unpack(bz2.compress(b"x")))


@EACH
def test_memory_is_bounded_however_well_data_is_compressed(pack: Pack) -> None:
    packed = pack(bytes(30_000_000))
    assert len(packed) < 1_000_000
    tracemalloc.start()
    try:
        assert sum(map(len, unpack(packed, 65_536, 524_288))) == 30_000_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000
