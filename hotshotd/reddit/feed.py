"""What is new, from overlapping listings: nothing dropped, nothing twice, as few requests as can be.

Each call reads the newest page of each listing. If a page with more behind it holds nothing that was seen
before, something lies between it and the last call, and older pages are read until the two meet. What was
seen is remembered only when everything was read: an error loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

from hotshotd.platform import Item, Ref
from hotshotd.recent import Recent
from hotshotd.reddit.parse import OnDrop, Page, ignore_drop, parse_items

#: Things on a full page: the most that Reddit gives at once, for the price of one request.
PAGE_SIZE = 100

#: Pages read behind the first to close a gap.
MAX_MORE_PAGES = 4

#: Fullnames remembered: as many as one call can show (two listings, five pages of each).
SEEN_SIZE = 1_000


class Stream(StrEnum):
    """The listings of a place."""

    SUBMISSIONS = "new"
    COMMENTS = "comments"


#: Reads one page of a listing, from `after` on; may raise.
Fetch = Callable[[Stream, str | None], Page]


class Feed:
    """The memory between two calls. Pure: pages come from the function that `poll` is given."""

    def __init__(self, streams: Sequence[Stream], *, on_drop: OnDrop = ignore_drop, size: int = SEEN_SIZE) -> None:
        self.streams, self._on_drop = tuple(streams), on_drop
        self._seen: Recent[Ref] = Recent(size)
        self._started: set[Stream] = set()

    def poll(self, fetch: Fetch) -> tuple[Item, ...]:
        """Give what no call has given before, oldest first; one request a listing where there is no gap.

        Raises:
            Exception: What `fetch` raises; the next call then gives what this one would have.
        """
        met = [item for stream in self.streams for item in self._read(stream, fetch)]
        new = {item.ref: item for item in met if item.ref not in self._seen}
        self._seen.renew(item.ref for item in reversed(met))
        self._started.update(self.streams)
        return tuple(sorted(new.values(), key=_age))

    def _read(self, stream: Stream, fetch: Fetch) -> list[Item]:
        page = fetch(stream, None)
        items = parse_items(page.children, on_drop=self._on_drop)
        if stream not in self._started:
            return items
        newest = items
        for _ in range(MAX_MORE_PAGES):
            if not self._leaves_gap(page, newest):
                break
            page = fetch(stream, page.after)
            newest = parse_items(page.children, on_drop=self._on_drop)
            items = items + newest
        return items

    def _leaves_gap(self, page: Page, items: list[Item]) -> bool:
        # Reddit leaves hidden things out of a page, so that its length does not tell whether it is full.
        has_more = page.after is not None and bool(items)
        return has_more and not any(item.ref in self._seen for item in items)


def _age(item: Item) -> tuple[float, int, str]:
    # Ids grow with time and have no fixed length: the shorter one is the older.
    return item.created_at.timestamp(), len(item.ref), item.ref
