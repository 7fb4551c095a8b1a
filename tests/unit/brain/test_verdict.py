"""Reasons and what they mean."""

from __future__ import annotations

import re

import pytest

from hotshotd._types import Outcome
from hotshotd.brain.verdict import OUTCOMES, Verdict, Why


def test_outcomes__cover_every_reason_with_a_word() -> None:
    """Every reason is one short stable word and has an outcome."""
    assert set(OUTCOMES) == set(Why)
    assert all(re.fullmatch(r"[a-z_]{3,30}", why) for why in Why)


@pytest.mark.parametrize(
    ("why", "outcome"),
    [
        (Why.OVER_BUDGET, Outcome.SKIPPED),
        (Why.DRY_RUN, Outcome.SKIPPED),
        (Why.CHANCE, Outcome.SKIPPED),
        (Why.KEYWORD, Outcome.REJECTED),
        (Why.MODERATION, Outcome.REJECTED),
        (Why.UNPUBLISHABLE, Outcome.REJECTED),
        (Why.MODERATION_UNAVAILABLE, Outcome.FAILED),
        (Why.MODEL_UNAVAILABLE, Outcome.FAILED),
        (Why.DEADLINE, Outcome.FAILED),
    ],
)
def test_verdict__follows_the_contract(why: Why, outcome: Outcome) -> None:
    """No budget is skipped, a refusal of ours rejected, no verdict or answer or time failed."""
    assert Verdict.of(why).outcome is outcome
