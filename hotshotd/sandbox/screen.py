"""What the sandbox shows: threads as they grow, why bots answer or not, and what they read, write and spend.

`Feed` turns what happens into lines and knows no terminal. `PlainScreen` prints the lines and, every ten
seconds, a line of counters per bot; `LiveScreen` lets them scroll above a table that stays.
Used from one thread.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

from hotshotd.clock import Clock
from hotshotd.sandbox.forum import Comment, Event, Forum, Submission

#: Seconds between two blocks of counters when the output is no terminal.
COUNTERS_EVERY_SECONDS = 10.0

#: How wide a line is where nobody knows: a pipe, a file.
PLAIN_WIDTH = 300

#: How many lines of a terminal a text takes at most, and how far further ones are set in.
MAX_LINES, HANGING = 3, 9

#: How many threads are remembered by number; older ones get a new number when they come up again.
THREADS_KEPT = 500

#: What is shown of a warning.
_TOLD = ("service", "reason", "error", "message")

#: How many times `flush` passes over a thing about which some bots have not decided yet.
GATHERING_FLUSHES = 3

_LOUD = ("warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line. `style` is a word of `STYLES`, or empty."""

    text: str
    style: str = ""


Line = tuple[Span, ...]

#: How pieces look on a terminal, in rich's words; bots get a colour each.
STYLES = {"thread": "dim", "person": "bold", "title": "bold", "why": "dim italic", "good": "green", "bad": "red"}
BOT_STYLES = ("bold cyan", "bold magenta", "bold yellow", "bold green", "bold blue", "bold red")


@dataclass(frozen=True, slots=True)
class BotRow:
    """What one bot did today."""

    name: str
    state: str
    submissions: int = 0
    comments: int = 0
    posts: int = 0
    replies: int = 0
    percent: int | None = 0

    @property
    def counters(self) -> str:
        """The status line of the original program."""
        spend = "-" if self.percent is None else self.percent
        return (
            f"READ: submissions={self.submissions} comment={self.comments} | "
            f"WRITE: post={self.posts} reply={self.replies} | SPEND={spend}%"
        )


def parse_status(status: Mapping[str, Any]) -> tuple[BotRow, ...]:
    """Make rows of what the daemon answers to `status`."""
    return tuple(
        BotRow(
            name=bot["name"],
            state=bot["state"],
            submissions=bot["read"]["submissions"],
            comments=bot["read"]["comments"],
            posts=bot["write"]["posts"],
            replies=bot["write"]["replies"],
            percent=bot["spend"]["percent"],
        )
        for bot in status.get("bots", ())
    )


def flatten(text: str) -> str:
    """Put a text on one line; whatever could move a cursor or hide is left out."""
    return "".join(
        char for char in " ".join(text.split()) if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )


@dataclass(slots=True)
class _Gathering:
    """What bots have decided about one thing: bot, outcome, reason."""

    words: list[tuple[str, str, str]] = field(default_factory=list)
    flushes: int = 0


@dataclass(slots=True)
class Feed:
    """Makes lines of events of the forum and of the daemon's log.

    `bots` maps the account of each bot to its name. Decisions wait some calls of `flush`, so that all
    bots' words on one thing stand on one line, though they read at different moments.
    """

    forum: Forum
    bots: Mapping[str, str]
    _numbers: dict[str, int] = field(default_factory=dict)
    _count: int = 0
    _decisions: dict[str, _Gathering] = field(default_factory=dict)

    def show_event(self, event: Event) -> list[Line]:
        """Give the lines of something that was written; none for other events."""
        thing = self.forum.thing(event.thing)
        if event.what == "submit" and isinstance(thing, Submission):
            kind = "posts a picture: " if thing.is_picture else "posts: "
            lines = [self._line(thing, Span(kind), Span(flatten(thing.title), "title"))]
            return [*lines, self._body(thing)] if thing.text else lines
        if event.what == "comment" and isinstance(thing, Comment):
            return [self._line(thing, Span("→ "), *self._name(event.to), Span(f": {flatten(thing.text)}"))]
        return []

    def show_record(self, record: Mapping[str, Any]) -> list[Line]:
        """Give the lines of an entry of the daemon's log; decisions are kept for `flush`."""
        name, bot = str(record.get("event", "")), str(record.get("bot") or "")
        if name == "item.done":
            decision = (bot, str(record.get("outcome", "")), flatten(str(record.get("reason") or "")))
            self._decisions.setdefault(str(record.get("thing", "")), _Gathering()).words.append(decision)
            return []
        if name == "post.done":
            return [(Span("  · ", "why"), *self._verdict(bot, "post " + str(record.get("outcome")), record))]
        if name == "bot.state":
            return [(Span("  · ", "why"), *self._verdict(bot, f"is {record.get('new')}", record))]
        if record.get("level") in _LOUD:
            told = " ".join(f"{key}={record[key]}" for key in _TOLD if key in record)
            return [(Span("  ! ", "bad"), Span(flatten(f"{bot} {name} {told}".strip()), "bad"))]
        return []

    def flush(self, *, everything: bool = False) -> list[Line]:
        """Give a line for each thing about which all bots have decided, or some `GATHERING_FLUSHES` calls ago."""
        done = [thing for thing, found in self._decisions.items() if everything or self._is_done(found)]
        decided = [(thing, self._decisions.pop(thing).words) for thing in done]
        # That a bot leaves its own words alone goes without saying.
        told = [(thing, [word for word in words if word[2] != "own"]) for thing, words in decided]
        return [self._decision(thing, words) for thing, words in told if words]

    def _is_done(self, found: _Gathering) -> bool:
        found.flushes += 1
        return len(found.words) >= len(self.bots) or found.flushes > GATHERING_FLUSHES

    def _line(self, thing: Submission | Comment, *rest: Span) -> Line:
        level = thing.level if isinstance(thing, Comment) else 0
        link = thing.link if isinstance(thing, Comment) else thing.fullname
        return (self._tag(link), Span("  " * level), *self._name(thing.author), Span(" "), *rest)

    def _body(self, post: Submission) -> Line:
        return (Span("     ", "thread"), Span("  " + flatten(post.text)))

    def _decision(self, fullname: str, words: Sequence[tuple[str, str, str]]) -> Line:
        thing = self.forum.thing(fullname)
        link = thing.link if isinstance(thing, Comment) else fullname
        level = thing.level if isinstance(thing, Comment) else 0
        whose = f" to {thing.author}" if thing else ""
        spans = [self._tag(link), Span(f"{'  ' * level}  └{whose}: ", "why")]
        for place, (bot, outcome, reason) in enumerate(words):
            spans += [Span(" · ", "why")] if place else []
            spans += self._verdict(bot, outcome, {"reason": reason})
        return tuple(spans)

    def _verdict(self, bot: str, outcome: str, record: Mapping[str, Any]) -> list[Span]:
        reason = flatten(str(record.get("reason") or ""))
        is_good = outcome.endswith(("replied", "published", "running"))
        is_bad = outcome.endswith(("rejected", "failed"))
        words = f" {outcome}: {reason}" if reason and reason != outcome else f" {outcome}"
        return [Span(bot, f"bot:{bot}"), Span(words, "good" if is_good else "bad" if is_bad else "why")]

    def _name(self, account: str) -> tuple[Span, ...]:
        bot = self.bots.get(account)
        return (Span(account, f"bot:{bot}") if bot else Span(account, "person"),)

    def _tag(self, link: str) -> Span:
        return Span(f"#{self._number(link):<4}", "thread")

    def _number(self, link: str) -> int:
        if link not in self._numbers:
            self._count += 1
            self._numbers[link] = self._count
            if len(self._numbers) > THREADS_KEPT:
                del self._numbers[next(iter(self._numbers))]
        return self._numbers[link]


class Screen(Protocol):
    """Where lines and counters go."""

    def show(self, lines: Sequence[Line]) -> None:
        """Show lines at the end of the feed."""
        ...

    def update(self, rows: Sequence[BotRow]) -> None:
        """Take new counters; may be called often."""
        ...

    def close(self) -> None:
        """Show the last counters and give the terminal back."""
        ...


class PlainScreen:
    """Lines of text without control codes, for a pipe or a file; never wraps."""

    def __init__(self, out: TextIO, *, clock: Clock, width: int = PLAIN_WIDTH) -> None:
        self._out = out
        self._clock = clock
        self._width = width
        self._rows: Sequence[BotRow] = ()
        self._next_at = clock.monotonic() + COUNTERS_EVERY_SECONDS

    def show(self, lines: Sequence[Line]) -> None:
        for line in lines:
            self._write(shorten("".join(span.text for span in line), self._width))

    def update(self, rows: Sequence[BotRow]) -> None:
        self._rows = rows or self._rows
        if self._rows and self._clock.monotonic() >= self._next_at:
            self._next_at = self._clock.monotonic() + COUNTERS_EVERY_SECONDS
            self._write_counters()

    def close(self) -> None:
        self._write_counters()

    def _write_counters(self) -> None:
        width = max((len(row.name) for row in self._rows), default=0)
        for row in self._rows:
            self._write(f"{row.name:<{width}}  {row.counters}")

    def _write(self, text: str) -> None:
        # A stream that speaks ASCII only must not end the sandbox.
        encoding = getattr(self._out, "encoding", None) or "utf-8"
        self._out.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        self._out.flush()


def shorten(text: str, width: int, measure: Callable[[str], int] = len) -> str:
    """Cut a text to a width, with an ellipsis where something is missing."""
    if measure(text) <= width:
        return text
    head = text[: max(0, width - 1)]
    while head and measure(head) > width - 1:
        head = head[:-1]
    return head.rstrip() + "…" if width > 0 else ""


def lay_out(rows: Sequence[BotRow], width: int) -> list[str]:
    """Make the lines of a table; where it is narrow the state goes first, then the ends of the names."""
    name_width = max((len(row.name) for row in rows), default=0)
    state_width = max((len(row.state) for row in rows), default=0)
    counters_width = max((len(row.counters) for row in rows), default=0)
    if name_width + state_width + counters_width + 4 <= width:
        return [f"{row.name:<{name_width}}  {row.state:<{state_width}}  {row.counters}" for row in rows]
    name_width = max(0, min(name_width, width - counters_width - 1))
    return [f"{shorten(row.name, name_width):<{name_width}} {row.counters}" for row in rows]


class LiveScreen:
    """The feed scrolls; a table of the bots stays at the bottom of the terminal."""

    #: The most bots the table shows; it must leave room for the feed.
    MAX_ROWS = 12

    def __init__(self, out: TextIO, *, bots: Sequence[str]) -> None:
        # Imported here: rich takes a tenth of a second that a piped run need not wait for.
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=out, highlight=False, emoji=False, markup=False)
        self._styles = {bot: BOT_STYLES[place % len(BOT_STYLES)] for place, bot in enumerate(bots)}
        self._rows: Sequence[BotRow] = ()
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._live.start()

    def show(self, lines: Sequence[Line]) -> None:
        for line in lines:
            for text in self._wrap(line):
                self._console.print(text, no_wrap=True, crop=True)

    def _wrap(self, line: Line) -> list[Any]:
        from rich.text import Text

        whole = Text.assemble(*((span.text, self._style(span.style)) for span in line))
        width = self._console.width
        if whole.cell_len <= width or width <= 3 * HANGING:
            whole.truncate(width, overflow="ellipsis")
            return [whole]
        first, *more = whole.wrap(self._console, width)
        rest = Text(" ").join(more)
        wrapped = rest.wrap(self._console, width - HANGING - 2)[: MAX_LINES - 1]
        if sum(len(part.plain.split()) for part in wrapped) < len(rest.plain.split()):
            wrapped[-1].append(" …")
        return [first, *(Text(" " * HANGING) + part for part in wrapped)]

    def update(self, rows: Sequence[BotRow]) -> None:
        self._rows = rows or self._rows
        self._live.update(self._table(), refresh=True)

    def close(self) -> None:
        self._live.update(self._table(), refresh=True)
        self._live.stop()

    def _table(self) -> Any:
        from rich.text import Text

        limit = max(1, min(self.MAX_ROWS, self._console.height // 2 - 2))
        lines = [
            Text(text, self._styles.get(row.name, ""), no_wrap=True, overflow="ellipsis")
            for row, text in zip(self._rows, lay_out(self._rows[:limit], self._console.width), strict=False)
        ]
        if len(self._rows) > limit:
            lines.append(Text(f"and {len(self._rows) - limit} more", "dim"))
        return Text("\n").join(lines)

    def _style(self, style: str) -> str:
        if style.startswith("bot:"):
            return self._styles.get(style.removeprefix("bot:"), "bold")
        return STYLES.get(style, "")


def make_screen(out: TextIO, *, bots: Sequence[str], clock: Clock) -> Screen:
    """Give a live screen on a terminal, a plain one elsewhere."""
    if out.isatty() and sys.platform != "win32":
        return LiveScreen(out, bots=bots)
    return PlainScreen(out, clock=clock)
