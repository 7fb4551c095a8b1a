"""What is asked of services before an answer is written: is this fit to be answered, on topic, worth it?

In the order of what it costs: moderators that send nothing anywhere, the topic model, the gate.
"""

from __future__ import annotations

from hotshotd._types import Role
from hotshotd.brain.case import Case
from hotshotd.brain.decision import Decision, decide_by_score, decide_without_score, unit_draw
from hotshotd.brain.editor import Editor
from hotshotd.brain.patience import RANK, ask_patiently
from hotshotd.brain.ports import BrainClock, Faculties, News
from hotshotd.brain.prompt import ranker_context
from hotshotd.brain.verdict import Verdict, Why
from hotshotd.config.schema import BotConfig, ReplySection
from hotshotd.errors import BreakerOpen, InferenceError
from hotshotd.platform import Item


class Checks:
    """A bot's questions to services about what somebody wrote."""

    def __init__(
        self,
        config: BotConfig,
        reply: ReplySection,
        *,
        faculties: Faculties,
        editor: Editor,
        clock: BrainClock,
        news: News,
    ) -> None:
        self._bot = config.name
        self._rank = config.rank
        self._reply = reply
        self._faculties = faculties
        self._editor = editor
        self._clock = clock
        self._news = news

    async def find_refusal(self, case: Case) -> Verdict | None:
        """Give why an item is not fit to be answered, whatever the decision says; None: it is.

        Raises:
            GaveUp: A moderator of incoming texts has no verdict, which is no pass.
        """
        objection = await self._editor.find_incoming_objection(_words_of(case.item), case)
        if objection is not None:
            return Verdict.of(objection.why, detail=str(objection))
        return await self._check_topic(case)

    async def score(self, case: Case, decision: Decision) -> Decision:
        """Decide by what the gate thinks of a deeper comment; as `when_unavailable` says where it can't be asked."""
        draw = unit_draw(self._bot, case.item.ref)
        without = self._rank.when_unavailable
        if self._faculties.gate is None:
            case.show("gate", f"no ranker; when_unavailable: {without}")
            return decide_without_score(without, chance=decision.chance, draw=draw)
        try:
            score = await self._editor.score(
                self._faculties.gate,
                ranker_context(case.view.thread, case.item),
                case.item.text,
                deadline=case.deadline,
            )
        except (InferenceError, BreakerOpen) as exc:
            case.show("gate", f"{exc}; when_unavailable: {without}")
            return decide_without_score(without, chance=decision.chance, draw=draw)
        case.show("gate", f"{self._faculties.gate.name}: {score:.3f}, {self._rank.min_score:g} is enough")
        return decide_by_score(score, self._rank.min_score)

    async def _check_topic(self, case: Case) -> Verdict | None:
        topics, avoided = self._reply.topics, self._reply.avoid_topics
        model = self._faculties.topics
        if model is None or not (topics or avoided):
            return None
        try:
            scores = await ask_patiently(
                lambda: model.classify(_words_of(case.item), tuple(dict.fromkeys((*topics, *avoided)))),
                RANK,
                self._clock,
                deadline=case.deadline,
                on_failure=lambda exc: self._news.trouble(f"topics ({model.name}): {exc}"),
            )
        except (InferenceError, BreakerOpen) as exc:
            # Nobody can say that it is about what the operator wants, so it is not answered.
            self._news.degraded(Role.TOPIC, why=str(exc))
            return Verdict.of(Why.TOPIC_UNAVAILABLE, detail=str(exc)[:200])
        self._news.degraded(Role.TOPIC, why=None)
        case.show("topics", ", ".join(f"{label} {score:.2f}" for label, score in scores.items()))
        return judge_topics(scores, topics=topics, avoided=avoided, threshold=self._reply.topic_threshold)


def judge_topics(
    scores: dict[str, float], *, topics: tuple[str, ...], avoided: tuple[str, ...], threshold: float
) -> Verdict | None:
    """Give why a text of these scores is not answered: it is about an avoided topic, or about none that is wanted."""
    shown = {label: f"{label} {scores.get(label, 0.0):.2f}" for label in (*topics, *avoided)}
    unwanted = [label for label in avoided if scores.get(label, 0.0) >= threshold]
    if unwanted:
        return Verdict.of(Why.AVOIDED_TOPIC, detail=", ".join(shown[label] for label in unwanted))
    if topics and not any(scores.get(label, 0.0) >= threshold for label in topics):
        return Verdict.of(Why.OFF_TOPIC, detail=", ".join(shown[label] for label in topics))
    return None


def _words_of(item: Item) -> str:
    return f"{item.title}\n{item.text}".strip()
