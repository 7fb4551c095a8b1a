"""What the servers received and gave: written down as it happens, for the reckoning. Safe from any thread."""

from __future__ import annotations

import json
import re
import threading
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from hotshotd.sandbox.forum import Event
from hotshotd.sandbox.http import Handler, HttpServer, Request, Response
from hotshotd.sandbox.services import count_chars

#: A moderator's score from which a text is refused; hotshotd's own default.
_THRESHOLD = 0.9

_END_OF_TITLE = "<|eot|>"
_CHAT_TITLE = re.compile(r"\ATitle: .*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sent:
    """Characters that came with a bot's key."""

    at: float
    bot: str
    chars: int


@dataclass(frozen=True, slots=True)
class Published:
    """A text that stands on the forum by a bot's hand."""

    at: float
    bot: str
    thing: str
    what: str
    title: str
    text: str


@dataclass(slots=True)
class Records:
    """Everything of one run. `at` is the servers' monotonic time in seconds."""

    now: Callable[[], float]
    sent: list[Sent] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    #: (moderator, text as it was judged) -> when a verdict that passes it went out; and who refused it.
    passed: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    refused: set[tuple[str, str]] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def watch(self, server: HttpServer) -> None:
        """Put ourselves between a server and its faults: we see what comes and what goes."""
        inner = server.middleware
        assert inner is not None, "the sandbox's servers have faults"

        def note(request: Request, handle: Handler) -> Response:
            self._note_request(server.name, request)
            response = inner(request, lambda asked: self._mark_titles(asked, handle(asked)))
            self._note_answer(server.name, request, response)
            return response

        server.middleware = note

    def hear(self, event: Event, bots: frozenset[str]) -> None:
        """Take note of what a bot wrote."""
        if event.what in ("comment", "submit") and event.author in bots:
            title = event.title if event.what == "submit" else ""
            self.published.append(
                Published(self.now(), event.author, event.thing, event.what, title, event.text)
            )  # fmt: skip

    def was_passed(self, moderator: str, text: str, *, before: float) -> bool:
        """Tell whether a moderator had let a text pass by then."""
        times = self.passed.get((moderator, squeeze(text)), [])
        return bisect_right(times, before) > 0

    # --- inside ---------------------------------------------------------------------------------

    def _note_request(self, server: str, request: Request) -> None:
        if server == "reddit":
            return
        chars = count_chars(request)
        if chars and request.account:
            with self.lock:
                self.sent.append(Sent(self.now(), request.account, chars))

    def _note_answer(self, server: str, request: Request, response: Response) -> None:
        how = "reset" if response.reset else "cut" if response.cut_after is not None else str(response.status)
        with self.lock:
            self.answers[f"{server} {how}"] += 1
        verdict = _read_verdict(request, response)
        if verdict is not None:
            moderator, text, passes = verdict
            with self.lock:
                if passes:
                    self.passed[moderator, squeeze(text)].append(self.now())
                else:
                    self.refused.add((moderator, squeeze(text)))

    def _mark_titles(self, request: Request, response: Response) -> Response:
        """Give each title that a model thinks of a number of its own, so that two posts are never alike by chance."""
        if response.status != 200 or "poster" not in _model_of(request) or not response.body:
            return response
        body = json.loads(response.body)
        if isinstance(body, list):
            marked: Any = [{**one, "generated_text": self._mark_ssi(one["generated_text"])} for one in body]
        else:
            marked = {**body, "choices": [self._mark_choice(choice) for choice in body.get("choices", [])]}
        return replace(response, body=json.dumps(marked).encode())

    def _mark_ssi(self, text: str) -> str:
        return text.replace(_END_OF_TITLE, f" number {next(self._numbers)}{_END_OF_TITLE}", 1)

    def _mark_choice(self, choice: dict[str, Any]) -> dict[str, Any]:
        message = choice.get("message")
        if not isinstance(message, dict):
            return choice
        text = _CHAT_TITLE.sub(lambda match: f"{match[0]} number {next(self._numbers)}", message["content"], count=1)
        return {**choice, "message": {**message, "content": text}}


def squeeze(text: str) -> str:
    """Bring a text into the form in which texts are compared: blanks do not count."""
    return " ".join(text.split())


def _model_of(request: Request) -> str:
    if "/models/" in request.path:
        return request.path
    try:
        body = json.loads(request.body)
    except ValueError:
        return ""
    return str(body.get("model", "")) if isinstance(body, dict) else ""


def _read_verdict(request: Request, response: Response) -> tuple[str, str, bool] | None:
    """Give moderator, text and whether it passes, of an answer that can be read as a verdict by who gets it."""
    is_analysis = request.path.endswith("comments:analyze")
    if not (is_analysis or request.path.endswith("/moderations")):
        return None
    if response.status != 200 or response.reset or response.cut_after is not None:
        return None
    try:
        asked, said = json.loads(request.body), json.loads(response.body)
        return _read_analysis(asked, said) if is_analysis else _read_moderation(asked, said)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None


def _read_analysis(asked: Any, said: Any) -> tuple[str, str, bool]:
    scores = [entry["summaryScore"]["value"] for entry in said["attributeScores"].values()]
    return "perspective", asked["comment"]["text"], max(scores) < _THRESHOLD


def _read_moderation(asked: Any, said: Any) -> tuple[str, str, bool]:
    is_mistral = str(asked.get("model", "")).startswith("mistral")
    text = asked["input"][0] if isinstance(asked["input"], list) else asked["input"]
    (result,) = said["results"]
    passes = max(result["category_scores"].values()) < _THRESHOLD and not result.get("flagged", False)
    return ("mistral" if is_mistral else "openai"), text, passes
