"""The operator's side: which socket is meant, and what each way of failing is called."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hotshotd.control import client as client_module
from hotshotd.control.client import CommandFailed, ControlClient, find_socket
from hotshotd.errors import ControlError, DaemonNotRunning, ProtocolError

SYSTEM = Path("/run/hotshot/control.sock")

# -- which socket ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("explicit runtime_dir env system xdg", "/explicit.sock"),
        ("runtime_dir env system xdg", "/configured/control.sock"),
        ("env system xdg", "/env.sock"),
        ("system xdg", str(SYSTEM)),
        ("xdg", "/xdg/hotshot/control.sock"),
        ("", str(SYSTEM)),
    ],
)
def test_find_socket__goes_down_the_contracts_order(monkeypatch: pytest.MonkeyPatch, given: str, found: str) -> None:
    """--socket, runtime_dir of --config, $HOTSHOT_SOCKET, the system's where it is, the XDG runtime directory."""
    there = given.split()
    monkeypatch.setattr(client_module, "_exists", lambda path: path == SYSTEM and "system" in there)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    if "env" in there:
        monkeypatch.setenv("HOTSHOT_SOCKET", "/env.sock")
    if "xdg" in there:
        monkeypatch.setenv("XDG_RUNTIME_DIR", "/xdg")
    socket_path = find_socket(
        explicit=Path("/explicit.sock") if "explicit" in there else None,
        runtime_dir=Path("/configured") if "runtime_dir" in there else None,
    )
    assert str(socket_path) == found


def test_find_socket__takes_a_folder_it_may_not_look_into_as_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a user outside the group would be told that nothing runs, instead of what he lacks."""

    def refuse(_path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/xdg")
    assert find_socket() == SYSTEM


# -- one command -------------------------------------------------------------------------------


@pytest.fixture
def answer_with(tmp_path: Path) -> Iterator[Callable[[bytes], ControlClient]]:
    """Give a function that starts a daemon which answers one connection with these bytes and closes it."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    threads: list[threading.Thread] = []
    requests: list[bytes] = []

    def serve(data: bytes) -> None:
        peer, _ = listener.accept()
        with peer:
            requests.append(peer.recv(65536))
            peer.sendall(data)

    def start(data: bytes) -> ControlClient:
        listener.bind(str(tmp_path / "s"))
        listener.listen(1)
        listener.settimeout(10)
        threads.append(threading.Thread(target=serve, args=(data,)))
        threads[0].start()
        return ControlClient(tmp_path / "s")

    yield start
    for thread in threads:
        thread.join(10)
    listener.close()
    assert all(json.loads(request)["op"] == "status" for request in requests)


def test_request__gives_the_replys_data(answer_with: Callable[[bytes], ControlClient]) -> None:
    """Only the data; the rest is the wire's."""
    client = answer_with(b'{"id": 1, "ok": true, "data": {"bots": []}}\n')
    assert client.request({"op": "status"}) == {"bots": []}


def test_request__raises_what_the_daemon_refused(answer_with: Callable[[bytes], ControlClient]) -> None:
    """With its code, for the exit code, and its words, for the operator."""
    client = answer_with(b'{"id": 1, "ok": false, "code": "unknown_bot", "message": "nobody: no such bot"}\n')
    with pytest.raises(CommandFailed, match="nobody: no such bot") as caught:
        client.request({"op": "status"})
    assert caught.value.reply_code == "unknown_bot"


@pytest.mark.parametrize("data", [b"", b'{"id": 1, "ok": tr'])
def test_request__tells_when_the_daemon_goes_away(answer_with: Callable[[bytes], ControlClient], data: bytes) -> None:
    """End of file before a whole reply is `not running`."""
    with pytest.raises(DaemonNotRunning, match="went away"):
        answer_with(data).request({"op": "status"})


def test_request__refuses_a_reply_that_is_none(answer_with: Callable[[bytes], ControlClient]) -> None:
    """Something else listens there."""
    with pytest.raises(ProtocolError):
        answer_with(b"220 mail.example ESMTP\n").request({"op": "status"})


def test_request__without_a_socket_is_not_running(tmp_path: Path) -> None:
    """The message names the path that was tried."""
    with pytest.raises(DaemonNotRunning, match="nobody listens on .*/none"):
        ControlClient(tmp_path / "none").request({"op": "status"})


def test_request__to_a_stale_socket_is_not_running(tmp_path: Path) -> None:
    """The file is there, the daemon is not."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "s"))
    listener.close()
    with pytest.raises(DaemonNotRunning):
        ControlClient(tmp_path / "s").request({"op": "status"})


def test_request__tells_who_may_connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by the mode is not `not running`: the message says what to be."""

    def refuse(_sock: socket.socket, _path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(ControlError, match="join the group hotshot") as caught:
        ControlClient(tmp_path / "s").request({"op": "status"})
    assert not isinstance(caught.value, DaemonNotRunning)


def test_request__does_not_wait_for_ever(tmp_path: Path) -> None:
    """A daemon that hangs is no daemon that is gone: another error, another exit code."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "s"))
    listener.listen(1)
    with pytest.raises(ControlError, match="did not answer within 0.01 s") as caught:
        ControlClient(tmp_path / "s").request({"op": "status"}, timeout_seconds=0.01)
    listener.close()
    assert not isinstance(caught.value, DaemonNotRunning)


# -- long commands -----------------------------------------------------------------------------

STEP = b'{"id": 1, "step": {"name": "a"}}\n'
REPLY = b'{"id": 1, "ok": true, "data": {"c": 1}}\n'


def test_steps__are_handed_on_as_they_come(answer_with: Callable[[bytes], ControlClient]) -> None:
    """Any number of them before the reply; the reply is that of a short command."""
    client = answer_with(STEP + STEP.replace(b'"a"', b'"b"') + REPLY)
    steps: list[object] = []
    assert client.request({"op": "status"}, on_step=steps.append) == {"c": 1}
    assert steps == [{"name": "a"}, {"name": "b"}]


def test_steps__that_nobody_asked_for_are_passed_over(answer_with: Callable[[bytes], ControlClient]) -> None:
    """Neither they nor a step that is none are taken for the reply."""
    assert answer_with(STEP + b'{"id": 1, "step": 5}\n' + REPLY).request({"op": "status"}) == {"c": 1}


def test_steps__a_daemon_that_goes_away_after_one_is_noticed(answer_with: Callable[[bytes], ControlClient]) -> None:
    """At its end of file, not at the end of the time limit."""
    steps: list[object] = []
    with pytest.raises(DaemonNotRunning, match="went away"):
        answer_with(STEP).request({"op": "status"}, on_step=steps.append)
    assert steps == [{"name": "a"}]


def test_steps__what_the_taker_raises_is_not_the_daemons_fault(answer_with: Callable[[bytes], ControlClient]) -> None:
    """A pipe that is closed on our side is no daemon that went away."""

    def raise_pipe(_step: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        answer_with(STEP).request({"op": "status"}, on_step=raise_pipe)
