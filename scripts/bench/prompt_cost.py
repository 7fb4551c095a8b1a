"""Characters sent per published reply, beside what the original rules send for the same replies. Limit: 60 % (medians).

Both read the same trace (`make_trace.py`). Our side is the bot's own code, from the first check to the reply
(`hotshotd.brain.pipeline`), with services that count what they are sent. The original's rules are written out in
`compute_original`. The gate's scores are drawn from the words it is shown, so that they are the same in every run.
"""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from make_trace import BOT, Row, load_trace

from hotshotd._types import Chars, Outcome, Role
from hotshotd.brain.editor import Editor
from hotshotd.brain.guards import Guards
from hotshotd.brain.pipeline import Answering, Deferred, Found
from hotshotd.brain.ports import Faculties
from hotshotd.brain.rules import negative_keywords
from hotshotd.brain.verdict import Why
from hotshotd.brain.writing import Writer
from hotshotd.config.schema import BotConfig
from hotshotd.inference.base import Candidates, Judgement, Prompt
from hotshotd.inference.rankers import END_OF_TURN, join_turns
from hotshotd.platform import Author, Draft, Identity, Item, Kind, Limits, Notice, Ref, Thread

LIMIT = 0.60
MAX_LEVELS = 6
BACKSTORY = (
    "LighthouseBot has kept a lighthouse on the north coast for thirty years, knows every lamp by its first name, "
    "distrusts ferries, and never gives a short answer where a story will do."
)
START = datetime(2026, 11, 24, 0, 0, tzinfo=UTC)
#: Between the arrivals of two things: slow enough for the loop guards to let everybody speak.
PACE = timedelta(minutes=10)


@dataclass(slots=True)
class Sent:
    """What left for metered services while one thing was considered."""

    gate_chars: int = 0
    prompts: list[Prompt] = field(default_factory=list)

    @property
    def text_chars(self) -> int:
        return self.gate_chars + sum(prompt.count_text() for prompt in self.prompts)

    @property
    def message_chars(self) -> int:
        return self.gate_chars + sum(prompt.count_messages() for prompt in self.prompts)


@dataclass(frozen=True, slots=True)
class Case:
    """One thing of the trace: how it ended, what was sent, and what the original would have sent to answer it."""

    row: Row
    levels: tuple[Row, ...]
    post: Row
    outcome: Outcome
    why: Why
    sent: Sent
    original_gate_chars: int
    original_prompt_chars: int

    @property
    def is_published(self) -> bool:
        return self.outcome is Outcome.REPLIED

    @property
    def original_chars(self) -> int:
        return self.original_gate_chars + self.original_prompt_chars


def compute_original(post: Row, levels: Sequence[Row]) -> tuple[int, int]:
    """Give what the original rules send to the gate and to the model for the last of `levels`, or for the post.

    Every nested comment's thread goes to DialogRPT. Each reply sends backstory, post and all levels up to
    `max_levels`, uncut. Between the parts stands what has to stand there, and no more: a mark for the gate, a
    line break in the prompt.
    """
    top = f"{post.title}\n{post.text}".strip()
    thread = [top, *(level.text for level in levels)]
    gate = len(END_OF_TURN.join(thread)) if len(levels) > 1 else 0
    return gate, len("\n".join([BACKSTORY, top, *(level.text for level in levels[-MAX_LEVELS:])]))


class CountingText:
    """`AsyncText` that keeps the prompts; its answers never repeat."""

    name = "text"
    metered = True

    def __init__(self) -> None:
        self.prompts: list[Prompt] = []
        self._asked = 0

    async def generate(self, prompt: Prompt, *, limit_seconds: float | None = None) -> Candidates:  # noqa: ARG002
        self.prompts.append(prompt)
        self._asked += 1
        word = hashlib.sha256(str(self._asked).encode()).hexdigest()
        return Candidates((f"That is story {word}, and it is a long one.",), Chars(0), "hf", "model")


class CountingGate:
    """`AsyncRanker` that counts DialogRPT's input as the service is sent it."""

    name = "gate"

    def __init__(self) -> None:
        self.chars = 0

    async def score(self, context: Sequence[str], reply: str) -> float:
        self.chars += len(join_turns(context, reply))
        return hashlib.sha256(reply.encode()).digest()[0] / 255


class Lenient:
    """`AsyncModerator` that passes everything."""

    name = "moderator"

    async def judge(self, text: str) -> Judgement:  # noqa: ARG002
        return Judgement(True, self.name)


class Silent:
    """`News` that nobody reads."""

    def count(self, what: str) -> None: ...

    def trouble(self, message: str) -> None:
        raise AssertionError(message)

    def degraded(self, role: Role, *, why: str | None) -> None: ...

    def forbidden(self, place: str) -> None: ...

    def event(self, event: str, **facts: object) -> None: ...


class TraceClock:
    """`BrainClock` that stands still until the next thing comes."""

    def __init__(self) -> None:
        self.time = START

    def monotonic(self) -> float:
        return (self.time - START).total_seconds()

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class TracePlatform:
    """`Platform` over a trace."""

    limits = Limits()

    def __init__(self, rows: Mapping[str, Row], clock: TraceClock) -> None:
        self._rows = rows
        self._clock = clock
        self._written = 0

    def find_levels(self, row: Row) -> tuple[Row, tuple[Row, ...]]:
        """Give the post above a thing, and the comments from the top level down to the thing itself."""
        levels: list[Row] = []
        while row.parent is not None:
            levels.insert(0, row)
            row = self._rows[row.parent]
        return row, tuple(levels)

    def make_item(self, row: Row) -> Item:
        post, levels = self.find_levels(row)
        return Item(
            Ref(row.ref),
            Kind.COMMENT if levels else Kind.SUBMISSION,
            Author(row.author) if row.author else None,
            row.text,
            "bots",
            self._clock.now() - timedelta(minutes=1),
            title=row.title,
            link=row.link,
            parent=Ref(row.parent) if row.parent else None,
            submission=Ref(post.ref) if levels else None,
            submission_author=Author(post.author) if levels and post.author else None,
            # A listing tells the level of top-level comments only.
            level=1 if len(levels) == 1 else None,
        )

    async def thread(self, item: Item) -> Thread:
        post, levels = self.find_levels(self._rows[item.ref])
        return Thread(self.make_item(post), tuple(self.make_item(level) for level in levels[:-1]))

    async def reply(self, parent: Item, text: str) -> Ref:  # noqa: ARG002
        self._written += 1
        return Ref(f"t1_written{self._written}")

    async def own(self, kind: Kind, *, since: datetime | None = None) -> tuple[Item, ...]:  # noqa: ARG002
        return ()

    async def whoami(self) -> Identity:
        return Identity(BOT)

    async def feed(self) -> tuple[Item, ...]:
        return ()

    async def inbox(self) -> tuple[Notice, ...]:
        return ()

    async def done(self, notices: Sequence[Ref]) -> None: ...

    async def post(self, draft: Draft) -> Ref:
        raise NotImplementedError(draft)

    async def delete(self, ref: Ref) -> None:
        raise NotImplementedError(ref)

    async def block(self, author: Author) -> None:
        raise NotImplementedError(author)

    async def resolve(self, url: str) -> Item:
        raise NotImplementedError(url)

    def close(self) -> None: ...


def make_config() -> BotConfig:
    """Give a bot that answers strangers too; all else is the default."""
    account = {"username": BOT, "operator": "me", "subreddits": ["bots"], "password": "x"}
    account |= {"client_id": "x", "client_secret": "x"}
    reply = {"backend": "hf", "model": "EleutherAI/gpt-j-6B", "followup_only": False}
    return BotConfig.model_validate(
        {
            "name": "lighthouse",
            "reddit": account,
            "backstory": BACKSTORY,
            "character_budget": 30000,
            "reply": reply | {"max_levels": MAX_LEVELS, "positive_keywords": ["?"]},
            "safety": {"moderators": ["local"]},
        }
    )


async def run_trace(rows: Sequence[Row]) -> list[Case]:
    """Let the bot consider every thing of a trace in turn."""
    config, clock = make_config(), TraceClock()
    platform = TracePlatform({row.ref: row for row in rows}, clock)
    text, gate, news = CountingText(), CountingGate(), Silent()
    faculties = Faculties(text, None, gate, None, (Lenient(),))
    answering = Answering(
        config,
        platform=platform,
        faculties=faculties,
        writer=Writer(platform, clock, confirm_after=(2.0, 10.0)),
        editor=Editor(faculties, negative_keywords(config), clock, news),
        clock=clock,
        news=news,
        guards=Guards(START),
    )
    answering.remember_own([platform.make_item(row) for row in rows if row.author == BOT])
    cases = []
    for number, row in enumerate(rows):
        clock.time = START + (number + 1) * PACE
        gate.chars, text.prompts = 0, []
        verdict = await answering.handle(Found(platform.make_item(row), None, clock.monotonic() + 900.0))
        assert not isinstance(verdict, Deferred), "nothing is ever away here"
        post, levels = platform.find_levels(row)
        sent = Sent(gate.chars, list(text.prompts))
        cases.append(Case(row, levels, post, verdict.outcome, verdict.why, sent, *compute_original(post, levels)))
    return cases


def find_missing(case: Case) -> list[str]:
    """Give what of backstory, title and the two nearest levels a published reply's prompt does not hold, whole."""
    wanted = (BACKSTORY, case.post.title, *(level.text for level in case.levels[-2:]))
    held = [text for prompt in case.sent.prompts for text in (_flat(prompt.text), _flat_messages(prompt))]
    return [text for text in wanted if not held or any(_flat(text) not in one for one in held)]


def _flat(text: str) -> str:
    return " ".join(text.split())


def _flat_messages(prompt: Prompt) -> str:
    return _flat("\n".join(message.text for message in prompt.messages))


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of a trace; characters per published reply are medians."""

    things: int
    published: int
    nested: int
    ours: float
    ours_chat: float
    original: float
    ours_total: int
    original_total: int

    @property
    def ratio(self) -> float:
        return self.ours / self.original

    @property
    def chat_ratio(self) -> float:
        return self.ours_chat / self.original


def measure(cases: Sequence[Case]) -> Figures:
    """Give the medians over the published replies, and all that was sent in the whole trace."""
    published = [case for case in cases if case.is_published]
    return Figures(
        things=len(cases),
        published=len(published),
        nested=sum(len(case.levels) > 1 for case in published),
        ours=statistics.median(case.sent.text_chars for case in published),
        ours_chat=statistics.median(case.sent.message_chars for case in published),
        original=statistics.median(case.original_chars for case in published),
        ours_total=sum(case.sent.text_chars for case in cases),
        original_total=sum(
            case.original_gate_chars + (case.original_prompt_chars if case.is_published else 0) for case in cases
        ),
    )


def main() -> int:
    cases = asyncio.run(run_trace(list(load_trace())))
    figures = measure(cases)
    incomplete = sum(bool(find_missing(case)) for case in cases if case.is_published)
    free = [case for case in cases if not case.is_published and case.why is not Why.LOW_SCORE]
    leaked = sum(case.sent.text_chars for case in free)
    print(
        f"{figures.things} things, {figures.published} published replies, {figures.nested} of them to nested comments"
    )
    print(f"characters sent per published reply, median: {figures.ours:g} (limit {LIMIT:.0%} of the original's)")
    print(f"the original rules, for the same replies: {figures.original:g}; ratio {figures.ratio:.3f}")
    print(f"as chat messages, instructions included: {figures.ours_chat:g}; ratio {figures.chat_ratio:.3f}")
    print(f"all characters of the trace, unanswered things included: {figures.ours_total} and {figures.original_total}")
    print(f"prompts without backstory, title or one of the two nearest levels: {incomplete}")
    print(f"characters sent for the {len(free)} things that a free check refused: {leaked}")
    return 0 if figures.ratio <= LIMIT and not incomplete and not leaked else 1


if __name__ == "__main__":
    sys.exit(main())
