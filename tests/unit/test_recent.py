"""A memory that is bounded."""

from __future__ import annotations

from hotshotd.recent import Recent


def test_add__forgets_the_oldest_member_only() -> None:
    """Adding again is no news, and keeps nothing for longer."""
    recent: Recent[str] = Recent(2)
    assert [recent.add(member) for member in ("a", "b", "a", "c")] == [True, True, False, True]
    assert list(recent) == ["b", "c"]


def test_renew__forgets_what_was_met_longest_ago() -> None:
    """Meeting a name again keeps it."""
    recent: Recent[str] = Recent(2)
    recent.renew(["a", "b", "a", "c"])
    assert ("a" in recent, "b" in recent, "c" in recent, len(recent)) == (True, False, True, 2)
