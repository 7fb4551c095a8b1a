"""A set that forgets its oldest members: what was met before, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Recent(Generic[K]):
    """Up to `size` members, in the order in which they came."""

    def __init__(self, size: int) -> None:
        self._size = size
        # An OrderedDict takes three times the memory, and every worker has some.
        self._members: dict[K, None] = {}

    def __contains__(self, member: object) -> bool:
        return member in self._members

    def __iter__(self) -> Iterator[K]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def add(self, member: K) -> bool:
        """Take a member in; False, and nothing else, when it was there already."""
        if member in self._members:
            return False
        self._members[member] = None
        if len(self._members) > self._size:
            del self._members[next(iter(self._members))]
        return True

    def renew(self, members: Iterable[K]) -> None:
        """Take members in, or make them the newest ones again."""
        for member in members:
            self._members.pop(member, None)
            self.add(member)
