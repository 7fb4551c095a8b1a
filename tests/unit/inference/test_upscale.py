"""Pictures enlarged on this machine, and the form in which they travel to another."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from email import message_from_bytes

import pytest
from PIL import Image

from hotshotd.errors import ConfigError, InferenceRejected
from hotshotd.inference.base import Picture
from hotshotd.inference.build import build_upscaler
from hotshotd.inference.pictures import find_kind
from hotshotd.inference.upscale import MAX_SIDE, PillowUpscaler, compute_size, make_form, make_postable
from hotshotd.sandbox.pictures import draw_png


def pack(image: Image.Image, kind: str, **options: object) -> Picture:
    file = io.BytesIO()
    image.save(file, {"jpg": "JPEG"}.get(kind, kind.upper()), **options)  # type: ignore[arg-type]
    return Picture(data=file.getvalue(), kind=kind)


def unpack(picture: Picture) -> Image.Image:
    image = Image.open(io.BytesIO(picture.data))
    image.load()
    return image


@pytest.mark.parametrize(
    ("size", "larger"),
    [
        ((1024, 1024), (2048, 2048)),
        ((1, 3), (2, 6)),
        ((2048, 1024), (4096, 2048)),
        ((3000, 1500), (4096, 2048)),
        ((4096, 10), (4096, 10)),
        ((5000, 10), (5000, 10)),
        ((4000, 1), (4096, 1)),
    ],
)
def test_compute_size__doubles_up_to_the_longest_side(size: tuple[int, int], larger: tuple[int, int]) -> None:
    """Both sides grow alike, none beyond the limit, and nothing shrinks."""
    assert compute_size(*size) == larger
    assert max(larger) <= max(MAX_SIDE, *size)


@pytest.mark.parametrize(
    ("mode", "kind", "became"),
    [("RGB", "png", "png"), ("RGB", "jpg", "jpg"), ("RGB", "webp", "png"), ("P", "gif", "png"), ("L", "png", "png"),
     ("RGBA", "png", "png"), ("LA", "png", "png"), ("CMYK", "jpg", "jpg"), ("1", "png", "png"), ("I;16", "png", "png")],
)  # fmt: skip
def test_enlarge__doubles_every_kind(mode: str, kind: str, became: str) -> None:
    """Whatever a picture's colours are, it comes back twice as large, as what its first bytes say."""
    larger = PillowUpscaler().enlarge(pack(Image.new(mode, (30, 20)), kind))
    assert (larger.kind, find_kind(larger.data), unpack(larger).size) == (became, became, (60, 40))


def test_enlarge__keeps_what_is_on_it() -> None:
    """Left stays left and right stays right, in their colours."""
    image = Image.new("RGB", (20, 10), "red")
    image.paste("blue", (10, 0, 20, 10))
    larger = unpack(PillowUpscaler().enlarge(pack(image, "png")))
    assert (larger.getpixel((5, 10)), larger.getpixel((35, 10))) == ((255, 0, 0), (0, 0, 255))


def test_enlarge__keeps_what_is_transparent() -> None:
    """A clear part stays clear."""
    larger = unpack(PillowUpscaler().enlarge(pack(Image.new("RGBA", (4, 4), (9, 9, 9, 0)), "png")))
    assert larger.getpixel((3, 3))[3] == 0  # type: ignore[index]


def test_enlarge__becomes_a_jpeg_where_a_png_is_too_large() -> None:
    """Noise does not fit as PNG: a JPEG does, on white where it was clear."""
    noise = Image.effect_noise((64, 64), 90).convert("RGBA")
    noise.paste((0, 0, 0, 0), (0, 0, 32, 32))
    larger = PillowUpscaler(max_bytes=2000).enlarge(pack(noise, "png"))
    assert larger.kind == "jpg"
    assert min(unpack(larger).convert("RGB").getpixel((9, 9))) > 240  # type: ignore[type-var]


def test_enlarge__drops_what_the_file_says_besides() -> None:
    """Places and names in a picture's metadata are not published; the turn that they ask for is done."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "secret words"
    larger = PillowUpscaler().enlarge(pack(Image.new("RGB", (30, 20)), "jpg", exif=exif))
    assert unpack(larger).size == (40, 60)
    assert b"secret" not in larger.data


def test_enlarge__leaves_a_moving_picture_alone() -> None:
    """One frame would be a loss."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    moving = pack(frames[0], "gif", save_all=True, append_images=frames[1:])
    assert PillowUpscaler().enlarge(moving) is moving


def make_bomb(width: int, height: int) -> Picture:
    """Give a PNG of a few bytes that says it is very large."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return Picture(data=b"\x89PNG\r\n\x1a\n" + body, kind="png")


@pytest.mark.parametrize("side", [5000, 10_000, 60_000])
def test_enlarge__unpacks_no_bomb(side: int) -> None:
    """A small file of very many pixels is refused by what it says of itself."""
    with pytest.raises(InferenceRejected, match="can't be enlarged: .*(too many|Bomb)"):
        PillowUpscaler().enlarge(make_bomb(side, side))


@pytest.mark.parametrize(
    "picture",
    [
        Picture(draw_png("x")[:60], "png"),
        Picture(b"\x89PNG\r\n\x1a\n", "png"),
        Picture(b"\xff\xd8\xff\xe0" + b"x" * 50, "jpg"),
        Picture(b"GIF89a", "gif"),
        Picture(b"RIFF\x00\x00\x00\x00WEBP", "webp"),
        Picture(draw_png("x"), "gif"),
        make_bomb(100, 100),
    ],
)
def test_enlarge__refuses_damaged_files(picture: Picture) -> None:
    """A file that can't be unpacked as what it begins with is refused, not passed on."""
    with pytest.raises(InferenceRejected, match="can't be enlarged"):
        PillowUpscaler().enlarge(picture)


def test_pillow__is_missed_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Pillow the client is not made, and the message holds the command that brings it."""
    monkeypatch.setattr("hotshotd.config.extras.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'hotshotd\[images\]'"):
        build_upscaler(kind="pillow", session=None)  # type: ignore[arg-type]


def test_pillow__is_not_loaded_before_it_is_used() -> None:
    """A worker that enlarges nothing does not carry it."""
    program = (
        "import sys; from hotshotd.inference import build; build.build_upscaler(kind='pillow', session=None);"
        "sys.exit('PIL' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_form__is_read_back_whole() -> None:
    """The one field holds the file with its name and type, whatever bytes it has."""
    data = draw_png("x") + b"\r\n--\r\nContent-Disposition: form-data\r\n\r\n--"
    body = make_form("image", Picture(data, "png"))
    message = message_from_bytes(b"Content-Type: " + body.content_type.encode() + b"\r\n\r\n" + body.data)
    (part,) = message.get_payload()
    assert part.get_payload(decode=True) == data
    assert (part.get_filename(), part.get_content_type()) == ("picture.png", "image/png")
    assert part.get_param("name", header="content-disposition") == "image"


def test_build__names_what_is_there() -> None:
    """A kind that nobody serves is refused with the list of those that are."""
    with pytest.raises(ConfigError, match="images.upscale 'smoke' is not supported; use one of deepai"):
        build_upscaler(kind="smoke", session=None)  # type: ignore[arg-type]


def test_make_postable__turns_webp_into_png_and_leaves_the_rest() -> None:
    """What every platform takes; the address stays, for who enlarges from there."""

    file = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(file, "WEBP")
    postable = make_postable(Picture(file.getvalue(), "webp", url="https://x.example/a.webp"))
    assert (postable.kind, postable.url) == ("png", "https://x.example/a.webp")
    assert Image.open(io.BytesIO(postable.data)).size == (40, 30)
    png = Picture(postable.data, "png")
    assert make_postable(png) is png


def test_make_postable__refuses_a_damaged_picture() -> None:
    """It is not posted as it is."""
    with pytest.raises(InferenceRejected, match="recoded"):
        make_postable(Picture(b"RIFF1234WEBPjunk", "webp"))
