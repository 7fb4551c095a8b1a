"""What a picture is, told by its first bytes and by nothing that anybody says of it."""

from __future__ import annotations

import binascii
from base64 import b64decode

from hotshotd.errors import InferenceNonsense
from hotshotd.inference.base import Picture

#: The largest picture that is taken from a service, or fetched, or posted, in bytes.
MAX_PICTURE_BYTES = 20_000_000

#: Kind → how files of it begin.
_BEGINNINGS: tuple[tuple[str, bytes], ...] = (
    ("png", b"\x89PNG\r\n\x1a\n"),
    ("jpg", b"\xff\xd8\xff"),
    ("gif", b"GIF87a"),
    ("gif", b"GIF89a"),
)

#: Kind → its media type.
MEDIA_TYPES: dict[str, str] = {"png": "image/png", "jpg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}


def find_kind(data: bytes) -> str | None:
    """Tell what a file is: png, jpg, gif or webp; None where it is no such picture."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((kind for kind, beginning in _BEGINNINGS if data.startswith(beginning)), None)


def make_picture(data: bytes, *, where: str, url: str | None = None) -> Picture:
    """Make a picture of a file; `where` names its origin for the operator.

    Raises:
        InferenceNonsense: If it is none, or too large.
    """
    kind = find_kind(data)
    if kind is None:
        raise InferenceNonsense(f"{where} gave {_describe(data)}, not a PNG, JPEG, GIF or WebP picture")
    if len(data) > MAX_PICTURE_BYTES:
        raise InferenceNonsense(f"{where} gave a picture of {len(data)} bytes; the most is {MAX_PICTURE_BYTES}")
    return Picture(data=data, kind=kind, url=url)


def decode_picture(text: str, *, where: str) -> Picture:
    """Make a picture of base64 text, with or without `data:...;base64,` before it.

    Raises:
        InferenceNonsense: If it is none, or too large.
    """
    head, comma, rest = text.partition(",")
    code = rest if comma and head.startswith("data:") else text
    try:
        data = b64decode("".join(code.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InferenceNonsense(f"{where} gave a picture that is no base64") from None
    return make_picture(data, where=where)


def make_data_url(picture: Picture) -> str:
    """Give a picture as a `data:` address."""
    return f"data:{MEDIA_TYPES[picture.kind]};base64,{binascii.b2a_base64(picture.data, newline=False).decode()}"


def _describe(data: bytes) -> str:
    return f"{len(data)} bytes of something else" if data else "nothing"
