"""Pictures made larger: by DeepAI, or on this machine by Pillow, which the extra `images` brings."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hotshotd.config.picturing import NO_PILLOW, has_pillow
from hotshotd.errors import ConfigError, InferenceError, InferenceGone, InferenceNonsense, InferenceRejected
from hotshotd.inference.base import Endpoint, Picture
from hotshotd.inference.fetch import Fetcher
from hotshotd.inference.http import TEXT_SECONDS, Answer, Body, Call, ServiceSession, make_ask
from hotshotd.inference.pictures import MAX_PICTURE_BYTES, MEDIA_TYPES, make_picture
from hotshotd.inference.refusals import Problem, read_cause, shorten_cause

if TYPE_CHECKING:
    from PIL.Image import Image

#: DeepAI's header for the key.
DEEPAI_KEY_HEADER = "api-key"

#: How many times a side grows on this machine.
FACTOR = 2

#: No side grows beyond this, in pixels; a picture that has such a side stays as it is.
MAX_SIDE = 4096

#: A picture of more pixels is not unpacked: a small file may hold a very large one.
MAX_PIXELS = 24_000_000

#: Quality of a JPEG, as Pillow counts.
JPEG_QUALITY = 92

#: Kind → what Pillow calls the format: it tries no other, whatever it can read.
_FORMATS = {"png": "PNG", "jpg": "JPEG", "gif": "GIF", "webp": "WEBP"}


# --- DeepAI ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeepAi:
    """DeepAI's super resolution. Thread-safe."""

    endpoint: Endpoint
    session: ServiceSession = field(repr=False)
    read_seconds: float = TEXT_SECONDS

    @property
    def name(self) -> str:
        return self.endpoint.name

    def enlarge(self, picture: Picture) -> Picture:
        """Send a picture, and fetch what became of it at once: its address does not live long.

        Raises:
            QuotaError: A request may not leave.
            InferenceError: No larger picture came.
        """
        call = Call(
            endpoint=self.endpoint,
            path="api/torch-srgan",
            payload=None,
            body=make_form("image", picture),
            ask=make_ask(self.endpoint, chars=0),
            read_seconds=self.read_seconds,
            key_header=DEEPAI_KEY_HEADER,
        )
        url = self.session.send(call, parse=self._read, refine=self._refine)
        return Fetcher(session=self.session, role=self.endpoint.role, own_url=self.endpoint.url).fetch(url)

    def _read(self, answer: Answer) -> str:
        body = answer.json
        url = body.get("output_url") if isinstance(body, dict) else None
        if not isinstance(url, str) or not url:
            raise InferenceNonsense(f"{answer.where} answered without `output_url`{self._quote(body)}")
        return url

    def _quote(self, body: object) -> str:
        """Give DeepAI's own words, which stand under names of its own."""
        words = [body.get(key) for key in ("err", "status")] if isinstance(body, dict) else []
        text = next((word for word in words if isinstance(word, str)), read_cause(body))
        cause = shorten_cause(text, secrets=(self.endpoint.key or "",), sent=())
        return f": {cause}" if cause else ""

    def _refine(self, problem: Problem, error: InferenceError) -> InferenceError:
        if problem.status != 401:
            return error
        remedy = "it serves paying users only (DeepAI Pro), and says the same without credit"
        return InferenceGone(f"{error}; {remedy}", status=problem.status)


def make_form(name: str, picture: Picture) -> Body:
    """Make a multipart form with a picture as its one field."""
    # A file can't hold its own hash, so this ends no part too early.
    boundary = hashlib.sha256(picture.data).hexdigest()
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="{name}"; filename="picture.{picture.kind}"\r\n'
        f"Content-Type: {MEDIA_TYPES[picture.kind]}\r\n\r\n"
    )
    data = b"".join((head.encode(), picture.data, f"\r\n--{boundary}--\r\n".encode()))
    return Body(data, f"multipart/form-data; boundary={boundary}")


# --- Pillow ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PillowUpscaler:
    """Enlarges on this machine, by LANCZOS. Thread-safe; Pillow is loaded with the first picture."""

    name: str = "pillow"
    max_bytes: int = MAX_PICTURE_BYTES

    def enlarge(self, picture: Picture) -> Picture:
        """Double a picture's sides, as far as `MAX_SIDE`; one that is large, or moves, stays as it is.

        Takes a second or two of the processor. A JPEG stays one, all else becomes PNG, or JPEG where that would be
        larger than `max_bytes`.

        Raises:
            InferenceRejected: The picture has too many pixels, or its file is damaged.
        """
        return self._open(picture, self._enlarge, what="enlarged")

    def recode(self, picture: Picture) -> Picture:
        """Give a picture of the same size as PNG, or as JPEG where that would be larger than `max_bytes`.

        Raises:
            InferenceRejected: As `enlarge` does.
        """
        return self._open(picture, lambda source, _: self._save(_make_plain(source), as_jpeg=False), what="recoded")

    def _open(self, picture: Picture, work: Callable[[Image, Picture], Picture], *, what: str) -> Picture:
        from PIL import Image

        damage = (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError)
        bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(picture.data), formats=(_FORMATS[picture.kind],)) as source:
                if source.size[0] * source.size[1] > MAX_PIXELS:
                    size = "x".join(map(str, source.size))
                    raise InferenceRejected(f"the picture can't be {what}: {size} pixels are too many", status=0)
                return work(source, picture)
        except (*bombs, *damage) as exc:
            raise InferenceRejected(f"the picture can't be {what}: {type(exc).__name__}", status=0) from exc

    def _enlarge(self, source: Image, picture: Picture) -> Picture:
        from PIL.Image import Resampling

        width, height = source.size
        if compute_size(width, height) == (width, height) or getattr(source, "is_animated", False):
            return picture
        # Its sides only now: it may have been turned.
        plain = _make_plain(source)
        larger = plain.resize(compute_size(*plain.size), Resampling.LANCZOS)
        return self._save(larger, as_jpeg=picture.kind == "jpg")

    def _save(self, image: Image, *, as_jpeg: bool) -> Picture:
        data = b"" if as_jpeg else _pack(image, "PNG", compress_level=6)
        if as_jpeg or len(data) > self.max_bytes:
            data = _pack(_lay_on_white(image), "JPEG", quality=JPEG_QUALITY)
        return make_picture(data, where=self.name)


def make_postable(picture: Picture) -> Picture:
    """Give a picture in a kind that every platform takes: WebP becomes PNG, where Pillow is there to do it.

    Raises:
        InferenceRejected: If it is damaged, or has too many pixels.
    """
    if picture.kind != "webp" or not has_pillow():
        return picture
    recoded = PillowUpscaler().recode(picture)
    return replace(recoded, url=picture.url)


def compute_size(width: int, height: int) -> tuple[int, int]:
    """Give the sides of a picture after enlarging, in pixels; the proportions stay."""
    factor = min(float(FACTOR), MAX_SIDE / max(width, height))
    if factor <= 1:
        return width, height
    return max(1, round(width * factor)), max(1, round(height * factor))


def _make_plain(source: Image) -> Image:
    """Turn a picture as its camera says, and give it colours that can be mixed."""
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(source)
    is_clear = "A" in upright.getbands() or "transparency" in upright.info
    return upright.convert("RGBA" if is_clear else "RGB")


def _lay_on_white(image: Image) -> Image:
    from PIL import Image as Pillow

    if image.mode != "RGBA":
        return image
    ground = Pillow.new("RGB", image.size, "white")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def _pack(image: Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def make_pillow() -> PillowUpscaler:
    """Make the upscaler of this machine.

    Raises:
        ConfigError: If Pillow is not installed; the message says how to get it.
    """
    if not has_pillow():
        raise ConfigError(f"images.upscale: {NO_PILLOW}")
    return PillowUpscaler()
