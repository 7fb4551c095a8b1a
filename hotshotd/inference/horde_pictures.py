"""Pictures with AI Horde: made of a text, described, enlarged.

A picture comes as an address, which is fetched with care; it lives for half an hour there, long enough to be enlarged
without being sent back.
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hotshotd._types import Chars
from hotshotd.errors import InferenceNonsense, InferenceRejected, InferenceUnavailable
from hotshotd.inference.base import Endpoint, Picture
from hotshotd.inference.captions import clean_caption
from hotshotd.inference.fetch import Fetcher
from hotshotd.inference.horde import Horde
from hotshotd.inference.horde_answers import IMPOSSIBLE_SECONDS, JobHollow, read_form, read_generations
from hotshotd.inference.horde_orders import ALCHEMY, IMAGE, PICTURE_SECONDS, Order, list_models
from hotshotd.inference.http import ServiceSession

#: Sides of a picture in pixels: what the service takes, by its step, and what it makes for everybody.
LEAST_SIDE, MOST_SIDE, SIDE_STEP = 64, 3072, 64
DEFAULT_SIDE = 1024
SURE_SIDE = 576

#: Steps of a picture: usual, and what it does for everybody.
DEFAULT_STEPS = 25
SURE_STEPS = 20
MOST_STEPS = 500

#: What enlarges pictures fourfold where nothing else is named.
DEFAULT_UPSCALER = "RealESRGAN_x4plus"

#: What stands between what a picture shall show and what it shall not.
NEGATIVE_MARK = "###"

#: Our name → its name, where they differ.
NAMES: dict[str, str] = {"num_inference_steps": "steps", "guidance_scale": "cfg_scale", "sampler": "sampler_name"}

#: Its parameters that go through as they are.
PASSED = frozenset({"cfg_scale", "clip_skip", "hires_fix", "karras", "loras", "sampler_name", "seed", "tis", "tiling"})

_SIZE = re.compile(r"(\d{2,5})\s*[xX×*]\s*(\d{2,5})")


@dataclass(frozen=True, slots=True)
class HordePainter:
    """A `Painter` on AI Horde; `model` "any" or "" takes any. Thread-safe.

    `upscaler` names one of its models that enlarges the picture within the same job, which saves one; it wins over
    the operator's `post_processing`.
    """

    endpoint: Endpoint
    model: str
    session: ServiceSession = field(repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    upscaler: str | None = None
    limit_seconds: float = PICTURE_SECONDS

    @property
    def name(self) -> str:
        return f"{self.endpoint.name}:{self.model}"

    def cost(self, prompt: str) -> Chars:
        return Chars(len(make_prompt(prompt, self.parameters)) if self.endpoint.metered else 0)

    def paint(self, prompt: str) -> Picture:
        """Order one picture, wait for it and fetch it. Blocks up to ten minutes.

        Raises:
            QuotaError: A request may not leave.
            InferenceError: No picture came in time; `InferenceRejected` where it was censored.
        """
        payload = make_payload(prompt, model=self.model, parameters=self.parameters, upscaler=self.upscaler)
        delivery = Horde(self.endpoint, self.session).run(
            Order(
                kind=IMAGE,
                payload=payload,
                smaller=_make_smaller(payload),
                limit_seconds=self.limit_seconds,
                read=_read_image,
                model=self.model,
                chars=len(payload["prompt"]),
                sent_texts=(payload["prompt"],),
            )
        )
        return _fetch(delivery.value, endpoint=self.endpoint, session=self.session)


@dataclass(frozen=True, slots=True)
class HordeCaptioner:
    """A `Captioner` on AI Horde. Thread-safe. `inline`: the picture is fetched here, and its bytes are sent."""

    endpoint: Endpoint
    session: ServiceSession = field(repr=False)
    inline: bool = False
    limit_seconds: float = PICTURE_SECONDS

    @property
    def name(self) -> str:
        return self.endpoint.name

    def describe(self, url: str) -> str:
        """Order a caption and wait for it. Blocks up to ten minutes.

        Raises:
            QuotaError: A request may not leave.
            InferenceError: No caption came in time; `InferenceRejected` where it is for this picture's sake.
        """
        source = url
        if self.inline:
            source = _encode(Fetcher(session=self.session, role=self.endpoint.role).fetch(url))
        result = _do_form(self.endpoint, self.session, name="caption", source=source, limit_seconds=self.limit_seconds)
        text = result.get("caption") if isinstance(result, dict) else result
        if not isinstance(text, str):
            raise InferenceNonsense(f"{self.endpoint.name} answered with a caption that is no text")
        return clean_caption(text, where=self.endpoint.name)


@dataclass(frozen=True, slots=True)
class HordeUpscaler:
    """An `Upscaler` on AI Horde; `model` is one of its upscalers. Thread-safe."""

    endpoint: Endpoint
    session: ServiceSession = field(repr=False)
    model: str = DEFAULT_UPSCALER
    limit_seconds: float = PICTURE_SECONDS

    @property
    def name(self) -> str:
        return f"{self.endpoint.name}:{self.model}"

    def enlarge(self, picture: Picture) -> Picture:
        """Order a larger picture, wait for it and fetch it. Blocks up to ten minutes.

        By its address where the picture has one, for bytes are compressed anew there, and much; with the bytes where
        the service can't use the address.

        Raises:
            QuotaError: A request may not leave.
            InferenceError: No picture came in time.
        """
        sources = [picture.url] if picture.url else []
        return self._enlarge([*sources, None], picture)

    def _enlarge(self, sources: list[str | None], picture: Picture) -> Picture:
        source, *rest = sources
        try:
            result = _do_form(
                self.endpoint,
                self.session,
                name=self.model,
                source=source or _encode(picture),
                limit_seconds=self.limit_seconds,
            )
        except InferenceRejected:
            if not rest:
                raise
            return self._enlarge(rest, picture)
        if not isinstance(result, str):
            raise InferenceNonsense(f"{self.name} answered with no address of a picture")
        return _fetch(result, endpoint=self.endpoint, session=self.session)


# --- pictures of a text ----------------------------------------------------------------------


def make_prompt(prompt: str, parameters: Mapping[str, Any]) -> str:
    """Give what is sent as prompt: a text can't reach what stands behind the mark, `negative_prompt` does."""
    wanted = re.sub(r"#{3,}", "#", prompt).strip()
    unwanted = parameters.get("negative_prompt")
    is_text = isinstance(unwanted, str) and unwanted.strip()
    return f"{wanted} {NEGATIVE_MARK} {unwanted}" if is_text else wanted


def make_payload(
    prompt: str, *, model: str, parameters: Mapping[str, Any], upscaler: str | None = None
) -> dict[str, Any]:
    """Make the order for one picture. `parameters` are a bot's, in the names of any of the wire formats."""
    wanted = {NAMES.get(name, name): value for name, value in parameters.items() if value is not None}
    match = _SIZE.fullmatch(str(wanted.get("size", "")))
    width, height = match.groups() if match else (wanted.get("width"), wanted.get("height"))
    params: dict[str, Any] = {name: value for name, value in wanted.items() if name in PASSED}
    if "seed" in params:
        # A text there, of any number.
        params["seed"] = str(params["seed"])
    params |= {
        "width": choose_side(width),
        "height": choose_side(height),
        "steps": min(max(_whole(wanted.get("steps"), DEFAULT_STEPS), 1), MOST_STEPS),
        "n": 1,
        "post_processing": _list_names(upscaler or wanted.get("post_processing")),
    }
    return {
        "prompt": make_prompt(prompt, parameters),
        "params": params,
        "models": list_models(model),
        # Written, for the service takes it for true where it is not.
        "nsfw": False,
        "censor_nsfw": True,
        "trusted_workers": False,
        "slow_workers": True,
        "allow_downgrade": True,
        # An address instead of the picture in base64, which is "N/A" whenever the volunteer stored it.
        "r2": True,
    }


def _list_names(value: Any) -> list[str]:
    names = value if isinstance(value, list | tuple) else [value]
    return [name for name in names if isinstance(name, str) and name]


def choose_side(value: Any) -> int:
    """Give a side that the service takes: a multiple of 64, no larger than wanted where that is possible."""
    wanted = _whole(value, DEFAULT_SIDE)
    return min(max(wanted, LEAST_SIDE), MOST_SIDE) // SIDE_STEP * SIDE_STEP


def _make_smaller(payload: Mapping[str, Any]) -> dict[str, Any]:
    params = payload["params"]
    scale = min(1.0, SURE_SIDE / math.sqrt(params["width"] * params["height"]))
    sides = {name: choose_side(int(params[name] * scale)) for name in ("width", "height")}
    return {**payload, "params": {**params, **sides, "steps": min(params["steps"], SURE_STEPS)}}


def _read_image(body: Any, where: str) -> str:
    """Give the address of the one picture of a job that is ready."""
    entries = read_generations(body, where=where)
    if not entries:
        raise JobHollow(f"{where} ended the job without a picture")
    return _read_address(entries[0].get("img"), where=where)


def _read_address(value: Any, *, where: str) -> str:
    if not isinstance(value, str) or not value.startswith(("https://", "http://")):
        raise JobHollow(f"{where} made a picture and gave no address of it")
    return value


# --- forms -----------------------------------------------------------------------------------


def _do_form(endpoint: Endpoint, session: ServiceSession, *, name: str, source: str, limit_seconds: float) -> Any:
    """Have one form of alchemy done on a picture, by its address or in base64; give the form's result."""
    horde = Horde(endpoint, session)
    # The status of such a job never says that nobody can do it.
    if horde.get("status/performance", model=name, read=_count_alchemists) == 0:
        raise InferenceUnavailable(
            f"{endpoint.name} has no volunteer now who works on pictures", retry_after=IMPOSSIBLE_SECONDS
        )
    order = Order(
        kind=ALCHEMY,
        payload={"forms": [{"name": name}], "source_image": source, "slow_workers": True},
        limit_seconds=limit_seconds,
        read=lambda body, where: read_form(body, name, where=where),
        model=name,
        sent_texts=(source,) if source.startswith("https://") else (),
    )
    return horde.run(order).value


def _count_alchemists(body: Any) -> int | None:
    count = body.get("interrogator_count") if isinstance(body, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def _encode(picture: Picture) -> str:
    # Bare, without the `data:` of other services.
    return binascii.b2a_base64(picture.data, newline=False).decode()


def _fetch(url: str, *, endpoint: Endpoint, session: ServiceSession) -> Picture:
    """Fetch a result, and keep the address as it was given: it is signed, and opens for others as it is."""
    picture = Fetcher(session=session, role=endpoint.role, own_url=endpoint.url).fetch(url)
    return replace(picture, url=url)


def _whole(value: Any, default: int) -> int:
    if isinstance(value, str) and value.isdecimal():
        return int(value[:6])
    if isinstance(value, float) and math.isfinite(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else default
