"""Which of a bot's places can be read now: one that refuses is left out, and looked at again later."""

from __future__ import annotations

from collections.abc import Callable

from hotshotd.clock import Clock
from hotshotd.errors import Refused

#: Seconds until a place that could not be read is tried again.
RECHECK_SECONDS = 600.0

#: Words of `Refused` by which a listing says that a place is private, banned, or not there.
UNREADABLE = frozenset({"forbidden", "not_found", "redirected", "legal"})

#: Told a place and why it can't be read; and None when it can be read again.
OnPlace = Callable[[str, str | None], None]

#: Asks one place for its newest thing; raises Refused when it can't be read.
Probe = Callable[[str], object]


class Places:
    """The subreddits of a bot, with those that can't be read set aside. Pure but for what it is handed."""

    def __init__(self, names: tuple[str, ...], *, clock: Clock, on_place: OnPlace) -> None:
        self._names = tuple(dict.fromkeys(names))
        self._clock, self._on_place = clock, on_place
        self._aside: dict[str, float] = {}
        self._left: set[str] = set()

    @property
    def readable(self) -> tuple[str, ...]:
        """The places that are read now, in their order."""
        return tuple(name for name in self._names if name not in self._aside and name.casefold() not in self._left)

    def leave(self, name: str) -> None:
        """Read a place no more, for good (the account is banned there)."""
        self._left.add(name.casefold())

    def recheck(self, probe: Probe) -> None:
        """Try the places whose time has come, one request each; raises what `probe` raises but Refused."""
        now = self._clock.monotonic()
        for name in [name for name, due in self._aside.items() if due <= now]:
            if _ask(name, probe) is None:
                del self._aside[name]
                self._on_place(name, None)
            else:
                self._aside[name] = now + RECHECK_SECONDS

    def isolate(self, refusal: Refused, probe: Probe) -> None:
        """After a refusal of all together, find which places are to blame and set them aside.

        Raises:
            Refused: The refusal itself, if it says nothing of places, or no place is to blame.
        """
        if refusal.why not in UNREADABLE:
            raise refusal
        candidates = self.readable
        if len(candidates) == 1:  # it is to blame without asking again
            blamed = {candidates[0]: refusal}
        else:
            answers = {name: _ask(name, probe) for name in candidates}
            blamed = {name: answer for name, answer in answers.items() if answer is not None}
        if not blamed:
            raise refusal
        for name, why in blamed.items():
            self._aside[name] = self._clock.monotonic() + RECHECK_SECONDS
            self._on_place(name, str(why))


def _ask(name: str, probe: Probe) -> Refused | None:
    """Give why a place can't be read, or None where it can."""
    try:
        probe(name)
    except Refused as refusal:
        if refusal.why not in UNREADABLE:
            raise
        return refusal
    return None
