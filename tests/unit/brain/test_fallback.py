"""Which model is asked after another one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from hotshotd._types import Chars
from hotshotd.brain.fallback import Chain
from hotshotd.errors import (
    BotPaused,
    BreakerOpen,
    InferenceGone,
    InferenceNonsense,
    InferenceRejected,
    InferenceUnavailable,
    QuotaExceeded,
)
from hotshotd.inference.base import Candidates, Prompt

PROMPT = Prompt("Well?")
OVER = QuotaExceeded("no more", cost=5, left=0, resets_at=datetime(2026, 11, 25, tzinfo=UTC))


class Model:
    """A model that answers, or fails in one way."""

    def __init__(self, name: str, error: Exception | None = None, *, metered: bool = True) -> None:
        self.name = name
        self.metered = metered
        self.asked = 0
        self._error = error

    async def generate(self, prompt: Prompt, *, limit_seconds: float | None = None) -> Candidates:
        self.asked += 1
        if self._error:
            raise self._error
        return Candidates((self.name,), Chars(len(prompt.text)), self.name, "")


def generate(*models: Model) -> str:
    return asyncio.run(Chain(models).generate(PROMPT)).texts[0]


@pytest.mark.parametrize(
    "error",
    [
        InferenceGone("no credit", status=402),
        InferenceUnavailable("slow"),
        BreakerOpen("open", retry_after=5.0, gone=True),
    ],
)
def test_chain__goes_on_past_an_unavailable_model(error: Exception) -> None:
    """Gone, timed out, or behind an open breaker: the next one answers."""
    assert generate(Model("a", error), Model("b", error), Model("c")) == "c"


@pytest.mark.parametrize("error", [InferenceRejected("no", status=400), InferenceNonsense("?"), BotPaused("paused")])
def test_chain__asks_nobody_else_for_what_is_no_outage(error: Exception) -> None:
    """A refused prompt would be refused again, nonsense may have been paid for, and a pause is a pause."""
    other = Model("b")
    with pytest.raises(type(error)):
        generate(Model("a", error), other)
    assert other.asked == 0


def test_chain__without_budget_asks_only_what_costs_nothing() -> None:
    """A used up budget leads to the first model that is not metered, or nowhere."""
    assert generate(Model("a", OVER), Model("free", metered=False)) == "free"
    with pytest.raises(QuotaExceeded):
        generate(Model("a", OVER), Model("b"))


def test_chain__raises_what_the_last_one_raised() -> None:
    """When nobody answers, the last failure is the one that counts."""
    with pytest.raises(InferenceGone):
        generate(Model("a", InferenceUnavailable("slow")), Model("b", InferenceGone("off", status=410)))
