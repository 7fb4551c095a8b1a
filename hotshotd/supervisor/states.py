"""The life of a bot's process: its states and the one table of legal moves between them.

`paused` is no state of a process but the operator's wish, laid over it; it wins over running and backoff.
`invalid` is a bot that has no process because its file, or a secret it needs, is faulty. `backoff` is a start that
waits: for a new process after one that died, or in the process that is there until the platform can be reached.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """What `hotshotctl status` shows."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    BACKOFF = "backoff"
    FAILED = "failed"
    INVALID = "invalid"
    STOPPING = "stopping"
    STOPPED = "stopped"


#: From each state, the states that may follow.
MOVES: dict[State, frozenset[State]] = {
    State.STARTING: frozenset({State.RUNNING, State.BACKOFF, State.FAILED, State.STOPPING, State.STOPPED}),
    State.RUNNING: frozenset({State.BACKOFF, State.FAILED, State.STOPPING, State.STOPPED}),
    State.BACKOFF: frozenset(
        {
            State.STARTING,
            State.RUNNING,
            State.BACKOFF,
            State.FAILED,
            State.STOPPING,
            State.STOPPED,
            State.INVALID,
        }
    ),
    State.FAILED: frozenset({State.STARTING, State.STOPPING, State.STOPPED, State.INVALID}),
    State.INVALID: frozenset({State.STARTING, State.STOPPED}),
    State.STOPPING: frozenset({State.STOPPED}),
    State.STOPPED: frozenset({State.STARTING, State.INVALID}),
}

#: The states in which the operator's pause is what is shown.
PAUSE_SHOWS = frozenset({State.RUNNING, State.BACKOFF})


def compute_shown(state: State, *, paused: bool) -> State:
    """Give the state to show for a process state and the operator's wish."""
    return State.PAUSED if paused and state in PAUSE_SHOWS else state
