"""The rehearsal before the first fork: it may be in vain, but it never holds the start up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hotshotd.supervisor.rehearsal import PLAYS

#: A rehearsal whose canned server has ended already, as it does when the machine is slow or we were stopped meanwhile.
REHEARSAL = """
import gc, os, sys, threading
from hotshotd.config.schema import MainConfig
from hotshotd.supervisor import canned, rehearsal

def fork_dead_server(*listeners):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return pid

if {is_dead}:
    canned._fork_server = fork_dead_server
before = len(os.listdir("/proc/self/fd"))
played = rehearsal.rehearse(MainConfig.model_validate({{"state_dir": "/nowhere", "runtime_dir": sys.argv[1]}}))
gc.collect()  # as `warm` does afterwards
print(played, threading.active_count() - 1, len(os.listdir("/proc/self/fd")) - before, flush=True)
os._exit(0)
"""


def rehearse(folder: Path, *, is_dead: bool) -> list[int]:
    """Rehearse in a process of its own: it forks, and starts threads. Give the plays, and threads and files left."""
    code = REHEARSAL.format(is_dead=is_dead)
    run = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=30)
    assert run.stdout, run.stderr
    return [int(number) for number in run.stdout.splitlines()[-1].split()]


def test_rehearse__is_over_soon_without_its_server(tmp_path: Path) -> None:
    """Calls are refused at once; before, each of eight plays waited 16 s for an answer that nobody could give."""
    assert rehearse(tmp_path, is_dead=True) == [0, 0, 0]


def test_rehearse__answers_and_posts_and_leaves_nothing(tmp_path: Path) -> None:
    """A play counts only when all that was said to the bot was answered, and its post made."""
    played, threads, files = rehearse(tmp_path, is_dead=False)
    assert 1 <= played <= sum(times for _, times in PLAYS)
    assert (threads, files, list(tmp_path.iterdir())) == (0, 0, [])
