"""What was seen of the world: which requests failed and how, and what models wrote. An excuse counts if it was seen."""

from __future__ import annotations

from collections import Counter, deque

from simulation.loop import SimLoop

#: A cause that concerns every bot is noted under this name, too.
ALL = ""
#: The first pause of a breaker after a refusal for good; each doubles the one before; seconds.
_GONE_SECONDS = 600.0
#: A service that answers nothing gets this many requests from a bot in so many seconds (contract).
_CROWD, _CROWD_SECONDS = 6, 60.0


class Causes:
    """When each cause was last seen, by bot."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self._seen: dict[tuple[str, str], float] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._amiss_until: dict[str, float] = {}
        self._gone: dict[str, tuple[float, float]] = {}
        self._unwell: set[str] = set()
        self._asked: dict[tuple[str, str], deque[float]] = {}

    def note(self, bot: str, cause: str) -> None:
        """Take note of what ends an item or a post, though nothing failed."""
        self._seen[bot, cause] = self._loop.elapsed
        self._counts[bot, cause] += 1

    def note_amiss(self, bot: str, cause: str, *, seconds: float) -> None:
        """Take note of a failure after which the bot may wait so long; `role: fault` counts for `role`, too."""
        role = cause.partition(":")[0]
        for name in {cause, role}:
            self.note(bot, name)
            self.note(ALL, name)
        self._amiss_until[bot] = max(self.amiss_until(bot), self._loop.elapsed + seconds)

    def saw(self, bot: str, cause: str, *, within: float) -> bool:
        """Tell whether a cause was seen within the last seconds."""
        return self._loop.elapsed - self._seen.get((bot, cause), -9e9) <= within

    def count(self, bot: str, cause: str) -> int:
        """Tell how often a cause has been seen."""
        return self._counts[bot, cause]

    def amiss_until(self, bot: str) -> float:
        """Give until when a bot may wait for something that has failed."""
        return self._amiss_until.get(bot, 0.0)

    def note_asked(self, bot: str, service: str) -> None:
        """A bot has sent a request, or could not."""
        self._asked.setdefault((bot, service), deque(maxlen=_CROWD)).append(self._loop.elapsed)

    def is_crowded(self, bot: str, service: str) -> bool:
        """Tell whether a bot has asked a service so often within a minute that it must wait, if no answer is in yet."""
        asked = self._asked.get((bot, service), ())
        return len(asked) == _CROWD and self._loop.elapsed - min(asked) <= _CROWD_SECONDS

    def note_result(self, model: str, *, is_good: bool, is_gone: bool = False) -> None:
        """A model has served a request, with which its earlier failures are forgotten, or has not."""
        if is_good:
            self._gone.pop(model, None)
            self._unwell.discard(model)
            return
        self._unwell.add(model)
        if is_gone:
            first, _ = self._gone.get(model, (self._loop.elapsed, 0.0))
            self._gone[model] = (first, self._loop.elapsed)

    def is_unwell(self, model: str) -> bool:
        """Tell whether a model has failed and not served since."""
        return model in self._unwell

    def gone_until(self, model: str) -> float:
        """Give until when a model that refuses for good may be left in peace: no longer than it has done so."""
        if model not in self._gone:
            return -9e9
        first, last = self._gone[model]
        return last + (last - first) + _GONE_SECONDS
