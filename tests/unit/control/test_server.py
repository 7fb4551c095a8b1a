"""The operator's socket: real Unix sockets, a clock set by hand, and every bound."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from virtual import HandClock

from hotshotd.control import server as server_module
from hotshotd.control.handlers import Exchange
from hotshotd.control.server import IDLE_SECONDS, MAX_CONNECTIONS, WAITING_SECONDS, ControlServer, bind_unix
from hotshotd.errors import ConfigError
from hotshotd.loop import Loop
from hotshotd.wire import MAX_REQUEST_BYTES


class Served:
    """A server on a socket, what it was asked, and operators who connect to it."""

    def __init__(self, path: Path) -> None:
        self.clock = HandClock()
        self.loop = Loop(self.clock)
        self.exchanges: list[Exchange] = []
        self.path = path
        self.server = ControlServer(self.loop, bind_unix(path, mode=0o600, backlog=100), self.exchanges.append)
        self.operators: list[socket.socket] = []

    def connect(self) -> socket.socket:
        operator = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.operators.append(operator)
        operator.settimeout(5)
        operator.connect(str(self.path))
        self.turn()
        return operator

    def turn(self, times: int = 3) -> None:
        for _ in range(times):
            self.loop.turn(0)

    def send(self, operator: socket.socket, data: bytes) -> None:
        operator.sendall(data)
        self.turn()

    def close(self) -> None:
        for operator in self.operators:
            operator.close()
        self.server.close()
        self.loop.close()


def _read_all(operator: socket.socket) -> bytes:
    """Read until the server has closed."""
    parts = iter(lambda: operator.recv(65536), b"")
    return b"".join(parts)


def _is_closed(operator: socket.socket) -> bool:
    operator.setblocking(False)
    try:
        return operator.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path / "control.sock")
    yield served
    served.close()


# -- binding -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_bind__has_its_mode_from_the_start(tmp_path: Path, mode: int) -> None:
    """The group may steer or not, whatever the umask was; the umask is as before."""
    old = os.umask(0o077)
    try:
        bind_unix(tmp_path / "s", mode=mode, backlog=1).close()
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == mode


def test_bind__replaces_a_stale_socket(tmp_path: Path) -> None:
    """A daemon that was killed leaves its socket behind."""
    bind_unix(tmp_path / "s", mode=0o600, backlog=1).close()
    listener = bind_unix(tmp_path / "s", mode=0o600, backlog=1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as operator:
        operator.connect(str(tmp_path / "s"))
    listener.close()


def test_bind__says_what_to_do_about_a_long_path(tmp_path: Path) -> None:
    """107 bytes are the most; bytes, not characters."""
    short = tmp_path / ("ä" * ((107 - len(os.fsencode(tmp_path)) - 1) // 2))
    bind_unix(short, mode=0o600, backlog=1).close()
    with pytest.raises(ConfigError, match="set a shorter runtime_dir"):
        bind_unix(Path(f"{short}ää"), mode=0o600, backlog=1)


def test_bind__says_what_to_do_about_a_missing_folder(tmp_path: Path) -> None:
    """The message names the path and the cause."""
    with pytest.raises(ConfigError, match="nowhere/s: can't listen there .*check the folder"):
        bind_unix(tmp_path / "nowhere" / "s", mode=0o600, backlog=1)


# -- requests and replies ----------------------------------------------------------------------


def test_reply__repeats_the_requests_id(served: Served) -> None:
    """Two requests on one connection, answered in any order, now or later."""
    operator = served.connect()
    served.send(operator, b'{"id": 1, "op": "a"}\n{"id": "two", "op": "b"}\n')
    first, second = served.exchanges
    assert [exchange.request["op"] for exchange in (first, second)] == ["a", "b"]
    second.fail("over", "no")
    first.reply({"x": 1})
    got = [json.loads(line) for line in operator.recv(1000).splitlines()]
    assert got == [
        {"id": "two", "ok": False, "code": "over", "message": "no"},
        {"id": 1, "ok": True, "data": {"x": 1}},
    ]


def test_request__may_come_in_pieces(served: Served) -> None:
    """Nothing is handled before its line has ended."""
    operator = served.connect()
    served.send(operator, b'{"id": 1, "o')
    assert served.exchanges == []
    served.send(operator, b'p": "a"}\n')
    assert len(served.exchanges) == 1


def test_reply__larger_than_the_sockets_buffer_arrives_whole(served: Served) -> None:
    """The loop writes on as the operator reads; nothing blocks."""
    operator = served.connect()
    served.send(operator, b'{"id": 1}\n')
    served.exchanges[0].reply({"text": "x" * 2_000_000})
    got = bytearray()
    operator.setblocking(False)
    while not got.endswith(b"\n"):
        served.turn(1)
        try:
            got += operator.recv(65536)
        except BlockingIOError:
            continue
    assert len(json.loads(bytes(got))["data"]["text"]) == 2_000_000


def test_reply__to_one_who_left_is_dropped(served: Served) -> None:
    """Ctrl-C in the middle of a command harms nobody."""
    operator = served.connect()
    served.send(operator, b'{"id": 1}\n')
    operator.close()
    served.turn()
    served.exchanges[0].reply({})
    assert served.server._connections == set()


@pytest.mark.parametrize("data", [b"nonsense\n", b"[1]\n", b"\xff\n", b"x" * (MAX_REQUEST_BYTES + 1)])
def test_nonsense__is_answered_and_ends_the_connection(served: Served, data: bytes) -> None:
    """What is no message gets one error and then end of file."""
    operator = served.connect()
    served.send(operator, data)
    reply = json.loads(_read_all(operator))
    assert (reply["id"], reply["ok"], reply["code"]) == (None, False, "protocol")
    assert served.exchanges == []


# -- bounds ------------------------------------------------------------------------------------


def test_idle__is_closed_after_a_minute(served: Served) -> None:
    """Also one who sends a byte now and then, but no request."""
    operator = served.connect()
    served.clock.seconds += IDLE_SECONDS - 1
    served.send(operator, b"{")
    assert not _is_closed(operator)
    served.clock.seconds += 1
    served.turn()
    assert _is_closed(operator)


def test_idle__counts_from_the_last_reply(served: Served) -> None:
    """A connection that is used stays."""
    operator = served.connect()
    served.send(operator, b'{"id": 1}\n')
    served.clock.seconds += IDLE_SECONDS - 1
    served.exchanges[0].reply({})
    operator.recv(1000)
    served.clock.seconds += IDLE_SECONDS - 1
    served.turn()
    assert not _is_closed(operator)


def test_connections__over_the_limit_are_closed_and_others_stay(served: Served) -> None:
    """A place that becomes free is given again."""
    operators = [served.connect() for _ in range(MAX_CONNECTIONS + 1)]
    assert [_is_closed(operator) for operator in operators] == [False] * MAX_CONNECTIONS + [True]
    operators[0].close()
    served.turn()
    assert not _is_closed(served.connect())


def test_operator__who_never_reads_is_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for him is bounded: he can't fill the daemon's memory."""
    monkeypatch.setattr(server_module, "MAX_UNSENT_BYTES", 100_000)
    operator = served.connect()
    served.send(operator, b'{"id": 1}\n')
    for _ in range(10):
        served.exchanges[0].reply({"text": "x" * 300_000})
    assert served.server._connections == set()
    assert len(_read_all(operator)) < 3_000_000


def test_nonsense__after_nonsense_is_not_answered_again(served: Served) -> None:
    """One who floods a connection that is about to end is not listened to."""
    operator = served.connect()
    served.send(operator, b'{"id": 1}\n')
    served.exchanges[0].reply({"text": "x" * 1_000_000})
    served.send(operator, b"nonsense\n")
    served.send(operator, b"nonsense\n" * 10)
    rest = b""
    while True:
        served.turn(1)
        data = operator.recv(65536)
        if not data:
            break
        rest += data
    replies = [json.loads(line) for line in rest.splitlines()]
    assert [reply["ok"] for reply in replies] == [True, False]


def test_close__lets_everybody_go(served: Served) -> None:
    """At the daemon's end operators see end of file, and nobody new is let in."""
    operator = served.connect()
    served.server.close()
    assert _is_closed(operator)
    with pytest.raises(ConnectionRefusedError):
        served.connect()


# -- long commands -----------------------------------------------------------------------------


def test_step__goes_out_before_the_reply(served: Served) -> None:
    """With the request's id, as it comes."""
    operator = served.connect()
    served.send(operator, b'{"id": 7, "op": "a"}\n')
    [exchange] = served.exchanges
    exchange.step({"name": "prompt", "text": "x", "cost": 0})
    assert json.loads(operator.recv(1000)) == {"id": 7, "step": {"name": "prompt", "text": "x", "cost": 0}}
    exchange.reply({})
    assert json.loads(operator.recv(1000)) == {"id": 7, "ok": True, "data": {}}


def test_leaving__drops_what_is_not_answered(served: Served) -> None:
    """Once each; what was answered is not dropped."""
    operator = served.connect()
    served.send(operator, b'{"id": 1}\n{"id": 2}\n{"id": 3}\n')
    dropped: list[int] = []
    for number, exchange in enumerate(served.exchanges):
        exchange.when_gone(lambda number=number: dropped.append(number))  # type: ignore[misc]
    served.exchanges[1].reply({})
    operator.close()
    served.turn()
    served.server.close()
    assert dropped == [0, 2]


def test_leaving__before_the_command_is_begun_drops_it(served: Served) -> None:
    """A connection that breaks while the command is being begun: it is given up at once."""
    operator = served.connect()
    served.send(operator, b'{"id": 1}\n')
    operator.close()
    served.turn()
    dropped: list[str] = []
    served.exchanges[0].when_gone(lambda: dropped.append("it"))
    assert dropped == ["it"]


def test_answered__before_it_could_be_dropped_is_not(served: Served) -> None:
    """A command that is refused at once has nothing to give up."""
    operator = served.connect()
    served.send(operator, b'{"id": 1}\n')
    dropped: list[str] = []
    served.exchanges[0].fail("paused", "no")
    served.exchanges[0].when_gone(lambda: dropped.append("it"))
    operator.close()
    served.turn()
    assert dropped == []


def test_waiting__is_not_idle(served: Served) -> None:
    """Who waits for a reply is not sent away after a minute, but after an hour."""
    operator = served.connect()
    served.send(operator, b'{"id": 1}\n')
    dropped: list[str] = []
    served.exchanges[0].when_gone(lambda: dropped.append("it"))
    served.clock.seconds += IDLE_SECONDS + 1
    served.turn()
    assert not _is_closed(operator)
    served.clock.seconds += WAITING_SECONDS
    served.turn()
    assert _is_closed(operator)
    assert dropped == ["it"]


def test_close__drops_what_is_under_way(served: Served) -> None:
    """At the daemon's end nothing goes on for an operator who is let go."""
    operator = served.connect()
    served.send(operator, b'{"id": 1}\n')
    dropped: list[str] = []
    served.exchanges[0].when_gone(lambda: dropped.append("it"))
    served.server.close()
    assert dropped == ["it"]
