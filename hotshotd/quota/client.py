"""A worker's end of quota.sock: the admission port and Reddit's pace for one bot.

One connection is the lease of all its permits. It is made at the first call and again at the next one after it
broke; what was open then stays charged. Blocks, so call it from a thread.
"""

from __future__ import annotations

import socket
import threading
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path

from hotshotd._types import BotName, Chars
from hotshotd.admission import Account, Ask, Permit, RateHeaders, Result, charge
from hotshotd.clock import Clock
from hotshotd.errors import ProtocolError, QuotaError, QuotaUnavailable
from hotshotd.log import excerpt
from hotshotd.quota.gate import Gate
from hotshotd.quota.messages import MAX_TEXT, parse_error, write_account, write_ask, write_headers
from hotshotd.wire import MAX_REQUEST_BYTES, Json, LineBuffer, encode

#: The longest that one call takes, in seconds.
LIMIT_SECONDS = 5.0

#: While the quota process is away: the least time between two reads of Reddit, and between two polls, in seconds.
AWAY_READ_SECONDS = 10.0
AWAY_POLL_SECONDS = 30.0


class QuotaClient:
    """Implements `Admission` and `Pace` for `bot`. Thread-safe.

    `path` is quota.sock, `client` a hash of the Reddit client id. Make it after the fork.
    """

    def __init__(
        self, path: Path | str, *, bot: BotName, client: str, clock: Clock, limit_seconds: float = LIMIT_SECONDS
    ) -> None:
        self._path = path
        self._hello = {"op": "hello", "bot": bot, "client": client}
        self._clock = clock
        self._limit_seconds = limit_seconds
        self._gate = Gate()
        self._lock = threading.Lock()
        self._ids = count(1)
        self._sock: socket.socket | None = None
        self._lines = LineBuffer()
        self._next_away_read = 0.0

    @property
    def connected(self) -> bool:
        """Whether the last exchange worked and the connection was not closed since."""
        return self._sock is not None

    def check(self, ask: Ask) -> None:
        """See `Admission.check`."""
        self._exchange({"op": "check", **write_ask(ask)})

    def ask(self, ask: Ask) -> Permit:
        """See `Admission.ask`."""
        reply = self._exchange({"op": "ask", **write_ask(ask)})
        try:
            permit = Permit(number=int(reply["number"]), chars=Chars(int(reply["chars"])))
        except (KeyError, TypeError, ValueError) as exc:
            raise QuotaUnavailable("the quota process gave a permit that can't be read") from exc
        charge(permit.chars)
        return permit

    def account(self, account: Account) -> None:
        """See `Admission.account`. News of a permit from an earlier connection are ignored over there."""
        try:
            self._exchange({"op": "account", **write_account(account)})
        except QuotaError:
            return  # it stays charged
        if account.result is Result.NOT_SENT:
            charge(-account.permit.chars)

    def report_unsent(self, ask: Ask, *, result: Result, error: str) -> None:
        """See `Admission.report_unsent`. Lost while the quota process is away."""
        news = {"result": result.value, "error": excerpt(error, longest=MAX_TEXT)}
        try:
            self._exchange({"op": "unsent", **write_ask(ask), **news})
        except QuotaError:
            return

    def sending(self) -> AbstractContextManager[None]:
        """See `Admission.sending`."""
        return self._gate.sending()

    def close_gate(self, *, timeout_seconds: float) -> bool:
        """Let no request start from now on, and wait for those being sent; False if one still is after that time."""
        return self._gate.close(timeout_seconds=timeout_seconds)

    def open_gate(self) -> None:
        """Let requests start again."""
        self._gate.open()

    def acquire(self, *, write: bool) -> float:
        """See `Pace.acquire`. While the quota process is away reads go slowly, and writes not at all.

        Raises:
            QuotaUnavailable: For a write, while the quota process is away.
        """
        try:
            return _read_seconds(self._exchange({"op": "acquire", "write": write}), "wait")
        except QuotaUnavailable:
            if write:
                raise
            return self._acquire_away()

    def observe(self, headers: RateHeaders) -> None:
        """See `Pace.observe`. Lost while the quota process is away."""
        try:
            self._exchange({"op": "observe", **write_headers(headers)})
        except QuotaError:
            return

    def stretch(self, *, interval_seconds: float, requests_per_poll: int) -> float:
        """See `Pace.stretch`. While the quota process is away at least twice the interval, and 30 s."""
        request: Json = {"op": "stretch", "interval": interval_seconds, "requests": requests_per_poll}
        try:
            return max(interval_seconds, _read_seconds(self._exchange(request), "interval"))
        except QuotaError:
            return max(2 * interval_seconds, AWAY_POLL_SECONDS)

    def close(self) -> None:
        """End the lease. The next call would begin another."""
        with self._lock:
            self._disconnect()

    def _acquire_away(self) -> float:
        with self._lock:
            now = self._clock.monotonic()
            wait = self._next_away_read - now
            if wait > 0:
                return wait
            self._next_away_read = now + AWAY_READ_SECONDS
            return 0.0

    def _exchange(self, request: Json) -> Json:
        """Send one request and give its answer; once more over a new connection if the old one is dead.

        Asking twice is safe: a permit that was given on a dead connection never arrived, so nothing is sent for it.

        Raises:
            QuotaError: What the answer says, or that there is none.
        """
        deadline = self._clock.monotonic() + self._limit_seconds
        if not self._lock.acquire(timeout=self._limit_seconds):
            raise QuotaUnavailable("the quota process is too slow")
        try:
            reply = self._try_twice(request, deadline=deadline)
        finally:
            self._lock.release()
        if reply.get("ok") is True:
            return reply
        raise parse_error(reply)

    def _try_twice(self, request: Json, *, deadline: float) -> Json:
        try:
            return self._try(request, deadline=deadline)
        except TimeoutError as exc:
            raise QuotaUnavailable("the quota process does not answer") from exc
        except (OSError, ProtocolError):
            pass  # it was restarted: its successor answers
        try:
            return self._try(request, deadline=deadline)
        except (OSError, ProtocolError) as exc:
            raise QuotaUnavailable(f"the quota process is away ({exc}); nothing is spent until it is back") from exc

    def _try(self, request: Json, *, deadline: float) -> Json:
        try:
            if self._sock is None:
                self._connect(deadline=deadline)
            return self._send_and_receive(request, deadline=deadline)
        except BaseException:
            # Else a late answer would be taken for that of the next request.
            self._disconnect()
            raise

    def _connect(self, *, deadline: float) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(self._compute_rest(deadline))
        self._sock.connect(str(self._path))
        self._lines = LineBuffer(limit=MAX_REQUEST_BYTES)
        self._send_and_receive(self._hello, deadline=deadline)

    def _send_and_receive(self, request: Json, *, deadline: float) -> Json:
        if self._sock is None:
            raise ConnectionError("not connected")
        number = next(self._ids)
        self._sock.settimeout(self._compute_rest(deadline))
        self._sock.sendall(encode({"id": number, **request}))
        while True:
            self._sock.settimeout(self._compute_rest(deadline))
            data = self._sock.recv(MAX_REQUEST_BYTES)
            if not data:
                raise ConnectionError("the connection ended")
            for reply in self._lines.feed(data):
                if reply.get("id") == number:
                    return reply

    def _compute_rest(self, deadline: float) -> float:
        rest = deadline - self._clock.monotonic()
        if rest <= 0:
            raise TimeoutError
        return rest

    def _disconnect(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def _read_seconds(reply: Json, name: str) -> float:
    try:
        return float(reply[name])
    except (KeyError, TypeError, ValueError) as exc:
        raise QuotaUnavailable("the quota process gave an answer that can't be read") from exc
