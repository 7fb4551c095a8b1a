"""Who may steer: real processes with other users and groups, and a socket whose mode keeps nobody out."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hotshotd.clock import SystemClock
from hotshotd.control.client import ControlClient
from hotshotd.control.handlers import Exchange
from hotshotd.control.peers import Doorkeeper, find_group, make_doorkeeper, read_groups
from hotshotd.control.server import ControlServer, bind_unix
from hotshotd.errors import ControlError
from hotshotd.loop import Loop
from hotshotd.wire import read_peer

NOBODY, STRANGERS, HOTSHOT, OTHER_DAEMON = 65534, 65534, 61234, 61235

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become other users")


class Door:
    """A server that anybody can reach, and visitors of any kind."""

    def __init__(self, folder: Path, doorkeeper: Doorkeeper) -> None:
        folder.chmod(0o711)
        self.folder = folder
        self.loop = Loop(SystemClock())
        listener = bind_unix(folder / "s", mode=0o666, backlog=10)
        self.server = ControlServer(self.loop, listener, self._answer, doorkeeper=doorkeeper)
        self.asked = 0

    def _answer(self, exchange: Exchange) -> None:
        self.asked += 1
        exchange.reply({})

    def visit(self, *, uid: int, gid: int = STRANGERS, groups: Sequence[int] = ()) -> Any:
        """Ask as somebody else, in a process of his; give what the client got or raised, as text."""
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            _be_visitor(theirs, self.folder, uid, gid, groups)
        os.close(theirs)
        with open(ours, "rb") as told:
            os.set_blocking(ours, False)
            answer = b""
            while not answer.endswith(b"\n"):
                self.loop.turn(0.05)
                answer += told.read() or b""
        os.waitpid(pid, 0)
        return json.loads(answer)

    def close(self) -> None:
        self.server.close()
        self.loop.close()


def _be_visitor(told: int, folder: Path, uid: int, gid: int, groups: Sequence[int]) -> None:
    answer: Any = "died"
    try:
        # The folders above are root's alone; from here the socket is one step away.
        os.chdir(folder)
        os.setgroups(groups)
        os.setgid(gid)
        os.setuid(uid)
        answer = ControlClient(Path("s")).request({"op": "x"}, timeout_seconds=10)
    except ControlError as exc:
        answer = [getattr(exc, "reply_code", exc.code), str(exc)]
    finally:
        os.write(told, json.dumps(answer).encode() + b"\n")
        os._exit(0)


@pytest.fixture
def make_door(tmp_path: Path) -> Iterator[Callable[[Doorkeeper], Door]]:
    """Give a function that opens a door."""
    doors: list[Door] = []

    def make(doorkeeper: Doorkeeper) -> Door:
        doors.append(Door(tmp_path, doorkeeper))
        return doors[-1]

    yield make
    for door in doors:
        door.close()


@as_root
@pytest.mark.parametrize(
    "who",
    [
        {"uid": 0, "gid": 0},
        {"uid": OTHER_DAEMON},
        {"uid": NOBODY, "gid": HOTSHOT},
        {"uid": NOBODY, "groups": (5, HOTSHOT)},
        {"uid": NOBODY, "groups": (*range(70_000, 70_300), HOTSHOT)},
    ],
    ids=["root", "the daemon's user", "main group", "supplementary group", "one of 301 groups"],
)
def test_admits__those_who_may_steer(make_door: Callable[[Doorkeeper], Door], who: dict[str, Any]) -> None:
    """Root, the daemon's own user, and members of the group, whichever of their groups it is."""
    door = make_door(Doorkeeper(OTHER_DAEMON, HOTSHOT))
    assert door.visit(**who) == {}
    assert door.asked == 1


@as_root
@pytest.mark.parametrize(
    "who",
    [{"uid": NOBODY}, {"uid": NOBODY, "groups": (5, HOTSHOT + 1)}, {"uid": HOTSHOT}, {"uid": NOBODY, "groups": (0,)}],
    ids=["nobody", "another group", "a user with the group's number", "root's group"],
)
def test_refuses__everybody_else(make_door: Callable[[Doorkeeper], Door], who: dict[str, Any]) -> None:
    """Each gets one line that says what to do; nothing that he sends is read, and no place is taken."""
    door = make_door(Doorkeeper(OTHER_DAEMON, HOTSHOT))
    for _ in range(2):
        code, message = door.visit(**who)
        assert code == "forbidden"
        assert "join the group hotshot" in message
        assert "log in again" in message
    assert door.asked == 0
    assert door.server._connections == set()
    # And those who may are served as before.
    assert door.visit(uid=0, gid=0) == {}


@as_root
def test_refuses__all_but_root_and_its_user_where_no_such_group_is(make_door: Callable[[Doorkeeper], Door]) -> None:
    """No group is no invitation."""
    door = make_door(Doorkeeper(OTHER_DAEMON, None))
    assert door.visit(uid=NOBODY, groups=(HOTSHOT,))[0] == "forbidden"
    assert door.visit(uid=OTHER_DAEMON) == {}


@as_root
def test_mode__keeps_others_out_before_they_are_asked(make_door: Callable[[Doorkeeper], Door]) -> None:
    """With the real mode a stranger can't even connect, and is told the same remedy."""
    door = make_door(Doorkeeper(OTHER_DAEMON, HOTSHOT))
    os.chmod(door.folder / "s", 0o660)
    code, message = door.visit(uid=NOBODY)
    assert code == "control"
    assert "permission denied" in message
    assert "join the group hotshot" in message


@as_root
def test_bind__gives_the_socket_to_the_group(tmp_path: Path) -> None:
    """Else 0660 would let in the members of the daemon's own main group, and no others."""
    bind_unix(tmp_path / "s", mode=0o660, backlog=1, group=HOTSHOT).close()
    found = (tmp_path / "s").stat()
    assert (found.st_gid, found.st_mode & 0o777) == (HOTSHOT, 0o660)


def test_find_group__gives_a_number_or_none() -> None:
    """Looked up by name, once, by the daemon's own user."""
    assert find_group("root") == 0
    assert find_group("no-such-group-here") is None
    doorkeeper = make_doorkeeper(group_name="no-such-group-here")
    assert doorkeeper == Doorkeeper(os.geteuid(), None)


def test_read_groups__knows_our_own() -> None:
    """A connection to ourselves tells our own groups, user and process."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert set(read_groups(ours)) == set(os.getgroups())
        assert read_peer(ours) == (os.getpid(), os.geteuid(), os.getegid())


def test_admits__nobody_whom_the_kernel_does_not_know() -> None:
    """A socket that is no Unix connection tells no user: refused."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as unconnected:
        assert not Doorkeeper(12345, 12345).admits(unconnected)
