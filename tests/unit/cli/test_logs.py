"""`hotshotctl logs`: which journalctl is run, what its entries look like, and what it means when it finds none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hotshotd.cli.logs import Wishes, format_entry, make_command
from hotshotd.cli.terminal import Screen
from hotshotd.log.journal import encode_entry
from hotshotd.log.sinks import make_entry

ROOT = Path(__file__).parents[3]
BASE = ["journalctl", "--no-pager", "--quiet", "--all", "--output=json", "--unit=hotshotd", "--user-unit=hotshotd"]
EVENT: dict[str, Any] = {
    "event": "item.done",
    "level": "info",
    "bot": "iama",
    "timestamp": "t",
    "pid": 7,
    "thing": "t1_x",
    "reason": "ok",
}


def wish(**changes: Any) -> Wishes:
    return Wishes(**{"bot": None, "follow": False, "lines": None, "since": None, "as_json": False, **changes})


def entry(**event: Any) -> dict[str, Any]:
    """Give what journalctl gives back of one of our events."""
    return {"__REALTIME_TIMESTAMP": "1764000000000000", **make_entry({**EVENT, **event})}


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, ["--lines=200"]),
        ({"bot": "iama"}, ["--lines=200", "HOTSHOT_BOT=iama"]),
        ({"bot": "--vacuum-size=1"}, ["--lines=200", "HOTSHOT_BOT=--vacuum-size=1"]),
        ({"follow": True}, ["--lines=10", "--follow"]),
        ({"lines": "5", "follow": True}, ["--lines=5", "--follow"]),
        ({"lines": "all"}, []),
        ({"lines": "all", "follow": True}, ["--no-tail", "--follow"]),
        ({"since": "today"}, ["--since=today"]),
        ({"since": "today", "follow": True}, ["--no-tail", "--since=today", "--follow"]),
        ({"since": "today", "lines": "3"}, ["--lines=3", "--since=today"]),
    ],
)
def test_command__is_what_an_operator_would_type(changes: dict[str, Any], more: list[str]) -> None:
    """The unit of the system and the user's own; one bot by its field; never everything unless asked for."""
    assert make_command("journalctl", wish(**changes)) == [*BASE, *more]


def test_entry__is_a_short_line() -> None:
    """Time, level, who, what, and the facts in the order in which they were logged."""
    line = format_entry(entry(), screen=Screen())
    assert line[4] == line[7] == "-"
    assert line[19:] == " info     iama: item.done thing=t1_x reason=ok"


def test_entry__has_a_traceback_below() -> None:
    """Indented, so that the next entry is seen."""
    shown = format_entry(entry(level="error", exception="Traceback\n  line\nValueError: x"), screen=Screen())
    assert shown.split("\n")[1:] == ["    Traceback", "      line", "    ValueError: x"]


def test_entry__is_coloured_by_its_level() -> None:
    """On a terminal only, and only what stands out."""
    screen = Screen(width=80, has_colours=True)
    assert "\x1b[31merror" in format_entry(entry(level="error"), screen=screen)
    assert "\x1b" not in format_entry(entry(), screen=screen)


@pytest.mark.parametrize(
    ("fields", "ending"),
    [
        ({"MESSAGE": "Started it", "SYSLOG_IDENTIFIER": "systemd", "PRIORITY": "6"}, "info     systemd: Started it"),
        ({"MESSAGE": [104, 105, 255], "_COMM": "python3", "PRIORITY": "3"}, "error    python3: hi�"),
        ({"MESSAGE": "a\x1b[2Jb", "PRIORITY": "9"}, "info     ?: a�[2Jb"),
        ({"MESSAGE": ["one", "two"], "PRIORITY": ["6", "6"]}, "info     ?: one\n    two"),
        ({"MESSAGE": None, "__REALTIME_TIMESTAMP": "soon"}, "? info     ?: "),
        ({"__REALTIME_TIMESTAMP": "9" * 40}, "? info     ?: "),
    ],
)  # fmt: skip
def test_entry__of_others_and_of_any_shape(fields: dict[str, Any], ending: str) -> None:
    """systemd's own words about the unit; bytes, repeated and missing fields; nothing steers the terminal."""
    assert format_entry({"__REALTIME_TIMESTAMP": "1764000000000000", **fields}, screen=Screen()).endswith(ending)


def test_entry__is_what_the_daemon_sends() -> None:
    """The fields that are read here are the ones that the log writes."""
    sent = encode_entry(make_entry(EVENT))
    assert b"HOTSHOT_BOT=iama\n" in sent
    assert b"HOTSHOT_LEVEL=info\n" in sent
    assert b"HOTSHOT_EVENT=item.done\n" in sent


# -- the program itself, over a journalctl of ours ---------------------------------------------------


@pytest.fixture
def journalctl(tmp_path: Path) -> Path:
    """A script that gives what stands beside it: `hint` on standard error without --quiet, `entries`, `code`."""
    program = tmp_path / "journalctl"
    program.write_text(
        f'#!/bin/sh\ncd {tmp_path}\nprintf "%s\\n" "$*" >>words\n'
        'case "$*" in *--quiet*) cat entries;; *) cat hint >&2; exit "$(cat code)";; esac\n. ./after\n'
    )
    program.chmod(0o755)
    for name, text in (("hint", ""), ("entries", ""), ("code", "0"), ("words", ""), ("after", "")):
        (tmp_path / name).write_text(text)
    return tmp_path


def logs(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from hotshotd.cli.ctl import main; main()", "logs", *words],
        env={"PATH": f"{folder}:/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environ},
        capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_logs__shows_entries(journalctl: Path) -> None:
    """One a line, and exit 0; with --json as journalctl gives them."""
    text = json.dumps(entry()) + "\n" + json.dumps(entry(reason="chance")) + "\n"
    (journalctl / "entries").write_text(text)
    shown = logs(journalctl, "iama")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert [line.split("reason=")[1] for line in shown.stdout.splitlines()] == ["ok", "chance"]
    assert "HOTSHOT_BOT=iama" in (journalctl / "words").read_text()
    assert logs(journalctl, "--json").stdout == text
    assert logs(journalctl, "--json", "-f").stdout == text


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        ("No journal files were found.", "no journal to read"),
        ("No journal files were opened due to insufficient permissions.", "group systemd-journal"),
        ("Hint: You are currently not seeing messages from other users and the system.", "group systemd-journal"),
    ],
)
def test_logs__without_a_journal_is_1(journalctl: Path, hint: str, words: str) -> None:
    """Whether there is none or it is not for this user; the sentence says what to do."""
    (journalctl / "hint").write_text(hint + "\n")
    shown = logs(journalctl, "iama")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert words in shown.stderr


def test_logs__of_ones_own_unit_need_no_right(journalctl: Path) -> None:
    """A user who may read only his own journal sees his own daemon."""
    (journalctl / "hint").write_text("You are currently not seeing messages from other users and the system.\n")
    (journalctl / "entries").write_text(json.dumps(entry()) + "\n")
    assert logs(journalctl).returncode == 0


def test_logs__of_nobody_says_so(journalctl: Path) -> None:
    """Exit 0: the journal is there; a wrong name is the likeliest cause."""
    shown = logs(journalctl, "iamma", "--since", "today")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "no entries of iamma since today; `hotshotctl status` lists the bots" in shown.stderr


def test_logs__without_journalctl_is_1(tmp_path: Path) -> None:
    """No systemd here."""
    shown = logs(tmp_path, PATH=str(tmp_path))
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr.startswith("there is no journalctl here")


def test_logs__tells_what_journalctl_refuses(journalctl: Path) -> None:
    """Its own words: it knows its times better."""
    (journalctl / "hint").write_text("Failed to parse timestamp: soon\n")
    (journalctl / "code").write_text("1")
    shown = logs(journalctl, "--since", "soon")
    assert (shown.returncode, shown.stderr) == (1, "journalctl failed: Failed to parse timestamp: soon\n")


@pytest.mark.parametrize("words", [["-n", "x"], ["-n", "-1"], ["-n", ""], ["a", "b"]])
def test_logs__usage_is_2(tmp_path: Path, words: list[str]) -> None:
    """Before journalctl is run."""
    assert logs(tmp_path, *words).returncode == 2


@pytest.mark.parametrize("words", ["-f", "-f --json"])
def test_logs__ends_when_the_reader_has_seen_enough(journalctl: Path, words: str) -> None:
    """`| head -1`, also while following: without a word, and without waiting for a journalctl that has no news."""
    (journalctl / "entries").write_text((json.dumps(entry()) + "\n") * 20000)
    (journalctl / "after").write_text("" if "--json" in words else "exec sleep 60")
    command = f"{sys.executable} -c 'from hotshotd.cli.ctl import main; main()' logs {words} | head -1"
    shown = subprocess.run(
        ["/bin/sh", "-c", command],
        env={**os.environ, "PATH": f"{journalctl}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (shown.stderr, shown.stdout.count("\n")) == ("", 1)
