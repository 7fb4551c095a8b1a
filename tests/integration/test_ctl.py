"""`hotshotctl` as an operator has it: terminals of every width, pipes that close, strange locales, a hundred bots."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pytest
from harness import ROOT, World

PROGRAM = [sys.executable, "-c", "import sys; sys.argv[0] = 'hotshotctl'; from hotshotd.cli.ctl import main; main()"]
NAMES = [f"a-character-with-a-rather-long-name-number-{number:03}" for number in range(100)]
Done = subprocess.CompletedProcess[str]
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def make_bot(name: str, **changes: Any) -> dict[str, Any]:
    bot = {"name": name, "state": "running", "reason": "", "dry_run": False, "next_post_at": None, "paused_until": None}
    bot |= {"read": {"submissions": 1, "comments": 2}, "write": {"posts": 3, "replies": 4}, "degraded": []}
    return {**bot, "spend": {"characters": 5, "budget": 100, "percent": 5}, "last_error": None, **changes}


class Answers:
    """A control socket that answers `status` with bots of ours."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bots = [make_bot(name) for name in NAMES]
        self.asked = threading.Semaphore(0)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(16)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()
        self.path.unlink()

    def _serve(self) -> None:
        daemon = {"version": "1", "pid": 1, "uptime_s": 1, "quota": {"pid": 2, "state": "ok"}, "services": []}
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer:
                peer.recv(65536)
                data = {"daemon": daemon, "bots": self.bots}
                peer.sendall(json.dumps({"id": 1, "ok": True, "data": data}).encode() + b"\n")
            self.asked.release()


@pytest.fixture
def answers(tmp_path: Path) -> Iterator[Answers]:
    made = Answers(tmp_path / "socket")
    yield made
    if made.path.exists():
        made.close()


class Terminal:
    """The program on a terminal of its own."""

    def __init__(self, *words: str, columns: int, rows: int = 24, **environ: str) -> None:
        self.text = ""
        self._fd, other = os.openpty()
        self.resize(columns=columns, rows=rows)
        # Its own session with this terminal, for Ctrl-C and the window's size; pty.fork() is nothing beside threads.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *PROGRAM, *words],
            stdin=other, stdout=other, stderr=other, env=make_environ(TERM="xterm", **environ),
        )  # fmt: skip
        os.close(other)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(10)
        os.close(self._fd)

    def resize(self, *, columns: int, rows: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def read_until(self, is_there: Callable[[str], object]) -> str:
        while not is_there(self.text):
            assert select.select([self._fd], [], [], 20)[0], self.text
            self.text += os.read(self._fd, 65536).decode(errors="replace")
        return self.text

    def finish(self) -> int:
        """Read to the end; give the exit code."""
        while select.select([self._fd], [], [], 20)[0]:
            try:
                data = os.read(self._fd, 65536)
            except OSError:  # EIO: nobody has the terminal open any more (pty(7))
                break
            self.text += data.decode(errors="replace")
        return self.process.wait(10)

    def list_lines(self) -> list[str]:
        return _COLOUR.sub("", self.text).replace("\r", "").split("\n")[:-1]


def make_environ(**environ: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent", **environ}


def run_shell(
    command: str, answers: Answers, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `$ctl` is the program, and the exit code that of its pipe's first part."""
    program = f"'{PROGRAM[0]}' -c \"{PROGRAM[2]}\" --socket '{answers.path}'"
    return subprocess.run(
        ["bash", "-c", f'ctl() {{ {program} "$@"; }}; {command}; exit ${{PIPESTATUS[0]}}'],
        env=make_environ(**(environ or {})), capture_output=True, text=True, encoding="utf-8", errors="replace",
        timeout=30, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


# -- columns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [20, 40, 80, 132, 200])
def test_status__fits_every_terminal(answers: Answers, columns: int) -> None:
    """A hundred bots with long names: no line is wider, each bot is there and told from the others."""
    with Terminal("--socket", str(answers.path), "status", columns=columns) as terminal:
        assert terminal.finish() == 0
        lines = terminal.list_lines()
    assert max(map(len, lines)) <= columns
    assert {line.split()[0][-3:] for line in lines[-100:]} == {name[-3:] for name in NAMES}
    assert (
        sum("READ: submissions=1 comment=2 | WRITE: post=3 reply=4 | SPEND=5%" in line for line in lines) == 100
    ) == (columns >= 132)


def test_status__has_whole_lines_in_a_pipe(answers: Answers) -> None:
    """Whatever the width that the environment tells."""
    shown = run_shell("ctl status | cat", answers, {"COLUMNS": "40"})
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:]] == NAMES
    assert shown.stdout.count("READ: submissions=1 comment=2 | WRITE: post=3 reply=4 | SPEND=5%\n") == 100
    assert "\x1b" not in shown.stdout


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)])
def test_status__has_colours_on_a_terminal(answers: Answers, environ: dict[str, str], coloured: bool) -> None:
    """Unless NO_COLOR is set and not empty."""
    with Terminal("--socket", str(answers.path), "status", columns=200, **environ) as terminal:
        terminal.finish()
        assert ("\x1b[32mrunning" in terminal.text, "\x1b" in terminal.text) == (coloured, coloured)


# -- watching ---------------------------------------------------------------------------------------

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


@pytest.mark.parametrize("end", ["ctrl-c", "term"])
def test_watch__draws_over_itself_and_gives_the_screen_back(answers: Answers, end: str) -> None:
    """One whole drawing after the other, never cleared in between; no higher than the screen; 0 at the end."""
    with Terminal(
        "--socket", str(answers.path), "status", "--watch", "--interval=0.2", columns=90, rows=12
    ) as terminal:
        terminal.read_until(lambda text: text.count("\x1b[J") >= 2)
        terminal.type(b"\x03") if end == "ctrl-c" else terminal.process.terminate()
        code = terminal.finish()
        screen, _, rest = terminal.text.partition(_ENTER)[2].partition(_LEAVE)
    assert code == 0
    assert "\x1b[2J" not in terminal.text
    drawings = screen.split("\x1b[H")[1:]
    assert all(drawing.count("\n") == 11 for drawing in drawings)
    assert "more lines" in drawings[0]
    # The last state stays, whole.
    assert rest.count("running") == 100


def test_watch__follows_the_window(answers: Answers) -> None:
    """At once, not at the next look."""
    answers.bots = answers.bots[:3]
    with Terminal("--socket", str(answers.path), "status", "--watch", "--interval=600", columns=180) as terminal:
        terminal.read_until(lambda text: "READ: submissions" in text and "\x1b[J" in text)
        terminal.resize(columns=60, rows=24)
        terminal.read_until(lambda text: "READ  WRITE  SPEND" in text)
        terminal.type(b"\x03")
        assert terminal.finish() == 0


def test_watch__waits_for_a_daemon_that_went_away(answers: Answers) -> None:
    """A restart is what one wants to watch; without one at the first look it is 3."""
    path = answers.path
    with Terminal("--socket", str(path), "status", "--watch", "--interval=0.2", columns=150) as terminal:
        terminal.read_until(lambda text: "running" in text)
        answers.close()
        terminal.read_until(lambda text: "the daemon is not running" in text)
        again = Answers(path)
        again.bots = [make_bot("back-again")]
        terminal.read_until(lambda text: "back-again" in text)
        terminal.type(b"\x03")
        assert terminal.finish() == 0
        again.close()
    with Terminal("--socket", str(path), "status", "--watch", "--interval=0.2", columns=150) as terminal:
        assert terminal.finish() == 3
        assert _ENTER not in terminal.text


def test_watch__in_a_pipe_is_one_json_a_line(answers: Answers) -> None:
    """For programs that follow it; a reader who has seen enough ends it without a word."""
    shown = run_shell("ctl status --watch --interval 0.1 --json | head -n 2", answers)
    assert [len(json.loads(line)["bots"]) for line in shown.stdout.splitlines()] == [100, 100]
    assert shown.stderr == ""


# -- streams and locales ------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["status", "status --json", "--help", "completion bash"])
def test_streams__closed_by_the_reader(answers: Answers, verb: str) -> None:
    """`| head -1`: no traceback, no word."""
    shown = run_shell(f"ctl {verb} | head -n 1", answers)
    assert (shown.stderr, shown.stdout.count("\n"), shown.returncode in (0, 1)) == ("", 1, True)


def test_streams__closed_by_the_caller(answers: Answers) -> None:
    """`>&-` and `2>&-`, as some cron jobs have it."""
    assert (run_shell("ctl status >&-", answers).returncode, run_shell("ctl status >&-", answers).stderr) == (0, "")
    shown = run_shell("ctl fly 2>&-", answers)
    assert (shown.returncode, shown.stdout) == (2, "")


def test_streams__on_a_full_disk(answers: Answers) -> None:
    """1 and one sentence: a script must not take half an answer for a whole one."""
    shown = run_shell("ctl status >/dev/full", answers)
    assert (shown.returncode, shown.stderr) == (1, "standard output can't be written: No space left on device\n")


@pytest.mark.parametrize(
    "environ",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
)
def test_locale__of_any_kind(answers: Answers, environ: dict[str, str]) -> None:
    """What can't be written is escaped; JSON stays JSON and says the same."""
    answers.bots = [make_bot("a", last_error="naïve 模型 🦆 — gone")]
    shown = run_shell("ctl status", answers, environ)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert " gone" in shown.stdout
    told = run_shell("ctl status --json", answers, environ)
    assert json.loads(told.stdout)["bots"][0]["last_error"] == "naïve 模型 🦆 — gone"


# -- over a real daemon -------------------------------------------------------------------------------


def test_verbs__over_a_daemon(world: World) -> None:
    """JSON of every verb that shows something, words that name the next step, and names for a shell."""
    world.add_bot("duck")
    world.bot_file("broken").write_text("post: {tries: many}\n")
    world.start()
    assert json.loads(world.ctl("pause", "duck", "--json").stdout) == {"paused": ["duck"]}
    assert json.loads(world.ctl("resume", "--all", "--json").stdout) == {"resumed": ["duck"]}
    told = world.ctl("restart", "broken", "--json")
    assert (told.returncode, json.loads(told.stdout)["restarted"]) == (1, [])
    restarted = world.ctl("restart", "duck")
    assert (restarted.returncode, restarted.stdout) == (0, "restarted: duck\n")
    answer = json.loads(world.ctl("restart", "duck", "--json").stdout)
    assert answer == {"restarted": ["duck"], "invalid": [], "not_running": []}
    broken = world.ctl("restart", "broken")
    assert (broken.returncode, "restarted" in broken.stdout) == (1, False)
    assert f"{world.bot_file('broken')}:1: post.tries: " in broken.stdout
    names = subprocess.run(
        PROGRAM, check=True, capture_output=True, text=True, timeout=30,
        env=make_environ(
            _HOTSHOTCTL_COMPLETE="bash_complete", COMP_CWORD="4", COMP_WORDS=f"hotshotctl --config {world.config} logs "
        ),
    )  # fmt: skip
    assert names.stdout.split() == ["plain,broken", "plain,duck"]


@pytest.mark.parametrize(
    "verb",
    ["status", "quota", "reload", "restart x", "pause x", "pause --all", "resume x", "try x y", "post x", "auth x"],
)
def test_verbs__without_a_daemon_say_what_to_do(world: World, verb: str) -> None:
    """3, nothing on standard output, and the next step."""
    shown = world.ctl(*verb.split())
    assert (shown.returncode, shown.stdout) == (3, "")
    assert "`systemctl status hotshotd`" in shown.stderr


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("statsu", "did you mean status?"),
        ("tail", "logs"),
        ("stop", "systemctl stop hotshotd"),
        ("xyz", "there are auth"),
    ],
)
def test_verbs__that_do_not_exist(world: World, word: str, hint: str) -> None:
    """2, with what was meant: habits of supervisorctl and systemctl are known."""
    shown = world.ctl(word)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert hint in shown.stderr
