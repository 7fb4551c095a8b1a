"""Rankers behind a classifier's wire format: DialogRPT as Hugging Face's task, as `/rerank` and as `/classify`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hotshotd._types import Chars
from hotshotd.errors import InferenceError, InferenceNonsense, InferenceRejected
from hotshotd.inference.base import Endpoint
from hotshotd.inference.habits import Habits
from hotshotd.inference.hf import make_path, read_number
from hotshotd.inference.http import SMALL_SECONDS, Answer, Call, ServiceSession, make_ask
from hotshotd.inference.labels import pick_positive, read_classes, read_labels
from hotshotd.inference.refusals import Problem

#: What DialogRPT was trained to see between turns.
END_OF_TURN = "<|endoftext|>"

#: DialogRPT's window, and an estimate of what a token is in English; it errs towards dropping more.
WINDOW_TOKENS = 1024
CHARS_PER_TOKEN = 3.5


@dataclass(frozen=True, slots=True)
class _Wire:
    """How a server of classifiers is asked about one text, and how its answer is read."""

    make_path: Callable[[str], str]
    make_payload: Callable[[str, str], dict[str, Any]]
    read: Callable[..., dict[str, float]]


_WIRES = {
    "hf": _Wire(make_path, lambda _model, text: {"inputs": text}, read_labels),
    # vLLM and infinity.
    "classify": _Wire(lambda _model: "classify", lambda model, text: {"model": model, "input": [text]}, read_classes),
}


@dataclass(frozen=True, slots=True)
class ClassifierRanker:
    """DialogRPT as a text classifier; `api` is `hf` or `classify`. Thread-safe."""

    endpoint: Endpoint
    model: str
    session: ServiceSession = field(repr=False)
    api: str = "hf"
    read_seconds: float = SMALL_SECONDS

    @property
    def name(self) -> str:
        return f"{self.endpoint.name}:{self.model}"

    def cost(self, context: Sequence[str], reply: str) -> Chars:
        return Chars(len(join_turns(context, reply)) if self.endpoint.metered else 0)

    def score(self, context: Sequence[str], reply: str) -> float:
        """Score a reply, as `Ranker` says. One request; nothing is repeated.

        Raises:
            QuotaError: The request may not leave.
            InferenceError: No score came, or the model has several labels and none says "good".
        """
        text = join_turns(context, reply)
        wire = _WIRES[self.api]
        call = Call(
            endpoint=self.endpoint,
            path=wire.make_path(self.model),
            payload=wire.make_payload(self.model, text),
            ask=make_ask(self.endpoint, chars=len(text), model=self.model),
            read_seconds=self.read_seconds,
            sent_texts=(*context, reply),
        )

        def read(answer: Answer) -> float:
            return pick_positive(wire.read(answer.json, where=answer.where), where=answer.where)

        return self.session.send(call, parse=read)


@dataclass(frozen=True, slots=True)
class RerankRanker:
    """DialogRPT behind `/rerank` (infinity, vLLM, Jina, Cohere, TEI): the context is the query. Thread-safe."""

    endpoint: Endpoint
    model: str
    session: ServiceSession = field(repr=False)
    read_seconds: float = SMALL_SECONDS

    @property
    def name(self) -> str:
        return f"{self.endpoint.name}:{self.model}"

    def cost(self, context: Sequence[str], reply: str) -> Chars:
        return Chars(sum(map(len, _split_turns(context, reply))) if self.endpoint.metered else 0)

    def score(self, context: Sequence[str], reply: str) -> float:
        """Score a reply, as `Ranker` says. One request; at a server that calls documents otherwise (TEI), two once.

        Raises:
            QuotaError: A request may not leave.
            InferenceError: No score came.
        """
        query, document = _split_turns(context, reply)
        name = self._habits.rename("documents")
        problems: list[Problem] = []
        try:
            return self._ask(query, document, name, problems)
        except InferenceRejected:
            # TEI says: missing field `texts`.
            if name != "documents" or not any(problem.names("texts") for problem in problems):
                raise
        score = self._ask(query, document, "texts", problems)
        self._habits.call_it("documents", "texts")
        return score

    @property
    def _habits(self) -> Habits:
        return self.session.habits.open(self.endpoint.url, model=self.model)

    def _ask(self, query: str, document: str, name: str, problems: list[Problem]) -> float:
        def note(problem: Problem, error: InferenceError) -> InferenceError:
            problems.append(problem)
            return error

        call = Call(
            endpoint=self.endpoint,
            path="rerank",
            payload={**({"model": self.model} if self.model else {}), "query": query, name: [document]},
            ask=make_ask(self.endpoint, chars=len(query) + len(document), model=self.model),
            read_seconds=self.read_seconds,
            sent_texts=(query, document),
        )
        return self.session.send(call, parse=_read_rank, refine=note)


def join_turns(context: Sequence[str], reply: str) -> str:
    """Make DialogRPT's input, oldest turn first.

    What does not fit its window is dropped, oldest first, never the reply. A last turn that is too long by
    itself keeps its end.
    """
    return END_OF_TURN.join([*cut_turns(context, reply), clean_turn(reply)])


def cut_turns(context: Sequence[str], reply: str) -> list[str]:
    """Give the turns of a context that fit the window beside a reply, oldest first."""
    left = int(WINDOW_TOKENS * CHARS_PER_TOKEN) - len(clean_turn(reply))
    kept: list[str] = []
    for turn in reversed([clean_turn(turn) for turn in context]):
        left -= len(turn) + len(END_OF_TURN)
        if left < 0:
            tail = turn[-(left + len(turn)) :] if left + len(turn) > 0 and not kept else ""
            kept += [tail.strip()] if tail.strip() else []
            break
        kept += [turn] if turn else []
    return kept[::-1]


def clean_turn(text: str) -> str:
    """Give a turn without the mark between turns: one that holds it would speak for two."""
    return text.replace(END_OF_TURN, " ").strip()


def _split_turns(context: Sequence[str], reply: str) -> tuple[str, str]:
    # The server puts query and document together without anything between: the mark stands in the second.
    return END_OF_TURN.join(cut_turns(context, reply)), END_OF_TURN + clean_turn(reply)


def _read_rank(answer: Answer) -> float:
    entry = _find_result(answer.json)
    if entry is None:
        raise InferenceNonsense(f"{answer.where} answered without exactly one of `results`, that of index 0")
    return read_number(entry.get("relevance_score", entry.get("score")), what="score", where=answer.where)


def _find_result(body: Any) -> dict[str, Any] | None:
    """Find the result of the only document: in `results`, in `data` (Voyage), or in the list itself (TEI)."""
    results = body.get("results", body.get("data")) if isinstance(body, dict) else body
    if not isinstance(results, list) or len(results) != 1 or not isinstance(results[0], dict):
        return None
    index = results[0].get("index")
    return results[0] if index == 0 and not isinstance(index, bool) else None
