"""What an operator is told about the end of Perspective."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hotshotd.inference.perspective import ends_notice


@pytest.mark.parametrize(
    ("now", "start"),
    [
        (datetime(2026, 11, 24, tzinfo=UTC), "Google's Perspective ends on 31 December 2026 (37 days from now): "),
        (
            datetime(2026, 12, 30, 23, 59, tzinfo=UTC),
            "Google's Perspective ends on 31 December 2026 (1 day from now): ",
        ),
        (datetime(2026, 12, 31, tzinfo=UTC), "Google's Perspective ends on 31 December 2026 (today): "),
        (datetime(2027, 1, 1, tzinfo=UTC), "Google's Perspective ended on 31 December 2026: "),
    ],
)
def test_ends_notice__says_when_and_what_instead(now: datetime, start: str) -> None:
    """When it ends, what that means, and what to write instead."""
    notice = ends_notice(["openai", "perspective"], now)
    assert notice is not None
    assert notice.startswith(start)
    for word in ("nothing is published", "safety.moderators", "openai", "local"):
        assert word in notice


def test_ends_notice__is_for_who_uses_it() -> None:
    """Others are left in peace."""
    assert ends_notice(["openai", "local"], datetime(2027, 1, 1, tzinfo=UTC)) is None
