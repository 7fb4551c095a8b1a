"""What a service's error answer means: one table, and the readers of all the shapes it comes in.

Pure: an answer goes in, an `InferenceError` comes out. What is quoted of an answer is cut short and
never holds the key or the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from hotshotd.errors import InferenceError, InferenceGone, InferenceRejected, InferenceUnavailable
from hotshotd.inference.waits import read_retry_after
from hotshotd.log import redact

#: The longest quotation of a service's own words, in characters.
MAX_CAUSE = 200

#: The longest piece of an answer that is looked through for its cause, in characters.
MAX_TEXT = 8_000

#: An echo of the prompt is cut out if it is at least so long, in characters.
ECHO = 20


class Meaning(Enum):
    """What a status says about asking again; each has its error, and `admission.Result` for the breakers."""

    REJECTED = "this request is refused, another may pass"
    GONE = "model, key or address are refused for good"
    UNAVAILABLE = "may pass"


@dataclass(frozen=True, slots=True)
class Row:
    """What one status means, and what an operator can do about it."""

    meaning: Meaning
    advice: str = ""


_MOVED = "it redirects, which is not followed: write the new address as `url`"

#: Status → what it means. What is not here: 5xx and 1xx may pass, another 3xx or 4xx is about this request.
STATUSES: dict[int, Row] = {
    301: Row(Meaning.GONE, _MOVED),
    302: Row(Meaning.UNAVAILABLE, _MOVED),  # a portal that wants a log-in, or a service being moved
    303: Row(Meaning.UNAVAILABLE, _MOVED),
    307: Row(Meaning.UNAVAILABLE, _MOVED),
    308: Row(Meaning.GONE, _MOVED),
    400: Row(Meaning.REJECTED),
    401: Row(Meaning.GONE, "check its key"),
    402: Row(Meaning.GONE, "it is out of credit: buy some, or name fallbacks"),
    403: Row(Meaning.GONE, "its key may not do this: check the key's permissions"),
    404: Row(Meaning.GONE, "it does not serve this model: check `model` and `url`"),
    405: Row(Meaning.GONE, "check `api` and `url`"),  # the address is not that of the wire format
    408: Row(Meaning.UNAVAILABLE),
    409: Row(Meaning.UNAVAILABLE),
    410: Row(Meaning.GONE, "the service has ended: name another backend"),
    413: Row(Meaning.REJECTED),
    422: Row(Meaning.REJECTED),
    424: Row(Meaning.UNAVAILABLE),  # TGI: generation failed
    425: Row(Meaning.UNAVAILABLE),
    429: Row(Meaning.UNAVAILABLE),
}

#: Words in an error's `code` or `type` → the status they stand for, where a body or a 429 is all there is.
WORDS: dict[str, int] = {
    "insufficient_quota": 402,
    "invalid_api_key": 401,
    "model_not_found": 404,
    "rate_limit_exceeded": 429,
    "context_length_exceeded": 400,
}

#: Statuses that say too little, and the words of an answer that say which one is meant.
PHRASES: tuple[tuple[tuple[int, ...], re.Pattern[str], int], ...] = (
    # Google's 400 for a bad key.
    (
        (400,),
        re.compile(r"api[ _]key[ _](is )?(not[ _]valid|invalid)|(invalid|incorrect) api[ _]key", re.IGNORECASE),
        401,
    ),
    # Not for a 429: Gemini's free day speaks of plan and billing as well, and passes.
    (
        (400,),
        re.compile(r"credit balance|insufficient[ _](credit|balance|funds|quota)|out of credits?", re.IGNORECASE),
        402,
    ),
)

_TOO_LONG = re.compile(
    r"context[ _-]?(length|window|size)|context_length_exceeded|string_above_max_length|string_too_long"
    r"|reduce the length|too many tokens|maximum .{0,40}(tokens|length)"
    # Not "max_tokens must be <= 8192": a shorter prompt would not mend that.
    r"|(?<!max_)(?<!max_new_)(?<!completion_)tokens.{0,20}must be <="
    r"|\b(prompt|inputs?|request|message|comment|text)\b.{0,60}(too (long|large|big)|exceed)",
    re.IGNORECASE | re.DOTALL,
)
_MODEL_GONE = re.compile(
    r"model_not_found|not a valid model|(unknown|invalid|unsupported|no such) model"
    r"|model.{0,100}(not (be )?(supported|found|exist|available|served)|decommissioned|deprecated|no longer|unknown)",
    re.IGNORECASE | re.DOTALL,
)
_TAGS = re.compile(r"<(script|style).*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_BLANK = re.compile(r"(?:[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ufeff]|\\[nrt])+")


@dataclass(frozen=True, slots=True)
class Problem:
    """An error answer. `text` is all of its words, for matching only; `cause` may be shown.

    `return_code` is AI Horde's `rc`, "" where there is none. `is_plain` tells that the answer was no JSON.
    """

    status: int
    cause: str
    text: str = field(default="", repr=False)
    retry_after: float | None = None
    return_code: str = ""
    is_plain: bool = False

    @property
    def is_too_long(self) -> bool:
        return self.status == 413 or (self.status in (400, 422) and _TOO_LONG.search(self.text) is not None)

    def names(self, word: str) -> bool:
        """Tell whether the answer speaks of `word`, whatever the case."""
        return bool(word) and word.casefold() in self.text.casefold()

    def says_model_gone(self, model: str) -> bool:
        """Tell whether the answer says that `model` is not to be had."""
        return self.names(model) and _MODEL_GONE.search(self.text) is not None


def make_error(problem: Problem, *, where: str) -> InferenceError:
    """Make the exception for a problem; `where` names the service for the operator."""
    parts = (f"{where} answered {problem.status}", problem.cause, find_row(problem.status).advice)
    message = "; ".join(part for part in parts if part)
    meaning = find_row(problem.status).meaning
    if meaning is Meaning.GONE:
        return InferenceGone(message, status=problem.status)
    if meaning is Meaning.REJECTED:
        return InferenceRejected(message, status=problem.status, too_long=problem.is_too_long)
    return InferenceUnavailable(message, retry_after=problem.retry_after)


def find_row(status: int) -> Row:
    """Look a status up."""
    known = STATUSES.get(status)
    return known or Row(Meaning.REJECTED if 300 <= status < 500 else Meaning.UNAVAILABLE)


def read_problem(
    status: int, body: Any, *, headers: Mapping[str, str], secrets: Iterable[str], sent: Iterable[str], now: datetime
) -> Problem:
    """Read an error answer. `body` is what its JSON holds, or its text where it is none.

    `secrets` and `sent` are what must not be quoted; `now` is the wall clock, for dates.
    """
    sent = tuple(sent)
    # An answer may quote what somebody wrote to the bot: that must not pass for the service's own words.
    text = _cut_echoes(_BLANK.sub(" ", _gather_words(body)[:MAX_TEXT]), sent)
    status = _read_inner_status(status, body, text)
    return Problem(
        status=status,
        cause=shorten_cause(read_cause(body), secrets=secrets, sent=sent),
        text=text,
        retry_after=read_retry_after(status, body, text, headers=headers, now=now),
        is_plain=isinstance(body, str),
        return_code=_read_return_code(body),
    )


def read_problem_inside(body: Any) -> int | None:
    """Give the status that a 200's body hides in an `error`, or None where there is none (OpenRouter does this)."""
    error = _find_error_inside(body)
    if error is None:
        return None
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and code.isdecimal():
        code = int(code)
    return code if isinstance(code, int) and 300 <= code < 600 else 500


def _find_error_inside(body: Any) -> Any:
    body = _first(body)
    if not isinstance(body, dict):
        return None
    if body.get("success") is False:
        return body.get("errors") or body.get("error") or True  # Cloudflare
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    return body.get("error") or first.get("error") or None


def _read_inner_status(status: int, body: Any, text: str) -> int:
    """Let words win where the status says too little: OpenAI's 429 for an empty purse, Google's 400 for a bad key."""
    for statuses, words, meant in PHRASES:
        if status in statuses and words.search(text):
            return meant
    if status not in (429, 500):
        return status
    error = _first(body)
    error = error.get("error", error) if isinstance(error, dict) else error
    codes = (error.get(key) for key in ("code", "type")) if isinstance(error, dict) else ()
    return next((WORDS[code] for code in codes if isinstance(code, str) and code in WORDS), status)


def read_cause(body: Any) -> str:
    """Find the sentence that says what went wrong, in any of the known shapes; "" if there is none.

    Shapes: a string; `{"error": string | {"message"}}`; the same in a list (Gemini); `{"detail": string |
    [{"loc", "msg"}]}`; `{"title", "detail"}`; `{"errors": [{"message"}]}`; `{"message"}`.
    """
    body = _first(body)
    if isinstance(body, str):
        return _TAGS.sub(" ", body)
    if not isinstance(body, dict):
        return ""
    for key in ("error", "errors", "message", "detail", "msg", "title", "reason", "err", "status"):
        cause = read_cause(body[key]) if body.get(key) else ""
        if cause:
            return _add_place(body, cause)
    return ""


def _add_place(body: Mapping[str, Any], cause: str) -> str:
    """Put the title before a detail, and the field's path before a validation error."""
    title, place = body.get("title"), body.get("loc")
    if isinstance(title, str) and title not in cause:
        return f"{title}: {cause}"
    if isinstance(place, list):
        return f"{'.'.join(str(step) for step in place)}: {cause}"
    return cause


def _read_return_code(body: Any) -> str:
    code = body.get("rc") if isinstance(body, dict) else None
    return code if isinstance(code, str) else ""


def _first(body: Any) -> Any:
    while isinstance(body, list) and body:
        body = body[0]
    return body


def _gather_words(body: Any, depth: int = 6) -> str:
    """Put all strings of an answer into one text, but for what pydantic echoes as `input`."""
    if isinstance(body, str):
        return body
    if depth and isinstance(body, dict):
        return " ".join(_gather_words(value, depth - 1) for key, value in body.items() if key not in ("input", "ctx"))
    if depth and isinstance(body, list):
        return " ".join(_gather_words(value, depth - 1) for value in body[:50])
    return ""


def shorten_cause(cause: str, *, secrets: Iterable[str], sent: Iterable[str]) -> str:
    """Make a quotation fit for an operator's eyes: one line, short, no key, nothing of what was sent."""
    cause = _BLANK.sub(" ", cause[:MAX_TEXT]).strip()
    for secret in secrets:
        cause = cause.replace(secret, "***") if secret else cause
    # All that this process knows as a secret, and before it is cut: half a secret is not found any more.
    cause = _cut_echoes(redact(cause), sent)
    return cause if len(cause) <= MAX_CAUSE else cause[: MAX_CAUSE - 1].rstrip() + "…"


def _cut_echoes(words: str, sent: Iterable[str]) -> str:
    for text in sent:
        words = _cut_echo(words, _BLANK.sub(" ", text))
    return words


def _cut_echo(cause: str, text: str) -> str:
    window = min(ECHO, len(text.strip()))
    if window < 6:
        # Such a short text is in any sentence by chance.
        return cause
    kept: list[str] = []
    start = 0
    while start < len(cause):
        length = _measure_echo(cause, start, text, window)
        kept.append("[…]" if length else cause[start])
        start += length or 1
    return "".join(kept)


def _measure_echo(cause: str, start: int, text: str, window: int) -> int:
    if start + window > len(cause) or cause[start : start + window] not in text:
        return 0
    end = start + window
    while end < len(cause) and cause[start : end + 1] in text:
        end += 1
    return end - start
