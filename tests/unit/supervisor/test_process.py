"""What a forked child is: alone with its own descriptors, quiet about its memory, first to go when memory runs out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]

#: A supervisor in a process of its own: a fork beside pytest's threads is refused. It becomes another user first.
PLAY = """
import ctypes, json, os, resource, signal, socket, sys
from hotshotd.clock import SystemClock
from hotshotd.loop import Loop
from hotshotd.memory import keep_private
from hotshotd.supervisor.process import spawn
from hotshotd.wire import encode

uid = int(sys.argv[1])
if os.geteuid() == 0:
    # Where somebody wants cores.
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
if uid:
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
    # A new program starts like this; setuid alone has taken it away.
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
keep_private()
loop = Loop(SystemClock())
loop.on_signal(signal.SIGTERM, lambda: None)
loop.on_signal(signal.SIGINT, lambda: None)
kept, other = socket.socketpair()
plain = os.open("/dev/null", os.O_RDONLY)
before = int(open("/proc/self/oom_score_adj").read())

def main(channel):
    status = open("/proc/self/status").read()
    masks = {line.split(":")[0]: int(line.split()[1], 16) for line in status.splitlines() if line.startswith("Sig")
             and line.split(":")[0] in ("SigIgn", "SigCgt")}
    channel.sendall(encode({
        "fds": sorted(int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")),
        "mine": sorted([0, 1, 2, channel.fileno(), kept.fileno()]),
        "is_open": kept.send(b"x") == 1,
        "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
        "environ_owner": os.stat("/proc/self/environ").st_uid,
        "core": open("/proc/self/limits").read().split("Max core file size")[1].split()[:2],
        "oom": int(open("/proc/self/oom_score_adj").read()) - before,
        "ignored": [number for number in range(1, 32) if masks["SigIgn"] >> number - 1 & 1],
        "caught": [number for number in range(1, 32) if masks["SigCgt"] >> number - 1 & 1],
    }))
    signal.pause()
    return 0

told = []
child = spawn(loop, main, on_message=told.append, keep=[kept])
while not told:
    loop.turn(10)
child.signal(signal.SIGSEGV)
_, status = os.waitpid(child.pid, 0)
print(json.dumps({**told[0], "signal": os.WTERMSIG(status), "dumped": os.WCOREDUMP(status)}))
"""


def play(folder: Path, *, uid: int) -> dict[str, Any]:
    """Give what a child told of itself, and how it ended."""
    folder.chmod(0o777)
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PLAY), str(uid)],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True, text=True, timeout=30, cwd=folder,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    told: dict[str, Any] = json.loads(result.stdout)
    return told


@pytest.mark.parametrize(
    "uid",
    [
        pytest.param(0, id="as we are"),
        pytest.param(
            65534, id="as a daemon's user", marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be it")
        ),
    ],
)
def test_child__is_private_and_the_first_to_go(tmp_path: Path, uid: int) -> None:
    """No core at a fault, its files in /proc are root's, its badness is higher: whoever the daemon's user is."""
    told = play(tmp_path, uid=uid)
    assert (told["signal"], told["dumped"], list(tmp_path.iterdir())) == (11, False, [])
    assert (told["dumpable"], told["environ_owner"], told["core"]) == (0, 0, ["0", "0"])
    assert told["oom"] == 200


def test_child__has_its_own_descriptors_alone(tmp_path: Path) -> None:
    """The standard ones, its channel and what it was given; those work."""
    told = play(tmp_path, uid=0)
    # One more: that of the look itself.
    assert set(told["mine"]) <= set(told["fds"])
    assert len(set(told["fds"]) - set(told["mine"])) <= 1
    assert told["is_open"]


def test_child__has_no_handlers_of_the_supervisors(tmp_path: Path) -> None:
    """TERM ends it, Ctrl-C is the supervisor's to act on."""
    told = play(tmp_path, uid=0)
    assert 2 in told["ignored"]
    assert not {1, 2, 10, 15, 17} & set(told["caught"])
