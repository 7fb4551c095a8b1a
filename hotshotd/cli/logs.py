"""`hotshotctl logs`: the daemon's journal, or one bot's. Asks journalctl, not the daemon, which may be down."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NoReturn

import click

from hotshotd.cli.asking import fail
from hotshotd.cli.terminal import Screen, find_screen, to_safe
from hotshotd.errors import HotshotError
from hotshotd.wire import Json

UNIT = "hotshotd"

#: How many entries are shown when nobody says how many or since when; of those that come before what is followed.
LINES, LINES_BEFORE = 200, 10

_NO_JOURNALCTL = (
    "there is no journalctl here, so no journal: the daemon's log goes to its standard error; see what started it"
)
_NO_JOURNAL = (
    "this machine has no journal to read: is systemd-journald running? A daemon that systemd did not start logs to "
    "its standard error"
)
_NOT_ALLOWED = (
    "the system's journal may not be read by this user: be root (sudo hotshotctl logs), or join the group "
    "systemd-journal (sudo usermod -aG systemd-journal NAME; it counts from the next sign-in)"
)
#: What journalctl says on standard error → what that means here. It speaks English in every locale.
_TROUBLES: Final[Mapping[str, str]] = {
    "No journal files were found": _NO_JOURNAL,
    "insufficient permissions": _NOT_ALLOWED,
    "You are currently not seeing messages from": _NOT_ALLOWED,
}
#: syslog(3) priorities as our levels, for entries of others: systemd's own about the unit.
_LEVELS = ("critical", "critical", "critical", "error", "warning", "info", "info", "debug")
_COLOURS = {"critical": "red", "error": "red", "warning": "yellow", "debug": "bright_black"}


class NoJournal(HotshotError):
    """There is no journal, or not for this user; the message says which, and what to do."""

    code = "no_journal"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the operator wants to see. `lines` is journalctl's: a number or `all`."""

    bot: str | None
    follow: bool
    lines: str | None
    since: str | None
    as_json: bool


def run(wishes: Wishes) -> NoReturn:
    """Show it and end the program: 0, or 1 where there is no journal for this user."""
    try:
        program = _find_program()
        trouble = look_for_trouble(program, wishes)
        words = make_command(program, wishes)
        if wishes.follow and wishes.as_json:
            sys.stdout.flush()
            # Python ignores it, and what is ignored stays ignored (execve(2)): `| head` is to end journalctl.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.execv(program, words)  # noqa: S606 - no shell is wanted
        count = _show(words, wishes)
    except NoJournal as exc:
        fail(str(exc))
    if not count and not wishes.follow:
        if trouble:
            fail(trouble)
        click.echo(_describe_nothing(wishes), err=True)
    sys.exit(0)


def make_command(program: str, wishes: Wishes) -> list[str]:
    """Give journalctl's arguments: the system's unit and the user's own, and one bot where one is named."""
    words = [program, "--no-pager", "--quiet", "--all", "--output=json", f"--unit={UNIT}", f"--user-unit={UNIT}"]
    lines = wishes.lines
    if lines is None and wishes.since is None:
        lines = str(LINES_BEFORE if wishes.follow else LINES)
    if lines != "all" and lines is not None:
        words.append(f"--lines={lines}")
    elif wishes.follow:
        # Without it, following starts ten entries back, also after --since.
        words.append("--no-tail")
    if wishes.since is not None:
        words.append(f"--since={wishes.since}")
    if wishes.follow:
        words.append("--follow")
    return [*words, f"HOTSHOT_BOT={wishes.bot}"] if wishes.bot is not None else words


def look_for_trouble(program: str, wishes: Wishes) -> str:
    """Ask for no more than one entry; give what would explain that nothing is found, "" where nothing would.

    Raises:
        NoJournal: Nothing can be shown at all.
    """
    # Not as JSON or `cat`: with those it keeps its hints to itself.
    words = [program, "--no-pager", "--lines=1", "--output=short"]
    if wishes.since is not None:
        # Told here already if it is no time.
        words.append(f"--since={wishes.since}")
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    said = done.stderr.decode(errors="replace").strip()
    trouble = next((meaning for words, meaning in _TROUBLES.items() if words in said), "")
    if done.returncode:
        raise NoJournal(trouble or f"journalctl failed: {said or f'exit code {done.returncode}'}")
    if trouble == _NO_JOURNAL:
        raise NoJournal(trouble)
    return trouble


def format_entry(entry: Json, *, screen: Screen) -> str:
    """Give an entry for people: time, level, and what the daemon said; more lines of it below, indented."""
    first, *more = to_safe(_get_text(entry, "MESSAGE")).split("\n")
    if "HOTSHOT_EVENT" not in entry:
        first = f"{_get_text(entry, 'SYSLOG_IDENTIFIER') or _get_text(entry, '_COMM') or '?'}: {first}"
    level = _find_level(entry)
    shown = level.ljust(8)
    if screen.has_colours and level in _COLOURS:
        shown = click.style(shown, fg=_COLOURS[level])
    return "\n    ".join([f"{_format_time(entry)} {shown} {first}", *more])


def _find_program() -> str:
    found = shutil.which("journalctl")
    if found is None:
        raise NoJournal(_NO_JOURNALCTL)
    return found


def _show(words: Sequence[str], wishes: Wishes) -> int:
    """Print what journalctl gives as it comes; give how many entries that was."""
    screen = find_screen()
    show: Callable[[bytes], str] = _show_raw if wishes.as_json else lambda line: _show_for_people(line, screen)
    count = 0
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None, "asked for"
        try:
            for line in process.stdout:
                click.echo(show(line.rstrip(b"\n")))
                count += 1
        except KeyboardInterrupt:
            process.terminate()
            return count
        except BaseException:
            # Our reader has seen enough (`| head`); journalctl would wait for the next entry to notice.
            process.terminate()
            raise
    if process.returncode:
        raise NoJournal(f"journalctl ended with {process.returncode}; what it said stands above")
    return count


def _show_raw(line: bytes) -> str:
    return line.decode(errors="replace")


def _show_for_people(line: bytes, screen: Screen) -> str:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    return format_entry(entry, screen=screen) if isinstance(entry, dict) else to_safe(_show_raw(line))


def _get_text(entry: Json, key: str) -> str:
    """Give a field: journalctl makes a list of numbers of what is no text, and one of texts of what stands twice."""
    value = entry.get(key)
    if isinstance(value, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
        return bytes(value).decode(errors="replace")
    if isinstance(value, list):
        return "\n".join(str(part) for part in value)
    return "" if value is None else str(value)


def _find_level(entry: Json) -> str:
    own = _get_text(entry, "HOTSHOT_LEVEL")
    priority = _get_text(entry, "PRIORITY")
    return own or (_LEVELS[int(priority)] if priority in tuple("01234567") else "info")


def _format_time(entry: Json) -> str:
    try:
        then = datetime.fromtimestamp(int(_get_text(entry, "__REALTIME_TIMESTAMP")) / 1_000_000).astimezone()
    except (ValueError, OverflowError, OSError):
        return "?"
    return then.strftime("%Y-%m-%d %H:%M:%S")


def _describe_nothing(wishes: Wishes) -> str:
    since = f" since {wishes.since}" if wishes.since else ""
    if wishes.bot is None:
        return f"no entries of the unit {UNIT}{since}; a daemon that systemd did not start logs to its standard error"
    return f"no entries of {wishes.bot}{since}; `hotshotctl status` lists the bots, `hotshotctl logs` shows all of them"
