"""What a bot did since the daemon began: counters that only grow, whatever becomes of its workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from hotshotd.wire import Json

#: Event of the contract, outcome and reason.
End = tuple[str, str, str]


@dataclass(slots=True)
class Totals:
    """One bot's counters. They outlive its worker, and a reload that takes the bot away for a while.

    `counts` are submissions and comments (read), posts and replies (written); `ends` are `item.done` and `post.done` by
    outcome and reason; `restarts` counts failures, as `status` does.
    """

    counts: Counter[str] = field(default_factory=Counter)
    ends: Counter[End] = field(default_factory=Counter)
    restarts: int = 0

    def add(self, message: Json) -> None:
        """Take a worker's `counts` message: what was done since its last one."""
        self.counts.update({str(what): int(count) for what, count in message["add"].items()})
        for event, outcome, reason, count in message.get("ends", ()):
            self.ends[str(event), str(outcome), str(reason)] += int(count)

    def list_ends(self, event: str) -> Mapping[tuple[str, str], int]:
        """Give how often an event ended how: by outcome and reason."""
        return {(outcome, reason): count for (name, outcome, reason), count in self.ends.items() if name == event}
