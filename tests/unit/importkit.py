"""What tests of imports share: where their files are, and PNG files made by hand."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from hotshotd.importing.draft import Draft

DATA = Path(__file__).parents[1] / "data" / "import"

#: From a file's name and content to the one draft of it and its text.
Importer = Callable[[str, str | bytes], tuple[Draft, str]]


def make_chunk(kind: bytes, body: bytes, *, check_sum: int | None = None) -> bytes:
    """Make one chunk of a PNG file."""
    right = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", right if check_sum is None else check_sum)


def make_png(*chunks: bytes, end: bool = True) -> bytes:
    """Make a PNG file of one grey pixel, with these chunks before its end."""
    head = make_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    picture = make_chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"\x89PNG\r\n\x1a\n" + head + picture + b"".join(chunks) + (make_chunk(b"IEND", b"") if end else b"")
