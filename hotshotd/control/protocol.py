"""What the operator's socket carries: commands in, one reply each; and what it needs of a daemon.

A request is `{"id", "op", ...}`; a reply `{"id", "ok": true, "data": {...}}` or `{"id", "ok": false, "code",
"message"}`. The reply of a long command (`try`, `post`) is preceded by what it does, as it does it: lines
`{"id", "step": {"name", "text", "cost"}}`. One who leaves before the reply no longer wants the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from hotshotd.wire import Json

#: The group whose members may use `hotshotctl`, and what those are told who may not.
GROUP = "hotshot"
REMEDY = f"be root, or join the group {GROUP} (as root: usermod -aG {GROUP} NAME) and log in again"

#: Takes the data of a good reply. Called once; may be called long after the command came.
Reply = Callable[[Json], None]

#: Takes a step of a long command, any number of them before the reply.
StepTaker = Callable[[Json], None]

#: Gives up a long command that nobody waits for any more. Harmless when it is over.
Drop = Callable[[], None]

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

    def try_thing(self, name: str, *, url: str, step: StepTaker, reply: Reply, fail: Failure) -> Drop: ...

    def make_post(self, name: str, *, dry_run: bool, step: StepTaker, reply: Reply, fail: Failure) -> Drop: ...

    def token(self, name: str, *, token: str, reply: Reply, fail: Failure) -> None: ...
