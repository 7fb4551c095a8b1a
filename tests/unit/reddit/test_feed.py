"""Nothing dropped, nothing twice, few requests."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hotshotd.errors import Down
from hotshotd.reddit.feed import Feed, Stream
from hotshotd.reddit.parse import Page, parse_page

BOTH = (Stream.SUBMISSIONS, Stream.COMMENTS)


class Listings:
    """Two endless listings, newest first, read in pages."""

    def __init__(self, raw: Any, *, page_size: int = 100) -> None:
        self._raw, self._page_size = raw, page_size
        self.children: dict[Stream, list[dict[str, Any]]] = {stream: [] for stream in Stream}
        self.asked: list[tuple[Stream, str | None]] = []
        self.broken: set[int] = set()
        self._count = 0

    def add(self, stream: Stream, count: int = 1) -> list[str]:
        made = []
        for _ in range(count):
            self._count += 1
            make = self._raw.submission if stream is Stream.SUBMISSIONS else self._raw.comment
            child = make(f"{self._count:06d}", at=float(self._count))
            self.children[stream].insert(0, child)
            made.append(child["data"]["name"])
        return made

    def fetch(self, stream: Stream, after: str | None) -> Page:
        self.asked.append((stream, after))
        if len(self.asked) in self.broken:
            raise Down("broken")
        names = [child["data"]["name"] for child in self.children[stream]]
        start = names.index(after) + 1 if after in names else 0
        page = self.children[stream][start : start + self._page_size]
        more = start + self._page_size < len(names)
        return parse_page(self._raw.listing(*page, after=page[-1]["data"]["name"] if more else None), what="x")


@pytest.fixture
def listings(raw: Any) -> Listings:
    return Listings(raw)


def test_feed__first_call_gives_the_newest_page(listings: Listings) -> None:
    """One page of each listing and no more, oldest first."""
    listings.add(Stream.SUBMISSIONS, 300)
    items = Feed(BOTH).poll(listings.fetch)
    assert len(items) == 100
    assert [item.ref for item in items] == sorted(item.ref for item in items)
    assert listings.asked == [(Stream.SUBMISSIONS, None), (Stream.COMMENTS, None)]


def test_feed__steady_state_costs_one_request_a_listing(listings: Listings) -> None:
    """Two requests find what is new in both listings, merged by age."""
    feed = Feed(BOTH)
    listings.add(Stream.COMMENTS, 5)
    feed.poll(listings.fetch)
    listings.asked.clear()
    made = [*listings.add(Stream.COMMENTS), *listings.add(Stream.SUBMISSIONS), *listings.add(Stream.COMMENTS)]
    assert [item.ref for item in feed.poll(listings.fetch)] == made
    assert len(listings.asked) == 2
    assert feed.poll(listings.fetch) == ()


def test_feed__closes_a_gap(listings: Listings) -> None:
    """A burst of 250 is found whole, with two more pages."""
    feed = Feed(BOTH)
    listings.add(Stream.COMMENTS, 150)
    feed.poll(listings.fetch)
    listings.asked.clear()
    made = listings.add(Stream.COMMENTS, 250)
    assert [item.ref for item in feed.poll(listings.fetch)] == made
    assert len(listings.asked) == 4


def test_feed__gap_is_closed_though_pages_are_not_full(raw: Any) -> None:
    """Reddit leaves hidden things out: a page of 97 with more behind it can hide a gap too."""
    listings, feed = Listings(raw, page_size=97), Feed((Stream.COMMENTS,))
    listings.add(Stream.COMMENTS, 97)
    feed.poll(listings.fetch)
    made = listings.add(Stream.COMMENTS, 200)
    assert [item.ref for item in feed.poll(listings.fetch)] == made


def test_feed__reads_at_most_four_more_pages(listings: Listings) -> None:
    """A flood does not eat the rate."""
    feed = Feed((Stream.COMMENTS,))
    listings.add(Stream.COMMENTS)
    feed.poll(listings.fetch)
    listings.asked.clear()
    listings.add(Stream.COMMENTS, 900)
    assert len(feed.poll(listings.fetch)) == 500
    assert len(listings.asked) == 5


@pytest.mark.parametrize("breaks_at", [1, 2, 3])
def test_feed__an_error_loses_nothing(listings: Listings, breaks_at: int) -> None:
    """Whichever request fails, the next call gives everything."""
    feed = Feed(BOTH)
    listings.add(Stream.COMMENTS)
    feed.poll(listings.fetch)
    made = [*listings.add(Stream.SUBMISSIONS, 3), *listings.add(Stream.COMMENTS, 120)]
    listings.asked.clear()
    listings.broken = {breaks_at}
    with pytest.raises(Down):
        feed.poll(listings.fetch)
    listings.broken = set()
    assert [item.ref for item in feed.poll(listings.fetch)] == made


def test_feed__a_deleted_anchor_harms_nothing(listings: Listings) -> None:
    """What was seen may vanish from the listing."""
    feed = Feed((Stream.COMMENTS,))
    listings.add(Stream.COMMENTS, 3)
    feed.poll(listings.fetch)
    listings.children[Stream.COMMENTS].clear()
    made = listings.add(Stream.COMMENTS, 2)
    assert [item.ref for item in feed.poll(listings.fetch)] == made


def test_feed__a_quiet_listing_is_not_pushed_out_by_a_busy_one(raw: Any) -> None:
    """Old posts that are still on the page must not come again when comments have filled the memory."""
    listings, feed = Listings(raw), Feed(BOTH, size=300)
    listings.add(Stream.SUBMISSIONS, 100)
    feed.poll(listings.fetch)
    for _ in range(10):
        listings.add(Stream.COMMENTS, 90)
        assert all(item.ref.startswith("t1_") for item in feed.poll(listings.fetch))


def test_feed__random_life_gives_each_thing_once(raw: Any) -> None:
    """Two hundred rounds of bursts and failures: every thing comes once."""
    chance, listings, feed, got = random.Random(7), Listings(raw), Feed(BOTH), []
    feed.poll(listings.fetch)
    made: list[str] = []
    for _ in range(200):
        made += listings.add(chance.choice(BOTH), chance.choice([0, 0, 1, 3, 40, 180]))
        listings.broken = {len(listings.asked) + chance.randint(1, 4)} if chance.random() < 0.3 else set()
        try:
            got += [item.ref for item in feed.poll(listings.fetch)]
        except Down:
            continue
    listings.broken = set()
    got += [item.ref for item in feed.poll(listings.fetch)]
    assert len(got) == len(set(got))
    assert set(got) == set(made)
