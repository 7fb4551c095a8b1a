"""From a run that failed to a short one that fails in the same way: fewer days, bots and blows, calmer calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simulation.run import Outcome, run
from simulation.scenario import CALLS, DAY, Scenario

#: Runs that shrinking may take.
MAX_RUNS = 200
#: How far behind the breach the short run ends, in days.
_MORE_DAYS = 0.001


def shrink(outcome: Outcome, *, say: Callable[[str], None]) -> Outcome:
    """Make a failing run as short as `MAX_RUNS` tries allow; `say` is told of each step forward.

    What it gives is an outcome like any other: its scenario's `arguments` lead to it again.
    """
    return _Shrinking(outcome, say).shrink()


class _Shrinking:
    def __init__(self, outcome: Outcome, say: Callable[[str], None]) -> None:
        assert outcome.breach is not None, "only a failing run can be shrunk"
        self._best = outcome
        self._say = say
        self._runs = 0

    def shrink(self) -> Outcome:
        self._try(self._best.scenario)
        for kind in CALLS:
            if getattr(self._best.scenario.rates, kind):
                self._try(self._best.scenario.calm([kind]))
        for number in range(self._best.scenario.bots):
            self._drop_bot(number)
        self._drop_blows()
        return self._best

    def _drop_bot(self, number: int) -> None:
        absent = self._best.scenario.absent | {number}
        if len(absent) < self._best.scenario.bots:
            self._try(replace(self._best.scenario, absent=absent))

    def _drop_blows(self) -> None:
        """Drop half of the blows, then a quarter, down to one at a time, for as long as it still fails (ddmin)."""
        size = max(1, len(self._best.scenario.blows) // 2)
        while self._best.scenario.blows and self._runs < MAX_RUNS:
            dropped = False
            start = 0
            while start < len(self._best.scenario.blows) and self._runs < MAX_RUNS:
                blows = self._best.scenario.blows
                if self._try(replace(self._best.scenario, blows=blows[:start] + blows[start + size :])):
                    dropped = True
                else:
                    start += size
            if size == 1 and not dropped:
                return
            size = max(1, size // 2)

    def _try(self, scenario: Scenario) -> bool:
        """Run a smaller scenario, no longer than to the breach that is known; keep it if it fails in the same way."""
        best = self._best.breach
        assert best is not None
        self._runs += 1
        tried = run(replace(scenario, until=min(scenario.end, round(best.at / DAY + _MORE_DAYS, 4))))
        if tried.breach is None or tried.breach.promise != best.promise:
            return False
        self._best = tried
        blows = len(tried.scenario.blows)
        self._say(f"still broken after {tried.breach.at / DAY:.3f} days with {blows} blows: {tried.breach.promise}")
        return True
