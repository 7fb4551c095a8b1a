"""What `try` shows: the decision of the bot at work, step by step, and nothing written."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fakes import ScriptedCaptioner, ScriptedModerator, ScriptedRanker, ScriptedText
from stage import GOOD, Stage, perform

from hotshotd._types import Outcome
from hotshotd.brain.case import FORGIVEN
from hotshotd.brain.trace import Step
from hotshotd.brain.verdict import Why
from hotshotd.errors import BotPaused, InferenceGone
from hotshotd.platform import Author, Item, Kind, Ref, Thread


async def examine(stage: Stage, item: Item) -> tuple[tuple[Outcome, Why], list[Step]]:
    steps: list[Step] = []
    verdict = await stage.answering.examine(item, tell=steps.append)
    return (verdict.outcome, verdict.why), steps


def names(steps: list[Step]) -> list[str]:
    return [step.name for step in steps]


def test_examine__shows_each_step_and_writes_nothing() -> None:
    """From the thing to the reply; the platform is only read, and nothing counts as done."""

    async def act(stage: Stage) -> None:
        end, steps = await examine(stage, stage.comment())
        assert end == (Outcome.REPLIED, Why.TOP_LEVEL)
        assert names(steps) == ["item", "decision", "prompt", "candidates", "cleaned", "moderation", "reply"]
        assert steps[-1].text == GOOD
        assert [name for _, name, _ in stage.platform.calls] == ["thread"]
        assert stage.diary.events == []
        assert stage.diary.counts == {}

    perform(act)


def test_examine__shows_what_each_step_was_charged() -> None:
    """The model's characters stand at the step that sent them, and nowhere else."""

    async def act(stage: Stage) -> None:
        _, steps = await examine(stage, stage.comment())
        prompt = next(step.text for step in steps if step.name == "prompt")
        assert {step.name: step.cost for step in steps if step.cost} == {"candidates": len(prompt)}

    perform(act)


def test_examine__decides_as_the_bot_at_work() -> None:
    """What is tried and then handled ends the same way: the draw is the thing's own."""

    async def act(stage: Stage) -> None:
        for number in range(30):
            item = stage.comment(f"t1_{number}", parent=Ref("t3_other"), submission=Ref("t3_other"))
            top = replace(stage.platform.threads[item.ref].submission, ref=Ref("t3_other"), author=Author("carol"))
            stage.platform.threads[item.ref] = Thread(top, ())
            (outcome, why), _ = await examine(stage, item)
            at_work = await stage.handle(item)
            assert (at_work.outcome, at_work.why) == (outcome, why)  # type: ignore[union-attr]
        outcomes = {outcome for outcome, _ in stage.ends()}
        assert outcomes == {"replied", "skipped"}

    said = [" ".join(f"word{n}{letter}" for letter in "abcdefg").capitalize() + "." for n in range(90)]
    perform(act, text=ScriptedText(*said), reply=OPEN)


OPEN: dict[str, Any] = {"followup_only": False, "chance": 0.5, "max_per_thread": 99, "max_per_author_hour": 99}


@pytest.mark.parametrize(
    ("changes", "reply", "why"),
    [
        ({"submission": Ref("t3_x"), "parent": Ref("t3_x")}, {"followup_only": False, "chance": 0.0}, Why.CHANCE),
        ({"place": "elsewhere", "text": "u/BotName, are you there?"}, {}, Why.FOREIGN_SUBREDDIT),
        ({"age_hours": 99}, {}, Why.TOO_OLD),
    ],
)
def test_examine__goes_on_past_what_hangs_on_chance_or_place(
    changes: dict[str, Any], reply: dict[str, Any], why: Why
) -> None:
    """The rest is shown all the same; the verdict is still that of the bot at work."""

    async def act(stage: Stage) -> None:
        age = changes.get("age_hours", 0)
        others = {key: value for key, value in changes.items() if key != "age_hours"}
        item = stage.comment(created_at=stage.clock.now() - timedelta(hours=age), **others)
        thread = stage.platform.threads[item.ref]
        if item.submission == "t3_x":
            thread = Thread(replace(thread.submission, ref=Ref("t3_x"), author=Author("carol")), ())
        stage.platform.threads[item.ref] = thread
        end, steps = await examine(stage, item)
        assert end == (Outcome.SKIPPED, why)
        assert names(steps).count("would be refused") == 1
        assert steps[-1] == Step("reply", GOOD)

    perform(act, reply=reply)


def test_examine__goes_on_past_the_gate() -> None:
    """A low score is shown with the least that is enough, and the rest after it."""

    async def act(stage: Stage) -> None:
        mine = stage.comment("t1_mine", author=Author("BotName"))
        item = stage.comment(text="And then?", parent=mine.ref)
        top = stage.platform.threads[item.ref].submission
        stage.platform.threads[item.ref] = Thread(top, (mine,))
        end, steps = await examine(stage, item)
        assert end == (Outcome.SKIPPED, Why.LOW_SCORE)
        assert next(step.text for step in steps if step.name == "gate") == "ranker: 0.250, 0.5 is enough"
        assert names(steps)[-1] == "reply"

    perform(act, gate=ScriptedRanker({"And then?": 0.25}))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"author": Author("BotName")}, Why.OWN),
        ({"locked": True}, Why.LOCKED),
        ({"text": "stop"}, Why.OPTED_OUT),
        ({"text": "My pineapple!"}, Why.KEYWORD),
    ],
)
def test_examine__stops_where_a_free_check_refuses(changes: dict[str, Any], why: Why) -> None:
    """Nothing is sent for what would never be answered; nobody is blocked by a trial."""

    async def act(stage: Stage) -> None:
        end, steps = await examine(stage, stage.comment(**changes))
        assert end[1] is why
        assert names(steps) == ["item", "refused"]
        assert stage.text.prompts == []
        assert stage.platform.blocked == []

    perform(act, safety={"moderators": ["local"], "negative_keywords": ["pineapple"]})


def test_examine__shows_why_no_text_came_of_it() -> None:
    """A refused text and a gone model end the trial with their reason."""

    async def refused(stage: Stage) -> None:
        end, steps = await examine(stage, stage.comment())
        assert end == (Outcome.REJECTED, Why.MODERATION)
        assert steps[-1].text.startswith("moderation moderator: TOXICITY")

    perform(refused, moderator=ScriptedModerator("forty"))

    async def gone(stage: Stage) -> None:
        end, _ = await examine(stage, stage.comment())
        assert end == (Outcome.FAILED, Why.MODEL_GONE)

    perform(gone, text=ScriptedText(InferenceGone("not served", status=404)))


def test_examine__does_not_hold_a_place_of_the_bot_at_work() -> None:
    """A trial counts for no limit."""

    async def act(stage: Stage) -> None:
        await examine(stage, stage.comment())
        await stage.handle(stage.comment())
        assert stage.ends() == [("replied", "top_level")]

    perform(act, reply={"max_per_day": 1})


def test_examine__a_pause_goes_through() -> None:
    """A paused bot spends nothing on a trial."""

    async def act(stage: Stage) -> None:
        with pytest.raises(BotPaused):
            await examine(stage, stage.comment())

    perform(act, text=ScriptedText(BotPaused("paused")))


def test_examine__shows_a_posts_picture() -> None:
    """A picture's caption is a step of its own, before the prompt that holds it."""

    async def act(stage: Stage) -> None:
        item = stage.comment(
            kind=Kind.SUBMISSION,
            title="Look at this",
            text="",
            link="https://i.example/cat.png",
            is_picture=True,
            parent=None,
            submission=None,
        )
        _, steps = await examine(stage, item)
        assert "picture" in names(steps)
        assert "a cat on a lighthouse" in next(step.text for step in steps if step.name == "prompt")

    perform(
        act,
        faculties={"caption": ScriptedCaptioner("a cat on a lighthouse")},
        reply={"followup_only": False, "chance": 1.0},
    )


def test_forgiven__are_only_skips() -> None:
    """Nothing that moderation or a keyword said is ever gone past."""
    assert Why.KEYWORD not in FORGIVEN
    assert Why.MODERATION not in FORGIVEN
