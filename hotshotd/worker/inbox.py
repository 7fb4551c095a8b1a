"""What the worker has read: each thing is handled once, and its notice is taken off the inbox when it is done."""

from __future__ import annotations

from hotshotd.platform import Notice, Ref
from hotshotd.recent import Recent

#: Things remembered; listings and inbox show a few hundred at most.
MEMORY = 1_000


class Desk:
    """Which things were handled, which are in work, and which notices wait to be marked read."""

    def __init__(self) -> None:
        self._handled: Recent[Ref] = Recent(MEMORY)
        self._in_work: set[Ref] = set()
        self._left_unread: Recent[Ref] = Recent(MEMORY)
        self._notices: dict[Ref, Ref] = {}
        self._done: dict[Ref, None] = {}

    def begin(self, ref: Ref) -> bool:
        """Take a thing in hand; False when it was, or is, already."""
        if ref in self._in_work or not self._handled.add(ref):
            return False
        self._in_work.add(ref)
        return True

    def note(self, notice: Notice) -> None:
        """Remember a thing's notice; one of a thing that is done is to be marked read now, unless it stays unread."""
        if notice.item.ref in self._left_unread:
            return
        if notice.item.ref in self._handled and notice.item.ref not in self._in_work:
            self._done[notice.ref] = None
        else:
            self._notices[notice.item.ref] = notice.ref

    def finish(self, ref: Ref, *, mark: bool) -> None:
        """Note that a thing is done; with `mark` its notice is to be marked read, else it stays unread for good."""
        self._in_work.discard(ref)
        notice = self._notices.pop(ref, None)
        if notice is not None and mark:
            self._done[notice] = None
        if not mark:
            # The inbox shows it again at every poll.
            self._left_unread.add(ref)

    def take_done(self) -> list[Ref]:
        """Give the notices to mark read, and forget them."""
        done, self._done = list(self._done), {}
        return done

    def put_back(self, notices: list[Ref]) -> None:
        """Take notices back that could not be marked."""
        self._done = {**dict.fromkeys(notices), **self._done}
