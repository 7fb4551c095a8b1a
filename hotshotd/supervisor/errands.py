"""Long commands of operators (`try`, `post`) that a bot's worker carries out: which are under way, and who waits.

The worker tells each step as it takes it, and ends each errand with one `errand_done`. Whatever becomes of the worker
or of the operator, nobody waits for ever and nothing is answered twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from hotshotd.errors import ControlError
from hotshotd.loop import Loop, Timer
from hotshotd.wire import Json

#: Errands that one bot may have at once.
MAX_ERRANDS = 4
#: Seconds after which an errand is given up: an item or a post has 900, and a post may wait for one that is being made.
ERRAND_SECONDS = 2000.0


class TooManyErrands(ControlError):
    """A bot has as many long commands under way as it may."""

    code = "busy"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Who waits for an errand: takers of its steps, of its result, and of its failure (a code and a message)."""

    step: Callable[[Json], None]
    reply: Callable[[Json], None]
    fail: Callable[[str, str], None]


class Errands:
    """The errands of one bot. `send` hands a command to its worker; False when there is none."""

    def __init__(self, loop: Loop, send: Callable[[Json], bool]) -> None:
        self._loop = loop
        self._send = send
        # Never begun anew: a message of a worker that is gone must not be taken for that of a later errand.
        self._numbers = count(1)
        self._waiting: dict[int, tuple[Waiting, Timer]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, command: Json, waiting: Waiting) -> Callable[[], None]:
        """Have the worker do something; give what drops it. Answers through `waiting`, now or later.

        Raises:
            TooManyErrands: The operator is to wait for those under way.
        """
        if len(self._waiting) >= MAX_ERRANDS:
            raise TooManyErrands(f"{MAX_ERRANDS} `try` or `post` commands are under way for this bot; wait for them")
        number = next(self._numbers)
        self._waiting[number] = waiting, self._loop.call_later(ERRAND_SECONDS, lambda: self._give_up(number))
        if not self._send({"id": number, **command}):
            self._fail(number, "no_worker", "the bot has no worker right now; `hotshotctl status` says why")
        return lambda: self._drop(number)

    def on_step(self, message: Json) -> None:
        """Take a step that the worker tells."""
        waiting, _ = self._waiting.get(message["id"], (None, None))
        if waiting is not None:
            waiting.step({key: message.get(key) for key in ("name", "text", "cost")})

    def on_done(self, message: Json) -> None:
        """Take the end that the worker tells."""
        if not message.get("ok"):
            self._fail(message["id"], str(message.get("code")), str(message.get("message")))
            return
        waiting = self._take(message["id"])
        if waiting is not None:
            waiting.reply(message.get("data") or {})

    def fail_all(self, code: str, message: str) -> None:
        """Tell everybody that the worker is gone."""
        for number in list(self._waiting):
            self._fail(number, code, message)

    def _fail(self, number: int, code: str, message: str) -> None:
        waiting = self._take(number)
        if waiting is not None:
            waiting.fail(code, message)

    def _drop(self, number: int) -> None:
        if self._take(number) is not None:
            self._send({"op": "drop", "id": number})

    def _give_up(self, number: int) -> None:
        self._send({"op": "drop", "id": number})
        self._fail(
            number, "timeout", f"the bot's worker did not finish within {ERRAND_SECONDS:g} s; it was told to stop"
        )

    def _take(self, number: int) -> Waiting | None:
        waiting, timer = self._waiting.pop(number, (None, None))
        if timer is not None:
            timer.cancel()
        return waiting
