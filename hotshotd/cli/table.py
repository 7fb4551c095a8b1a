"""How a daemon's answers are shown: columns and colours on a terminal, plain lines in a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import click

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


def format_counters(bot: Json) -> str:
    """Give the line that the users of HotShotBot know."""
    read, write, spend = bot["read"], bot["write"], bot["spend"]
    spent = f"{spend['percent']}%" if spend["percent"] is not None else f"{spend['characters']}"
    return (
        f"READ: submissions={read['submissions']} comment={read['comments']} | "
        f"WRITE: post={write['posts']} reply={write['replies']} | SPEND={spent}"
    )


def format_status(status: Json, *, width: int | None) -> list[str]:
    """Give one line a bot, and what is wrong below; `width` is a terminal's, None where there is none."""
    bots: Sequence[Json] = status["bots"]
    longest = max([4, *(len(bot["name"]) for bot in bots)])
    lines = [_format_daemon(status["daemon"])]
    for bot in bots:
        state = bot["state"].ljust(9)
        shown = click.style(state, fg=_COLOURS.get(bot["state"])) if width else state
        notes = ", ".join(_list_notes(bot))
        plain = f"{bot['name'].ljust(longest)}  {state} {format_counters(bot)}"
        room = None if width is None else max(0, width - len(plain) - 2)
        tail = notes if room is None else _cut(notes, room)
        lines.append(f"{bot['name'].ljust(longest)}  {shown} {format_counters(bot)}{'  ' + tail if tail else ''}")
    return lines + _format_services(status["daemon"].get("services", []))


def format_quota(quota: Json) -> list[str]:
    """Give what was spent, a line a bot, and the caps."""
    if not quota:
        return ["the quota process has not answered yet"]
    lines = [f"day {quota['day']} ({quota['timezone']}), until {_format_time(quota['resets_at'])}"]
    for title, key in (("all bots today", "daily_total"), ("all bots this month", "monthly_total")):
        total = quota[key]
        cap = f" of {total['cap']}" if total["cap"] is not None else ""
        lines.append(f"{title}: {total['spend']}{cap} characters")
    longest = max([4, *(len(bot["name"]) for bot in quota["bots"])])
    for bot in quota["bots"]:
        budget = "unlimited" if bot["budget"] is None else f"{bot['budget']} ({bot['percent']}%, {bot['left']} left)"
        lines.append(
            f"{bot['name'].ljust(longest)}  {bot['characters']} characters of {budget}; {bot['requests']} requests, "
            f"{bot['characters_received']} characters received, {bot['seconds']:.1f} s"
        )
    return lines


def _format_daemon(daemon: Json) -> str:
    quota = daemon["quota"]
    state = "" if quota["state"] == "ok" else f"; quota: {quota['state']} {quota.get('message', '')}".rstrip()
    return f"hotshotd {daemon['version']}, pid {daemon['pid']}, up {_format_seconds(daemon['uptime_s'])}{state}"


def _list_notes(bot: Json) -> list[str]:
    notes = []
    if bot["dry_run"]:
        notes.append("dry run")
    if bot["paused_until"]:
        notes.append(f"until {_format_time(bot['paused_until'])}")
    if bot["next_post_at"]:
        notes.append(f"next post {_format_time(bot['next_post_at'])}")
    notes += [f"banned in r/{place}" for place in bot.get("banned_in", [])]
    notes += [f"can't read r/{place['subreddit']}" for place in bot.get("unreadable", [])]
    if bot["degraded"]:
        notes.append(f"without {', '.join(bot['degraded'])}")
    trouble = bot["reason"] or bot["last_error"]
    if trouble:
        notes.append(str(trouble).splitlines()[0])
    return notes


def _format_services(services: Sequence[Json]) -> list[str]:
    return [
        f"service {service['name']} ({service['role']}): {service['state']}"
        + (f" until {_format_time(service['until'])}" if service.get("until") else "")
        + (f": {service['last_error']}" if service.get("last_error") else "")
        for service in services
        if service["state"] != "ok"
    ]


def _format_time(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")


def _format_seconds(seconds: int) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(0, room - 1)] + "…" if room > 8 else ""
