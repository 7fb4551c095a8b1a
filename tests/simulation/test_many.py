"""Many seeds at a time: the same lives in the same order, up to the first that breaks a promise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from multiprocessing import active_children
from pathlib import Path

import pytest
import simulation.__main__ as command
import simulation.many as many
from simulation.promises import Breach
from simulation.run import Outcome, run
from simulation.scenario import Scenario, draw_scenario


def _draw(seed: int) -> Scenario:
    return draw_scenario(seed, days=0.1, bots=1)


def test_many__are_the_same_lives_in_the_same_order() -> None:
    """Several processes change nothing but the time it takes."""
    outcomes = many.run_many(map(_draw, range(1, 7)), jobs=2)
    assert [it.digest for it in outcomes] == [run(_draw(seed)).digest for seed in range(1, 7)]


def test_many__closed_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever has seen enough of endless seeds ends them: no process goes on, and no file stays."""
    monkeypatch.setattr(many, "find_memory", lambda: str(tmp_path))
    others = active_children()
    outcomes = many.run_many(map(_draw, count(1)), jobs=2)
    assert next(outcomes).scenario.seed == 1
    assert len(active_children()) > len(others)
    outcomes.close()
    assert active_children() == others
    assert list(tmp_path.iterdir()) == []


def test_many__are_not_for_ctrl_c_to_end() -> None:
    """Ctrl-C reaches every process of a terminal; the one that began the others is to end them."""
    with many._make_pool(1) as pool:
        pid = pool.submit(os.getpid).result()
        os.kill(pid, signal.SIGINT)
        assert pool.submit(os.getpid).result() == pid


def test_simulate__stops_at_the_first_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --until-fail seeds go on until one fails, which is the last that is told of."""
    whole = run(_draw(1))

    def fail_third(scenarios: Iterator[Scenario], **_: object) -> Iterator[Outcome]:
        for number, scenario in enumerate(scenarios):
            breach = Breach("nothing lost", 0.0, 0, "planted") if number == 2 else None
            yield replace(whole, scenario=scenario, breach=breach)

    monkeypatch.setattr(command, "run_many", fail_third)
    assert command.main(["--seed", "5", "--runs", "2", "--jobs", "2", "--until-fail"]) == 1
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()][:1] == [["seed", "7"]]


def test_simulate__says_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Who waits for many seeds sees on standard error that they go on; the result stands alone on standard output."""
    monkeypatch.setattr(command, "_PROGRESS_SECONDS", 0.0)
    assert command.main(["--days", "0.1", "--bots", "1", "--runs", "3"]) == 0
    seen = capsys.readouterr()
    assert seen.err.startswith("2 seeds in ")
    assert seen.out == "3 seeds from 1: every promise held\n"


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.timeout(60)
def test_simulate__ends_cleanly_on_ctrl_c(jobs: str) -> None:
    """Ctrl-C, which all processes of a terminal get, ends the run with one line and no traceback."""
    path = str(Path(__file__).parents[2] / "scripts")
    run_ = subprocess.Popen(
        [sys.executable, "-m", "simulation", "--days=0.1", "--until-fail", "--verbose", f"--jobs={jobs}"],
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join((path, *sys.path))},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert run_.stdout is not None
    run_.stdout.readline()
    os.killpg(run_.pid, signal.SIGINT)
    _, errors = run_.communicate()
    assert run_.returncode == 130
    assert [line.split()[:2] for line in errors.splitlines()] == [["interrupted", "after"]]
