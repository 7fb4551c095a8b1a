"""AI Horde: jobs that volunteers do. A job is ordered, looked at every few seconds, and called off when its time is up.

Each request is admitted on its own; characters are charged with the order, looks cost none. A look that fails in
passing is repeated; an order is not, for the service may have taken it: what is lost then expires there by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import hotshotd
from hotshotd._types import Chars
from hotshotd.backoff import Backoff
from hotshotd.errors import (
    BreakerOpen,
    HotshotError,
    InferenceError,
    InferenceNonsense,
    InferenceUnavailable,
    QuotaError,
    QuotaUnavailable,
)
from hotshotd.inference.base import Endpoint
from hotshotd.inference.horde_answers import (
    IMPOSSIBLE_SECONDS,
    JobHollow,
    JobImpossible,
    JobLost,
    TooDear,
    read_job_id,
    read_progress,
    refine_look,
    refine_problem,
)
from hotshotd.inference.horde_orders import Delivery, Order
from hotshotd.inference.http import SMALL_SECONDS, Answer, Call, Refine, ServiceSession, make_ask

#: The key of all who have none.
ANONYMOUS_KEY = "0000000000"

#: Name, version and contact of the program; the default of other programs is sometimes shut out.
CLIENT_AGENT = f"hotshotd:{hotshotd.__version__}:unknown"

#: Between two orders of one worker, in seconds: the service takes 2 a second and 90 a minute of an address.
ORDER_GAP_SECONDS = 0.7

#: The wait for the answer to a cancellation, in seconds.
CANCEL_SECONDS = 5.0

#: Pauses after looks that failed: slower than the ten a minute that a picture's status may be read.
LOOK_PAUSE = Backoff(base_seconds=8.0, cap_seconds=30.0)

#: For how many looks there has to be time, or a job is not even ordered.
LEAST_LOOKS = 2

#: Looks in a row that may be answered with nonsense.
MOST_NONSENSE = 3

T = TypeVar("T")


@dataclass(slots=True)
class _Job:
    """A job that was taken. `deadline` is monotonic."""

    job_id: str
    deadline: float
    cost: int


@dataclass(frozen=True, slots=True)
class Horde:
    """AI Horde for one endpoint. Thread-safe."""

    endpoint: Endpoint
    session: ServiceSession = field(repr=False)

    def run(self, order: Order[T]) -> Delivery[T]:
        """Order a job and give its result. Blocks for `order.limit_seconds`, and a few more to call it off.

        Raises:
            QuotaError: A request may not leave; a job under way is left to expire.
            InferenceError: Nothing usable came, or nothing in time.
        """
        if order.limit_seconds < LEAST_LOOKS * order.kind.look_seconds:
            raise InferenceUnavailable(f"{self.endpoint.name} needs more time than {order.limit_seconds:.0f} s")
        job = self._submit(order)
        try:
            value = self._follow(order, job)
        except JobImpossible as exc:
            # The wait that opens a breaker is told with the last request: an open one would hold that back.
            error = JobImpossible(str(exc), retry_after=IMPOSSIBLE_SECONDS)
            self._call_off(order, job, error)
            raise error from exc
        if value is None:
            value = self._give_up(order, job)
        return Delivery(value, Chars(job.cost))

    def get(self, path: str, *, model: str, read: Callable[[Any], T]) -> T:
        """Read something that belongs to no job."""
        return self._send("GET", path, model=model, parse=lambda answer: read(answer.json), refine=refine_problem)

    # --- ordering ---

    def _submit(self, order: Order[Any]) -> _Job:
        deadline = self._now() + order.limit_seconds
        ask = make_ask(self.endpoint, chars=order.chars, model=order.model)
        try:
            return _Job(self._post(order, order.payload), deadline, ask.chars)
        except TooDear:
            if order.smaller is None:
                raise
        # What was refused was sent, and so is charged.
        return _Job(self._post(order, order.smaller), deadline, 2 * ask.chars)

    def _post(self, order: Order[Any], payload: Mapping[str, Any]) -> str:
        host = urlsplit(self.endpoint.url).netloc
        self.session.wait(self.session.turns.take(host, gap_seconds=ORDER_GAP_SECONDS, now=self._now()))
        key = {} if self.endpoint.key else {"apikey": ANONYMOUS_KEY}
        call = Call(
            endpoint=self.endpoint,
            path=order.kind.order,
            payload=payload,
            ask=make_ask(self.endpoint, chars=order.chars, model=order.model),
            read_seconds=min(SMALL_SECONDS, order.limit_seconds),
            headers={"Client-Agent": CLIENT_AGENT, **key},
            sent_texts=order.sent_texts,
            key_header="apikey",
        )
        return self.session.send(
            call, parse=lambda answer: read_job_id(answer.json, where=answer.where), refine=refine_problem
        )

    # --- following ---

    def _follow(self, order: Order[T], job: _Job) -> T | None:
        """Look until there is a result; None when the time is up."""
        failures = 0
        pause = order.kind.look_seconds
        # No look before a pause is over: rather none at all.
        while pause < job.deadline - self._now():
            self.session.wait(pause)
            try:
                value = self._look(order, job)
            except (InferenceUnavailable, InferenceNonsense, QuotaUnavailable, BreakerOpen) as exc:
                failures += 1
                if not _is_passing(exc, failures):
                    raise
                pause = max(LOOK_PAUSE.compute_ceiling(failures), getattr(exc, "retry_after", None) or 0.0)
                continue
            if value is not None:
                return value
            failures, pause = 0, order.kind.look_seconds
        return None

    def _look(self, order: Order[T], job: _Job) -> T | None:
        if order.kind.check is not None and not self._is_ready(order, job):
            return None
        return self._read_status(order, job)

    def _is_ready(self, order: Order[Any], job: _Job) -> bool:
        def parse(answer: Answer) -> bool:
            progress = read_progress(answer.json, where=answer.where)
            # Not by `done` alone: it is said, too, while the last part is still being made.
            is_ready = progress.is_over and progress.finished > 0
            if not is_ready:
                progress.raise_if_hopeless(where=answer.where)
            return is_ready

        return self._get(order, job, f"{order.kind.check}/{job.job_id}", parse=parse)

    def _read_status(self, order: Order[T], job: _Job) -> T | None:
        def parse(answer: Answer) -> T | None:
            return order.read(answer.json, answer.where)

        def measure(value: T | None) -> int:
            return 0 if value is None else order.measure(value)

        return self._get(order, job, f"{order.kind.status}/{job.job_id}", parse=parse, measure=measure)

    # --- ending ---

    def _give_up(self, order: Order[T], job: _Job) -> T:
        value = order.salvage()
        error = InferenceUnavailable(
            f"{self.endpoint.name} did not finish {order.model or 'the job'} within {order.limit_seconds:g} s: "
            "its volunteers are few or its queue is long"
        )
        self._call_off(order, job, None if value is not None else error)
        if value is None:
            raise error
        return value

    def _call_off(self, order: Order[Any], job: _Job, error: InferenceError | None) -> None:
        """Cancel a job, so that nobody works for nothing. What the answer holds came too late and is dropped."""

        def parse(_: Answer) -> None:
            # Accounted as the failure that it is, so that breakers know of it.
            if error is not None:
                raise error

        try:
            self._send(
                "DELETE",
                f"{order.kind.status}/{job.job_id}",
                model=order.model,
                parse=parse,
                refine=refine_look,
                read_seconds=CANCEL_SECONDS,
            )
        except (QuotaError, InferenceError):
            pass

    # --- sending ---

    def _get(
        self,
        order: Order[Any],
        job: _Job,
        path: str,
        *,
        parse: Callable[[Answer], T],
        measure: Callable[[T], int] = lambda _: 0,
    ) -> T:
        left = max(1.0, min(SMALL_SECONDS, job.deadline - self._now()))
        return self._send(
            "GET", path, model=order.model, parse=parse, refine=refine_look, measure=measure, read_seconds=left
        )

    def _send(
        self,
        method: str,
        path: str,
        *,
        model: str,
        parse: Callable[[Answer], T],
        refine: Refine,
        measure: Callable[[T], int] = lambda _: 0,
        read_seconds: float = SMALL_SECONDS,
    ) -> T:
        call = Call(
            # Without the key: the id of a job is the secret that opens it.
            endpoint=replace(self.endpoint, key=None),
            path=path,
            payload=None,
            ask=make_ask(self.endpoint, chars=0, model=model),
            read_seconds=read_seconds,
            method=method,
            headers={"Client-Agent": CLIENT_AGENT},
        )
        return self.session.send(call, parse=parse, refine=refine, measure=measure)

    def _now(self) -> float:
        return self.session.clock.monotonic()


def _is_passing(exc: HotshotError, failures: int) -> bool:
    """Tell whether a job may be looked at again after a look that failed."""
    if isinstance(exc, JobLost | JobHollow):
        return False
    if isinstance(exc, BreakerOpen):
        return not exc.gone
    return not isinstance(exc, InferenceNonsense) or failures < MOST_NONSENSE
