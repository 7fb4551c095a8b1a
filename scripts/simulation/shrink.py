"""From a run that failed to a short one that fails in the same way: fewer days, fewer blows, calmer calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from simulation.run import Outcome, run
from simulation.scenario import DAY, Scenario

#: Runs that shrinking may take.
MAX_RUNS = 200


@dataclass(frozen=True, slots=True)
class Small:
    """A short failing run, and what reproduces it on the command line."""

    outcome: Outcome
    arguments: str


def shrink(outcome: Outcome, *, say: Callable[[str], None]) -> Small:
    """Make a failing run as short as `MAX_RUNS` tries allow; `say` is told of each step forward."""
    return _Shrinking(outcome, say).shrink()


class _Shrinking:
    def __init__(self, outcome: Outcome, say: Callable[[str], None]) -> None:
        assert outcome.breach is not None, "only a failing run can be shrunk"
        self._best = outcome
        self._whole = outcome.scenario
        self._say = say
        self._kept = list(range(len(outcome.scenario.blows)))
        self._calm: list[str] = []
        self._runs = 0

    def shrink(self) -> Small:
        self._try(self._kept, self._calm)
        for kind in ("read", "service", "write"):
            if getattr(self._whole.rates, kind) and self._try(self._kept, [*self._calm, kind]):
                self._calm.append(kind)
        self._drop_blows()
        return Small(self._best, self._describe())

    def _drop_blows(self) -> None:
        """Drop half of the blows, then a quarter, down to one at a time, for as long as it still fails (ddmin)."""
        size = max(1, len(self._kept) // 2)
        while self._kept and self._runs < MAX_RUNS:
            dropped = False
            start = 0
            while start < len(self._kept) and self._runs < MAX_RUNS:
                fewer = self._kept[:start] + self._kept[start + size :]
                if self._try(fewer, self._calm):
                    self._kept, dropped = fewer, True
                else:
                    start += size
            if size == 1 and not dropped:
                return
            size = max(1, size // 2)

    def _try(self, kept: list[int], calm: list[str]) -> bool:
        breach = self._best.breach
        assert breach is not None
        self._runs += 1
        tried = run(self._make(kept, calm, days=min(self._whole.days, breach.at / DAY + 0.001)))
        if tried.breach is None or tried.breach.promise != breach.promise:
            return False
        self._best = tried
        self._say(f"still broken after {tried.breach.at / DAY:.3f} days with {len(kept)} blows: {tried.breach.promise}")
        return True

    def _make(self, kept: list[int], calm: list[str], *, days: float) -> Scenario:
        rates = replace(self._whole.rates, **dict.fromkeys(calm, 0.0))
        return replace(self._whole.keep(set(kept)), rates=rates, days=days)

    def _describe(self) -> str:
        whole, breach = self._whole, self._best.breach
        assert breach is not None
        words = [f"--seed {whole.seed} --days {whole.days:g} --bots {whole.bots} --until {breach.at / DAY + 0.001:.4f}"]
        if len(self._kept) < len(whole.blows):
            words.append(f"--keep {','.join(map(str, self._kept)) or '-'}")
        if self._calm:
            words.append(f"--calm {','.join(self._calm)}")
        return " ".join(words)
