"""What the tests of the Reddit adapter share: a clock that stands still, raw children as Reddit sends them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from virtual import HandClock

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> HandClock:
    return HandClock(START)


class Raw:
    """Makes children of listings."""

    @staticmethod
    def comment(short: str, *, at: float = 1000.0, **fields: Any) -> dict[str, Any]:
        data = {
            "id": short,
            "name": f"t1_{short}",
            "author": "ann",
            "body": f"text of {short}",
            "subreddit": "pond",
            "parent_id": "t3_post",
            "link_id": "t3_post",
            "created_utc": at,
        }
        return {"kind": "t1", "data": data | fields}

    @staticmethod
    def submission(short: str, *, at: float = 1000.0, **fields: Any) -> dict[str, Any]:
        data = {
            "id": short,
            "name": f"t3_{short}",
            "author": "bob",
            "title": f"title of {short}",
            "selftext": "words",
            "is_self": True,
            "subreddit": "pond",
            "permalink": f"/r/pond/comments/{short}/slug/",
            "url": f"https://www.reddit.com/r/pond/comments/{short}/slug/",
            "created_utc": at,
        }
        return {"kind": "t3", "data": data | fields}

    @staticmethod
    def listing(*children: Any, after: str | None = None) -> dict[str, Any]:
        return {"kind": "Listing", "data": {"after": after, "children": list(children)}}


@pytest.fixture
def raw() -> type[Raw]:
    return Raw
