"""The life of one item, from what was read to its one end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes import (
    VANISHES,
    ScriptedModerator,
    ScriptedRanker,
    ScriptedText,
    both,
)
from stage import GOOD, Stage, perform

from hotshotd._types import Outcome, Role
from hotshotd.brain.ends import ENDING_ERRORS, GaveUp, end_of, give_up
from hotshotd.brain.pipeline import DEFER_SECONDS, Deferred, Found
from hotshotd.brain.verdict import Why
from hotshotd.brain.writing import DeadlinePassed
from hotshotd.errors import (
    AuthDead,
    BotPaused,
    BreakerOpen,
    Down,
    InferenceGone,
    InferenceNonsense,
    InferenceRejected,
    InferenceUnavailable,
    PaceExceeded,
    QuotaExceeded,
    QuotaUnavailable,
    Refused,
    Retry,
    Unknown,
)
from hotshotd.platform import Author, Item, Kind, Reason, Ref, Thread

OTHER = "Nobody ever counted the steps, but my knees have an opinion."
THIRD = "The old keeper used to say that the sea decides such things."
LATER = datetime(2026, 11, 25, tzinfo=UTC)
OVER_BUDGET = QuotaExceeded("no characters left", cost=10, left=0, resets_at=LATER)
UNAVAILABLE = InferenceUnavailable("overloaded")
TOO_LONG = InferenceRejected("too long", status=400, too_long=True)
#: A remark under a stranger's post, and a bot that answers it nevertheless.
ELSEWHERE: dict[str, Any] = {
    "parent": Ref("t3_x"),
    "submission": Ref("t3_x"),
    "submission_author": Author("carol"),
}
TALKATIVE: dict[str, Any] = {"chance": 1.0, "followup_only": False}


def test_handle__answers_a_comment_on_an_own_post() -> None:
    """The plain case: one thread read, one text, one verdict, one reply, one end."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment())
        assert [item.text for item in stage.platform.comments] == [GOOD]
        assert [name for _, name, _ in stage.platform.calls] == ["thread", "reply"]
        assert stage.moderator.asked == [GOOD]
        assert stage.ends() == [("replied", "top_level")]
        assert stage.diary.counts == {"comments": 1, "replies": 1}

    perform(act)


@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        ({"author": Author("botname")}, "skipped", "own"),
        ({"author": None}, "skipped", "deleted"),
        ({"author": Author("AutoModerator")}, "skipped", "ignored_author"),
        ({"locked": True}, "skipped", "locked"),
        ({"removed": True}, "skipped", "removed"),
        ({"created_at": LATER - timedelta(days=2)}, "skipped", "too_old"),
        ({"text": "Tell me about zeppelins."}, "rejected", "keyword"),
        (
            {"submission_author": Author("carol"), "parent": Ref("t3_x"), "submission": Ref("t3_x")},
            "skipped",
            "followup_only",
        ),
    ],
)
def test_handle__checks_that_are_free_cost_nothing(changes: dict[str, Any], outcome: str, reason: str) -> None:
    """What is refused by local checks costs no request and no character."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment(**changes))
        assert stage.ends() == [(outcome, reason)]
        assert (stage.platform.calls, stage.text.prompts, stage.moderator.asked) == ([], [], [])

    perform(act, safety={"moderators": ["local"], "negative_keywords": ["zeppelins"]})


def test_handle__a_draw_against_the_answer_costs_nothing() -> None:
    """Chance is free, so it comes before the thread is read."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment(**ELSEWHERE))
        assert stage.ends() == [("skipped", "chance")]
        assert (stage.platform.calls, stage.text.prompts) == ([], [])

    perform(act, reply={"chance": 0.0, "keyword_boost": 0.0, "followup_only": False})


@pytest.mark.parametrize(
    ("error", "outcome", "reason", "asked"),
    [
        (OVER_BUDGET, "skipped", "over_budget", 1),
        (QuotaUnavailable("away"), "failed", "quota_unavailable", 21),
        (InferenceGone("no such model", status=404), "failed", "model_gone", 1),
        (BreakerOpen("gone", retry_after=600, gone=True), "failed", "model_gone", 1),
        (BreakerOpen("open", retry_after=40, gone=False), "failed", "model_unavailable", 3),
        (UNAVAILABLE, "failed", "model_unavailable", 6),
        (InferenceNonsense("empty"), "failed", "model_unavailable", 2),
        (InferenceRejected("bad", status=400), "failed", "model_refused", 1),
    ],
)
def test_handle__a_model_that_fails_ends_the_item(error: Exception, outcome: str, reason: str, asked: int) -> None:
    """Each error of a model has its outcome, its reason and its number of tries; nothing is published."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment(**ELSEWHERE))
        assert stage.ends() == [(outcome, reason)]
        assert len(stage.text.prompts) == asked
        assert stage.platform.comments == []

    perform(act, text=ScriptedText(error), reply=TALKATIVE)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ({"reply": [Refused("locked", why="locked")]}, "refused"),
        ({"reply": [Retry("RATELIMIT", after=5000.0)]}, "deadline"),
        ({"reply": [Down("away")] * 100}, "deadline"),
        ({"reply": [VANISHES], "own": [Down("away")] * 100}, "unknown_outcome"),
        ({"thread": [Down("away")] * 100}, "platform_down"),
        ({"thread": [Retry("slow", after=5000.0)]}, "rate_limited"),
        ({"thread": [Refused("private", why="private")]}, "refused"),
    ],
)
def test_handle__a_platform_that_fails_ends_the_item(script: dict[str, list[Any]], reason: str) -> None:
    """Each error of the platform ends a listing's item as failed, with its reason, once."""

    async def act(stage: Stage) -> None:
        stage.platform.script = script
        await stage.handle(stage.comment(**ELSEWHERE))
        assert stage.ends() == [("failed", reason)]
        assert stage.platform.comments == []
        assert stage.clock.monotonic() <= 900

    perform(act, reply=TALKATIVE)


def test_handle__a_403_is_told_with_its_place() -> None:
    """The worker looks at the account after a write that was forbidden."""

    async def act(stage: Stage) -> None:
        stage.platform.script["reply"] = [Refused("forbidden", why="forbidden", forbidden=True)]
        await stage.handle(stage.comment())
        assert stage.diary.places == ["bots"]

    perform(act)


@pytest.mark.parametrize("error", [BotPaused("paused"), AuthDead("suspended")])
def test_handle__a_pause_or_a_dead_account_is_no_end(error: Exception) -> None:
    """These concern the bot, not the item: it has no end yet."""

    async def act(stage: Stage) -> None:
        with pytest.raises(type(error)):
            await stage.handle(stage.comment())
        assert (stage.diary.events, stage.diary.counts, stage.platform.comments) == ([], {}, [])

    perform(act, text=ScriptedText(error))


def test_handle__a_moderator_without_a_verdict_is_a_no() -> None:
    """Fail closed: five tries, then the item has failed and nothing is published."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment(**ELSEWHERE))
        assert stage.ends() == [("failed", "moderation_unavailable")]
        assert (len(stage.moderator.asked), stage.platform.comments) == (5, [])
        assert stage.diary.without[Role.MODERATION] == "overloaded"

    perform(act, moderator=ScriptedModerator(errors=[UNAVAILABLE] * 5), reply=TALKATIVE)


def test_handle__a_moderator_that_comes_back_lets_the_text_pass() -> None:
    """A passing failure is waited for, and the text is not bought again."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment())
        assert stage.ends() == [("replied", "top_level")]
        assert (len(stage.text.prompts), stage.diary.without[Role.MODERATION]) == (1, None)

    perform(act, moderator=ScriptedModerator(errors=[UNAVAILABLE] * 4))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("I rather like zeppelins, they are slow.", "keyword"),
        ("You horrible person, you would not know.", "moderation"),
        ("See https://example.com/ for all of it.", "unpublishable"),
        (GOOD.upper().lower(), "duplicate"),
    ],
)
def test_handle__what_may_not_be_said_is_rejected(said: str, reason: str) -> None:
    """A keyword, a moderator, the cleaner and what was said before refuse an answer; nothing is written."""

    async def act(stage: Stage) -> None:
        stage.answering.remember_own([stage.comment("t1_mine", author=Author("BotName"), text=GOOD.upper().lower())])
        await stage.handle(stage.comment())
        assert stage.ends() == [("rejected", reason)]
        assert stage.platform.comments == []

    perform(
        act,
        text=ScriptedText(said),
        moderator=ScriptedModerator("horrible"),
        safety={"moderators": ["local"], "negative_keywords": ["zeppelins"]},
    )


def test_handle__says_nothing_twice_whatever_the_footer() -> None:
    """A footer neither hides a repetition that is read after a restart nor makes two answers alike."""
    footer = "I am a bot of a lighthouse; write to my keeper if I am a nuisance to you. " * 8

    async def act(stage: Stage) -> None:
        stage.answering.remember_own(
            [stage.comment("t1_mine", author=Author("BotName"), text=f"{GOOD}\n\n{footer.strip()}")]
        )
        await stage.handle(stage.comment("t1_one"))
        await stage.handle(stage.comment("t1_two"))
        assert stage.ends() == [("rejected", "duplicate"), ("replied", "top_level")]
        assert stage.platform.comments[0].text == f"{OTHER}\n\n{footer.strip()}"

    perform(act, text=ScriptedText(GOOD, OTHER), reply={"footer": footer.strip()})


def test_handle__own_posts_do_not_push_comments_out_of_memory() -> None:
    """A hundred own posts leave the last hundred comments remembered."""

    async def act(stage: Stage) -> None:
        said = stage.comment("t1_mine", author=Author("BotName"), text=GOOD)
        posts = [replace(said, ref=Ref(f"t3_{n}"), kind=Kind.SUBMISSION, text=f"Post {n}") for n in range(100)]
        stage.answering.remember_own([said, *posts])
        await stage.handle(stage.comment())
        assert stage.ends() == [("rejected", "duplicate")]

    perform(act)


def test_choose__takes_the_first_that_passes_without_a_ranker() -> None:
    """Later candidates are not even moderated."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment())
        assert stage.platform.comments[0].text == OTHER
        assert stage.moderator.asked == [GOOD, OTHER]

    perform(act, text=ScriptedText((GOOD, OTHER, THIRD)), moderator=ScriptedModerator("forty"))


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ({GOOD: 0.1, OTHER: 0.9, THIRD: 0.5}, OTHER),
        ({GOOD: 0.5, OTHER: 0.5, THIRD: 0.5}, GOOD),
        ({GOOD: 0.1, OTHER: 0.5, THIRD: 0.5}, OTHER),
        (InferenceGone("not served", status=404), GOOD),
        (OVER_BUDGET, GOOD),
    ],
)
def test_choose__takes_the_best_of_those_that_pass(scores: dict[str, float] | Exception, best: str) -> None:
    """The highest score wins, the first among equals, the first of all where nobody can rank."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment())
        assert [item.text for item in stage.platform.comments] == [best]

    perform(act, text=ScriptedText((GOOD, OTHER, THIRD)), ranker=ScriptedRanker(scores))


def test_choose__never_ranks_what_was_refused() -> None:
    """Moderation comes first: a refused text is neither paid for nor chosen."""
    ranker = ScriptedRanker({GOOD: 0.9, OTHER: 0.2, THIRD: 0.1})

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment())
        assert stage.platform.comments[0].text == OTHER
        assert ranker.asked == [OTHER, THIRD]

    perform(act, text=ScriptedText((GOOD, OTHER, THIRD)), moderator=ScriptedModerator("forty"), ranker=ranker)


@pytest.mark.parametrize(
    ("scores", "end"),
    [
        ({"And then?": 0.5}, ("replied", "score")),
        ({"And then?": 0.49}, ("skipped", "low_score")),
        (OVER_BUDGET, ("skipped", "over_budget")),
        (InferenceGone("not served", status=404), ("skipped", "ranker_unavailable")),
    ],
)
def test_handle__deeper_comments_pass_the_gate(scores: dict[str, float] | Exception, end: tuple[str, str]) -> None:
    """The ranker decides about deeper comments, from exactly the least score on."""

    async def act(stage: Stage) -> None:
        mine = stage.comment("t1_mine", author=Author("BotName"))
        stage.answering.remember_own([mine])
        item = stage.comment(text="And then?", parent=mine.ref)
        top = stage.platform.threads[item.ref].submission
        stage.platform.threads[item.ref] = Thread(top, (mine,))
        await stage.handle(item)
        assert stage.ends() == [end]

    perform(act, gate=ScriptedRanker(scores), rank={"when_unavailable": "skip"})


def test_handle__dry_run_does_all_but_the_writing() -> None:
    """It spends and moderates as usual, and writes nothing."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment())
        assert stage.ends() == [("skipped", "dry_run")]
        assert (len(stage.text.prompts), stage.moderator.asked) == (1, [GOOD])
        assert (stage.platform.times("reply"), stage.diary.counts) == ([], {"comments": 1})

    perform(act, dry_run=True)


@pytest.mark.parametrize("limit", ["max_per_thread", "max_per_author_hour", "max_per_day"])
def test_guards__hold_for_two_items_at_once(limit: str) -> None:
    """Two that are read, thought of and written side by side don't pass a limit of one together."""

    async def act(stage: Stage) -> None:
        await both(stage.handle(stage.comment("t1_one")), stage.handle(stage.comment("t1_two")))
        assert sorted(stage.ends()) == [("replied", "top_level"), ("skipped", limit)]
        assert (len(stage.platform.comments), len(stage.text.prompts)) == (1, 1)

    perform(act, text=ScriptedText(GOOD, OTHER), reply={limit: 1})


def test_guards__free_the_place_of_an_answer_that_came_to_nothing() -> None:
    """Only what was written, or is on its way, counts."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment("t1_one"))
        await stage.handle(stage.comment("t1_two"))
        assert stage.ends() == [("failed", "model_refused"), ("replied", "top_level")]

    perform(act, text=ScriptedText(InferenceRejected("bad", status=400), GOOD), reply={"max_per_thread": 1})


def test_parallel__bounds_generations_and_spends_nothing_after_the_deadline() -> None:
    """With one generation at a time, the item whose time is over in the queue costs nothing."""

    async def act(stage: Stage) -> None:
        first, second = stage.comment("t1_one"), stage.comment("t1_two")
        await both(stage.handle(first), stage.handle(second, seconds=50))
        assert sorted(stage.ends()) == [("failed", "deadline"), ("replied", "top_level")]
        assert len(stage.text.prompts) == 1

    perform(act, text=ScriptedText(GOOD, OTHER, seconds=100), reply={"parallel": 1})


def test_held_writes__cost_no_text() -> None:
    """While the platform holds writes beyond an item's time, no text is paid for."""

    async def act(stage: Stage) -> None:
        stage.platform.script["reply"] = [Retry("RATELIMIT", after=5000.0)]
        await stage.handle(stage.comment("t1_one"))
        await stage.handle(stage.comment("t1_two"))
        assert stage.ends() == [("failed", "deadline"), ("failed", "deadline")]
        assert len(stage.text.prompts) == 1

    perform(act, text=ScriptedText(GOOD, OTHER))


def test_held_write__is_kept_back_when_its_author_says_stop() -> None:
    """An answer that is written and waits for the platform does not go out after "stop" (simulator's seed 60531)."""

    async def act(stage: Stage) -> None:
        stage.platform.script["reply"] = [Retry("RATELIMIT", after=300.0)]

        async def say_stop() -> None:
            await stage.clock.sleep(100.0)
            await stage.handle(stage.comment("t1_two", text="Stop."), reason=Reason.POST_REPLY)

        await both(stage.handle(stage.comment("t1_one")), say_stop())
        assert stage.ends() == [("skipped", "opted_out"), ("skipped", "opted_out")]
        assert len(stage.platform.times("reply")) == 1

    perform(act, text=ScriptedText(GOOD, OTHER))


@pytest.mark.parametrize(("wish", "seconds"), [(None, DEFER_SECONDS), (500.0, 500.0)])
def test_inbox__an_item_whose_service_is_away_comes_again(wish: float | None, seconds: float) -> None:
    """It is deferred, as long as the service asks for, without an end; handled again it has one."""

    async def act(stage: Stage) -> None:
        item = stage.comment()
        found = Found(item, Reason.POST_REPLY, 80000.0)
        end = await stage.answering.handle(found)
        assert isinstance(end, Deferred)
        assert (end.seconds, stage.ends(), stage.diary.counts) == (seconds, [], {})
        assert [name for name, _ in stage.diary.events] == ["item.deferred"]
        await stage.answering.handle(found)
        assert stage.ends() == [("replied", "top_level")]

    perform(act, text=ScriptedText(*[InferenceUnavailable("overloaded", retry_after=wish)] * 6, GOOD))


def test_inbox__is_deferred_by_what_the_platform_asks_for() -> None:
    """A wait that the platform names counts like one of a service."""

    async def act(stage: Stage) -> None:
        stage.platform.script["thread"] = [Retry("slow", after=400.0)] * 6
        end = await stage.handle(stage.comment(), reason=Reason.POST_REPLY, seconds=80000)
        assert isinstance(end, Deferred)
        assert end.seconds == 400.0

    perform(act)


def test_inbox__whom_the_pace_keeps_waiting_is_answered_when_it_allows() -> None:
    """Somebody who spoke to the bot waits for the hour that the refusal names; a stranger is skipped."""

    async def act(stage: Stage) -> None:
        opens = stage.clock.now() + timedelta(hours=2)
        stage.text.script = [PaceExceeded("its even pace", cost=9, left=0, resets_at=opens), GOOD]
        end = await stage.handle(stage.comment(), reason=Reason.POST_REPLY, seconds=86_400.0)
        assert isinstance(end, Deferred)
        assert (end.why, round(end.seconds)) == (Why.PACE, 7_199)
        stage.text.script = [PaceExceeded("its even pace", cost=9, left=0, resets_at=opens)]
        await stage.handle(stage.comment("t1_two", **ELSEWHERE))
        assert stage.ends() == [("skipped", "pace")]

    perform(act, reply=TALKATIVE)


def test_inbox__a_text_that_waits_for_a_moderator_is_paid_for_once() -> None:
    """The moderator is away for hours: the item comes again and again, the model is not asked again."""

    async def act(stage: Stage) -> None:
        item = stage.comment()
        for _ in range(3):
            end = await stage.handle(item, reason=Reason.POST_REPLY, seconds=86_400.0)
            assert isinstance(end, Deferred)
        await stage.handle(item, reason=Reason.POST_REPLY, seconds=86_400.0)
        assert stage.ends() == [("replied", "top_level")]
        assert [comment.text for comment in stage.platform.comments] == [GOOD]
        assert len(stage.text.prompts) == 1

    away = BreakerOpen("the moderator is away", retry_after=600.0, gone=True)
    perform(act, moderator=ScriptedModerator(errors=[away] * 3))


def test_inbox__a_text_that_waited_is_written_anew_for_an_edited_item_or_one_said_since() -> None:
    """It answers what is no longer there, or says what was said meanwhile."""

    async def act(stage: Stage) -> None:
        item = stage.comment()
        await stage.handle(item, reason=Reason.POST_REPLY, seconds=86_400.0)
        edited = replace(item, text="And how wide is it?")
        await stage.handle(edited, reason=Reason.POST_REPLY, seconds=86_400.0)
        assert len(stage.text.prompts) == 2

    away = BreakerOpen("the moderator is away", retry_after=600.0, gone=True)
    perform(act, moderator=ScriptedModerator(errors=[away]))


def test_inbox__a_refused_candidate_does_not_speak_for_one_that_nobody_has_judged() -> None:
    """The first is refused, the second gets no verdict: it is kept, and published once a moderator lets it pass."""

    async def act(stage: Stage) -> None:
        item = stage.comment()
        end = await stage.handle(item, reason=Reason.POST_REPLY, seconds=86_400.0)
        assert isinstance(end, Deferred)
        assert end.why is Why.MODERATION_UNAVAILABLE
        await stage.handle(item, reason=Reason.POST_REPLY, seconds=86_400.0)
        assert [comment.text for comment in stage.platform.comments] == [GOOD]
        assert len(stage.text.prompts) == 1

    refused = InferenceRejected("this text is refused", status=400)
    away = BreakerOpen("the moderator is away", retry_after=600.0, gone=True)
    candidates = ("A whole sentence that is refused.", GOOD)
    perform(act, text=ScriptedText(candidates), moderator=ScriptedModerator(errors=[refused, away]))


def test_inbox__an_item_without_time_for_another_round_has_failed() -> None:
    """Deferred past its deadline would be never."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment(), reason=Reason.POST_REPLY, seconds=DEFER_SECONDS)
        assert stage.ends() == [("failed", "model_unavailable")]

    perform(act, text=ScriptedText(UNAVAILABLE))


@pytest.mark.parametrize("error", [OVER_BUDGET, InferenceRejected("bad", status=400)])
def test_inbox__what_will_not_pass_is_not_tried_again(error: Exception) -> None:
    """Only a passing failure is deferred, however much time there is."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment(), reason=Reason.POST_REPLY, seconds=80000)
        assert [name for name, _ in stage.diary.events] == ["item.done"]

    perform(act, text=ScriptedText(error))


async def bring_to_end(stage: Stage, item: Item) -> list[int]:
    """Do as the worker does with what a listing shows; give the seconds for which it was put off."""
    found, waits = Found(item, None, stage.clock.monotonic() + 900.0), []
    while isinstance(end := await stage.answering.handle(found), Deferred):
        waits.append(round(end.seconds))
        await stage.clock.sleep(end.seconds)
        found = end.found
    return waits


def comment_on_post(stage: Stage) -> Item:
    return stage.comment()


def answer_to_comment(stage: Stage) -> Item:
    mine = stage.comment("t1_mine", author=Author("BotName"), **ELSEWHERE)
    stage.answering.remember_own([mine])
    return stage.comment(text="And then?", level=2, **ELSEWHERE | {"parent": mine.ref})


def mention(stage: Stage) -> Item:
    return stage.comment(text="What says u/BotName?", **ELSEWHERE)


@pytest.mark.parametrize("arrange", [comment_on_post, answer_to_comment, mention])
def test_listing__what_is_said_to_the_bot_has_the_inboxs_time(arrange: Callable[[Stage], Item]) -> None:
    """The listing shows it a moment before the inbox does: an outage of hours loses it no more than that one."""

    async def act(stage: Stage) -> None:
        assert await bring_to_end(stage, arrange(stage)) == [3600] * 4
        assert [outcome for outcome, _ in stage.ends()] == ["replied"]

    away = [BreakerOpen("away", retry_after=3600.0, gone=True)] * 4
    perform(act, text=ScriptedText(*away, UNAVAILABLE, GOOD), reply=TALKATIVE)


def test_listing__what_is_said_to_the_bot_ends_when_the_inboxs_time_does() -> None:
    """A day after it was written, not a day after it was read."""

    async def act(stage: Stage) -> None:
        item = stage.comment(created_at=stage.clock.now() - timedelta(minutes=10))
        waits = await bring_to_end(stage, item)
        assert stage.ends() == [("failed", "model_gone")]
        assert (len(waits), stage.platform.comments) == (23, [])

    away = BreakerOpen("away", retry_after=3590.0, gone=True)
    perform(act, text=ScriptedText(away))


def test_listing__an_answer_is_not_deferred_where_the_inbox_would_not_bring_it() -> None:
    """Without `inbox.comments` it would be refused when it comes again."""

    async def act(stage: Stage) -> None:
        assert await bring_to_end(stage, stage.comment()) == []
        assert stage.ends() == [("failed", "model_unavailable")]

    perform(act, text=ScriptedText(UNAVAILABLE), reply={"inbox": {"comments": False}})


def test_nonsense__is_no_end_for_who_spoke_to_the_bot() -> None:
    """A short spell of it: two tries a round, and three further rounds after growing pauses."""

    async def act(stage: Stage) -> None:
        assert await bring_to_end(stage, stage.comment()) == [60, 120, 240]
        assert stage.ends() == [("replied", "top_level")]

    perform(act, text=ScriptedText(*[InferenceNonsense("empty")] * 7, GOOD))


def test_nonsense__that_does_not_end_is_the_end() -> None:
    """It may have been paid for each time."""

    async def act(stage: Stage) -> None:
        assert await bring_to_end(stage, stage.comment()) == [60, 120, 240]
        assert stage.ends() == [("failed", "model_unavailable")]
        assert len(stage.text.prompts) == 8

    perform(act, text=ScriptedText(InferenceNonsense("empty")))


def test_prompt__that_is_too_long_is_shortened_once() -> None:
    """A refusal for length costs one more request, with a shorter prompt."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment(text="How high is the tower? " * 60))
        assert stage.ends() == [("replied", "top_level")]
        long, short = (len(prompt.text) for prompt in stage.text.prompts)
        assert short < long

    perform(act, text=ScriptedText(TOO_LONG, GOOD))


def test_prompt__that_stays_too_long_fails_the_item() -> None:
    """Once, not for ever."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment(text="How high is the tower? " * 60))
        assert stage.ends() == [("failed", "too_long")]
        assert len(stage.text.prompts) == 2

    perform(act, text=ScriptedText(TOO_LONG))


@pytest.mark.parametrize(
    ("error", "outcome", "why", "passing"),
    [
        (OVER_BUDGET, Outcome.SKIPPED, Why.OVER_BUDGET, False),
        (QuotaUnavailable("x"), Outcome.FAILED, Why.QUOTA_UNAVAILABLE, True),
        (InferenceGone("x", status=402), Outcome.FAILED, Why.MODEL_GONE, True),
        (BreakerOpen("x", retry_after=9, gone=False), Outcome.FAILED, Why.MODEL_UNAVAILABLE, True),
        (BreakerOpen("x", retry_after=9, gone=True), Outcome.FAILED, Why.MODEL_GONE, True),
        (UNAVAILABLE, Outcome.FAILED, Why.MODEL_UNAVAILABLE, True),
        (InferenceNonsense("x"), Outcome.FAILED, Why.MODEL_UNAVAILABLE, False),
        (TOO_LONG, Outcome.FAILED, Why.TOO_LONG, False),
        (InferenceRejected("bad", status=400), Outcome.FAILED, Why.MODEL_REFUSED, False),
        (DeadlinePassed("x"), Outcome.FAILED, Why.DEADLINE, False),
        (Refused("x", why="locked"), Outcome.FAILED, Why.REFUSED, False),
        (Unknown("x"), Outcome.FAILED, Why.UNKNOWN_OUTCOME, False),
        (Retry("x", after=9), Outcome.FAILED, Why.RATE_LIMITED, True),
        (Down("x"), Outcome.FAILED, Why.PLATFORM_DOWN, True),
        (GaveUp(Why.KEYWORD, "x", passing=False), Outcome.REJECTED, Why.KEYWORD, False),
    ],
)
def test_ends__every_error_has_its_outcome_and_reason(
    error: Exception, outcome: Outcome, why: Why, passing: bool
) -> None:
    """The table of ends, line by line."""
    gave_up = give_up(error)
    assert isinstance(error, ENDING_ERRORS)
    assert (end_of(gave_up).outcome, end_of(gave_up).why, gave_up.passing) == (outcome, why, passing)
    assert end_of(gave_up).detail


@pytest.mark.parametrize("error", [BotPaused("x"), AuthDead("x"), ValueError("x")])
def test_ends__what_concerns_the_whole_bot_ends_no_item(error: Exception) -> None:
    """A pause, a dead account and a bug are somebody else's business."""
    assert not isinstance(error, ENDING_ERRORS)


@pytest.mark.parametrize(("age_seconds", "why"), [(300.0, Why.TOP_LEVEL), (90_000.0, Why.TOO_OLD)])
def test_age__is_told_by_what_was_known_when_it_was_found(age_seconds: float, why: Why) -> None:
    """The wall clock was set meanwhile, so that the thing's own time says nothing."""

    async def act(stage: Stage) -> None:
        item = stage.comment(created_at=stage.clock.now() - timedelta(days=90))
        await stage.clock.sleep(60.0)
        made_at = stage.clock.monotonic() - age_seconds
        verdict = await stage.answering.handle(Found(item, Reason.POST_REPLY, 80_000.0, made_at))
        assert verdict.why is why

    perform(act)
