"""The life of one post, from its slot to its one end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes import (
    ARRIVES,
    VANISHES,
    Diary,
    MemoryPlatform,
    ScriptedModerator,
    ScriptedPictures,
    ScriptedText,
    make_config,
)
from virtual import NOON, VirtualClock, run

from hotshotd._types import Outcome, Role
from hotshotd.brain.editor import Editor
from hotshotd.brain.ports import Faculties
from hotshotd.brain.posting import MANUAL, Posting, Sent, SlotMemory
from hotshotd.brain.rules import negative_keywords
from hotshotd.brain.trace import Step
from hotshotd.brain.verdict import Verdict, Why
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
from hotshotd.inference.base import Picture
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
    faculties: dict[str, Any] | None = None,
    post: dict[str, Any] | None = None,
    **config_keys: Any,
) -> None:
    """Run `act` on a stage whose model follows the script."""

    async def main() -> None:
        basics = {"schedule": ["12:00"], "backend": "ollama", "model": "m"}
        config = make_config(post=basics | (post or {}), **config_keys)
        clock, diary = VirtualClock(), Diary()
        platform, text = MemoryPlatform(clock), ScriptedText(*script, seconds=0, of_messages=chats)
        judges = (moderator or ScriptedModerator(),)
        services = Faculties(None, text, None, None, judges, post_chats=chats, **(faculties or {}))
        writer = Writer(platform, clock, confirm_after=(2.0, 10.0))
        editor = Editor(services, negative_keywords(config), clock, diary)
        posting = Posting(
            config, platform=platform, faculties=services, writer=writer, editor=editor, clock=clock, news=diary
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


PNG = Picture(b"\x89PNG small", "png")
LARGE = Picture(b"\x89PNG large", "png")
LINK = f" r/bots|><|sot|>{TITLE}<|eot|><|sol|>https://x.example<|eol|><|eols|>"


def test_picture__is_made_of_the_title_that_passed() -> None:
    """Title first; the moderator sees it once, the painter gets it, and only the picture goes up with it."""
    painter, judge = ScriptedPictures(PNG), ScriptedModerator()

    async def act(stage: Stage) -> None:
        await stage.make()
        (draft,) = stage.platform.drafts
        assert (draft.title, draft.text, draft.picture, draft.picture_name) == (TITLE, "", PNG.data, "picture.png")
        assert [prompt.text for prompt in stage.text.prompts] == ["<|sols"]
        assert painter.asked == [TITLE]
        assert judge.asked == [TITLE]

    perform(act, LINK, faculties={"paint": painter}, moderator=judge, post={"link_share": 1.0})


def test_picture__of_a_refused_title_is_never_made() -> None:
    """A picture's prompt is moderated before it is sent."""
    painter = ScriptedPictures(PNG)

    async def act(stage: Stage) -> None:
        await stage.make()
        assert stage.ends() == [("rejected", "moderation")]
        assert painter.asked == []

    perform(
        act,
        LINK,
        faculties={"paint": painter},
        moderator=ScriptedModerator("lighthouse"),
        post={"link_share": 1.0, "tries": 1},
    )


def test_picture__is_enlarged_where_that_works() -> None:
    """Without its upscaler the picture goes up as it is, and the role counts as degraded."""

    async def works(stage: Stage) -> None:
        await stage.make()
        assert stage.platform.drafts[0].picture == LARGE.data

    async def fails(stage: Stage) -> None:
        await stage.make()
        assert stage.platform.drafts[0].picture == PNG.data
        assert stage.diary.without[Role.UPSCALE] == "pictures: overloaded"

    post = {"link_share": 1.0}
    perform(works, LINK, faculties={"paint": ScriptedPictures(PNG), "upscale": ScriptedPictures(LARGE)}, post=post)
    perform(fails, LINK, faculties={"paint": ScriptedPictures(PNG), "upscale": ScriptedPictures(AWAY)}, post=post)


@pytest.mark.parametrize(
    ("script", "tries", "end", "with_picture"),
    [
        ([AWAY, PNG], 3, ("published", "scheduled"), True),
        ([AWAY, AWAY, PNG], 3, ("published", "scheduled"), False),
        ([InferenceGone("ended", status=410)], 3, ("published", "scheduled"), False),
        ([AWAY], 1, ("failed", "picture_unavailable"), None),
    ],
)
def test_picture__goes_on_with_less(
    script: list[Any], tries: int, end: tuple[str, str], with_picture: bool | None
) -> None:
    """A passing failure is tried again; a service that is gone, or a last try, makes a text of the post."""

    async def act(stage: Stage) -> None:
        await stage.make()
        assert stage.ends() == [end]
        assert [draft.picture is not None for draft in stage.platform.drafts] == (
            [] if with_picture is None else [with_picture]
        )
        assert stage.platform.submissions == [] or stage.platform.submissions[0].title == TITLE

    perform(act, SSI, faculties={"paint": ScriptedPictures(*script)}, post={"link_share": 1.0, "tries": tries})


def test_picture__share_is_kept_and_repeats() -> None:
    """About the share of the slots, the same ones each time."""

    def count() -> list[bool]:
        drawn: list[bool] = []

        async def act(stage: Stage) -> None:
            for hour in range(200):
                wants = stage.posting._wants_picture(f"{hour}")
                drawn.append(wants)

        perform(act, SSI, faculties={"paint": ScriptedPictures(PNG)}, post={"link_share": 0.3})
        return drawn

    first = count()
    assert first == count()
    assert 40 < sum(first) < 80


def test_chat_fallback__of_a_fine_tuned_model_is_shown_the_backstory() -> None:
    """A chat model does not know ssi-bot's marks: it is given messages, and its answer read as such."""

    async def act(stage: Stage) -> None:
        await stage.make()
        assert stage.published() == [(TITLE, BODY)]
        (prompt,) = stage.text.prompts
        assert prompt.text == "<|soss"
        assert "lighthouse" in prompt.messages[0].text

    perform(act, CHAT, chats=True, post={"format": "ssi"})


def test_make__dry_run_by_hand_shows_the_post_and_makes_none() -> None:
    """`post --dry-run`: title and text are told, with what the model was charged."""

    async def act(stage: Stage) -> None:
        steps: list[Step] = []
        verdict = await stage.posting.make("manual", day_start=NOON, dry_run=True, tell=steps.append)
        assert verdict.why is Why.DRY_RUN
        assert stage.platform.drafts == []
        assert [(step.name, step.text) for step in steps if step.name in ("title", "text")] == [
            ("title", TITLE),
            ("text", BODY),
        ]
        assert {step.name: step.cost for step in steps if step.cost} == {"candidates": len("<|soss")}

    perform(act, SSI)


SENT = Sent("12:00", TITLE, Ref("t3_old0"))


def begin_again(stage: Stage, sent: Sent = SENT) -> None:
    """Let it be the start after a post was sent and its worker died, with one older post there."""
    stage.add_own(TITLE, hours_ago=5)
    stage.posting.memory.begin(sent)


@pytest.mark.parametrize("shown_after_seconds", [0, 1, 11])
def test_make__finds_what_a_worker_sent_that_died(shown_after_seconds: float) -> None:
    """Listings lag; as after any unknown outcome it is looked for after each of the waits, and then it is this post."""

    async def act(stage: Stage) -> None:
        begin_again(stage)
        asyncio.get_running_loop().call_later(shown_after_seconds, lambda: stage.add_own(TITLE, hours_ago=0))
        verdict = await stage.make()
        assert (verdict.outcome, verdict.detail) == (Outcome.PUBLISHED, "t3_old1")
        assert (len(stage.platform.submissions), stage.text.prompts) == (2, [])
        assert (stage.posting.memory.sent, "12:00" in stage.posting.memory) == (None, True)
        assert stage.diary.counts == {"posts": 1}

    perform(act, SSI)


def test_make__makes_what_never_arrived() -> None:
    """An older post of the same title is another one."""

    async def act(stage: Stage) -> None:
        begin_again(stage)
        verdict = await stage.make()
        assert (verdict.outcome, stage.platform.times("own")) == (Outcome.PUBLISHED, [0.0, 2.0, 12.0])
        assert stage.posting.memory.made == ["12:00"]

    perform(act, SSI.replace(BODY, "A calm night for once, and nobody passed but gulls."))


@pytest.mark.parametrize(
    ("schedule", "hours_ago", "posts"), [(["12:00"], 1, 3), ({"every": "6h"}, 5.9, 2), ({"every": "6h"}, 6.1, 3)]
)
def test_make__what_was_sent_for_another_slot(schedule: Any, hours_ago: float, posts: int) -> None:
    """That slot was made, and this one is still to be; an interval begins with it."""

    async def act(stage: Stage) -> None:
        begin_again(stage, replace(SENT, slot="09:00"))
        stage.add_own(TITLE, hours_ago=hours_ago)
        await stage.make()
        assert (len(stage.platform.submissions), "09:00" in stage.posting.memory) == (posts, True)

    perform(
        act, SSI.replace(TITLE, "A calm night").replace(BODY, "Nobody passed but gulls."), post={"schedule": schedule}
    )


def test_make__lets_the_next_worker_look_for_what_this_one_has_made() -> None:
    """It may start before a listing shows it; in this process nobody has to look."""

    class Kept(SlotMemory):
        saved: Sent | None = None

        def _save(self) -> None:
            self.saved = self.sent

    async def act(stage: Stage) -> None:
        kept = stage.posting.memory = Kept()
        await stage.make()
        assert kept.saved == Sent("12:00", TITLE, None)
        assert (kept.sent, kept.made) == (None, ["12:00"])

    perform(act, SSI)


def test_make__remembers_what_it_sends_before_it_does() -> None:
    """Slot, title, and the newest post before it; not of one that an operator asked for."""

    async def act(stage: Stage) -> None:
        stage.add_own("Another", hours_ago=30)
        stage.platform.script["post"] = [Refused("no", why="x")] * 2
        await stage.posting.make(MANUAL, day_start=NOON)
        assert stage.posting.memory.sent is None
        await stage.make()
        assert (stage.posting.memory.sent, stage.posting.memory.made) == (SENT, [])

    perform(act, SSI)
