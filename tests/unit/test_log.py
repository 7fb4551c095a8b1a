"""Logs: one chain for everything that speaks, and no secret in any form of output."""

from __future__ import annotations

import ast
import base64
import fcntl
import io
import json
import logging
import os
import socket
import struct
import subprocess
import sys
import urllib.parse
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.contextvars import bound_contextvars
from virtual import HandClock

from hotshotd import log
from hotshotd.log.hooks import LibraryHandler
from hotshotd.log.journal import Journal, encode_entry
from hotshotd.log.redaction import MASK, MIN_SECRET_CHARS, Redactor
from hotshotd.log.sinks import Lines, choose_format, make_console_sink, make_entry, make_journal_sink

ROOT = Path(__file__).parents[2]
SECRET = "hunter2/&\"ü 'x'\\"
NOON = datetime(2026, 11, 24, 12, 0, 0, 5, tzinfo=UTC)

Said = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    log.restore()


@pytest.fixture
def said() -> Said:
    """Configure JSON logs of the bot "iama"; a call gives what was said since the last one."""
    stream = io.StringIO()
    log.configure(level="info", format="json", stream=stream, bot="iama", clock=HandClock(NOON))

    def read() -> list[dict[str, Any]]:
        lines = stream.getvalue().splitlines()
        stream.seek(0)
        stream.truncate()
        return [json.loads(line) for line in lines]

    return read


# --- events ----------------------------------------------------------------------------------


def test_event__carries_the_fixed_keys(said: Said) -> None:
    """Each event has event, bot, level and timestamp, and its own data."""
    log.get_logger().info("item.done", thing="t1_x", outcome="replied")
    assert said() == [
        {
            "timestamp": "2026-11-24T12:00:00.000005Z",
            "level": "info",
            "event": "item.done",
            "bot": "iama",
            "pid": os.getpid(),
            "thing": "t1_x",
            "outcome": "replied",
        }
    ]


def test_event__of_the_daemon_has_no_bot() -> None:
    """`bot` is there and null where no bot speaks; an event about a bot names it itself."""
    stream = io.StringIO()
    log.configure(format="json", stream=stream)
    log.get_logger().info("worker.started")
    log.get_logger().info("bot.state", bot="iama")
    assert [json.loads(line)["bot"] for line in stream.getvalue().splitlines()] == [None, "iama"]


def test_event__takes_context(said: Said) -> None:
    """What is bound around an item is in each of its events."""
    with bound_contextvars(thing="t1_x"):
        log.get_logger().info("item.deferred")
    log.get_logger().info("item.done")
    assert [event.get("thing") for event in said()] == ["t1_x", None]


def test_level__is_the_least_that_is_written(said: Said) -> None:
    """At level info, debug lines are not made."""
    log.get_logger().debug("poll.made")
    log.get_logger().critical("process.crashed")
    assert [event["level"] for event in said()] == ["critical"]


def test_configure__again_renames_loggers_that_were_bound_before(said: Said) -> None:
    """A forked child that configures itself speaks as its bot, through its parent's loggers too."""
    logger = log.get_logger().bind(thing="t1_x")
    stream = io.StringIO()
    log.configure(format="json", stream=stream, bot="sonnet")
    logger.info("item.done")
    assert json.loads(stream.getvalue())["bot"] == "sonnet"
    assert said() == []


def test_event__shows_the_length_of_texts_only(said: Said) -> None:
    """Prompts, bodies and messages are people's texts: no log holds them, however deep."""
    log.get_logger().info("service.asked", prompt="abc", inner={"messages": ["abc"]}, body=None)
    [event] = said()
    assert (event["prompt"], event["inner"], event["body"]) == ("(3 long)", {"messages": "(1 long)"}, "(hidden)")


def test_event__takes_any_value(said: Said) -> None:
    """What JSON does not know is written as text; a value that fails to print does not fail the bot."""

    class Broken:
        def __str__(self) -> str:
            raise ValueError

    class Code(IntEnum):
        BAD = 78

    loop: list[Any] = []
    loop.append(loop)
    log.get_logger().info("x.y", path=Path("/a"), broken=Broken(), code=Code.BAD, loop=loop, lone="\ud800", nan=1.5)
    [event] = said()
    assert (event["path"], event["broken"], event["code"]) == ("/a", "<unprintable Broken>", "78")
    assert (event["lone"], event["nan"]) == ("\ud800", 1.5)


def test_event__is_cut_at_both_ends_of_the_middle(said: Said) -> None:
    """A long value keeps its beginning and its end."""
    log.get_logger().info("x.y", error="a" * 5_000 + "z" * 5_000)
    [event] = said()
    assert len(event["error"]) < 2_100
    assert (event["error"][0], event["error"][-1]) == ("a", "z")


def test_logging__never_raises() -> None:
    """A stream that is closed loses the line, nothing else."""
    stream = io.StringIO()
    log.configure(format="json", stream=stream)
    stream.close()
    log.get_logger().info("item.done")


LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
#: Not keys of the line: they become `exception`.
EXCEPTION_ARGUMENTS = {"exc_info", "stack_info"}


def _list_logged_keys(source: str) -> set[str]:
    """Give the keys of each call such as `_log.info("area.past_verb", key=...)`."""
    return {
        keyword.arg
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS
        if node.args and isinstance(node.args[0], ast.Constant)
        for keyword in node.keywords
        if keyword.arg
    }


def test_keys__are_all_listed() -> None:
    """A key that is logged anywhere stands with its meaning in hotshotd/log/keys.py."""
    files = [path for path in (ROOT / "hotshotd").rglob("*.py") if path.parent.name != "log"]
    logged = set().union(*(_list_logged_keys(path.read_text()) for path in files))
    assert "thing" in logged
    assert logged - EXCEPTION_ARGUMENTS - log.KEYS.keys() == set()


# --- everything else that speaks -------------------------------------------------------------


def test_library__speaks_through_the_same_chain(said: Said) -> None:
    """Records of the standard library's logging are events, redacted, from warning up."""
    log.register_secret("hunter2-library")
    logging.getLogger("urllib3").info("quiet")
    logging.getLogger("urllib3").warning("Retrying with %s", "hunter2-library")
    [event] = said()
    assert (event["event"], event["logger"], event["level"]) == ("library.logged", "urllib3", "warning")
    assert event["message"] == "Retrying with ***"


def test_library__never_speaks_at_debug() -> None:
    """urllib3's debug lines hold passwords: they are not made, whatever the level."""
    log.configure(level="debug", format="json", stream=io.StringIO())
    assert not logging.getLogger("urllib3.sessions").isEnabledFor(logging.DEBUG)
    assert logging.getLogger("urllib3.sessions").isEnabledFor(logging.INFO)


def test_library__survives_a_bad_format() -> None:
    """A record whose arguments do not fit is logged all the same."""
    record = logging.LogRecord("praw", logging.WARNING, "x.py", 1, "%s %s", ("one",), None)
    heard: list[Any] = []
    LibraryHandler(heard.append).emit(record)
    [event] = heard
    assert event["message"] == "'%s %s' (its arguments do not fit)"


def test_warnings__are_events(said: Said) -> None:
    """warnings.warn ends in the log."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        log.configure(format="json", stream=(stream := io.StringIO()))
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        log.restore()
    assert "DeprecationWarning: old" in json.loads(stream.getvalue())["message"]


CRASHES = """
import sys, threading, warnings, logging
from hotshotd import log

log.configure(format="json", bot="iama")
log.register_secret("hunter2-crash")
warnings.warn("hunter2-crash")
threading.Thread(target=lambda: {}["hunter2-crash"], name="hunter2-crash").start()
[thread.join() for thread in threading.enumerate() if thread is not threading.current_thread()]

class Dying:
    def __del__(self):
        raise ValueError("hunter2-crash")

Dying()
try:
    raise OSError("hunter2-crash")
except OSError:
    log.get_logger().exception("item.done", error="hunter2-crash")
raise RuntimeError("https://host/?key=abc hunter2-crash")
"""


def test_json__is_every_line_on_standard_error() -> None:
    """Warnings, crashes of threads and of the process, what nobody could catch: all are JSON, none tells a secret."""
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", CRASHES], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert (done.returncode, done.stdout) == (1, "")
    assert sorted(event["event"] for event in events) == [
        "item.done",
        "library.logged",
        "process.crashed",
        "process.crashed",
        "process.error_ignored",
    ]
    assert "RuntimeError" in events[-1]["exception"]
    assert "hunter2" not in done.stderr
    assert "abc" not in done.stderr


def test_restore__gives_the_hooks_back() -> None:
    """Borrowed hooks go back to where they came from."""
    log.configure(format="json", stream=io.StringIO())
    assert sys.excepthook is not sys.__excepthook__
    log.restore()
    assert sys.excepthook is sys.__excepthook__
    assert not any(type(handler).__module__.startswith("hotshotd") for handler in logging.root.handlers)


# --- redaction -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spell",
    [
        str,
        repr,
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: json.dumps(json.dumps({"a": text})),
        urllib.parse.quote,
        urllib.parse.quote_plus,
        lambda text: urllib.parse.quote(text, safe=""),
        lambda text: urllib.parse.quote(text, safe="").lower(),
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: base64.b64encode(b"id:" + text.encode()).decode(),
        lambda text: base64.b64encode(b"app:" + text.encode()).decode(),
        lambda text: base64.urlsafe_b64encode(b"appid:" + text.encode() + b"!!").decode(),
    ],
)
def test_redact__knows_each_spelling(spell: Callable[[str], str]) -> None:
    """A registered secret is masked plain, quoted, escaped, and inside a Basic header."""
    redactor = Redactor()
    redactor.register(SECRET)
    text = redactor.redact(f"before {spell(SECRET)} after")
    assert MASK in text
    assert "hunter2" not in text
    assert base64.b64encode(b"hunter2").decode()[:8] not in text
    assert (text[:7], text[-6:]) == ("before ", " after")


@given(secret=st.text(min_size=MIN_SECRET_CHARS, max_size=40), others=st.lists(st.text(max_size=10), max_size=3))
def test_redact__leaves_nothing_of_any_secret(secret: str, others: list[str]) -> None:
    """Whatever the secret, and whatever other secrets begin like it, it is not in the text afterwards."""
    redactor = Redactor()
    for text in (secret[: len(secret) // 2], secret, *others):
        redactor.register(text)
    bare = secret.strip().encode(errors="replace").decode()
    shown = redactor.redact(f"<{bare}>")
    assert len(bare) < MIN_SECRET_CHARS or bare in f"<{MASK}>" or bare not in shown


def test_register__leaves_short_values_alone() -> None:
    """Three characters are no secret: without them no log could be read."""
    redactor = Redactor()
    redactor.register("abc")
    redactor.register("  \n")
    assert redactor.redact("abc  \n") == "abc  \n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer tok", "Authorization: ***"),
        ("{'Authorization': 'Basic YTpi'}", "{'Authorization': '***'}"),
        ("with bearer abcdefghijklmnop1", "with bearer ***"),
        ("GET /v1?x=1&key=AB%3D&y=2", "GET /v1?x=1&key=***&y=2"),
        ("grant_type=password&password=pw&username=u", "grant_type=password&password=***&username=u"),
        ("data: [('password', 'pw')]", "data: [('password', '***')]"),
        ('{"access_token": "x", "scope": "*"}', '{"access_token": "***", "scope": "*"}'),
        ('{\\"refresh_token\\": \\"x\\"}', '{\\"refresh_token\\": \\"***\\"}'),
        ("https://user:pw@host/", "https://***@host/"),
        ("token hf_abcdefghijklmnopqrstuvwxyz", "token ***"),
        ("sk-or-v1-0123456789abcdef0123", "***"),
        ("Basic authentication failed, key: reply.model is missing", None),
        ("https://oauth.reddit.com/r/x/new?limit=100&raw_json=1", None),
        ("IAMA_PASS is not set; password_env: IAMA_PASS", None),
    ],
)
def test_redact__knows_the_shapes_of_credentials(text: str, shown: str | None) -> None:
    """Headers, parameters and prefixed keys are masked unregistered; ordinary words are not."""
    assert Redactor().redact(text) == (text if shown is None else shown)


def test_event__masks_keys_that_name_a_secret(said: Said) -> None:
    """A value is masked for its key's sake, also inside."""
    log.get_logger().info("x.y", client_secret="q", inner={"api_key": "q"}, listed=[{"Authorization": "q"}])
    [event] = said()
    assert (event["client_secret"], event["inner"], event["listed"]) == (
        MASK,
        {"api_key": MASK},
        [{"Authorization": MASK}],
    )


# --- where it goes ---------------------------------------------------------------------------


def test_auto__is_json_where_nobody_looks() -> None:
    """A file or a pipe gets JSON."""
    assert choose_format("auto", stream=io.StringIO()) == "json"


def test_auto__is_the_journal_where_the_stream_leads_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JOURNAL_STREAM names the device and inode of standard error; another stream is not the journal."""
    with (tmp_path / "a").open("w") as stream, (tmp_path / "b").open("w") as other:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        assert choose_format("auto", stream=stream) == "journald"
        assert choose_format("auto", stream=other) == "json"


def test_auto__is_a_console_on_a_terminal() -> None:
    """A person gets lines."""
    main, terminal = os.openpty()
    try:
        with os.fdopen(terminal, "w") as stream:
            assert choose_format("auto", stream=stream) == "console"
    finally:
        os.close(main)


def test_console__shows_no_control_characters() -> None:
    """A stranger's text can't steer the terminal, nor begin a line of its own; tracebacks keep their lines."""
    stream = io.StringIO()
    write = make_console_sink(Lines(stream), colors=False)
    write(
        {
            "event": "item.done",
            "level": "info",
            "timestamp": "now",
            "reason": "a\x1b[2J\nb\u202e",
            "exception": "c\nd\x1b",
        }
    )
    first, *rest = stream.getvalue().splitlines()
    assert "\x1b" not in stream.getvalue()
    assert "\u202e" not in stream.getvalue()
    assert "a\\x1b[2J\\nb\\u202e" in first
    assert rest == ["c", "d\\x1b"]


def test_lines__gives_up_on_a_reader_that_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full pipe costs the line, not the bot: the write returns."""
    monkeypatch.setattr("hotshotd.log.sinks.STREAM_TIMEOUT_SECONDS", 0.01)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(reader, "rb"), os.fdopen(writer, "w") as stream:
        os.write(writer, b"x" * 4096)
        Lines(stream).write("lost")
        assert os.read(reader, 8192) == b"x" * 4096
        Lines(stream).write("kept")
        assert os.read(reader, 8192) == b"kept\n"


# --- the journal -----------------------------------------------------------------------------


@pytest.fixture
def journal_socket(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "journal"))
        listener.settimeout(10)
        yield listener


def test_entry__names_each_key() -> None:
    """Every key is a field of its own, and a message says it for people."""
    entry = make_entry(
        {"timestamp": "now", "level": "warning", "event": "item.done", "bot": "iama", "thing": "t1_x", "odd key": [1]}
    )
    assert entry == {
        "MESSAGE": "iama: item.done thing=t1_x odd key=[1]",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "hotshotd",
        "HOTSHOT_TIMESTAMP": "now",
        "HOTSHOT_LEVEL": "warning",
        "HOTSHOT_EVENT": "item.done",
        "HOTSHOT_BOT": "iama",
        "HOTSHOT_THING": "t1_x",
        "HOTSHOT_ODD_KEY": "[1]",
    }


def test_encode__frames_values_with_line_breaks() -> None:
    """A value with a line break carries its length, or it could write fields of its own."""
    value = "a\nPRIORITY=0"
    framed = b"B\n" + struct.pack("<Q", len(value)) + value.encode() + b"\n"
    assert encode_entry({"A": "plain", "B": value}) == b"A=plain\n" + framed


def test_journal__sends_one_datagram(journal_socket: socket.socket) -> None:
    """A small entry is the datagram itself."""
    journal = Journal(journal_socket.getsockname())
    journal.send({"MESSAGE": "hello"})
    assert journal_socket.recv(100) == b"MESSAGE=hello\n"


def test_journal__sends_a_sealed_file_when_the_entry_is_large(journal_socket: socket.socket) -> None:
    """What no datagram holds arrives as an empty one with a file that can't change any more."""
    journal = Journal(journal_socket.getsockname())
    journal.send({"MESSAGE": "x" * 4_000_000})
    data, [fd], _, _ = socket.recv_fds(journal_socket, 100, 1)
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        assert data == b""
        assert seals & fcntl.F_SEAL_WRITE
        assert os.pread(fd, 5_000_000, 0) == b"MESSAGE=" + b"x" * 4_000_000 + b"\n"
    finally:
        os.close(fd)


def test_journal__outlives_a_fork_that_closed_everything(journal_socket: socket.socket) -> None:
    """A child closes every descriptor it did not ask for; what it says still has its fields."""
    write = make_journal_sink(Journal(journal_socket.getsockname()), fallback=lambda _event: os._exit(3))
    pid = os.fork()
    if pid == 0:
        os.closerange(3, 1024)
        write({"event": "from.child"})
        os._exit(0)
    assert os.waitpid(pid, 0) == (pid, 0)
    assert b"HOTSHOT_EVENT=from.child" in journal_socket.recv(1000)


def test_journal__names_the_line_that_speaks(journal_socket: socket.socket, said: Said) -> None:
    """CODE_* are those of whoever logs, through structlog or the standard library; not of the log itself."""
    journal = Journal(journal_socket.getsockname())
    write = make_journal_sink(journal, fallback=lambda _event: None)
    log._current.speaker = log._Speaker(bot="duck", clock=log._CLOCK, sink=write)
    log.get_logger().info("x.y")
    logging.getLogger("praw").warning("from a library")
    for _ in range(2):
        fields = dict(line.split(b"=", 1) for line in journal_socket.recv(4000).splitlines() if b"=" in line)
        assert fields[b"CODE_FILE"] == __file__.encode()
        assert fields[b"CODE_FUNC"] == b"test_journal__names_the_line_that_speaks"
        assert int(fields[b"CODE_LINE"]) > 0


def test_journal__that_is_away_costs_nothing(tmp_path: Path) -> None:
    """Where nobody listens, the event goes to the stream; a journal that comes back is used again."""
    path = tmp_path / "journal"
    lost: list[Any] = []
    journal = Journal(str(path))
    write = make_journal_sink(journal, fallback=lost.append)
    write({"event": "one"})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        write({"event": "two"})
        assert b"HOTSHOT_EVENT=two" in listener.recv(1000)
    assert lost == [{"event": "one"}]
