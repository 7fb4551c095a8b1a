"""What AI Horde takes, and how often: checks of orders, what costs kudos, and its limits. Pure but for a lock."""

from __future__ import annotations

import base64
import binascii
import re
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hotshotd.sandbox.http import Answered, Response, json_response

#: The header for the key.
KEY_HEADER = "apikey"

#: The key of all who have none.
ANONYMOUS_KEY = "0000000000"

#: What an account without kudos may order: tokens of an answer, pixels of a picture, its steps.
FREE_TOKENS = 512
FREE_PIXELS = 1024 * 1024
FREE_STEPS = 40

#: Kind of request → the most in so many seconds: orders of an address, looks at one job.
LIMITS: dict[str, tuple[tuple[int, float], ...]] = {
    "order": ((2, 1.0), (90, 60.0)),
    "text status": ((60, 60.0),),
    "image status": ((10, 60.0),),
    "check": ((10, 1.0),),
    "alchemy status": ((10, 1.0),),
}

#: What no limit looks back beyond, in seconds.
LONGEST_SECONDS = max(span for limits in LIMITS.values() for _, span in limits)

UPSCALERS = ("RealESRGAN_x4plus", "RealESRGAN_x2plus", "NMKD_Siax", "4x_AnimeSharp")
FORMS = ("caption", "nsfw", "interrogation", *UPSCALERS)

_TEXT_RANGES: dict[str, tuple[float, float]] = {
    "n": (1, 20),
    "max_length": (16, 4096),
    "max_context_length": (80, 1_000_000),
    "temperature": (0, 5),
    "rep_pen": (1, 3),
    "top_k": (0, 100),
    "top_p": (0.001, 1),
}


class Limits:
    """Requests counted in windows, as the service's limiter does."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seen: defaultdict[tuple[str, str], deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    def take(self, kind: str, name: str) -> tuple[str, str]:
        """Count a request, and give the header that the service puts on every answer; may raise `Answered`."""
        now = self._now()
        with self._lock:
            seen = self._seen[kind, name]
            waits = [wait for most, span in LIMITS[kind] if (wait := _find_wait(seen, most, span, now)) > 0]
            if not waits:
                seen.append(now)
            while seen and seen[0] <= now - LONGEST_SECONDS:
                seen.popleft()
        if waits:
            # Without an rc, for the limiter is no part of the service.
            refusal = json_response({"message": "too many requests"}, status=429)
            raise Answered(refusal.with_headers(("Retry-After", f"{max(waits):.0f}")))
        return "Retry-After", f"{LIMITS[kind][-1][1]:.0f}"


def _find_wait(seen: Iterable[float], most: int, span: float, now: float) -> float:
    recent = [at for at in seen if at > now - span]
    return recent[-most] + span - now if len(recent) >= most else 0.0


def refuse(status: int, code: str, message: str) -> Response:
    """Make an error as the service does."""
    return json_response({"message": message, "rc": code}, status=status)


def check_text(body: Mapping[str, Any]) -> dict[str, str]:
    """Give what is wrong with an order for text, by field."""
    params = body.get("params", {})
    stops = params.get("stop_sequence", [])
    found = {name: f"not in {low}-{high}" for name, (low, high) in _TEXT_RANGES.items() if _is_out(params, name)}
    if not isinstance(body.get("prompt"), str) or not body["prompt"]:
        found["prompt"] = "is required"
    if len(stops) > 128 or sum(map(len, stops)) > 2000:
        found["stop_sequence"] = "too many"
    return found


def _is_out(params: Mapping[str, Any], name: str) -> bool:
    low, high = _TEXT_RANGES[name]
    value = params.get(name, low)
    return not isinstance(value, int | float) or not low <= value <= high


def check_image(body: Mapping[str, Any]) -> dict[str, str]:
    """Give what is wrong with an order for pictures, by field."""
    params = body.get("params", {})
    found = {}
    for name in ("width", "height"):
        side = params.get(name, 512)
        if not isinstance(side, int) or side % 64 or not 64 <= side <= 3072:
            found[name] = "is no multiple of 64 from 64 to 3072"
    if not isinstance(body.get("prompt"), str) or not body["prompt"]:
        found["prompt"] = "is required"
    if any(name not in UPSCALERS for name in params.get("post_processing", [])):
        found["post_processing"] = "is not known"
    return found


def check_alchemy(body: Mapping[str, Any]) -> dict[str, str]:
    """Give what is wrong with an order for alchemy, by field; may raise `Answered`."""
    forms = body.get("forms") or []
    source = body.get("source_image")
    if not forms or any(form.get("name") not in FORMS for form in forms):
        return {"forms": "are required, of the known ones"}
    if not isinstance(source, str) or not source:
        return {"source_image": "is required"}
    if not re.match(r"https?://", source):
        try:
            base64.b64decode(source, validate=True)
        except binascii.Error:
            raise Answered(refuse(400, "SourceImageNotValid", "The source is no picture.")) from None
    return {}


def fit_for_free(kind: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Shrink an order for an account without kudos where it allows that, or refuse it."""
    params = body.get("params", {})
    width, height = params.get("width", 512), params.get("height", 512)
    is_large = {
        "text": params.get("max_length", 80) > FREE_TOKENS,
        "image": width * height > FREE_PIXELS or params.get("steps", 30) > FREE_STEPS,
    }.get(kind, False)
    if not is_large:
        return body
    if not body.get("allow_downgrade"):
        raise Answered(refuse(403, "KudosUpfront", "This needs kudos up front."))
    smaller: dict[str, dict[str, Any]] = {
        "text": {"max_length": FREE_TOKENS},
        "image": {"width": 512, "height": 512, "steps": FREE_STEPS},
    }
    return {**body, "params": {**params, **smaller[kind]}}
