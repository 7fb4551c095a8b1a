"""Faults observed in other bots, in the parts that think: scores of nothing, thresholds that are shared."""

from __future__ import annotations

import pytest
from fakes import ScriptedRanker, ScriptedText, make_config
from stage import GOOD, Stage, perform

from hotshotd.brain.keywords import Keywords
from hotshotd.brain.rules import negative_keywords
from hotshotd.inference.moderation import judge_scores, make_thresholds

OTHER = "Nobody counted the steps, but my knees have."


@pytest.mark.parametrize(
    ("scores", "best"), [((0.0, 0.0), GOOD), ((0.0, 1e-9), OTHER), ((-0.5, -0.25), OTHER), ((0.2, 0.1), GOOD)]
)
def test_choose__takes_the_best_however_low(scores: tuple[float, float], best: str) -> None:
    """The greatest score, not the last one above nothing: zeros and scores below it choose too."""
    ranker = ScriptedRanker(dict(zip((GOOD, OTHER), scores, strict=True)))

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment())
        assert [item.text for item in stage.platform.comments] == [best]

    perform(act, text=ScriptedText((GOOD, OTHER)), ranker=ranker)


def test_thresholds__of_one_bot_are_not_anothers() -> None:
    """A lenient bot made before or after a strict one changes nothing for it."""
    strict_before = make_thresholds({"TOXICITY": 0.5})
    lenient = make_thresholds({"TOXICITY": 0.99})
    strict_after = make_thresholds({"TOXICITY": 0.5})
    passes = [
        judge_scores({"TOXICITY": 0.7}, thresholds=thresholds, moderator="x").ok
        for thresholds in (strict_before, lenient, strict_after)
    ]
    assert passes == [False, True, False]


def test_keywords__of_one_bot_are_not_anothers() -> None:
    """A bot's own words are its own, however many bots share the built-in list."""
    with_word = make_config(
        reply={"backend": "ollama", "model": "m"},
        safety={"moderators": [], "unmoderated": True, "negative_keywords": ["zeppelin"]},
    )
    without = make_config(reply={"backend": "ollama", "model": "m"})
    found = [negative_keywords(config).find("a zeppelin") for config in (without, with_word, without)]
    assert found == [None, "zeppelin", None]
    assert isinstance(negative_keywords(without), Keywords)
