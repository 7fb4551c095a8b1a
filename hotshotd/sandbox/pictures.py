"""Pictures in the sandbox: real PNGs of any text, what is seen on them, and the servers that trade in them.

Azure's Image Analysis in both versions, DeepAI, and the picture models of OpenAI's and Cloudflare's wire formats.
Results lie on the server that named them, as they do outside.
"""

from __future__ import annotations

import base64
import json
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from hotshotd.sandbox import textmodels
from hotshotd.sandbox.http import Answered, Handler, Request, Response, Route
from hotshotd.sandbox.http import json_response as as_json

#: Pictures that a shelf keeps; the oldest go first, as they do at DeepAI.
SHELF_PICTURES = 100

#: The longest side that is drawn, in pixels.
MAX_SIDE = 1024

AZURE_KEY = "ocp-apim-subscription-key"
DEEPAI_KEY = "api-key"

_SUBJECTS = ("a lighthouse", "two ducks", "an old bicycle", "a bowl of soup", "a sleeping cat", "a red umbrella")
_PLACES = ("on a beach", "in a kitchen", "under a bridge", "on a wooden table", "in the rain", "beside a window")

#: What a test lets be answered in place of a caption or a picture; None where it says nothing.
TakeScript = Callable[[str], object]


def draw_png(prompt: str, *, width: int = 64, height: int = 64) -> bytes:
    """Draw a picture of a prompt: a PNG whose colours depend on the text."""
    red, green, blue = (int(255 * textmodels.compute_share(prompt, colour)) for colour in "rgb")
    rows = b"".join(b"\0" + bytes((red, green, (blue + 3 * row) % 256)) * width for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def read_size(png: bytes) -> tuple[int, int] | None:
    """Give width and height of a PNG in pixels; None for what is none."""
    if not png.startswith(b"\x89PNG\r\n\x1a\n") or len(png) < 24:
        return None
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def choose_sides(parameters: Any) -> tuple[int, int]:
    """Give the sides that a request asks for, by `width` and `height` or by `size`, 64 each without; never huge."""
    size = str(parameters.get("size", "")).partition("x")
    wanted = (parameters.get("width", size[0]), parameters.get("height", size[2]))
    width, height = (int(side) if str(side).isdecimal() else 64 for side in wanted)
    return max(1, min(width, MAX_SIDE)), max(1, min(height, MAX_SIDE))


def say_what_is_seen(picture: str) -> str:
    """Give a caption; the same for the same address or data."""
    subject = _SUBJECTS[int(len(_SUBJECTS) * textmodels.compute_share(picture, "subject"))]
    place = _PLACES[int(len(_PLACES) * textmodels.compute_share(picture, "place"))]
    return f"{subject} {place}"


def find_image_url(messages: Any) -> str | None:
    """Give the address of the picture in a chat's messages, None where there is none."""
    contents = [message.get("content") for message in messages if isinstance(message, dict)]
    parts = [part for content in contents if isinstance(content, list) for part in content if isinstance(part, dict)]
    images = [part.get("image_url") for part in parts if part.get("type") == "image_url"]
    found = [image.get("url") for image in images if isinstance(image, dict)]
    return next((url for url in found if isinstance(url, str)), None)


class Shelf:
    """Pictures that wait to be fetched, under names that tell nothing of them. Safe from any thread."""

    def __init__(self, folder: str) -> None:
        self.route = Route("GET", f"{folder}/{{name}}/output.{{kind}}", self._show)
        self._folder = folder
        self._lock = threading.Lock()
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        self._count = 0

    def put(self, data: bytes) -> str:
        """Keep a picture; give the path under which it is served."""
        with self._lock:
            self._count += 1
            name = f"{self._count:08x}-{zlib.crc32(data):08x}"
            self._pictures[name] = data
            if len(self._pictures) > SHELF_PICTURES:
                self._pictures.popitem(last=False)
        return f"{self._folder}/{name}/output.png"

    def _show(self, request: Request) -> Response:
        with self._lock:
            data = self._pictures.get(request.variables["name"])
        if data is None:
            return Response(status=404, body=b"<h1>Not Found</h1>", content_type="text/html")
        return Response(body=data, content_type="image/png")


# --- Azure -----------------------------------------------------------------------------------


def list_azure_routes(keys: Mapping[str, str], take_script: TakeScript) -> list[Route]:
    """Give Image Analysis 4.0 and 3.2. A script for the model `azure` is a caption, or a whole answer."""

    def handle(make: Callable[[str, str], Any]) -> Handler:
        def answer(request: Request) -> Response:
            if request.headers.get(AZURE_KEY) not in keys:
                return azure_error(401, "401", "Access denied due to invalid subscription key or wrong API endpoint.")
            seen = _find_azure_picture(request)
            scripted = take_script("azure")
            if isinstance(scripted, Response):
                return scripted
            return as_json(make(str(scripted or say_what_is_seen(seen)), "sandbox"))

        return answer

    return [
        Route("POST", "/computervision/imageanalysis:analyze", handle(_analyze_4)),
        Route("POST", "/vision/v3.2/describe", handle(_describe_3)),
    ]


def _find_azure_picture(request: Request) -> str:
    """Give what the picture of a request is known by.

    Raises:
        Answered: With Azure's 400, if there is none.
    """
    if request.headers.get("content-type") == "application/octet-stream":
        if read_size(request.body) is None:
            raise Answered(azure_error(400, "InvalidRequest", "Image format is not valid.", inner="InvalidImageFormat"))
        return str(zlib.crc32(request.body))
    body = request.json()
    url = body.get("url") if isinstance(body, dict) else None
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise Answered(azure_error(400, "InvalidRequest", "Image URL is badly formatted.", inner="InvalidImageUrl"))
    return url


def _analyze_4(caption: str, model: str) -> Any:
    metadata = {"width": 64, "height": 64}
    return {"modelVersion": model, "captionResult": {"text": caption, "confidence": 0.8}, "metadata": metadata}


def _describe_3(caption: str, model: str) -> Any:
    description = {"tags": caption.split(), "captions": [{"text": caption, "confidence": 0.8}]}
    metadata = {"width": 64, "height": 64, "format": "Png"}
    return {"description": description, "requestId": "sandbox-1", "metadata": metadata, "modelVersion": model}


def azure_error(status: int, code: str, message: str, *, inner: str | None = None) -> Response:
    """Make an error as Azure does."""
    error: dict[str, Any] = {"code": code, "message": message}
    if inner is not None:
        error["innererror"] = {"code": inner, "message": message}
    return as_json({"error": error}, status=status)


# --- DeepAI ----------------------------------------------------------------------------------


def list_deepai_routes(keys: Mapping[str, str], take_script: TakeScript, base_url: Callable[[], str]) -> list[Route]:
    """Give the super resolution. A script for the model `deepai` is a whole answer."""
    shelf = Shelf("/job-view-file")

    def enlarge(request: Request) -> Response:
        if request.headers.get(DEEPAI_KEY) not in keys:
            return as_json({"status": "Please pass a valid Api-Key in an HTTP header to use the API."}, status=401)
        part = request.parts().get("image")
        size = read_size(part.data) if part is not None else None
        scripted = take_script("deepai")
        if isinstance(scripted, Response):
            return scripted
        if part is None or size is None:
            return as_json({"err": "error processing given inputs from request"}, status=400)
        larger = draw_png(str(zlib.crc32(part.data)), width=2 * size[0], height=2 * size[1])
        return as_json({"id": "sandbox-1", "output_url": base_url() + shelf.put(larger)})

    return [Route("POST", "/api/torch-srgan", enlarge), shelf.route]


# --- OpenAI's and Cloudflare's picture models ------------------------------------------------


class Studio:
    """Draws for OpenAI's `/images/generations` and for Cloudflare's `/ai/run/MODEL`."""

    def __init__(self, base_url: Callable[[], str]) -> None:
        self.shelf = Shelf("/files")
        self._base_url = base_url

    def generate(self, body: Any) -> Response:
        """Answer as OpenAI does: base64, or an address where `response_format` is url."""
        width, height = choose_sides(body)
        png = draw_png(str(body.get("prompt", "")), width=width, height=height)
        if body.get("response_format") == "url":
            return as_json({"created": 0, "data": [{"url": self._base_url() + self.shelf.put(png)}]})
        return as_json({"created": 0, "data": [{"b64_json": base64.b64encode(png).decode()}]})

    def run(self, body: Any) -> Response:
        """Answer as Cloudflare does."""
        prompt = body.get("prompt")
        if not isinstance(prompt, str) or not 0 < len(prompt) <= 2048:
            return cloudflare_error(400, 5006, "Error: oneOf at '/' not met: length of '/prompt' must be <= 2048")
        width, height = choose_sides(body)
        image = base64.b64encode(draw_png(prompt, width=width, height=height)).decode()
        return as_json({"result": {"image": image}, "success": True, "errors": [], "messages": []})


def cloudflare_error(status: int, code: int, message: str) -> Response:
    """Make an error as Cloudflare does."""
    errors = [{"code": code, "message": message}]
    return as_json({"result": None, "success": False, "errors": errors, "messages": []}, status=status)


def parse_object(request: Request) -> dict[str, Any] | None:
    """Give the JSON object of a request, None where its body is none."""
    try:
        body = json.loads(request.body)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
