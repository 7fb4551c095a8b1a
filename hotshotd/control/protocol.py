"""What the operator's socket carries: commands in, one reply each; and what it needs of a daemon.

A request is `{"id", "op", ...}`; a reply `{"id", "ok": true, "data": {...}}` or `{"id", "ok": false, "code",
"message"}`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from hotshotd.wire import Json

#: Takes the data of a good reply. Called once; may be called long after the command came.
Reply = Callable[[Json], None]

#: Takes a failure: a stable code and a message for the operator.
Failure = Callable[[str, str], None]


class Daemon(Protocol):
    """The commands of a running daemon. Each answers through `reply` or `fail`, now or later, and never blocks.

    All raise `UnknownBot` for a name that no file defines; nothing has changed then.
    """

    def status(self, names: Sequence[str], *, reply: Reply) -> None: ...

    def quota(self, name: str | None, *, reply: Reply) -> None: ...

    def reload(self, name: str | None, *, reply: Reply, fail: Failure) -> None: ...

    def pause(
        self, names: Sequence[str] | None, *, until: datetime | None, reason: str, reply: Reply, fail: Failure
    ) -> None: ...

    def resume(self, names: Sequence[str] | None, *, reply: Reply, fail: Failure) -> None: ...

    def restart(self, name: str, *, reply: Reply, fail: Failure) -> None: ...
