"""How a daemon's answers are shown: columns and colours on a terminal, plain whole lines in a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import click

from hotshotd.cli.terminal import Screen, cell_len, pad, to_line
from hotshotd.wire import Json

_COLOURS = {
    "running": "green",
    "paused": "yellow",
    "backoff": "yellow",
    "starting": "cyan",
    "stopping": "cyan",
    "failed": "red",
    "invalid": "red",
}
#: Cells between two columns.
_GAP = 2
#: The longest state is `starting`; one more keeps the counters where they were before.
_STATE_CELLS = 9
#: A name is not cut to fewer cells than this.
_LEAST_NAME = 8

_NO_BOTS = "no bots yet: write a file with `hotshotctl init NAME`, then `hotshotctl reload`"
_NO_FIGURES = "the quota process has not answered yet"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table; the figures of some stand at its right edge."""

    title: str
    cells: Sequence[str]
    right: bool = False

    def get_width(self) -> int:
        return max(map(cell_len, (self.title, *self.cells)))


def format_counters(bot: Json) -> str:
    """Give the line that the users of HotShotBot know."""
    read, write = bot["read"], bot["write"]
    return (
        f"READ: submissions={read['submissions']} comment={read['comments']} | "
        f"WRITE: post={write['posts']} reply={write['replies']} | SPEND={_format_spend(bot)}"
    )


def format_status(status: Json, *, screen: Screen, now: datetime) -> list[str]:
    """Give the daemon's line, each bot's, and what is wrong with services.

    In a pipe each bot has one whole line. On a terminal the counters stand in short columns where the long form does
    not fit, and what there is to tell of a bot goes below its line where it does not fit behind.
    """
    bots: Sequence[Json] = status["bots"]
    daemon = screen.wrap(_format_daemon(status["daemon"]), indent="")
    lines = _format_long(bots, screen) if _fits_long(bots, screen) else _format_short(bots, screen)
    head = [] if len(lines) == len(bots) else lines[:1]
    for bot, line in zip(bots, lines[len(head) :], strict=True):
        head += _add_notes(line, _list_notes(bot, now=None if screen.width is None else now), screen)
    services = [line for text in _list_services(status["daemon"].get("services", [])) for line in screen.wrap(text)]
    return [*daemon, *(head if bots else screen.wrap(_NO_BOTS)), *services]


def format_quota(quota: Json, *, screen: Screen) -> list[str]:
    """Give what was spent, a line a bot, and the caps."""
    if not quota:
        return [_NO_FIGURES]
    lines = [f"day {quota['day']} ({quota['timezone']}), until {_format_time(quota['resets_at'])}"]
    for title, key in (("all bots today", "daily_total"), ("all bots this month", "monthly_total")):
        total = quota[key]
        cap = f" of {total['cap']}" if total["cap"] is not None else ""
        lines.append(f"{title}: {total['spend']}{cap} characters")
    if screen.width is None:
        return [*lines, *_format_budgets(quota["bots"])]
    return [line for text in lines for line in screen.wrap(text)] + _tabulate_budgets(quota["bots"], screen)


# -- the lines of bots ------------------------------------------------------------------------------


def _fits_long(bots: Sequence[Json], screen: Screen) -> bool:
    return screen.width is None or max((cell_len(line) for line in _format_long(bots, Screen())), default=0) <= (
        screen.width
    )


def _format_long(bots: Sequence[Json], screen: Screen) -> list[str]:
    longest = max([4, *(len(bot["name"]) for bot in bots)])
    return [
        f"{bot['name'].ljust(longest)}  {_format_state(bot, _STATE_CELLS, screen)} {format_counters(bot)}"
        for bot in bots
    ]


def _format_short(bots: Sequence[Json], screen: Screen) -> list[str]:
    """Give a header and a line a bot, cut to the screen."""
    columns = [
        Column("BOT", [bot["name"] for bot in bots]),
        Column("STATE", [bot["state"] for bot in bots]),
        Column("READ", [f"{bot['read']['submissions']}/{bot['read']['comments']}" for bot in bots], right=True),
        Column("WRITE", [f"{bot['write']['posts']}/{bot['write']['replies']}" for bot in bots], right=True),
        Column("SPEND", [_format_spend(bot) for bot in bots], right=True),
    ]
    head, *rows = format_columns(columns, screen)
    if not screen.has_colours:
        return [head, *rows]
    return [head, *(_colour_word(row, bot["state"]) for row, bot in zip(rows, bots, strict=True))]


def format_columns(columns: Sequence[Column], screen: Screen) -> list[str]:
    """Give a header and rows that fit: the first column is cut, then columns are left out from the right."""
    first, *others = columns
    width = screen.width or sum(column.get_width() + _GAP for column in columns)
    while True:
        room = width - sum(column.get_width() + _GAP for column in others)
        if room >= min(_LEAST_NAME, first.get_width()) or not others:
            break
        others.pop()
    size = min(first.get_width(), max(room, 1))
    lines = []
    for place, text in enumerate([first.title, *first.cells]):
        cells = [pad(screen.cut_middle(text, size), size)]
        cells += [
            pad([column.title, *column.cells][place], column.get_width(), right=column.right) for column in others
        ]
        lines.append((" " * _GAP).join(cells).rstrip())
    return lines


def _format_state(bot: Json, cells: int, screen: Screen) -> str:
    state = str(bot["state"]).ljust(cells)
    return click.style(state, fg=_COLOURS.get(bot["state"])) if screen.has_colours else state


def _colour_word(row: str, state: str) -> str:
    # The state follows the name, which may hold the same word.
    at = row.find(f" {state}")
    if at < 0 or state not in _COLOURS:
        return row
    return f"{row[: at + 1]}{click.style(state, fg=_COLOURS[state])}{row[at + 1 + len(state) :]}"


def _add_notes(line: str, notes: str, screen: Screen) -> list[str]:
    if not notes:
        return [line]
    if screen.width is None or cell_len(click.unstyle(line)) + _GAP + cell_len(notes) <= screen.width:
        return [f"{line}{' ' * _GAP}{notes}"]
    return [line, *screen.wrap(notes, indent="    ")]


def _format_spend(bot: Json) -> str:
    spend = bot["spend"]
    return f"{spend['percent']}%" if spend["percent"] is not None else f"{spend['characters']}"


def _list_notes(bot: Json, *, now: datetime | None) -> str:
    notes = []
    if bot["dry_run"]:
        notes.append("dry run")
    if bot["paused_until"]:
        notes.append(f"until {_format_time(bot['paused_until'], now=now)}")
    if bot["next_post_at"]:
        notes.append(f"next post {_format_time(bot['next_post_at'], now=now)}")
    notes += [f"banned in r/{place}" for place in bot.get("banned_in", [])]
    notes += [f"can't read r/{place['subreddit']}" for place in bot.get("unreadable", [])]
    if bot["degraded"]:
        notes.append(f"without {', '.join(bot['degraded'])}")
    trouble = bot["reason"] or bot["last_error"]
    if trouble:
        notes.append(next(iter(str(trouble).strip().splitlines()), ""))
    return to_line(", ".join(notes))


# -- the rest ---------------------------------------------------------------------------------------


def _format_daemon(daemon: Json) -> str:
    quota = daemon["quota"]
    state = "" if quota["state"] == "ok" else f"; quota: {quota['state']} {quota.get('message', '')}".rstrip()
    return to_line(
        f"hotshotd {daemon['version']}, pid {daemon['pid']}, up {_format_seconds(daemon['uptime_s'])}{state}"
    )


def _list_services(services: Sequence[Json]) -> list[str]:
    return [
        to_line(
            f"service {service['name']} ({service['role']}): {service['state']}"
            + (f" until {_format_time(service['until'])}" if service.get("until") else "")
            + (f": {service['last_error']}" if service.get("last_error") else "")
        )
        for service in services
        if service["state"] != "ok"
    ]


def _format_budgets(bots: Sequence[Json]) -> list[str]:
    longest = max([4, *(len(bot["name"]) for bot in bots)])
    return [
        f"{bot['name'].ljust(longest)}  {bot['characters']} characters of {_format_budget(bot)}; "
        f"{bot['requests']} requests, {bot['characters_received']} characters received, {bot['seconds']:.1f} s"
        for bot in bots
    ]


def _format_budget(bot: Json) -> str:
    return "unlimited" if bot["budget"] is None else f"{bot['budget']} ({bot['percent']}%, {bot['left']} left)"


def _tabulate_budgets(bots: Sequence[Json], screen: Screen) -> list[str]:
    def show(key: str) -> list[str]:
        return ["-" if bot[key] is None else str(bot[key]) for bot in bots]

    budgets = ["unlimited" if bot["budget"] is None else str(bot["budget"]) for bot in bots]
    percent = ["-" if bot["percent"] is None else f"{bot['percent']}%" for bot in bots]
    columns = [
        Column("BOT", show("name")),
        Column("SPENT", show("characters"), right=True),
        Column("OF", budgets, right=True),
        Column("", percent, right=True),
        Column("LEFT", show("left"), right=True),
        Column("REQUESTS", show("requests"), right=True),
        Column("RECEIVED", show("characters_received"), right=True),
        Column("SECONDS", [f"{bot['seconds']:.1f}" for bot in bots], right=True),
    ]
    return format_columns(columns, screen) if bots else []


def _format_time(text: str, *, now: datetime | None = None) -> str:
    """Give a time in the operator's zone; only as much of it as is needed where `now` is given."""
    then = datetime.fromisoformat(text).astimezone()
    if now is not None and then.date() == now.astimezone().date():
        return then.strftime("%H:%M")
    return then.strftime("%Y-%m-%d %H:%M")


def _format_seconds(seconds: int) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
