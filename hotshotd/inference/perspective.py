"""Google's Perspective, for those who still have a key: it ends on 31 December 2026."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hotshotd.errors import InferenceNonsense, InferenceRejected
from hotshotd.inference.base import Endpoint, Judgement
from hotshotd.inference.hf import read_number
from hotshotd.inference.http import SMALL_SECONDS, Answer, Call, ServiceSession, make_ask
from hotshotd.inference.moderation import Thresholds, judge_scores, pass_empty
from hotshotd.inference.refusals import Problem

#: The attributes that are no experiment.
ATTRIBUTES = ("TOXICITY", "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "THREAT")

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
        """Ask with what the language supports; an attribute it does not is left out and remembered."""
        while True:
            attributes = self._list_attributes()
            unsupported: list[str] = []
            try:
                return self._ask(text, attributes, unsupported)
            except InferenceRejected:
                # One attribute fewer each time; TOXICITY stays, for a verdict without it is none.
                droppable = [name for name in unsupported if name in attributes and name != "TOXICITY"]
                if not droppable:
                    raise
                self._habits.leave_out(droppable)

    @property
    def _habits(self) -> Any:
        return self.session.habits.open(self.endpoint.url, model=",".join(self.languages or ()))

    def _list_attributes(self) -> tuple[str, ...]:
        return tuple(name for name in ATTRIBUTES if name not in self._habits.left_out)

    def _ask(self, text: str, attributes: Sequence[str], unsupported: list[str]) -> dict[str, float]:
        def note(problem: Problem, error: Any) -> Any:
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
        return self.session.post_json(call, parse=lambda answer: _read_scores(answer, attributes), refine=note)

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


def split_text(text: str, *, max_bytes: int) -> Iterator[str]:
    """Cut a text into pieces of at most `max_bytes` bytes of UTF-8, at blanks where there are any."""
    while len(text.encode("utf-8", "replace")) > max_bytes:
        head = text.encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore")
        blank = max(head.rfind(sign) for sign in (" ", "\n", "\t"))
        cut = blank if blank > 0 else len(head)
        if text[:cut].strip():
            yield text[:cut]
        text = text[cut:].lstrip() if blank > 0 else text[cut:]
    if text.strip():
        yield text
