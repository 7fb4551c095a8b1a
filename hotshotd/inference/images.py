"""Pictures made of a text, in the three wire formats that are spoken: a row a format.

Whatever the format, an answer may be the picture itself, or JSON with it in base64, or with the address where it
lies; the first bytes decide whether it is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from hotshotd._types import Chars
from hotshotd.errors import InferenceNonsense
from hotshotd.inference.base import Endpoint, Picture
from hotshotd.inference.fetch import Fetcher
from hotshotd.inference.http import TEXT_SECONDS, Answer, Call, ServiceSession, make_ask
from hotshotd.inference.pictures import MAX_PICTURE_BYTES, decode_picture, find_kind, make_picture
from hotshotd.inference.refusals import read_cause, shorten_cause

#: The longest answer that is read, in bytes: a picture in base64 and what stands around it.
MAX_ANSWER_BYTES = MAX_PICTURE_BYTES * 4 // 3 + 64 * 1024

#: How the names of Cloudflare's models begin; whatever `api` says, they are asked for in Cloudflare's format.
CLOUDFLARE_PREFIXES = ("@cf/", "@hf/")

#: What would make of one picture several, or of an answer a stream.
_NEVER = frozenset({"n", "num_return_sequences", "num_images", "stream"})

_SIZE = re.compile(r"(\d{2,5})\s*[xX×*]\s*(\d{2,5})")

#: Hosts that want sides as two numbers although they speak OpenAI's format.
_SIDED_HOSTS = frozenset({"api.together.xyz", "api.together.ai", "router.huggingface.co"})

Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ImageWire:
    """How a picture is asked for.

    `make_path` takes endpoint and model, `make_payload` prompt, model and the bot's parameters, under the names of
    the format. `max_prompt_chars` is where the service cuts, or refuses, a prompt.
    """

    make_path: Callable[[Endpoint, str], str]
    make_payload: Callable[[str, str, Parameters], dict[str, Any]]
    names: Mapping[str, str]
    takes_size: bool = False
    max_prompt_chars: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def _make_cloudflare_path(endpoint: Endpoint, model: str) -> str:
    """Give `.../ai/run/MODEL`, where the address may be that of the chat models, `.../ai/v1`."""
    base = endpoint.url.rstrip("/").removesuffix("/v1").removesuffix("/run")
    return f"{base}/run/{model}"


HF_TASK = ImageWire(
    make_path=lambda _endpoint, model: model,
    make_payload=lambda prompt, _model, parameters: {
        "inputs": prompt,
        **({"parameters": dict(parameters)} if parameters else {}),
    },
    names={"steps": "num_inference_steps"},
    headers={"Accept": "image/png", "x-use-cache": "false"},
)
GENERATIONS = ImageWire(
    make_path=lambda _endpoint, _model: "images/generations",
    make_payload=lambda prompt, model, parameters: {
        **parameters,
        **({"model": model} if model else {}),
        "prompt": prompt,
    },
    names={"num_inference_steps": "steps"},
    takes_size=True,
)
CLOUDFLARE = ImageWire(
    make_path=_make_cloudflare_path,
    make_payload=lambda prompt, _model, parameters: {**parameters, "prompt": prompt},
    names={"num_inference_steps": "steps", "guidance_scale": "guidance"},
    max_prompt_chars=2048,
)

#: `api` of a backend → the format in which it is asked for pictures.
IMAGE_WIRES: dict[str, ImageWire] = {"hf": HF_TASK, "chat": GENERATIONS, "completions": GENERATIONS}


def find_wire(wire: ImageWire, *, model: str) -> ImageWire:
    """Give the format in which a model is asked: that of its backend, unless its name says better."""
    return CLOUDFLARE if model.startswith(CLOUDFLARE_PREFIXES) else wire


def make_parameters(parameters: Parameters, *, wire: ImageWire, url: str = "") -> dict[str, Any]:
    """Give a bot's `generate_parameters` under a format's names; sides as it wants them, `size` or two numbers."""
    wanted = {
        wire.names.get(name, name): value
        for name, value in parameters.items()
        if value is not None and name not in _NEVER
    }
    if wire.takes_size and urlsplit(url).hostname not in _SIDED_HOSTS:
        return _join_sides(wanted)
    return _split_size(wanted)


def _join_sides(wanted: dict[str, Any]) -> dict[str, Any]:
    width, height = wanted.get("width"), wanted.get("height")
    if width is None or height is None or "size" in wanted:
        return wanted
    rest = {name: value for name, value in wanted.items() if name not in ("width", "height")}
    return {**rest, "size": f"{width}x{height}"}


def _split_size(wanted: dict[str, Any]) -> dict[str, Any]:
    match = _SIZE.fullmatch(str(wanted.get("size", "")))
    if match is None:
        return wanted
    rest = {name: value for name, value in wanted.items() if name != "size"}
    return {"width": int(match[1]), "height": int(match[2]), **rest}


@dataclass(frozen=True, slots=True)
class HttpPainter:
    """A `Painter` on a server. Thread-safe."""

    wire: ImageWire
    endpoint: Endpoint
    model: str
    session: ServiceSession = field(repr=False)
    parameters: Parameters = field(default_factory=dict)
    read_seconds: float = TEXT_SECONDS

    @property
    def name(self) -> str:
        return f"{self.endpoint.name}:{self.model}"

    def cost(self, prompt: str) -> Chars:
        return Chars(len(self._cut(prompt)) if self.endpoint.metered else 0)

    def paint(self, prompt: str) -> Picture:
        """Make one picture: one request, and a fetch where the answer only says where it lies.

        Raises:
            QuotaError: A request may not leave.
            InferenceError: No picture came.
        """
        text = self._cut(prompt)
        parameters = make_parameters(self.parameters, wire=self.wire, url=self.endpoint.url)
        call = Call(
            endpoint=self.endpoint,
            path=self.wire.make_path(self.endpoint, self.model),
            payload=self.wire.make_payload(text, self.model, parameters),
            ask=make_ask(self.endpoint, chars=len(text), model=self.model),
            read_seconds=self.read_seconds,
            headers=self.wire.headers,
            sent_texts=(text,),
            max_bytes=MAX_ANSWER_BYTES,
        )
        found = self.session.send(call, parse=lambda answer: read_answer(answer, call))
        if isinstance(found, Picture):
            return found
        return Fetcher(session=self.session, role=self.endpoint.role, own_url=self.endpoint.url).fetch(found)

    def _cut(self, prompt: str) -> str:
        return prompt[: self.wire.max_prompt_chars]


def read_answer(answer: Answer, call: Call) -> Picture | str:
    """Give the picture that an answer holds, or the address that it names.

    Raises:
        InferenceNonsense: If it has neither; the message says what it has.
    """
    if find_kind(answer.body) is not None:
        return make_picture(answer.body, where=answer.where)
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    if not kind.endswith("json") and answer.body.lstrip()[:1] not in (b"{", b"["):
        raise InferenceNonsense(f"{answer.where} answered with {kind[:60] or 'something'}, which is no picture")
    body = answer.json
    code, url = _find_code(body), _find_url(body)
    if code:
        return decode_picture(code, where=answer.where)
    if url:
        return decode_picture(url, where=answer.where) if url.startswith("data:") else url
    cause = shorten_cause(read_cause(body), secrets=(call.endpoint.key or "",), sent=call.sent_texts)
    raise InferenceNonsense(f"{answer.where} answered without a picture" + (f": {cause}" if cause else ""))


def _find_code(body: Any) -> str | None:
    """Give base64: `data[0].b64_json` (OpenAI), `result.image` (Cloudflare)."""
    return _find_text(body, "data", 0, "b64_json") or _find_text(body, "result", "image")


def _find_url(body: Any) -> str | None:
    return _find_text(body, "data", 0, "url")


def _find_text(body: Any, *path: str | int) -> str | None:
    for step in path:
        fits = isinstance(body, list) if isinstance(step, int) else isinstance(body, dict)
        if not fits or (isinstance(step, int) and len(body) <= step):
            return None
        body = body[step] if isinstance(step, int) else body.get(step)
    return body if isinstance(body, str) and body else None
