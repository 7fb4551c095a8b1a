"""A service that only fails costs next to nothing: real clients, a real quota process, real HTTP, the real daemon.

When a knock is wanted is told in tests/unit/quota/test_breakers_knocks.py.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any, Self

import pytest
from harness import KEY, PLACE, World, wait_until

from hotshotd._types import BotName, Role
from hotshotd.admission import Account, Ask, Result, billing
from hotshotd.errors import BreakerOpen, HotshotError, InferenceGone, InferenceNonsense, InferenceUnavailable
from hotshotd.inference.base import Candidates, Endpoint, Prompt
from hotshotd.inference.build import build_text_model
from hotshotd.inference.http import ServiceSession
from hotshotd.quota.breakers import FAILURES_TO_OPEN, KNOCK_CHARS
from hotshotd.quota.client import QuotaClient
from hotshotd.quota.server import serve
from hotshotd.quota.store import SqliteStore
from hotshotd.quota.stub import StubQuota
from hotshotd.sandbox.faults import Action, Rule
from hotshotd.sandbox.http import HttpServer, Request, Response, json_response, text_response
from hotshotd.wire import LineBuffer, encode

FORK = multiprocessing.get_context("fork")
PROMPT = Prompt(text="Ducks are odd. " * 94)
LONG = len(PROMPT.text)
BUDGET = 30_000
CHAT = "/v1/chat/completions"
ANSWER = json_response({"choices": [{"message": {"content": "quack"}, "text": "quack", "finish_reason": "stop"}]})
AWAY = json_response({"error": {"message": "overloaded"}}, status=500)


class SharedClock:
    """A clock that stands, for all processes that were forked from this one, until it is moved."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, 8)

    @property
    def passed(self) -> float:
        """The seconds by which it was moved."""
        seconds: float = struct.unpack("d", self._page[:8])[0]
        return seconds

    def advance(self, seconds: float) -> None:
        self._page[:8] = struct.pack("d", self.passed + seconds)

    def monotonic(self) -> float:
        return 1000.0 + self.passed

    def now(self) -> datetime:
        return datetime(2026, 11, 24, 8, tzinfo=UTC) + timedelta(seconds=self.passed)


class RunningClock(SharedClock):
    """The same, and it runs meanwhile: for those who limit a wait by it."""

    def monotonic(self) -> float:
        return super().monotonic() + time.monotonic()


class Server:
    """A text service whose answers a test sets, and what it was sent."""

    def __init__(self) -> None:
        self.answer: Callable[[Request], Response] = lambda _request: ANSWER
        self.http = HttpServer("service", self._handle)

    def fail(self, answer: Response = AWAY) -> None:
        self.answer = lambda _request: answer

    def recover(self) -> None:
        self.answer = lambda _request: ANSWER

    def _handle(self, request: Request) -> Response:
        return self.answer(request)

    @property
    def sent(self) -> list[Any]:
        return [request.json() for request in self.http.log.requests()]


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    with made.http:
        yield made
    assert not made.http.failures


def make_model(admission: Any, clock: Any, url: str, *, api: str = "chat", **endpoint: Any) -> Any:
    session = ServiceSession(admission=admission, clock=clock)
    return build_text_model(
        api=api, endpoint=Endpoint(name="hf", url=url, **endpoint), model="duck",
        parameters={"num_return_sequences": 3, "temperature": 0.5, "max_new_tokens": 200}, session=session,
    )  # fmt: skip


# --- one client, with the rules of the quota process in memory -----------------------------------


class Bench:
    """A client whose service has just failed so often that it is not asked, and whose next request is the probe."""

    def __init__(self, server: Server, *, api: str = "chat", **endpoint: Any) -> None:
        self.clock = RunningClock()
        self.quota = StubQuota(self.clock, budgets={"iama": BUDGET})
        self.admission = self.quota.enter("iama")
        self.server = server
        self.model = make_model(self.admission, self.clock, server.http.base_url, api=api, **endpoint)
        server.fail()
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(InferenceUnavailable):
                self.model.generate(PROMPT)
            self.clock.advance(20)
        server.recover()

    @property
    def new(self) -> list[Any]:
        """What was sent since the breaker opened."""
        return self.server.sent[FAILURES_TO_OPEN:]

    @property
    def spent(self) -> int:
        return self.quota.compute_figures().bots[0].characters - FAILURES_TO_OPEN * LONG

    def generate(self) -> Candidates:
        found: Candidates = self.model.generate(PROMPT)
        return found


@pytest.mark.parametrize(
    ("api", "knock"),
    [
        ("chat", {"model": "duck", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 16}),
        ("completions", {"model": "duck", "prompt": "Hi", "max_tokens": 16}),
        ("hf", {"inputs": "Hi", "parameters": {"max_new_tokens": 16}}),
    ],
)
def test_knock__is_tiny_and_the_same_for_everybody(server: Server, api: str, knock: object) -> None:
    """Two characters, one answer, nothing of what people or the bot wrote; then the prompt itself, as always."""
    bench = Bench(server, api=api)
    if api == "hf":
        server.fail(json_response([{"generated_text": "quack"}]))
    found = bench.generate()
    first, second = bench.new
    assert first == knock
    assert second == server.sent[0]
    assert (found.texts, found.cost, bench.spent) == (("quack",), 2 + LONG, 2 + LONG)
    bench.generate()
    assert len(bench.new) == 3, "who works is not knocked at"


@pytest.mark.parametrize(
    "answer",
    [
        json_response({"choices": [{"message": {"content": None}, "finish_reason": "length"}]}),
        json_response({"choices": [{"message": {"content": "<think>Somebody"}, "finish_reason": "length"}]}),
        json_response({"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}),
        json_response({"error": {"message": "use max_completion_tokens"}}, status=400),
        json_response({"error": {"message": "max_tokens is too low for reasoning"}}, status=422),
    ],
    ids=["nothing", "thoughts", "filtered", "400", "422"],
)
def test_knock__is_answered_by_whatever_shows_that_somebody_is_there(server: Server, answer: Response) -> None:
    """A model that only thinks, and a server that likes no such requests, are at work."""
    bench = Bench(server)
    server.answer = lambda request: answer if len(request.body) < 500 else ANSWER
    assert bench.generate().texts == ("quack",)
    assert len(bench.new) == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (AWAY, InferenceUnavailable),
        (json_response({"error": "slow down"}, status=429), InferenceUnavailable),
        (text_response("<html>be right back</html>"), InferenceNonsense),
        (json_response({"hello": "you"}), InferenceNonsense),
        (json_response({"error": "no such model"}, status=404), InferenceGone),
    ],
    ids=["500", "429", "html", "json", "404"],
)
def test_knock__that_is_not_answered_well_is_all_that_is_sent(
    server: Server, answer: Response, error: type[HotshotError]
) -> None:
    """The bot hears what it would hear of its prompt, for two characters; then there is a pause."""
    bench = Bench(server)
    server.fail(answer)
    with pytest.raises(error):
        bench.generate()
    with pytest.raises(BreakerOpen) as caught:
        bench.generate()
    assert (len(bench.new), bench.spent) == (1, 2)
    assert caught.value.retry_after > 15


@pytest.mark.parametrize("endpoint", [{"metered": False}, {"role": Role.RANK}], ids=["own server", "judge"])
def test_knock__is_not_for_what_costs_nothing_nor_for_other_roles(server: Server, endpoint: dict[str, Any]) -> None:
    """Their next request is the probe."""
    bench = Bench(server, **endpoint)
    bench.generate()
    assert len(bench.new) == 1


def test_knock__is_not_sent_for_what_nobody_can_pay(server: Server) -> None:
    """With less left than the prompt costs, two characters would be for nothing."""
    bench = Bench(server)
    rest = BUDGET - FAILURES_TO_OPEN * LONG - LONG + 1
    other = Ask(service="other", role=Role.TEXT, chars=rest)  # type: ignore[arg-type]
    bench.admission.account(Account(bench.admission.ask(other), Result.OK))
    with pytest.raises(HotshotError, match="left") as caught:
        bench.generate()
    assert caught.value.code == "over_budget"
    assert bench.new == []


def test_knock__is_on_the_bill(server: Server, tmp_path: Path) -> None:
    """`try` shows it, as everything that was charged."""
    with Quota(tmp_path) as quota:
        model = make_model(quota.client, RunningClock(), server.http.base_url)
        server.fail()
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(InferenceUnavailable):
                model.generate(PROMPT)
        server.recover()
        quota.clock.advance(10)
        with billing() as bill:
            model.generate(PROMPT)
    assert bill.chars == 2 + LONG


# --- the quota process, and a clock that it shares with the test ---------------------------------


class _Quiet:
    def error(self, event: str, **fields: object) -> None:
        os.write(2, f"{event} {fields}\n".encode())

    warning = error


def _run(listener: socket.socket, channel: socket.socket, theirs: socket.socket, folder: Path, clock: Any) -> None:
    theirs.close()
    serve(
        listener=listener, channel=channel, state_dir=folder, clock=clock, log=_Quiet(), open_store=SqliteStore
    )  # fmt: skip


class Quota:
    """A quota process of one bot, whose clock a test moves."""

    def __init__(self, folder: Path) -> None:
        self.clock = SharedClock()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(folder / "quota.sock"))
        listener.listen(8)
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(20)
        self._lines = LineBuffer()
        self._process = FORK.Process(target=_run, args=(listener, theirs, self._channel, folder, self.clock))
        self._process.start()
        listener.close()
        theirs.close()
        bots = {"iama": {"budget": BUDGET, "paused": False}}
        self._order(op="configure", timezone="UTC", daily_total=None, monthly_total=None, bots=bots)
        # Its own time is the machine's: with the other, no wait for the quota process would have an end.
        self.client = QuotaClient(folder / "quota.sock", bot=BotName("iama"), client="c", clock=RunningClock())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._channel.close()
        self._process.join(10)
        assert self._process.exitcode == 0

    @property
    def spent(self) -> int:
        chars: int = self._order(op="snapshot")["quota"]["bots"][0]["characters"]
        return chars

    def _order(self, **message: Any) -> Any:
        self._channel.sendall(encode({"id": 1, **message}))
        while True:
            for reply in self._lines.feed(self._channel.recv(65536)):
                if reply.get("id") == 1:
                    return reply


def test_outage__of_two_hours_leaves_the_budget_nearly_untouched(server: Server, tmp_path: Path) -> None:
    """What opened the breaker, then knocks; within 60 s of its end there is an answer, and each character is booked."""
    with Quota(tmp_path) as quota:
        clock, model = quota.clock, make_model(quota.client, RunningClock(), server.http.base_url)

        def want() -> Candidates | None:
            """Ask as a bot does that has much to say: again as soon as it may."""
            try:
                found: Candidates = model.generate(PROMPT)
            except BreakerOpen as exc:
                clock.advance(exc.retry_after)
            except InferenceUnavailable:
                clock.advance(1)
            else:
                return found
            return None

        server.fail()
        while clock.passed < 7200:
            assert want() is None
        knocks = len(server.sent) - FAILURES_TO_OPEN
        assert [count_chars(body) for body in server.sent] == [LONG] * FAILURES_TO_OPEN + [2] * knocks
        assert 200 < knocks <= 245
        assert quota.spent == FAILURES_TO_OPEN * LONG + 2 * knocks <= BUDGET // 3
        server.recover()
        ended = clock.passed
        while want() is None:
            pass
        assert clock.passed - ended <= 60
        assert quota.spent == (FAILURES_TO_OPEN + 1) * LONG + 2 * (knocks + 1)


def count_chars(body: Any) -> int:
    return sum(len(message["content"]) for message in body["messages"])


# --- the daemon ----------------------------------------------------------------------------------

#: What the first request that is answered is told, which is a knock.
FOR_NOBODY = "Hello, how may I help you today?"


def test_daemon__pays_for_no_prompt_while_its_model_is_away(world: World) -> None:
    """Once the breaker is open the text service gets nothing but knocks; all who waited are answered after the end."""
    names = ("duck", "drake")
    for name in names:
        text = world.add_bot(name, budget=BUDGET)
        world.bot_file(name).write_text(text.replace("  chance: 1.0\n", "  chance: 1.0\n  parallel: 5\n"))
    world.services.script("duck-chat", [FOR_NOBODY])
    daemon = world.start()
    for name in names:
        daemon.wait_state(name, "running")
    world.plan.add(Rule(Action.STATUS, service="openai", path=CHAT, status=500))
    things = [world.forum.submit("ann", PLACE, f"Is it {number}?", "I heard something.") for number in range(3)]
    daemon.wait_event("service.state", role="text", state="open", count=2)
    sent = sent_by(world)
    # Both may have begun their third before the fifth failed.
    assert len(sent) - 1 in (FAILURES_TO_OPEN, FAILURES_TO_OPEN + 1)
    assert (min(sent[:-1]) > KNOCK_CHARS, sent[-1]) == (True, 2)
    world.plan.clear()
    ended = time.monotonic()
    for thing, name in product(things, names):
        seconds = ended + 60 - time.monotonic()
        daemon.wait_event("item.done", thing=thing.fullname, bot=name, outcome="replied", seconds=seconds)
    said = [comment.text for name in names for comment in world.forum.comments(author=name)]
    assert FOR_NOBODY not in said

    def is_exact() -> bool:
        """They answer each other meanwhile."""
        return sum(daemon.bot(name)["spend"]["characters"] for name in names) == world.services.received_chars(KEY)

    wait_until(is_exact, what="the same sum on both sides")


def sent_by(world: World) -> list[int]:
    """Give how many characters each request for a text had."""
    return [count_chars(request.json()) for request in world.services.openai.log.requests(CHAT)]
