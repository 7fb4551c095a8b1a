"""The table of moves: each legal one, each illegal one, and what is shown of a paused bot."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from hotshotd.supervisor.states import MOVES, State, compute_shown

#: Written again by hand: what may follow what. A change of the table must be meant.
LEGAL = {
    "starting": "running backoff failed stopping stopped",
    "running": "backoff failed stopping stopped",
    "backoff": "starting running backoff failed stopping stopped invalid",
    "failed": "starting stopping stopped invalid",
    "invalid": "starting stopped",
    "stopping": "stopped",
    "stopped": "starting invalid",
}
_ALL = [state.value for state in State]
_PROCESS = [state for state in _ALL if state != "paused"]


@pytest.mark.parametrize(("old", "new"), list(itertools.product(_PROCESS, _ALL)))
def test_move__is_made_or_refused(bot_of: Any, old: str, new: str) -> None:
    """A legal move is made; an illegal one raises and changes nothing."""
    bot = bot_of()
    bot.state = State(old)
    if new in LEGAL[old].split():
        bot._move(State(new), "why")
        assert (bot.state, bot.reason) == (State(new), "why")
        return
    with pytest.raises(AssertionError, match=f"{old} -> {new}"):
        bot._move(State(new), "why")
    assert (bot.state, bot.reason) == (State(old), "")


def test_table__knows_each_state_of_a_process() -> None:
    """`paused` is the operator's wish, not a state of a process: nothing moves from or to it."""
    assert set(MOVES) == {State(name) for name in _PROCESS}
    assert State.PAUSED not in set().union(*MOVES.values())


@pytest.mark.parametrize("state", _PROCESS)
def test_shown__is_paused_over_running_and_backoff_only(state: str) -> None:
    """The contract: paused wins over running and backoff."""
    shown = compute_shown(State(state), paused=True)
    assert shown == ("paused" if state in ("running", "backoff") else state)
    assert compute_shown(State(state), paused=False) == state
