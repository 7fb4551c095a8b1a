"""A floor for each under a shared cap, so that a greedy bot can't eat what its neighbours need.

Of 80 % of the cap each member has an even share to itself, the rest goes to whoever comes first. The
floor melts in a straight line over the period, so that what nobody uses is not wasted. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: The part of a shared cap that is set aside for the members, at the start of the period.
FLOOR_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Member:
    """What one bot has used of the shared cap, and the most it may use on its own; None: no limit."""

    used: int
    limit: int | None


def compute_left(
    name: str, members: Mapping[str, Member], *, cap: int, total: int, gone: float, share: float = FLOOR_SHARE
) -> int:
    """Give what `name` may still take now of a cap of which `total` is used; 0 or less means nothing.

    `gone` is the part of the period that is over, `total` counts non-members too. A member's floor is
    never more than its own limit, so bots whose budgets fit under the cap together never feel it.
    """
    hungry = sum(1 for member in members.values() if member.limit != 0)
    even = share * cap / max(hungry, 1)
    kept = sum(_compute_kept(member, even=even, gone=gone) for other, member in members.items() if other != name)
    return cap - total - kept


def _compute_kept(member: Member, *, even: float, gone: float) -> int:
    floor = even if member.limit is None else min(even, member.limit)
    return max(0, int(floor * (1.0 - gone)) - member.used)
