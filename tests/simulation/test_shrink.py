"""A failing run made small fails in the same way, is no longer, and its arguments lead to it to the letter."""

from __future__ import annotations

import shlex

import pytest
from simulation.__main__ import make_scenario, parse_arguments
from simulation.run import Outcome, run
from simulation.shrink import shrink

#: Three bots, several blows, faults of every kind.
_ARGUMENTS = "--days 1 --bots 3 --seed"
_PROMISE = "nothing answered twice"


def _find_failure(*, least_blows: int) -> Outcome:
    for seed in range(1, 200):
        outcome = run(make_scenario(parse_arguments(shlex.split(f"{_ARGUMENTS} {seed}"))))
        is_long = len(outcome.scenario.blows) >= least_blows and outcome.scenario.rates.read > 0
        if outcome.breach is not None and outcome.breach.promise == _PROMISE and is_long:
            return outcome
    raise AssertionError("no seed fails")


@pytest.fixture
def failure(monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """A run of the daemon without its memory of what it has answered."""
    from hotshotd.brain.writing import Writer

    async def see_nothing(*_: object, **__: object) -> tuple[()]:
        return ()

    monkeypatch.setattr(Writer, "look_at_comments", see_nothing)
    return _find_failure(least_blows=6)


def test_shrink__makes_a_failing_run_small(failure: Outcome) -> None:
    """Fewer blows and bots, calmer calls, no later an end, and the same promise broken."""
    steps: list[str] = []
    small = shrink(failure, say=steps.append)
    assert small.breach is not None
    assert failure.breach is not None
    assert small.breach.promise == _PROMISE
    assert small.breach.at <= small.scenario.end * 86_400 <= failure.breach.at + 100
    assert len(small.scenario.blows) <= 2
    assert small.scenario.absent
    assert small.scenario.rates.read == 0
    assert steps


def test_shrink__tells_arguments_that_lead_there_again(failure: Outcome) -> None:
    """What is printed gives the same scenario, and the same story to the letter; shrunk once more it stays."""
    small = shrink(failure, say=lambda _: None)
    again = run(make_scenario(parse_arguments(shlex.split(small.scenario.arguments))))
    assert again.scenario == small.scenario
    assert (again.digest, again.breach) == (small.digest, small.breach)
    assert len(shrink(again, say=lambda _: None).scenario.blows) == len(small.scenario.blows)


def test_arguments__of_a_whole_run() -> None:
    """A scenario names the arguments that give it, whatever was left out of it."""
    line = "--seed 5 --days 1.5 --bots 3 --until 0.25 --keep 1,3 --calm read,write --absent 0,2"
    scenario = make_scenario(parse_arguments(shlex.split(line)))
    assert [blow.number for blow in scenario.blows] == [1, 3]
    assert make_scenario(parse_arguments(shlex.split(scenario.arguments))) == scenario
