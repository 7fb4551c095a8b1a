"""What is asked of services before an answer is written: incoming moderation, topics; and captions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fakes import ScriptedCaptioner, ScriptedModerator, ScriptedRanker, ScriptedText, ScriptedTopics
from stage import GOOD, Stage, perform

from hotshotd._types import Role
from hotshotd.brain.checks import judge_topics
from hotshotd.brain.pipeline import Deferred
from hotshotd.brain.verdict import Why
from hotshotd.errors import InferenceGone, InferenceRejected, InferenceUnavailable
from hotshotd.platform import Item, Kind, Ref, Thread

QUESTION = "How high is the tower?"
PICTURE = "https://i.example/cat.png"


@pytest.mark.parametrize(
    ("scores", "topics", "avoided", "why"),
    [
        ({"sea": 0.5}, ("sea",), (), None),
        ({"sea": 0.49}, ("sea",), (), Why.OFF_TOPIC),
        ({"sea": 0.1, "ships": 0.7}, ("sea", "ships"), (), None),
        ({"war": 0.5}, (), ("war",), Why.AVOIDED_TOPIC),
        ({"war": 0.2}, (), ("war",), None),
        ({"sea": 0.9, "war": 0.9}, ("sea",), ("war",), Why.AVOIDED_TOPIC),
        ({}, ("sea",), (), Why.OFF_TOPIC),
    ],
)
def test_topics__by_label_and_threshold(
    scores: dict[str, float], topics: tuple[str, ...], avoided: tuple[str, ...], why: Why | None
) -> None:
    """One wanted topic is enough, one avoided too; exactly the threshold counts; order says nothing."""
    verdict = judge_topics(scores, topics=topics, avoided=avoided, threshold=0.5)
    assert (verdict.why if verdict else None) is why


TOPICS: dict[str, Any] = {"topics": ["sea"], "avoid_topics": ["war"], "topic_model": "bart"}


def test_topics__asks_once_for_all_labels_and_nothing_for_what_is_refused_already() -> None:
    """One request with both lists; none for an item that a free check refuses."""
    topics = ScriptedTopics({QUESTION: {"sea": 0.9, "war": 0.1}})

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment("t1_locked", locked=True))
        await stage.handle(stage.comment())
        assert topics.asked == [(QUESTION, ("sea", "war"))]
        assert stage.ends() == [("skipped", "locked"), ("replied", "top_level")]

    perform(act, faculties={"topics": topics}, reply=TOPICS)


@pytest.mark.parametrize("scores", [{"sea": 0.2, "war": 0.1}, {"sea": 0.9, "war": 0.8}])
def test_topics__an_item_off_topic_costs_no_text(scores: dict[str, float]) -> None:
    """It is skipped before the model and the gate are asked."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment())
        assert stage.ends()[0][0] == "skipped"
        assert stage.text.prompts == []

    perform(act, faculties={"topics": ScriptedTopics({QUESTION: scores})}, reply=TOPICS)


def test_topics__without_the_model_nothing_is_answered() -> None:
    """Nobody can say what it is about: skipped, and said in `degraded`."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment())
        assert stage.ends() == [("skipped", "topic_unavailable")]
        assert stage.diary.without == {Role.TOPIC: "not served"}

    topics = ScriptedTopics(InferenceGone("not served", status=404))
    perform(act, faculties={"topics": topics}, reply=TOPICS)


def test_incoming__what_a_local_moderator_refuses_costs_nothing() -> None:
    """It is rejected before anything is sent."""
    incoming = ScriptedModerator("tower", name="local")

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment())
        assert stage.ends() == [("rejected", "moderation")]
        assert stage.text.prompts == []
        assert stage.moderator.asked == []

    perform(act, faculties={"incoming": (incoming,)})


def test_incoming__no_verdict_is_no_pass() -> None:
    """A local moderator that fails lets nothing through."""
    incoming = ScriptedModerator(errors=[InferenceUnavailable("broken")] * 9)

    async def act(stage: Stage) -> None:
        end = await stage.handle(stage.comment())
        assert isinstance(end, Deferred)
        assert end.why is Why.MODERATION_UNAVAILABLE
        assert stage.text.prompts == []

    perform(act, faculties={"incoming": (incoming,)})


def test_incoming__off_lets_keywords_in_and_never_out() -> None:
    """`check_incoming: false` answers what it reads, but does not say the word."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment(text="Do you like pineapple?"))
        assert stage.ends() == [("rejected", "keyword")]
        assert len(stage.text.prompts) == 1

    safety = {"moderators": ["local"], "check_incoming": False, "negative_keywords": ["pineapple"]}
    perform(act, text=ScriptedText("I like pineapple very much."), safety=safety)


def picture(stage: Stage, ref: str = "t1_one", **changes: Any) -> Item:
    """Give a comment under the bot's own picture post."""
    item = stage.comment(ref, **changes)
    top = stage.platform.threads[item.ref].submission
    top = Item(top.ref, Kind.SUBMISSION, top.author, "", top.place, top.created_at, title=top.title, link=PICTURE)
    stage.platform.threads[item.ref] = Thread(
        Item(**{**{name: getattr(top, name) for name in top.__slots__}, "is_picture": True}), ()
    )
    return item


def test_captions__are_asked_once_a_picture() -> None:
    """Two people under one picture, at once: one request, the caption in both prompts."""
    captioner = ScriptedCaptioner("a cat on a lighthouse")

    async def act(stage: Stage) -> None:
        await asyncio.gather(
            stage.handle(picture(stage, "t1_one")), stage.handle(picture(stage, "t1_two", text="And the cat?"))
        )
        assert captioner.asked == [PICTURE]
        assert ["a cat on a lighthouse" in prompt.text for prompt in stage.text.prompts] == [True, True]

    perform(act, faculties={"caption": captioner})


@pytest.mark.parametrize(
    ("error", "asked"), [(InferenceRejected("not a picture", status=400), 1), (InferenceUnavailable("busy"), 2)]
)
def test_captions__without_one_the_prompt_says_so(error: Exception, asked: int) -> None:
    """A picture that is refused is not sent again; a service that is away is asked for the next item."""
    captioner = ScriptedCaptioner(error)

    async def act(stage: Stage) -> None:
        for ref in ("t1_one", "t1_two"):
            await stage.handle(picture(stage, ref, text=f"What is {ref}?"))
        assert len(captioner.asked) == asked
        assert all("a picture without a description" in prompt.text for prompt in stage.text.prompts)
        assert (Role.CAPTION in stage.diary.without) is (asked == 2)

    perform(
        act, text=ScriptedText(GOOD, "Another answer altogether, from the lamp room."), faculties={"caption": captioner}
    )


def test_captions__with_a_keyword_are_not_answered() -> None:
    """What a stranger's picture shows is read like what they wrote."""

    async def act(stage: Stage) -> None:
        await stage.handle(picture(stage))
        assert stage.ends() == [("rejected", "keyword")]
        assert stage.text.prompts == []

    perform(
        act,
        faculties={"caption": ScriptedCaptioner("a pineapple")},
        safety={"moderators": ["local"], "negative_keywords": ["pineapple"]},
    )


def test_captions__of_a_link_that_is_no_picture_are_not_asked() -> None:
    """Only pictures are described."""
    captioner = ScriptedCaptioner("a cat")

    async def act(stage: Stage) -> None:
        item = stage.comment()
        top = stage.platform.threads[item.ref].submission
        link = Item(
            Ref("t3_mine"), Kind.SUBMISSION, top.author, "", top.place, top.created_at, link="https://x.example"
        )
        stage.platform.threads[item.ref] = Thread(link, ())
        await stage.handle(item)
        assert captioner.asked == []

    perform(act, faculties={"caption": captioner})


def test_moderators__one_that_answers_does_not_speak_for_a_silent_one() -> None:
    """The role counts as degraded until every moderator answers again."""
    silent = ScriptedModerator(errors=[InferenceUnavailable("busy")] * 5, name="silent")
    well = ScriptedModerator(name="well")

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment("t1_one"))
        assert stage.diary.without[Role.MODERATION] == "busy"
        await stage.handle(stage.comment("t1_two"))
        assert stage.diary.without[Role.MODERATION] is None

    perform(act, faculties={"incoming": (silent, well)})


def test_choose__a_candidate_without_a_verdict_does_not_undo_those_that_passed() -> None:
    """The moderator falls silent at the second candidate: the first is published."""

    async def act(stage: Stage) -> None:
        await stage.handle(stage.comment())
        assert [item.text for item in stage.platform.comments] == [GOOD]

    class FallsSilent(ScriptedModerator):
        async def judge(self, text: str) -> Any:
            if self.asked:
                raise InferenceUnavailable("busy")
            return await super().judge(text)

    ranker = ScriptedRanker({GOOD: 0.5})
    perform(act, text=ScriptedText((GOOD, "Another answer altogether.")), moderator=FallsSilent(), ranker=ranker)
