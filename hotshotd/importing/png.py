"""The texts that a PNG file carries beside its picture. Nothing of the picture itself is unpacked.

A file may say anything of itself: every length is held against what is there, sums are checked, and what a
text unpacks to is bounded.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from hotshotd.errors import ImportFailed

SIGNATURE = b"\x89PNG\r\n\x1a\n"

#: The longest text, packed or not; a large card has about 200 kB.
MAX_TEXT_BYTES = 4 * 1024 * 1024
#: More chunks are no picture.
MAX_CHUNKS = 20_000

_TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_HEAD = struct.Struct(">I4s")


def read_texts(data: bytes, keywords: frozenset[str]) -> dict[str, bytes]:
    """Give the texts under these keywords, the first of each.

    A file that is cut off after them is taken as it is: its sums are right as far as it goes.

    Raises:
        ImportFailed: If it is no PNG, is damaged, or holds more than it may.
    """
    found: dict[str, bytes] = {}
    for kind, body in _read_chunks(data):
        if kind not in _TEXT_CHUNKS:
            continue
        keyword, rest = _split(body)
        if keyword in keywords and keyword not in found:
            found[keyword] = _READERS[kind](rest)
    return found


def _read_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not data.startswith(SIGNATURE):
        raise ImportFailed("is no PNG file")
    offset = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if offset + _HEAD.size > len(data):
            return
        length, kind = _HEAD.unpack_from(data, offset)
        end = offset + _HEAD.size + length
        if end + 4 > len(data):
            return
        if kind in _TEXT_CHUNKS:
            yield kind, _check_sum(data, offset, end, length)
        if kind == b"IEND":
            return
        offset = end + 4
    raise ImportFailed(f"holds more than {MAX_CHUNKS} chunks")


def _check_sum(data: bytes, offset: int, end: int, length: int) -> bytes:
    if length > MAX_TEXT_BYTES:
        raise ImportFailed(f"holds a text of more than {MAX_TEXT_BYTES // 1024} KiB")
    (wanted,) = struct.unpack_from(">I", data, end)
    # The sum is over the kind and the body.
    if zlib.crc32(data[offset + 4 : end]) != wanted:
        raise ImportFailed("is damaged: the check sum of a text is wrong")
    return data[offset + _HEAD.size : end]


def _split(body: bytes) -> tuple[str, bytes]:
    keyword, _, rest = body.partition(b"\0")
    return keyword.decode("latin-1"), rest


def _read_packed(rest: bytes) -> bytes:
    if rest[:1] != b"\0":
        raise ImportFailed("is damaged: a text is packed in an unknown way")
    return _unpack(rest[1:])


def _read_international(rest: bytes) -> bytes:
    if len(rest) < 2 or rest[0] > 1 or rest[1] != 0:
        raise ImportFailed("is damaged: a text is packed in an unknown way")
    parts = rest[2:].split(b"\0", 2)
    if len(parts) < 3:
        raise ImportFailed("is damaged: a text has no end")
    return _unpack(parts[2]) if rest[0] else parts[2]


def _unpack(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        # Bounded, for a few bytes can stand for gigabytes.
        text = unpacker.decompress(data, MAX_TEXT_BYTES)
    except zlib.error as exc:
        raise ImportFailed("is damaged: a text can't be unpacked") from exc
    if unpacker.unconsumed_tail:
        raise ImportFailed(f"holds a text of more than {MAX_TEXT_BYTES // 1024} KiB")
    if not unpacker.eof:
        raise ImportFailed("is damaged: a packed text is cut off")
    return text


def _read_plain(rest: bytes) -> bytes:
    return rest


_READERS = {b"tEXt": _read_plain, b"zTXt": _read_packed, b"iTXt": _read_international}
