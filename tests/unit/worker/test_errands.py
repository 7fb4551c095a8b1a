"""`try` and `post` in the worker: one end each, nothing written that nobody waits for, nothing written twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fakes import ARRIVES, VANISHES

from hotshotd._types import Outcome
from hotshotd.admission import billing, charge
from hotshotd.brain.trace import Step, Tell
from hotshotd.brain.verdict import Verdict, Why
from hotshotd.errors import AuthDead, BotPaused, Down, Refused
from hotshotd.platform import Item
from hotshotd.worker.errands import MAX_STEP_CHARS
from hotshotd.worker.tasks import WORK

Perform = Callable[..., None]
POST = {"op": "post", "id": 1, "dry_run": False}
TRY = {"op": "try", "id": 1, "url": "t3_hers"}
PAUSED = ("paused", "iama is paused; nothing was written")


class Judge:
    """Stands for `Answering`: gives one verdict, or raises, after a second; charges ten characters a step."""

    def __init__(self, end: Verdict | Exception, *, steps: tuple[Step, ...] = (Step("prompt", "words"),)) -> None:
        self._end = end
        self._steps = steps
        self.examined: list[Item] = []

    async def examine(self, item: Item, *, tell: Tell) -> Verdict:
        self.examined.append(item)
        with billing():
            for step in self._steps:
                charge(10)
                tell(step)
            await asyncio.sleep(1)
        if isinstance(self._end, Exception):
            raise self._end
        return self._end


WOULD = Verdict(Outcome.REPLIED, Why.MENTION, "I do.")


async def until_writing(stage: Any) -> None:
    """Wait for the model, then for the moment in which the write is under way."""
    await asyncio.sleep(1)
    for _ in range(50):
        if stage.writer.under_way is not None:
            return
        await asyncio.sleep(0)
    raise AssertionError("nothing is written")


# -- try ---------------------------------------------------------------------------------------


def test_try__tells_steps_and_the_decision(perform: Perform) -> None:
    """What would be said is in the end, with what it was charged; nothing is written."""

    async def act(stage: Any) -> None:
        stage.errands.begin(TRY)
        end = await stage.until_end()
        assert end == {
            "event": "errand_done", "id": 1, "ok": True,
            "data": {
                "thing": "t3_hers", "would_reply": True, "reason": "mention", "detail": "", "text": "I do.", "cost": 10,
            },
        }  # fmt: skip
        assert stage.link.sent[0] == {"event": "step", "id": 1, "name": "prompt", "text": "words", "cost": 0}
        assert {name for _, name, _ in stage.platform.calls} == {"resolve"}

    perform(act, answering=Judge(WOULD))


@pytest.mark.parametrize("why", [Why.CHANCE, Why.OVER_BUDGET, Why.MODERATION])
def test_try__of_what_is_not_answered_is_an_answer_too(perform: Perform, why: Why) -> None:
    """`would not` is no failure of the command."""

    async def act(stage: Any) -> None:
        stage.errands.begin(TRY)
        end = await stage.until_end()
        assert end["ok"]
        assert (end["data"]["would_reply"], end["data"]["reason"], end["data"]["detail"]) == (False, why.value, "0.25")

    perform(act, answering=Judge(Verdict.of(why, detail="0.25")))


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (Verdict.of(Why.MODEL_GONE, detail="404"), "model_gone"),
        (BotPaused("paused"), "paused"),
        (Refused("gone", why="not_found"), "refused"),
        (RuntimeError("password=hunter2"), "internal"),
    ],
)
def test_try__without_a_decision_fails_and_says_what_was_spent(
    perform: Perform, end: Verdict | Exception, code: str
) -> None:
    """Whatever is raised inside ends the errand, not the bot, and is told without what it may hold."""

    async def act(stage: Any) -> None:
        stage.errands.begin(TRY)
        told = await stage.until_end()
        assert (told["ok"], told["code"]) == (False, code)
        assert "10 characters were spent" in told["message"]
        assert "hunter2" not in told["message"]
        assert stage.tasks.dead == []

    perform(act, answering=Judge(end))


def test_try__of_a_dead_account_ends_the_worker_too(perform: Perform) -> None:
    """Nothing will work any more; the operator and the supervisor are both told."""

    async def act(stage: Any) -> None:
        stage.errands.begin(TRY)
        assert (await stage.until_end())["code"] == "auth_dead"
        assert stage.tasks.dead == ["suspended"]

    perform(act, answering=Judge(AuthDead("suspended")))


def test_try__reads_the_thing_patiently(perform: Perform) -> None:
    """Reddit away for a moment is waited for, and said."""

    async def act(stage: Any) -> None:
        stage.platform.script["resolve"] = [Down("503"), Down("503")]
        stage.errands.begin(TRY)
        assert (await stage.until_end())["ok"]
        assert stage.steps() == ["waiting", "waiting", "prompt"]

    perform(act, answering=Judge(WOULD))


def test_try__of_nothing_is_refused(perform: Perform) -> None:
    """An address that leads nowhere; nobody is asked for a decision."""
    judge = Judge(WOULD)

    async def act(stage: Any) -> None:
        stage.errands.begin({**TRY, "url": "t3_nothing"})
        assert (await stage.until_end())["code"] == "refused"
        assert judge.examined == []

    perform(act, answering=judge)


def test_try__of_a_bot_that_only_posts_and_post_of_one_that_only_replies(perform: Perform) -> None:
    """Each is told what its file lacks."""

    async def act(stage: Any) -> None:
        stage.errands.begin(TRY)
        assert "reply" in (await stage.until_end())["message"]
        stage.errands.begin(POST)
        assert "post" in (await stage.until_end(2))["message"]
        assert [end["code"] for end in stage.ends()] == ["reply_off", "post_off"]

    perform(act, answering=None, posts=False)


def test_step__that_is_huge_is_cut(perform: Perform) -> None:
    """One line between processes has a limit, past which the worker would be ended."""

    async def act(stage: Any) -> None:
        stage.errands.begin(TRY)
        await stage.until_end()
        text = stage.link.sent[0]["text"]
        assert len(text) < MAX_STEP_CHARS + 100
        assert text.endswith("... (5 characters more)")

    perform(act, answering=Judge(WOULD, steps=(Step("prompt", "x" * (MAX_STEP_CHARS + 5)),)))


# -- when it begins ----------------------------------------------------------------------------


def test_begin__waits_until_the_bot_knows_what_it_wrote(perform: Perform) -> None:
    """A worker that has just signed in does not refuse; it is not fast either."""

    async def act(stage: Any) -> None:
        stage.errands.begin(POST)
        await asyncio.sleep(60)
        assert stage.ends() == []
        stage.is_ready.set()
        assert (await stage.until_end())["ok"]

    perform(act, ready=False)


def test_begin__of_a_quiet_bot_is_refused_at_once(perform: Perform) -> None:
    """Paused or stopping: nothing is asked of anybody."""

    async def act(stage: Any) -> None:
        stage.quiet.append(PAUSED)
        stage.errands.begin(POST)
        [end] = stage.ends()
        assert (end["code"], stage.text.prompts, stage.platform.calls) == ("paused", [], [])

    perform(act)


@pytest.mark.parametrize("turns", [0, 1, 5])
def test_pause__drops_it_and_says_why(perform: Perform, turns: int) -> None:
    """Also before its first step; nothing is written afterwards."""

    async def act(stage: Any) -> None:
        stage.errands.begin(POST)
        for _ in range(turns):
            await asyncio.sleep(0)
        stage.quiet.append(PAUSED)
        stage.tasks.drop_work(but=stage.writer.under_way_task)
        end = await stage.until_end()
        assert (end["ok"], end["code"], end["message"]) == (False, *PAUSED)
        await asyncio.sleep(1000)
        assert stage.titles() == []

    perform(act)


# -- post --------------------------------------------------------------------------------------


def test_post__gives_what_was_posted(perform: Perform) -> None:
    """Title, text, name; it is logged as `manual`."""

    async def act(stage: Any) -> None:
        stage.errands.begin(POST)
        data = (await stage.until_end())["data"]
        assert data["title"] == "A pond at noon"
        assert data["text"] == "Nothing moved but the water. I counted it twice."
        assert (data["picture"], data["dry_run"], data["thing"]) == (None, False, "t3_own0")
        [(_, facts)] = [entry for entry in stage.link.events if entry[0] == "post.done"]
        assert (facts["slot"], facts["outcome"]) == ("manual", "published")

    perform(act)


def test_post__of_a_second_try_shows_the_second_text(perform: Perform) -> None:
    """What an earlier try would have said is not shown as posted."""

    async def act(stage: Any) -> None:
        stage.errands.begin(POST)
        data = (await stage.until_end())["data"]
        assert (data["title"], stage.titles()) == ("A second pond", ["A second pond"])
        assert "try again" in stage.steps()

    perform(act, "nothing of use", "Title: A second pond\n\nThis one has newts, and I have names for them.")


def test_post__dry_run_writes_nothing(perform: Perform) -> None:
    """It is a success with no thing."""

    async def act(stage: Any) -> None:
        stage.errands.begin({**POST, "dry_run": True})
        data = (await stage.until_end())["data"]
        assert (data["title"], data["dry_run"], data["thing"], data["permalink"]) == (
            "A pond at noon",
            True,
            None,
            None,
        )
        assert stage.titles() == []

    perform(act)


def test_post__with_its_address_not_to_be_had_is_posted_all_the_same(perform: Perform) -> None:
    """The name is enough."""

    async def act(stage: Any) -> None:
        stage.platform.script["resolve"] = [Down("503")]
        stage.errands.begin(POST)
        data = (await stage.until_end())["data"]
        assert (data["thing"], data["permalink"]) == ("t3_own0", None)

    perform(act)


def test_pause__while_the_address_is_looked_up_does_not_deny_the_post(perform: Perform) -> None:
    """It was written, so the errand succeeded."""

    async def act(stage: Any) -> None:
        stage.platform.script["resolve"] = [50.0]
        stage.errands.begin(POST)
        while not stage.titles():  # noqa: ASYNC110 - on virtual time this costs nothing
            await asyncio.sleep(0.1)
        stage.quiet.append(PAUSED)
        stage.tasks.drop_work(but=stage.writer.under_way_task)
        assert (await stage.until_end())["data"]["thing"] == "t3_own0"

    perform(act)


# -- drop --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.0, 0.5, 0.99])
def test_drop__before_the_write_means_no_write(perform: Perform, seconds: float) -> None:
    """However far it has come; others write on."""

    async def act(stage: Any) -> None:
        stage.errands.begin(POST)
        await asyncio.sleep(seconds)
        stage.errands.drop({"op": "drop", "id": 1})
        await asyncio.sleep(1000)
        assert stage.titles() == []
        assert [end["code"] for end in stage.ends()] == ["dropped"]
        stage.errands.begin({**POST, "id": 2})
        assert (await stage.until_end(2))["ok"]

    perform(act)


def test_drop__of_what_is_unknown_or_over_is_no_matter(perform: Perform) -> None:
    """The supervisor's message may cross the end."""

    async def act(stage: Any) -> None:
        stage.errands.drop({"op": "drop", "id": 9})
        stage.errands.begin(POST)
        await stage.until_end()
        stage.errands.drop({"op": "drop", "id": 1})
        await asyncio.sleep(10)
        assert len(stage.ends()) == 1
        await stage.writer.until_free(stage.clock.monotonic() + 1)

    perform(act)


@pytest.mark.parametrize(("outcome", "written"), [(30.0, 1), (ARRIVES, 1), (VANISHES, 0)])
def test_drop__in_the_write_lets_it_end_and_sends_it_never_again(perform: Perform, outcome: Any, written: int) -> None:
    """Well, arrived unseen, lost: it is sent once, and what waits behind it is written."""

    async def act(stage: Any) -> None:
        stage.platform.script["post"] = [outcome]
        stage.errands.begin(POST)
        await until_writing(stage)
        stage.errands.drop({"op": "drop", "id": 1})
        # Somebody else wants to write meanwhile, and must neither be turned away nor forgotten.
        reply = asyncio.create_task(
            stage.writer.reply(await stage.platform.resolve("t3_hers"), "I do.", deadline=500.0), name=WORK
        )
        await asyncio.sleep(400)
        assert len(stage.platform.times("post")) == 1
        assert len(stage.titles()) == written
        assert reply.done()
        assert await reply == "t1_own0"
        assert len(stage.ends()) == 1
        assert stage.ends()[0]["ok"] is (written == 1)

    perform(act)


def test_drop__between_two_tries_of_a_write_ends_it(perform: Perform) -> None:
    """Reddit was away and nothing was written: it is not tried again for nobody."""

    async def act(stage: Any) -> None:
        stage.platform.script["post"] = [Down("503")]
        stage.errands.begin(POST)
        await asyncio.sleep(2)
        assert (len(stage.platform.times("post")), stage.writer.under_way) == (1, None)
        stage.errands.drop({"op": "drop", "id": 1})
        await asyncio.sleep(400)
        assert len(stage.platform.times("post")) == 1
        assert [end["code"] for end in stage.ends()] == ["dropped"]

    perform(act)


def test_drop__in_the_write_does_not_open_a_paused_writer(perform: Perform) -> None:
    """A pause that comes meanwhile holds."""

    async def act(stage: Any) -> None:
        stage.platform.script["post"] = [30.0]
        stage.errands.begin(POST)
        await until_writing(stage)
        stage.errands.drop({"op": "drop", "id": 1})
        stage.writer.close()
        await stage.until_end()
        with pytest.raises(BotPaused):
            await stage.writer.reply(await stage.platform.resolve("t3_hers"), "I do.", deadline=500.0)

    perform(act)
