"""The life of one post, from its slot to its one end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes import ARRIVES, VANISHES, Diary, MemoryPlatform, ScriptedModerator, ScriptedText, make_config
from virtual import NOON, VirtualClock, run

from hotshotd.brain.editor import Editor
from hotshotd.brain.ports import Faculties
from hotshotd.brain.posting import Posting
from hotshotd.brain.rules import negative_keywords
from hotshotd.brain.verdict import Verdict
from hotshotd.brain.writing import Writer
from hotshotd.errors import (
    AuthDead,
    BotPaused,
    Down,
    InferenceGone,
    InferenceRejected,
    InferenceUnavailable,
    QuotaExceeded,
    Refused,
    Retry,
)
from hotshotd.platform import Author, Item, Kind, Ref

TITLE = "I keep a lighthouse, ask me anything"
BODY = "The sea was rough last night. I kept the light burning until dawn."
SSI = f" r/bots|><|sot|>{TITLE}<|eot|><|sost|>{BODY}<|eost|><|eoss|>"
CHAT = f"Title: {TITLE}\n\n{BODY}"
OVER_BUDGET = QuotaExceeded("none left", cost=9, left=0, resets_at=datetime(2026, 11, 25, tzinfo=UTC))
AWAY = InferenceUnavailable("overloaded")


@dataclass
class Stage:
    """A bot that posts, with everything around it in the test's hands."""

    clock: VirtualClock
    platform: MemoryPlatform
    text: ScriptedText
    diary: Diary
    writer: Writer
    posting: Posting

    async def make(self) -> Verdict:
        return await self.posting.make("12:00", day_start=NOON.replace(hour=0))

    def ends(self) -> list[tuple[object, object]]:
        return self.diary.ends("post.done")

    def published(self) -> list[tuple[str, str]]:
        return [(item.title, item.text) for item in self.platform.submissions]

    def add_own(self, title: str, *, hours_ago: float) -> None:
        made = self.clock.now() - timedelta(hours=hours_ago)
        ref = Ref(f"t3_old{len(self.platform.submissions)}")
        self.platform.submissions.append(Item(ref, Kind.SUBMISSION, Author("BotName"), BODY, "bots", made, title=title))


def perform(
    act: Callable[[Stage], Coroutine[Any, Any, None]],
    *script: str | tuple[str, ...] | Exception,
    chats: bool = False,
    moderator: ScriptedModerator | None = None,
    post: dict[str, Any] | None = None,
    **config_keys: Any,
) -> None:
    """Run `act` on a stage whose model follows the script."""

    async def main() -> None:
        basics = {"schedule": ["12:00"], "backend": "ollama", "model": "m"}
        config = make_config(post=basics | (post or {}), **config_keys)
        clock, diary = VirtualClock(), Diary()
        platform, text = MemoryPlatform(clock), ScriptedText(*script, seconds=0)
        faculties = Faculties(None, text, None, None, (moderator or ScriptedModerator(),), post_chats=chats)
        writer = Writer(platform, clock, confirm_after=(2.0, 10.0))
        editor = Editor(faculties, negative_keywords(config), clock, diary)
        posting = Posting(
            config, platform=platform, faculties=faculties, writer=writer, editor=editor, clock=clock, news=diary
        )
        await act(Stage(clock, platform, text, diary, writer, posting))

    run(main())


def test_make__ssi_model_writes_title_and_text_at_once() -> None:
    """One request with the open mark; the end names slot and thing."""

    async def act(stage: Stage) -> None:
        await stage.make()
        assert stage.published() == [(TITLE, BODY)]
        assert [prompt.text for prompt in stage.text.prompts] == ["<|soss"]
        facts = {"slot": "12:00", "outcome": "published", "reason": "scheduled", "thing": "t3_own0", "detail": ""}
        assert stage.diary.events == [("post.done", facts)]
        assert stage.diary.counts == {"posts": 1}
        assert stage.posting.last_post_at == stage.clock.now()

    perform(act, SSI)


def test_make__chat_model_writes_a_plain_post_at_once() -> None:
    """One request, with the backstory as messages."""

    async def act(stage: Stage) -> None:
        await stage.make()
        assert stage.published() == [(TITLE, BODY)]
        assert [bool(prompt.messages) for prompt in stage.text.prompts] == [True]

    perform(act, CHAT, chats=True, post={"format": "plain"})


def test_make__base_model_writes_a_plain_post_in_two_requests() -> None:
    """The title first, and from it the text."""

    async def act(stage: Stage) -> None:
        await stage.make()
        assert stage.published() == [(TITLE, BODY)]
        title, body = (prompt.text for prompt in stage.text.prompts)
        assert title.endswith("Title:")
        assert body.rstrip().endswith(TITLE)

    perform(act, f" {TITLE}\nmore", BODY, post={"format": "plain"})


def test_make__takes_the_first_candidate_that_passes() -> None:
    """Title and text are moderated together."""
    moderator = ScriptedModerator("horrible")

    async def act(stage: Stage) -> None:
        await stage.make()
        assert stage.published() == [(TITLE, BODY)]
        assert moderator.asked == [f"A horrible night\n\n{BODY}", f"{TITLE}\n\n{BODY}"]

    perform(act, (SSI.replace(TITLE, "A horrible night"), "no post", SSI, SSI), moderator=moderator)


@pytest.mark.parametrize("first", [AWAY, "no post at all", SSI.replace("rough", "zeppelins")])
def test_make__tries_again_after_a_pause(first: str | Exception) -> None:
    """What may be better next time has three tries, 15 and 30 seconds apart, and one end."""

    async def act(stage: Stage) -> None:
        await stage.make()
        assert stage.published() == [(TITLE, BODY)]
        assert stage.platform.times("post") == [45.0]
        assert stage.ends() == [("published", "scheduled")]

    perform(act, first, first, SSI, safety={"moderators": ["local"], "negative_keywords": ["zeppelins"]})


@pytest.mark.parametrize(
    ("script", "outcome", "reason", "asked"),
    [
        (AWAY, "failed", "model_unavailable", 3),
        ("no post at all", "rejected", "unpublishable", 3),
        (SSI.replace("rough", "zeppelins"), "rejected", "keyword", 3),
        (SSI.replace("rough", "horrible"), "rejected", "moderation", 3),
        (OVER_BUDGET, "skipped", "over_budget", 1),
        (InferenceGone("x", status=404), "failed", "model_gone", 1),
        (InferenceRejected("x", status=400), "failed", "model_refused", 1),
    ],
)
def test_make__every_end_is_told_once(script: str | Exception, outcome: str, reason: str, asked: int) -> None:
    """After the last try there is one end, with slot, outcome and reason, and nothing is published."""

    async def act(stage: Stage) -> None:
        await stage.make()
        assert stage.ends() == [(outcome, reason)]
        assert stage.diary.events[0][1]["slot"] == "12:00"
        assert stage.diary.events[0][1]["thing"] is None
        assert (len(stage.text.prompts), stage.platform.times("post")) == (asked, [])

    safety = {"moderators": ["local"], "negative_keywords": ["zeppelins"]}
    perform(act, script, moderator=ScriptedModerator("horrible"), safety=safety)


def test_make__no_verdict_is_no_post() -> None:
    """A moderator that stays away ends the post as failed."""

    async def act(stage: Stage) -> None:
        await stage.make()
        assert stage.ends() == [("failed", "moderation_unavailable")]
        assert stage.platform.times("post") == []

    perform(act, SSI, moderator=ScriptedModerator(errors=[AWAY] * 50))


def test_make__says_nothing_twice() -> None:
    """What is nearly an own earlier post is refused."""

    async def act(stage: Stage) -> None:
        stage.add_own(TITLE, hours_ago=30)
        await stage.make()
        assert stage.ends() == [("rejected", "duplicate")]

    perform(act, SSI)


@pytest.mark.parametrize(("hours_ago", "end"), [(1, ("skipped", "max_per_day")), (13, ("published", "scheduled"))])
def test_max_per_day__is_counted_from_the_platform(hours_ago: float, end: tuple[str, str]) -> None:
    """Own submissions of today count, whoever made them; the limit costs no character."""

    async def act(stage: Stage) -> None:
        stage.add_own("Something else entirely, on birds", hours_ago=hours_ago)
        await stage.make()
        assert stage.ends() == [end]
        assert len(stage.text.prompts) == (end[0] == "published")

    perform(act, SSI.replace(BODY, "Quite another text, about the long stairs."), post={"max_per_day": 1})


def test_max_per_day__unknown_is_no_post() -> None:
    """While own submissions can't be read nothing is spent or posted."""

    async def act(stage: Stage) -> None:
        stage.platform.script["own"] = [Down("away")] * 50
        await stage.make()
        assert stage.ends() == [("failed", "platform_down")]
        assert (stage.text.prompts, stage.platform.times("post")) == ([], [])

    perform(act, SSI)


def test_unknown_outcome__is_never_a_reason_for_another_post() -> None:
    """What can't be looked up in time has failed: no second text, no second write."""

    async def act(stage: Stage) -> None:
        stage.platform.script = {"post": [ARRIVES], "own": [None, *[Down("away")] * 50]}
        await stage.make()
        assert stage.ends() == [("failed", "unknown_outcome")]
        assert (len(stage.text.prompts), stage.platform.times("post")) == (1, [0.0])

    perform(act, SSI)


@pytest.mark.parametrize(("outcome", "writes"), [(ARRIVES, 1), (VANISHES, 2)])
def test_unknown_outcome__is_looked_up(outcome: str, writes: int) -> None:
    """One post stands there in the end, whichever way the answer was lost."""

    async def act(stage: Stage) -> None:
        stage.platform.script["post"] = [outcome]
        await stage.make()
        assert stage.ends() == [("published", "scheduled")]
        assert stage.published() == [(TITLE, BODY)]
        assert (len(stage.text.prompts), len(stage.platform.times("post"))) == (1, writes)

    perform(act, SSI)


@pytest.mark.parametrize("error", [Refused("no", why="forbidden", forbidden=True), Retry("RATELIMIT", after=5000.0)])
def test_make__a_refused_or_held_write_is_no_reason_for_another_text(error: Exception) -> None:
    """Whatever came of a write, the text is not written anew; a 403 is told with its place."""

    async def act(stage: Stage) -> None:
        stage.platform.script["post"] = [error]
        await stage.make()
        assert [outcome for outcome, _ in stage.ends()] == ["failed"]
        assert len(stage.text.prompts) == 1
        assert stage.diary.places == (["bots"] if isinstance(error, Refused) else [])

    perform(act, SSI)


def test_make__dry_run_publishes_nothing() -> None:
    """All but the writing."""

    async def act(stage: Stage) -> None:
        await stage.make()
        assert stage.ends() == [("skipped", "dry_run")]
        assert stage.platform.times("post") == []

    perform(act, SSI, dry_run=True)


@pytest.mark.parametrize("error", [BotPaused("paused"), AuthDead("suspended")])
def test_make__a_pause_or_a_dead_account_is_no_end(error: Exception) -> None:
    """These concern the bot: the slot has no end yet."""

    async def act(stage: Stage) -> None:
        with pytest.raises(type(error)):
            await stage.make()
        assert stage.diary.events == []

    perform(act, error)
