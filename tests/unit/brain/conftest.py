"""Builders of things as a platform would give them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from hotshotd.platform import Author, Item, Kind, Ref

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOON


@pytest.fixture
def make_comment() -> Callable[..., Item]:
    """Give a top-level comment by alice, a minute old, under t3_post; every field may be set."""

    def make(**changes: Any) -> Item:
        fields: dict[str, Any] = {
            "ref": Ref("t1_one"),
            "kind": Kind.COMMENT,
            "author": Author("alice"),
            "text": "What do you think?",
            "place": "bots",
            "created_at": NOON.replace(hour=11, minute=59),
            "parent": Ref("t3_post"),
            "submission": Ref("t3_post"),
        }
        return Item(**(fields | changes))

    return make


@pytest.fixture
def make_submission() -> Callable[..., Item]:
    """Give a text post by carol, a minute old; every field may be set."""

    def make(**changes: Any) -> Item:
        fields: dict[str, Any] = {
            "ref": Ref("t3_post"),
            "kind": Kind.SUBMISSION,
            "author": Author("carol"),
            "title": "A title",
            "text": "A body.",
            "place": "bots",
            "created_at": NOON.replace(hour=11, minute=59),
        }
        return Item(**(fields | changes))

    return make
