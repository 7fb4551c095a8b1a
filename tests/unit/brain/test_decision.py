"""Whether a thing is answered."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotshotd.brain.decision import (
    compute_chance,
    decide,
    decide_by_chance,
    decide_by_score,
    decide_without_score,
    unit_draw,
)
from hotshotd.brain.keywords import Keywords
from hotshotd.brain.rules import ReplyRules
from hotshotd.brain.verdict import Why
from hotshotd.platform import Item, Kind, Reason, Ref

Make = Callable[..., Item]
NEVER = ReplyRules(own_key="bot", chance=0.0, keyword_boost=0.0)
ALWAYS = ReplyRules(own_key="bot", chance=1.0)


def test_unit_draw__is_the_same_for_ever() -> None:
    """A draw hangs on the bot's name and the thing's name alone, across versions too."""
    assert unit_draw("iama", "t1_abc") == 0.8901707377581737
    assert unit_draw("iama", "t1_abd") != unit_draw("iama", "t1_abc") != unit_draw("other", "t1_abc")


@given(st.text(), st.text())
def test_unit_draw__stays_below_one(bot: str, ref: str) -> None:
    """A chance of 1 always answers, a chance of 0 never, whatever the draw."""
    draw = unit_draw(bot, ref)
    assert 0.0 <= draw < 1.0
    assert decide_by_chance(1.0, draw=draw).answer is True
    assert decide_by_chance(0.0, draw=draw).answer is False


def test_unit_draw__is_even() -> None:
    """A chance of p answers about a share p of things."""
    drawn = [unit_draw("iama", f"t1_{number}") < 0.1 for number in range(4000)]
    assert 320 < sum(drawn) < 480


def test_unit_draw__does_not_run_names_together() -> None:
    """Bot `a` with thing `b` is not bot `ab` with nothing."""
    assert unit_draw("a", "b") != unit_draw("ab", "")


@pytest.mark.parametrize(("hits", "expected"), [(0, 0.1), (1, 0.2), (3, 0.4), (50, 1.0)])
def test_compute_chance__adds_once_per_keyword_and_stops_at_one(hits: int, expected: float) -> None:
    """Chance plus boost per distinct keyword, never more than certain."""
    assert compute_chance(0.1, 0.1, hits) == pytest.approx(expected)


def test_decide__boosts_a_word_once_and_only_as_a_word(make_comment: Make) -> None:
    """`whole` is not `who`, `WHAT` is `what`, and `what what` counts once (defect 17)."""
    rules = ReplyRules(own_key="bot", chance=0.0, positive=Keywords.compile(["who", "what", "how", "?"]))
    item = make_comment(text="The whole show! WHAT what")
    assert decide(item, bot="iama", rules=rules).chance == pytest.approx(0.1)


def test_decide__answers_mentions_always(make_comment: Make) -> None:
    """A mention is answered whatever the chance, at any level."""
    item = make_comment(parent=Ref("t1_deep"))
    decision = decide(item, bot="iama", rules=NEVER, reason=Reason.MENTION)
    assert (decision.answer, decision.reason) == (True, Why.MENTION)


@pytest.mark.parametrize(
    ("force", "own_post", "expected"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_decide__forces_top_level_on_own_posts_only(
    make_comment: Make, force: bool, own_post: bool, expected: bool
) -> None:
    """`force_top_level` is about top-level comments on the bot's own posts."""
    rules = ReplyRules(own_key="bot", chance=0.0, keyword_boost=0.0, force_top_level=force)
    decision = decide(make_comment(), bot="iama", rules=rules, on_own_post=own_post)
    assert decision.answer is expected


def test_decide__asks_the_ranker_for_deeper_comments(make_comment: Make) -> None:
    """Below the top level only a score decides, on own posts as well; the chance is kept for its absence."""
    decision = decide(make_comment(parent=Ref("t1_x")), bot="iama", rules=ALWAYS, on_own_post=True)
    assert (decision.answer, decision.reason, decision.chance) == (None, Why.NEEDS_SCORE, 1.0)


def test_decide__takes_the_chance_for_submissions(make_submission: Make) -> None:
    """A submission is answered by chance; its title counts for keywords."""
    rules = ReplyRules(own_key="bot", chance=0.9, positive=Keywords.compile(["title"]))
    assert decide(make_submission(), bot="iama", rules=rules).chance == pytest.approx(1.0)
    assert decide(make_submission(), bot="iama", rules=NEVER).answer is False


def test_decide__answers_link_posts_always_when_forced(make_submission: Make) -> None:
    """`linkpost_only: force` also always answers link posts, and only those."""
    rules = ReplyRules(own_key="bot", chance=0.0, force_link_posts=True)
    assert decide(make_submission(link="https://x.example/a"), bot="iama", rules=rules).reason is Why.LINK_POST
    assert decide(make_submission(), bot="iama", rules=rules).answer is False


def test_decide__answers_private_messages(make_comment: Make) -> None:
    """A message that passed the filters is as direct as a mention."""
    item = make_comment(kind=Kind.MESSAGE, parent=None, submission=None)
    assert decide(item, bot="iama", rules=NEVER, reason=Reason.MESSAGE).answer is True


@pytest.mark.parametrize(("score", "answer", "why"), [(0.5, True, Why.SCORE), (0.49, False, Why.LOW_SCORE)])
def test_decide_by_score__takes_the_least_score_as_enough(score: float, answer: bool, why: Why) -> None:
    """At `min_score` a comment is answered, below it not."""
    decision = decide_by_score(score, 0.5)
    assert (decision.answer, decision.reason) == (answer, why)


@pytest.mark.parametrize(
    ("when", "draw", "answer", "why"),
    [
        ("skip", 0.0, False, Why.RANKER_UNAVAILABLE),
        ("always", 0.99, True, Why.ALWAYS),
        ("chance", 0.1, True, Why.CHANCE),
        ("chance", 0.3, False, Why.CHANCE),
    ],
)
def test_decide_without_score__follows_when_unavailable(when: str, draw: float, answer: bool, why: Why) -> None:
    """Without a ranker `when_unavailable` decides."""
    decision = decide_without_score(when, chance=0.2, draw=draw)  # type: ignore[arg-type]
    assert (decision.answer, decision.reason) == (answer, why)
