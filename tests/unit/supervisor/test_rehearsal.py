"""The rehearsal before the first fork: it may be in vain, but it never holds the start up."""

from __future__ import annotations

import subprocess
import sys

#: A rehearsal whose canned server has ended already, as it does when the machine is slow or we were stopped meanwhile.
REHEARSAL = """
import os
from hotshotd.config.schema import MainConfig
from hotshotd.supervisor import rehearsal

def fork_dead_server(listener):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return pid

if {is_dead}:
    rehearsal._fork_server = fork_dead_server
try:
    rehearsal.rehearse(MainConfig.model_validate({{"bots_dir": "/nowhere", "state_dir": "/nowhere"}}))
finally:
    print("done", flush=True)
    os._exit(0)
"""


def rehearse(*, is_dead: bool) -> str:
    """Rehearse in a process of its own: it forks, and starts threads."""
    code = REHEARSAL.format(is_dead=is_dead)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    return (run.stdout.split() or [run.stderr])[-1]


def test_rehearse__is_over_soon_without_its_server() -> None:
    """Calls are refused at once; before, each of eight plays waited 16 s for an answer that nobody could give."""
    assert rehearse(is_dead=True) == "done"


def test_rehearse__plays_with_its_server() -> None:
    """With the server it ends as well."""
    assert rehearse(is_dead=False) == "done"
