"""What concerns the machine: the daemon and what it says, folders and their room, the clock, where secrets lie."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

from hotshotd.config.loaded import LoadedBot
from hotshotd.config.schema import BotConfig, MainConfig
from hotshotd.doctor.findings import EVERYBODY, Finding, Verdict, fail, ok, warn
from hotshotd.inference.perspective import LAST_DAY
from hotshotd.wire import Json

#: Free bytes of the state folder's disk below which it is told, and below which the ledger is in danger.
LOW_BYTES, DANGEROUS_BYTES = 200 * 1024 * 1024, 20 * 1024 * 1024

#: Seconds by which the clock may differ from Reddit's; and by which `lookback` and schedules go wrong.
SKEW_SECONDS, BAD_SKEW_SECONDS = 30.0, 300.0

#: No machine's clock is right that shows a day before this one.
RELEASED = date(2026, 11, 1)

#: Names of secrets that end in a date, and what to write instead.
AZURE_LAST_DAY = date(2028, 9, 25)
#: Days before an end from which it is told.
WARN_DAYS = 180

_Found = Iterator[tuple[str, Verdict]]


# --- the daemon ------------------------------------------------------------------------------


def check_status(status: Json, *, only: str | None) -> Iterator[Finding]:
    """Say what a running daemon knows to be wrong: its quota process, open breakers, bots that do not run."""
    daemon = status["daemon"]
    yield Finding(EVERYBODY, "daemon", ok(f"hotshotd {daemon['version']} runs (pid {daemon['pid']})"))
    quota = daemon["quota"]
    if quota["state"] != "ok":
        message = f"{quota['state']}: {quota.get('message') or 'nothing is spent or written'}"
        yield Finding(EVERYBODY, "quota process", fail(message, "see `hotshotctl quota` and the daemon's log"))
    for service in daemon.get("services", []):
        if service["state"] != "ok":
            yield Finding(EVERYBODY, f"breaker {service['name']} ({service['role']})", _judge_breaker(service))
    for bot in status["bots"]:
        if only in (None, bot["name"]):
            yield Finding(bot["name"], "daemon", _judge_bot(bot))


def _judge_breaker(service: Json) -> Verdict:
    until = f" until {service['until']}" if service.get("until") else ""
    error = f": {service['last_error']}" if service.get("last_error") else ""
    make = fail if service["state"] == "gone" else warn
    return make(
        f"{service['state']}{until}{error}", "it is asked again by itself; what is tried below says how it is now"
    )


def _judge_bot(bot: Json) -> Verdict:
    state, reason = bot["state"], bot["reason"] or bot["last_error"] or ""
    detail = f"{state}{f': {reason}' if reason else ''}".splitlines()[0]
    if state == "failed":
        return fail(detail, f"mend the cause, then `hotshotctl restart {bot['name']}`")
    if state == "invalid":
        return fail(detail, "mend the file, then `hotshotctl reload`")
    if state == "backoff":
        return warn(detail, "it is started again by itself")
    troubles = [f"banned in r/{place}" for place in bot.get("banned_in", [])]
    troubles += [f"without {role}" for role in bot.get("degraded", [])]
    return warn(f"{state}, {', '.join(troubles)}") if troubles else ok(detail)


# --- folders ---------------------------------------------------------------------------------


def check_folders(main: MainConfig, *, user: int) -> _Found:
    """Look at the folders that the daemon writes to."""
    yield "state_dir", check_folder(main.state_dir, user=user, needs_room=True)
    yield "runtime_dir", check_folder(main.runtime_dir, user=user, needs_room=False)
    yield from _check_tokens(main.state_dir / "tokens")


def check_folder(folder: Path, *, user: int, needs_room: bool) -> Verdict:
    """Say whether a folder can be written to, and whether there is room."""
    there = _find_existing(folder)
    if not there.is_dir():
        return fail(f"{there} is no folder", "remove it, or set another folder")
    owner = there.stat().st_uid
    if not os.access(there, os.W_OK | os.X_OK):
        hint = (
            f"set its owner right, or run this as {_name_user(owner)} (sudo -u {_name_user(owner)} hotshotctl doctor)"
        )
        # Not ours and not meant to be: the daemon may well run as its owner.
        return warn(f"{there} belongs to {_name_user(owner)}: not to be looked at as {_name_user(user)}", hint)
    free = shutil.disk_usage(there).free
    room = f"{free // (1024 * 1024)} MiB free"
    if needs_room and free < DANGEROUS_BYTES:
        return fail(f"{folder}: only {room}", "make room: the ledger grants nothing when it can't write")
    if needs_room and free < LOW_BYTES:
        return warn(f"{folder}: only {room}", "make room before the ledger can't write any more")
    made = "" if there == folder else ", will be made at the first start"
    return ok(f"{folder} can be written to{f', {room}' if needs_room else ''}{made}")


def _find_existing(folder: Path) -> Path:
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def _name_user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _check_tokens(folder: Path) -> _Found:
    try:
        entries = sorted(folder.iterdir())
        open_ones = [entry.name for entry in entries if stat.S_IMODE(entry.stat().st_mode) & 0o077]
    except OSError:
        return  # there is none, or it is not ours to look at
    if open_ones:
        yield "tokens", fail(f"others can read {', '.join(open_ones)} in {folder}", f"run chmod -R go= {folder}")


# --- the clock -------------------------------------------------------------------------------


def check_clock(now: datetime, theirs: datetime | None) -> Verdict:
    """Compare the clock with Reddit's; `theirs` is None where that is not known."""
    if now.date() < RELEASED:
        return fail(f"it shows {now:%Y-%m-%d}, which is past", "set it, by timedatectl set-ntp true")
    if theirs is None:
        return ok(f"it shows {now:%Y-%m-%d %H:%M} UTC; Reddit gave none to compare it with")
    skew = (now - theirs).total_seconds()
    where = "ahead of" if skew > 0 else "behind"
    if abs(skew) <= SKEW_SECONDS:
        return ok("agrees with Reddit's")
    make = fail if abs(skew) > BAD_SKEW_SECONDS else warn
    detail = f"{abs(skew):.0f} s {where} Reddit's: what is new looks old, and posts come at the wrong time"
    return make(detail, "let the machine set it: timedatectl set-ntp true")


# --- secrets and ends ------------------------------------------------------------------------


def check_environment(names: Iterable[str], environ: Mapping[str, str]) -> Verdict:
    """Say which secrets stand in environment variables: those can't be hidden from processes of the same user."""
    shown = sorted({name for name in names if environ.get(name)})
    if not shown:
        return ok("no secret stands in an environment variable seen from here")
    return warn(
        f"every process of the same user can read (in /proc/PID/environ) the variables {', '.join(shown)}",
        "systemd credentials (LoadCredential=) and files can be hidden: use them where others share the user",
    )


def check_ends(config: BotConfig, today: date) -> _Found:
    """Say which services of a bot will end, and what to write instead."""
    if "perspective" in config.safety.moderators:
        others = [name for name in config.safety.moderators if name != "perspective"]
        names = ", ".join(others or ["openai"])
        remedy = f"set safety.moderators: [{names}] (openai is free with any key; local needs none)"
        yield "moderator perspective ends", _judge_end(LAST_DAY, today, remedy)
    if config.images.caption == "azure":
        remedy = "set images.caption: chat, with caption_backend and a caption_model that sees"
        verdict = _judge_end(AZURE_LAST_DAY, today, remedy)
        if (AZURE_LAST_DAY - today).days <= WARN_DAYS:
            yield "captions azure end", verdict


def _judge_end(last_day: date, today: date, remedy: str) -> Verdict:
    left = (last_day - today).days
    if left < 0:
        return fail(f"the service ended on {last_day}", remedy)
    return warn(f"the service ends on {last_day}, in {left} days", f"before then {remedy}")


def describe_app_label(bots: Sequence[LoadedBot]) -> Verdict:
    """Remind of what Reddit's API does not tell: whether an account is registered as an app."""
    accounts = ", ".join(f"u/{bot.config.reddit.username}" for bot in bots)
    return warn(
        f"Reddit does not tell whether the App label that automated accounts need is on {accounts}",
        "register each once at developers.reddit.com/app-registration, under your own account",
    )
