"""Lives from seeds: the promises hold whatever goes wrong, and a seed always tells the same story."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from simulation.__main__ import make_scenario, parse_arguments
from simulation.many import run_many
from simulation.promises import Breach
from simulation.run import run
from simulation.scenario import Scenario, draw_scenario

#: Seeds of each size that are run here; scripts/simulate runs any number of others.
SEEDS, DAYS, BOTS = 1000, 0.5, 2

_KNOWN = [line for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines() if line[:1] == "-"]


@pytest.mark.timeout(300)
def test_seeds__keep_every_promise() -> None:
    """A thousand short lives, with deaths, cuts, outages and clocks that are set: nothing promised is broken."""
    outcomes = run_many(
        (draw_scenario(seed, days=DAYS, bots=BOTS) for seed in range(1, SEEDS + 1)), jobs=os.cpu_count() or 1
    )
    assert [f"seed {it.scenario.seed}: {it.breach}" for it in outcomes if it.breach is not None] == []


@pytest.mark.parametrize("line", _KNOWN)
def test_seeds__that_once_broke_a_promise_keep_it(line: str) -> None:
    """What the simulator has found does not come back."""
    outcome = run(make_scenario(parse_arguments(shlex.split(line, comments=True))))
    assert outcome.breach is None


def test_seeds__tell_the_same_story_twice() -> None:
    """One seed, one log: to the letter, and whatever the order of hashes in the process."""
    script = (
        "from simulation.run import run; from simulation.scenario import draw_scenario;"
        "print(run(draw_scenario(11, days=1.5, bots=3)).digest)"
    )
    path = str(Path(__file__).parents[2] / "scripts")
    digests = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join((path, *sys.path))}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        digests.add(done.stdout)
    digests.add(f"{run(draw_scenario(11, days=1.5, bots=3)).digest}\n")
    assert len(digests) == 1


def _live(scenario: Scenario) -> Breach | None:
    return run(scenario).breach


def test_promises__a_moderator_that_is_not_asked_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator sees a text that nobody passed."""
    from hotshotd.brain.editor import Editor

    async def pass_all(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr(Editor, "find_objection", pass_all)
    breach = _live(draw_scenario(5, days=1, bots=2, blows_a_day=0))
    assert breach is not None
    assert breach.promise == "nothing unmoderated"


def test_promises__a_grant_that_is_not_charged_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator sees characters over the budget."""
    from hotshotd.quota.ledger import Ledger

    monkeypatch.setattr(Ledger, "_admit", lambda *_, **__: None)
    breach = _live(draw_scenario(5, days=2, bots=2, blows_a_day=0, budget=1000))
    assert breach is not None
    assert breach.promise == "no character over budget"


def test_promises__a_forgotten_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator sees a thing that is answered again after a lost answer."""
    from hotshotd.brain.writing import Writer

    async def see_nothing(*_: object, **__: object) -> tuple[()]:
        return ()

    monkeypatch.setattr(Writer, "look_at_comments", see_nothing)
    seeds = (run(draw_scenario(seed, days=1, bots=2)).breach for seed in range(1, 40))
    assert any(breach is not None and breach.promise == "nothing answered twice" for breach in seeds)
