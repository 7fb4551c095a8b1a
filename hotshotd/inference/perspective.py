"""Google's Perspective, for those who still have a key: it ends on 31 December 2026."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from hotshotd.config.extras import is_english
from hotshotd.errors import InferenceError, InferenceNonsense, InferenceRejected
from hotshotd.inference.base import Endpoint, Judgement
from hotshotd.inference.habits import Habits
from hotshotd.inference.hf import read_number
from hotshotd.inference.http import SMALL_SECONDS, Answer, Call, ServiceSession, make_ask
from hotshotd.inference.moderation import Thresholds, judge_scores, pass_empty, split_text
from hotshotd.inference.refusals import Problem

#: The last day of the service, as its makers announced.
LAST_DAY = date(2026, 12, 31)

#: The attributes that are no experiment: always asked for.
ATTRIBUTES = ("TOXICITY", "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "THREAT")

#: Experiments, and the New York Times' attributes, in English only: asked for where `toxicity_threshold` names them.
ENGLISH_ATTRIBUTES = (
    "SEXUALLY_EXPLICIT",
    "FLIRTATION",
    "ATTACK_ON_AUTHOR",
    "ATTACK_ON_COMMENTER",
    "INCOHERENT",
    "INFLAMMATORY",
    "LIKELY_TO_REJECT",
    "OBSCENE",
    "SPAM",
    "UNSUBSTANTIAL",
)

#: The longest text of one request, in bytes of UTF-8.
MAX_BYTES = 20_480

PATH = "v1alpha1/comments:analyze"

_UNSUPPORTED = re.compile(r"Attribute (\w+) does not support request language", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Perspective:
    """Refuses a text when a counted attribute reaches its threshold. Thread-safe; not metered.

    `languages` None lets the service find out, and fail where it can't.
    """

    endpoint: Endpoint
    thresholds: Thresholds
    session: ServiceSession = field(repr=False)
    languages: tuple[str, ...] | None = ("en",)
    read_seconds: float = SMALL_SECONDS

    @property
    def name(self) -> str:
        return "perspective"

    def judge(self, text: str) -> Judgement:
        """Judge a text, in pieces where it is long: the worst piece counts. One request a piece.

        Raises:
            QuotaError: A request may not leave.
            InferenceError: There is no verdict.
        """
        if not text.strip():
            return pass_empty(self.name)
        scores: dict[str, float] = {}
        for piece in split_text(text, max_bytes=MAX_BYTES):
            for attribute, score in self._score(piece).items():
                scores[attribute] = max(score, scores.get(attribute, 0.0))
        return judge_scores(scores, thresholds=self.thresholds, moderator=self.name)

    def _score(self, text: str) -> dict[str, float]:
        """Ask with what the language supports: one attribute that it does not fails the whole request."""
        left_out = set(self._habits.left_out)
        while True:
            attributes = [name for name in self._list_attributes() if name not in left_out]
            unsupported: list[str] = []
            try:
                return self._ask(text, attributes, unsupported)
            except InferenceRejected:
                # Fewer attributes each time; TOXICITY stays, for a verdict without it is none.
                droppable = [name for name in unsupported if name in attributes and name != "TOXICITY"]
                if not droppable:
                    raise
                left_out.update(droppable)
                if self.languages:
                    # A language that the service detects is this text's alone, and nothing to remember.
                    self._habits.leave_out(droppable)

    @property
    def _habits(self) -> Habits:
        return self.session.habits.open(self.endpoint.url, model=",".join(self.languages or ()))

    def _list_attributes(self) -> tuple[str, ...]:
        may_be_english = not self.languages or all(map(is_english, self.languages))
        extra = (name for name in ENGLISH_ATTRIBUTES if may_be_english and self._is_named(name))
        return (*ATTRIBUTES, *extra)

    def _is_named(self, attribute: str) -> bool:
        return self.thresholds.every is None and attribute.casefold() in self.thresholds.limits

    def _ask(self, text: str, attributes: Sequence[str], unsupported: list[str]) -> dict[str, float]:
        def note(problem: Problem, error: InferenceError) -> InferenceError:
            unsupported.extend(name.upper() for name in _UNSUPPORTED.findall(problem.text))
            return error

        call = Call(
            endpoint=self.endpoint,
            path=PATH,
            payload=self._make_payload(text, attributes),
            ask=make_ask(self.endpoint, chars=0),
            read_seconds=self.read_seconds,
            sent_texts=(text,),
            key_parameter="key",
        )
        return self.session.send(call, parse=lambda answer: _read_scores(answer, attributes), refine=note)

    def _make_payload(self, text: str, attributes: Sequence[str]) -> dict[str, Any]:
        languages = {"languages": list(self.languages)} if self.languages else {}
        return {
            "comment": {"text": text, "type": "PLAIN_TEXT"},
            "requestedAttributes": {name: {} for name in attributes},
            "doNotStore": True,
            **languages,
        }


def _read_scores(answer: Answer, attributes: Sequence[str]) -> dict[str, float]:
    body = answer.json
    table = body.get("attributeScores") if isinstance(body, dict) else None
    if not isinstance(table, dict):
        raise InferenceNonsense(f"{answer.where} answered without `attributeScores`")
    return {name: _read_score(table.get(name), name, answer.where) for name in attributes}


def _read_score(entry: Any, name: str, where: str) -> float:
    summary = entry.get("summaryScore") if isinstance(entry, dict) else None
    return read_number(summary.get("value") if isinstance(summary, dict) else None, what=name, where=where)


def ends_notice(moderators: Collection[str], now: datetime) -> str | None:
    """Give what an operator must know who relies on Perspective; None where no moderator is Perspective.

    Pure: `now` is the wall clock.
    """
    if "perspective" not in moderators:
        return None
    left = (LAST_DAY - now.date()).days
    when = (
        f"ends on {LAST_DAY:%d %B %Y}{_describe_days(left)}: from then on it gives no verdict, "
        if left >= 0
        else f"ended on {LAST_DAY:%d %B %Y}: "
    )
    return (
        f"Google's Perspective {when}and nothing is published without one. Write another moderator in "
        "safety.moderators: openai (free with any OpenAI key), mistral, hf or chat (a model of your choice), "
        "or local (no service at all). Its scores are not Perspective's: look at toxicity_threshold again"
    )


def _describe_days(left: int) -> str:
    return " (today)" if left == 0 else f" ({left} day{'s' if left > 1 else ''} from now)"
