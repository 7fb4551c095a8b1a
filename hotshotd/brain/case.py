"""One item on its way to its end, and how it is looked at: at work, or in a trial that writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from hotshotd.brain.filters import ItemView
from hotshotd.brain.trace import Show, show_nothing
from hotshotd.brain.verdict import Verdict, Why
from hotshotd.platform import Item, Reason

#: Refusals that a trial goes on past: they hang on chance, on a score, on where a thing stands, or on the hour.
FORGIVEN = frozenset(
    {
        Why.CHANCE,
        Why.LOW_SCORE,
        Why.RANKER_UNAVAILABLE,
        Why.FOREIGN_SUBREDDIT,
        Why.TOO_OLD,
    }
)


@dataclass(frozen=True, slots=True)
class Found:
    """Something read. `reason` is None where it came from a listing; `deadline` and `made_at` are monotonic.

    `made_at` is when its author wrote it: the wall clock may be set while it waits. None: its own time tells.
    `nonsense` counts how often it was put off because its model talked nonsense.
    """

    item: Item
    reason: Reason | None
    deadline: float
    made_at: float | None = None
    nonsense: int = 0


@dataclass(slots=True)
class Case:
    """An item under consideration. `show` is handed each step; a trial goes on past what is `FORGIVEN`."""

    found: Found
    view: ItemView
    show: Show = show_nothing
    is_trial: bool = False
    #: The first refusal that a trial went past: how the item would have ended at work.
    forgiven: Verdict | None = field(default=None)

    @property
    def item(self) -> Item:
        """The item, as it was when it was seen last."""
        return self.view.item

    @property
    def deadline(self) -> float:
        return self.found.deadline

    def ends_with(self, refusal: Verdict) -> bool:
        """Tell whether a refusal is the end of the item."""
        words = f"{refusal.why.value} {refusal.detail}".strip()
        if not (self.is_trial and refusal.why in FORGIVEN):
            self.show("refused", words)
            return True
        if self.forgiven is not None and self.forgiven.why is refusal.why:
            # Said already: what could not be told before the thread was read is asked again after it.
            return False
        self.forgiven = self.forgiven or refusal
        self.show("would be refused", f"{words}; going on, to show the rest")
        return False
