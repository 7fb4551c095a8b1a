"""AI Horde's clients against a horde on this machine: jobs ordered, followed, called off, and what is not used of them.

Time is the test's own: a pause between two looks moves the clock of client and server, and waits for nothing.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hotshotd._types import Chars, Role
from hotshotd.admission import Account, Ask, Permit, Result
from hotshotd.clock import SystemClock
from hotshotd.errors import (
    BotPaused,
    BreakerOpen,
    HotshotError,
    InferenceError,
    InferenceGone,
    InferenceNonsense,
    InferenceRejected,
    InferenceUnavailable,
    QuotaUnavailable,
)
from hotshotd.inference.base import Endpoint, Picture, Prompt
from hotshotd.inference.build import build_captioner, build_painter, build_text_model, build_upscaler
from hotshotd.inference.horde import ANONYMOUS_KEY, CLIENT_AGENT
from hotshotd.inference.horde_answers import JobImpossible, JobLost
from hotshotd.inference.horde_pictures import HordeCaptioner, HordePainter, HordeUpscaler
from hotshotd.inference.horde_text import HordeTextModel
from hotshotd.inference.http import ServiceSession
from hotshotd.quota.stub import StubQuota
from hotshotd.sandbox.faults import Action, Plan, Rule, When
from hotshotd.sandbox.horde import Fate
from hotshotd.sandbox.http import Request
from hotshotd.sandbox.pictures import draw_png
from hotshotd.sandbox.services import Services

KEY = "the-very-secret-horde-key"
PROMPT_TEXT = "Somebody asked the lighthouse keeper about the odd ducks of last winter.\n\nKeeper:"
PROMPT = Prompt(text=PROMPT_TEXT, stop=("\n\nUser:", "###"))
MODEL = "koboldcpp/lighthouse-7b"
PICTURE_URL = "https://i.example.org/duck.jpg"
CSAM = ({"type": "censorship", "value": "csam"},)


@dataclass
class HandClock:
    """A clock that moves when it is told to."""

    elapsed: float = 1000.0
    pauses: list[float] = field(default_factory=list)
    on_pause: Callable[[], None] = lambda: None

    def monotonic(self) -> float:
        return self.elapsed

    def now(self) -> datetime:
        return datetime(2026, 11, 24, 12, 0, tzinfo=UTC) + timedelta(seconds=self.elapsed)

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.elapsed += seconds
        self.on_pause()


@dataclass
class Desk:
    """An Admission that writes down what was asked and how it ended; `refusals` come once each, by number of ask."""

    refusals: dict[int, Exception] = field(default_factory=dict)
    asks: list[Ask] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)

    def check(self, ask: Ask) -> None:
        pass

    def ask(self, ask: Ask) -> Permit:
        self.asks.append(ask)
        if refusal := self.refusals.pop(len(self.asks), None):
            raise refusal
        return Permit(number=len(self.asks), chars=ask.chars)

    def report_unsent(self, ask: Ask, *, result: Result, error: str) -> None:
        """Keep no book of it."""

    def account(self, account: Account) -> None:
        self.accounts.append(account)

    @contextmanager
    def sending(self) -> Iterator[None]:
        yield

    @property
    def results(self) -> list[Result]:
        return [account.result for account in self.accounts]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def plan() -> Plan:
    return Plan()


@pytest.fixture
def services(plan: Plan, clock: HandClock) -> Iterator[Services]:
    with Services(keys={KEY: "iama"}, plan=plan, clock=clock) as services:
        yield services
    assert not services.horde.failures


@pytest.fixture
def session(desk: Desk, clock: HandClock) -> Iterator[ServiceSession]:
    session = ServiceSession(admission=desk, clock=clock, pause=clock.pause)
    yield session
    session.close()


@dataclass
class Bench:
    """The clients, ready to be asked."""

    services: Services
    session: ServiceSession

    def endpoint(self, role: Role = Role.TEXT, **changes: Any) -> Endpoint:
        given: dict[str, Any] = {
            "name": "horde",
            "url": self.services.horde_url,
            "key": KEY,
            "metered": False,
            "role": role,
        }
        return Endpoint(**given | changes)

    def text(self, *, key: str | None = KEY, metered: bool = False, model: str = MODEL, **parameters: Any) -> Any:
        return HordeTextModel(
            endpoint=self.endpoint(key=key, metered=metered),
            model=model,
            session=self.session,
            parameters=parameters,
        )

    def painter(self, *, key: str | None = KEY, upscaler: str | None = None, **parameters: Any) -> HordePainter:
        return HordePainter(
            endpoint=self.endpoint(Role.PICTURE, key=key),
            model="AlbedoBase XL",
            session=self.session,
            parameters=parameters,
            upscaler=upscaler,
        )

    @property
    def captioner(self) -> HordeCaptioner:
        return HordeCaptioner(endpoint=self.endpoint(Role.CAPTION), session=self.session)

    @property
    def upscaler(self) -> HordeUpscaler:
        return HordeUpscaler(endpoint=self.endpoint(Role.UPSCALE), session=self.session)

    def requests(self, method: str, path: str = "") -> tuple[Request, ...]:
        return self.services.horde.log.requests(path, method=method)

    def order(self, number: int = -1) -> dict[str, Any]:
        """Give the body of an order that arrived."""
        body: dict[str, Any] = self.requests("POST")[number].json()
        return body


@pytest.fixture
def bench(services: Services, session: ServiceSession) -> Bench:
    return Bench(services, session)


def refusal(status: int, code: str | None, message: str = "no", **changes: Any) -> Rule:
    body = {"message": message, "rc": code} if code else {"message": message}
    given: dict[str, Any] = {"service": "horde", "status": status, "body": json.dumps(body), "method": "POST"}
    return Rule(Action.STATUS, **given | changes)


# --- text ---


def test_text__is_ordered_followed_and_given(bench: Bench, services: Services, clock: HandClock, desk: Desk) -> None:
    """One order, looks some seconds apart, the texts; every request was admitted and went well."""
    services.horde_jobs.plan("text", [Fate(looks=3)])
    services.script(MODEL, ["They had hats."])
    found = bench.text().generate(PROMPT)
    assert found.texts == ("They had hats.",)
    assert (found.backend, found.model, found.cost) == ("horde", MODEL, 0)
    assert clock.pauses == [3.0] * 4
    assert desk.results == [Result.OK] * 5
    assert not bench.requests("DELETE")


def test_text__order_says_what_the_service_needs(bench: Bench) -> None:
    """The raw prompt, the model, sizes within bounds, and the two switches whose defaults are not what they say."""
    bench.text(max_new_tokens=9000, temperature=0.7, repetition_penalty=0.5, top_k=40, do_sample=True).generate(PROMPT)
    assert bench.order() == {
        "prompt": PROMPT_TEXT,
        "params": {
            "n": 1,
            "max_length": 512,
            "max_context_length": 1024,
            "temperature": 0.7,
            "rep_pen": 1.0,
            "top_k": 40,
            "stop_sequence": ["\n\nUser:", "###"],
        },
        "models": [MODEL],
        "trusted_workers": False,
        "slow_workers": True,
        "validated_backends": True,
        "allow_downgrade": True,
    }


@pytest.mark.parametrize(("key", "sent"), [(KEY, KEY), (None, ANONYMOUS_KEY)])
def test_text__key_travels_with_the_order_alone(bench: Bench, key: str | None, sent: str) -> None:
    """The key stands in its own header, never as a bearer token, and a look needs none."""
    bench.text(key=key).generate(PROMPT)
    (post,) = bench.requests("POST")
    assert post.headers["apikey"] == sent
    assert post.headers["client-agent"] == CLIENT_AGENT
    assert CLIENT_AGENT.startswith("hotshotd:")
    assert CLIENT_AGENT.count(":") == 2
    for request in (post, *bench.requests("GET")):
        assert "authorization" not in request.headers
    assert all("apikey" not in request.headers for request in bench.requests("GET"))


def test_text__any_model_is_no_model(bench: Bench) -> None:
    """Without a name any volunteer may answer; the field has to be there all the same."""
    assert bench.text(model="").generate(PROMPT).model == "any"
    assert bench.order()["models"] == []


def test_text__stop_is_cut_off(bench: Bench, services: Services) -> None:
    """The service leaves the stop string in the text."""
    services.script(MODEL, ["They had hats.\n\nUser: really?"])
    assert bench.text().generate(PROMPT).texts == ("They had hats.",)
    status = services.horde.log.answers()[-1][1].json()
    assert status["generations"][0]["text"].endswith("\n\nUser:")


def test_text__gives_as_many_candidates_as_were_ordered(bench: Bench, services: Services) -> None:
    """`num_return_sequences` is `n`."""
    services.script(MODEL, [["One.", "Two.", "<think>hm</think>Three."]])
    assert bench.text(num_return_sequences=3).generate(PROMPT).texts == ("One.", "Two.", "Three.")


def test_text__metered_charges_the_order_alone(bench: Bench, desk: Desk) -> None:
    """Characters leave once, with the order; looks cost none. The answer's characters are counted once too."""
    found = bench.text(metered=True).generate(PROMPT)
    assert [ask.chars for ask in desk.asks] == [len(PROMPT_TEXT), 0, 0]
    assert found.cost == bench.text(metered=True).cost(PROMPT) == len(PROMPT_TEXT)
    assert [account.received_chars for account in desk.accounts] == [0, 0, len(found.texts[0])]
    assert {ask.key_id for ask in desk.asks} == {desk.asks[0].key_id} != {""}


@pytest.mark.parametrize("limit", [None, 30.0, 500.0])
def test_text__is_called_off_when_time_is_up(
    bench: Bench, services: Services, clock: HandClock, desk: Desk, limit: float | None
) -> None:
    """At the read limit of a text, or sooner where less is allowed, the job is cancelled, and that counts as failed."""
    services.horde_jobs.plan("text", [Fate(looks=10_000)])
    begun = clock.elapsed
    with pytest.raises(InferenceUnavailable, match="within (120|30) s"):
        bench.text().generate(PROMPT, limit_seconds=limit)
    most = min(limit or 120.0, 120.0)
    assert most - 3.0 <= clock.elapsed - begun <= most
    (job,) = services.horde_jobs.jobs
    assert job.cancelled
    assert desk.results[-1] is Result.FAILED


def test_text__late_result_is_dropped(bench: Bench, services: Services) -> None:
    """What the answer to the cancellation holds came too late."""
    services.horde_jobs.plan("text", [Fate(looks=39)])
    with pytest.raises(InferenceUnavailable):
        bench.text().generate(PROMPT, limit_seconds=117.5)
    # One look more would have brought it.
    assert services.horde_jobs.jobs[0].looks == 39


def test_text__too_little_time_orders_nothing(bench: Bench) -> None:
    """A job that could not be looked at twice is not ordered."""
    with pytest.raises(InferenceUnavailable, match="needs more time than 5 s"):
        bench.text().generate(PROMPT, limit_seconds=5.0)
    assert not bench.requests("POST")


def test_text__nobody_who_can_is_told_at_once(bench: Bench, services: Services, desk: Desk) -> None:
    """Not possible: called off after one look, with a wait that closes the breaker for a minute."""
    services.horde_jobs.plan("text", [Fate(possible=False)])
    with pytest.raises(JobImpossible, match="no volunteer") as caught:
        bench.text().generate(PROMPT)
    assert caught.value.retry_after == 60.0
    assert services.horde_jobs.jobs[0].cancelled
    assert services.horde_jobs.jobs[0].looks == 1
    # Told with the cancellation: a breaker that opened before would have kept it from leaving.
    assert [account.retry_after for account in desk.accounts] == [None, None, 60.0]


@pytest.mark.parametrize(
    ("fate", "error"),
    [
        (Fate(faulted=True), JobLost),
        (Fate(lost=True), JobLost),
        (Fate(missing=1), JobLost),
        (Fate(results=("",)), InferenceNonsense),
        (Fate(results=("  \n",)), InferenceNonsense),
        (Fate(results=(None,)), InferenceNonsense),
        (Fate(results=("<think>hm",)), InferenceNonsense),
        (Fate(state="censored"), InferenceRejected),
        (Fate(state="csam"), InferenceRejected),
        (Fate(state="unheard-of"), InferenceRejected),
        (Fate(metadata=CSAM), InferenceRejected),
    ],
)
def test_text__what_is_not_good_is_not_used(
    bench: Bench, services: Services, desk: Desk, fate: Fate, error: type[InferenceError]
) -> None:
    """Faulted, expired, too few, empty or censored: an error at once, without further looks."""
    services.horde_jobs.plan("text", [fate])
    with pytest.raises(error):
        bench.text().generate(PROMPT)
    assert len(bench.requests("GET")) == 2
    assert desk.results[-1] is (Result.REJECTED if error is InferenceRejected else Result.FAILED)


def test_text__harmless_metadata_harm_nothing(bench: Bench, services: Services) -> None:
    """Only censorship refuses."""
    services.horde_jobs.plan("text", [Fate(metadata=({"type": "information", "value": "batched"},))])
    assert bench.text().generate(PROMPT).texts


def test_text__one_censored_part_refuses_all(bench: Bench, services: Services) -> None:
    """Fail closed: what else was made of such a prompt is not trusted."""
    services.horde_jobs.plan("text", [Fate(metadata=CSAM)])
    services.script(MODEL, [["One.", "Two."]])
    with pytest.raises(InferenceRejected, match="censored"):
        bench.text(n=2).generate(PROMPT)


def test_text__done_with_a_part_under_way_is_not_done(bench: Bench, services: Services, clock: HandClock) -> None:
    """`done` is said, too, while the last part is made; it is waited for, and what is there is taken in the end."""
    services.horde_jobs.plan("text", [Fate(running=1)])
    services.script(MODEL, [["One.", "Two."]])
    found = bench.text(n=2).generate(PROMPT, limit_seconds=60)
    assert found.texts == ("One.",)
    assert sum(clock.pauses) >= 57
    assert services.horde_jobs.jobs[0].cancelled


def test_text__fewer_than_ordered_will_do_when_no_more_come(bench: Bench, services: Services) -> None:
    """One candidate is better than none."""
    services.horde_jobs.plan("text", [Fate(missing=1)])
    services.script(MODEL, [["One.", "Two."]])
    assert bench.text(n=2).generate(PROMPT, limit_seconds=60).texts == ("One.",)
    assert not bench.requests("DELETE")


def test_text__under_the_real_breakers_and_ledger(services: Services, clock: HandClock) -> None:
    """What nobody can do is called off, and not asked for a minute; then it is. What is charged is what arrived."""
    quota = StubQuota(clock, budgets={"iama": 10_000})
    session = ServiceSession(admission=quota.enter("iama"), clock=clock, pause=clock.pause)
    bench = Bench(services, session)
    services.horde_jobs.plan("text", [Fate(possible=False)])
    with pytest.raises(JobImpossible):
        bench.text(metered=True).generate(PROMPT)
    assert services.horde_jobs.jobs[0].cancelled
    with pytest.raises(BreakerOpen):
        bench.text(metered=True).generate(PROMPT)
    assert bench.text(metered=True, model="other").generate(PROMPT).texts
    clock.elapsed += 61
    assert bench.text(metered=True).generate(PROMPT).texts
    (figures,) = quota.compute_figures().bots
    assert figures.characters == services.received_chars(KEY) == 3 * len(PROMPT_TEXT)
    session.close()


# --- refusals ---


@pytest.mark.parametrize(
    ("rule", "kind", "wait"),
    [
        (refusal(400, "MaintenanceMode"), InferenceUnavailable, 300.0),
        (refusal(400, "CorruptPrompt"), InferenceRejected, None),
        (refusal(400, "MissingPrompt"), InferenceRejected, None),
        (refusal(400, None), InferenceRejected, None),
        (refusal(401, "InvalidAPIKey"), InferenceGone, None),
        (refusal(403, "TimeoutIP", "put into timeout for 541 more seconds."), InferenceUnavailable, 541.0),
        (refusal(403, "TimeoutIP", "put into timeout."), InferenceUnavailable, 180.0),
        (refusal(403, "AnonForbidden"), InferenceGone, None),
        (refusal(404, None), InferenceGone, None),
        (refusal(429, "TooManyPrompts"), InferenceUnavailable, 60.0),
        (refusal(429, "TooManyPrompts", headers={"Retry-After": "90"}), InferenceUnavailable, 90.0),
        (refusal(429, None, headers={"Retry-After": "7"}), InferenceUnavailable, 7.0),
        (refusal(503, None), InferenceUnavailable, None),
    ],
)
def test_order__refusals(bench: Bench, plan: Plan, rule: Rule, kind: type[InferenceError], wait: float | None) -> None:
    """A refused order is not repeated, and its return code says what it means; key and prompt are not quoted."""
    plan.add(rule)
    with pytest.raises(kind) as caught:
        bench.text().generate(PROMPT)
    assert type(caught.value) is kind
    assert getattr(caught.value, "retry_after", None) == wait
    assert len(bench.requests("POST")) == 1
    assert not bench.requests("GET")
    assert KEY not in str(caught.value)
    assert PROMPT_TEXT not in str(caught.value)


def test_order__too_dear_is_made_smaller_once(bench: Bench, plan: Plan, desk: Desk) -> None:
    """Without kudos 256 tokens are always had; both orders were sent, so both are charged."""
    plan.add(refusal(403, "KudosUpfront", count=1))
    found = bench.text(metered=True, max_new_tokens=400).generate(PROMPT)
    assert [bench.order(number)["params"]["max_length"] for number in (0, 1)] == [400, 256]
    assert found.cost == 2 * len(PROMPT_TEXT) == sum(ask.chars for ask in desk.asks)


@pytest.mark.parametrize(("tokens", "orders"), [(400, 2), (200, 1)])
def test_order__too_dear_however_small(bench: Bench, plan: Plan, tokens: int, orders: int) -> None:
    """A passing failure, for other backends are worth a try."""
    plan.add(refusal(403, "KudosUpfront"))
    with pytest.raises(InferenceUnavailable, match="kudos"):
        bench.text(max_new_tokens=tokens).generate(PROMPT)
    assert len(bench.requests("POST")) == orders


@pytest.mark.parametrize("when", [When.BEFORE, When.AFTER])
def test_order__lost_answer_is_not_repeated(bench: Bench, plan: Plan, services: Services, when: When) -> None:
    """The service may have taken the order: it would be done twice."""
    plan.add(Rule(Action.RESET, service="horde", method="POST", when=when, count=1))
    with pytest.raises(InferenceUnavailable):
        bench.text().generate(PROMPT)
    assert len(services.horde_jobs.jobs) == (when is When.AFTER)
    assert len(bench.requests("POST")) == 1


@pytest.mark.parametrize(
    "body", ["{}", '{"id": 5}', '{"id": ""}', '{"id": "../../x"}', '{"id": "a?b"}', "[]", '"x"', "<p>"]
)
def test_order__id_that_is_none(bench: Bench, plan: Plan, body: str) -> None:
    """What can't stand in an address is no id."""
    plan.add(Rule(Action.ABSURD, service="horde", method="POST", body=body))
    with pytest.raises(InferenceNonsense):
        bench.text().generate(PROMPT)
    assert not bench.requests("GET")


def test_orders__keep_the_pace_of_an_address(bench: Bench, plan: Plan) -> None:
    """Neither two a second nor ninety a minute are passed, not even by orders that are refused at once."""
    plan.add(refusal(503, None))
    for _ in range(95):
        with pytest.raises(InferenceUnavailable):
            bench.text().generate(PROMPT)
    times = [request.at for request in bench.requests("POST")]
    assert max(sum(begin <= at < begin + 1 for at in times) for begin in times) <= 2
    assert max(sum(begin <= at < begin + 60 for at in times) for begin in times) <= 90


# --- looks ---


@pytest.mark.parametrize(
    "rule",
    [
        Rule(Action.STATUS, service="horde", method="GET", status=503, count=2),
        Rule(Action.STATUS, service="horde", method="GET", status=429, count=2, headers={"Retry-After": "20"}),
        Rule(Action.RESET, service="horde", method="GET", count=2),
        Rule(Action.TRUNCATE, service="horde", method="GET", count=2),
        Rule(Action.ABSURD, service="horde", method="GET", body="html", count=2),
        Rule(Action.ABSURD, service="horde", method="GET", body="null", count=2),
        Rule(Action.ABSURD, service="horde", method="GET", body='{"done": "yes"}', count=2),
    ],
)
def test_look__that_fails_in_passing_is_repeated(bench: Bench, plan: Plan, clock: HandClock, rule: Rule) -> None:
    """A look costs nothing and changes nothing; the pauses grow, and are never shorter than asked for."""
    plan.add(rule)
    assert bench.text().generate(PROMPT).texts
    assert clock.pauses[:3] == [3.0, *([20.0, 20.0] if rule.headers else [8.0, 16.0])]


def test_look__nonsense_without_end_ends(bench: Bench, plan: Plan) -> None:
    """A server that speaks something else is found out after three looks."""
    plan.add(Rule(Action.ABSURD, service="horde", method="GET", body="[]"))
    with pytest.raises(InferenceNonsense):
        bench.text().generate(PROMPT)
    assert len(bench.requests("GET")) == 3


def test_look__wait_beyond_the_limit_gives_up_at_once(bench: Bench, plan: Plan, clock: HandClock) -> None:
    """No look is made before a wait is over, and none is waited for in vain."""
    plan.add(Rule(Action.STATUS, service="horde", method="GET", status=429, headers={"Retry-After": "600"}))
    with pytest.raises(InferenceUnavailable, match="within 120 s"):
        bench.text().generate(PROMPT)
    assert clock.pauses == [3.0]
    assert len(bench.requests("DELETE")) == 1


def test_look__404_is_final_and_no_missing_model(bench: Bench, plan: Plan, desk: Desk) -> None:
    """With or without a return code it is the job that is not known: neither model nor key are gone."""
    plan.add(Rule(Action.STATUS, service="horde", method="GET", status=404, body='{"message": "?"}'))
    with pytest.raises(JobLost):
        bench.text().generate(PROMPT)
    assert desk.results == [Result.OK, Result.FAILED]
    assert len(bench.requests("GET")) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        BreakerOpen("busy", retry_after=20.0, gone=False),
        QuotaUnavailable("the quota process is away"),
    ],
)
def test_look__refused_in_passing_by_our_own_side(bench: Bench, desk: Desk, refusal: HotshotError) -> None:
    """Another bot's failures, or a quota process that starts again, are no reason to lose a job under way."""
    desk.refusals[2] = refusal
    assert bench.text().generate(PROMPT).texts


@pytest.mark.parametrize("refusal", [BotPaused("paused"), BreakerOpen("gone", retry_after=600.0, gone=True)])
def test_look__refused_for_good_by_our_own_side(bench: Bench, desk: Desk, refusal: HotshotError) -> None:
    """A pause drops the job at once: nothing more leaves."""
    desk.refusals[2] = refusal
    with pytest.raises(type(refusal)):
        bench.text().generate(PROMPT)
    assert not bench.requests("GET")
    assert not bench.requests("DELETE")


def test_close__ends_the_wait(bench: Bench, session: ServiceSession, clock: HandClock) -> None:
    """A worker that stops does not wait for volunteers."""
    clock.on_pause = session.close
    with pytest.raises(InferenceUnavailable, match="stopped"):
        bench.text().generate(PROMPT)
    assert not bench.requests("GET")


def test_close__wakes_a_thread_that_waits(desk: Desk) -> None:
    """A session without a test's clock waits for real, and not a moment longer than it is open."""
    session = ServiceSession(admission=desk, clock=SystemClock())
    ended = threading.Event()

    def wait() -> None:
        with pytest.raises(InferenceUnavailable):
            session.wait(60.0)
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    session.close()
    thread.join(10)
    assert ended.is_set()


def test_cancel__that_fails_changes_nothing(bench: Bench, plan: Plan, services: Services) -> None:
    """The error that is told is the one of the job."""
    services.horde_jobs.plan("text", [Fate(possible=False)])
    plan.add(Rule(Action.RESET, service="horde", method="DELETE"))
    with pytest.raises(JobImpossible):
        bench.text().generate(PROMPT)
    assert len(bench.requests("DELETE")) == 1


def test_cancel__of_a_job_that_expired_harms_no_model(bench: Bench, plan: Plan, services: Services, desk: Desk) -> None:
    """A 404 there is about the job: model and key are not gone, and stay in use."""
    services.horde_jobs.plan("text", [Fate(looks=10_000)])
    plan.add(Rule(Action.STATUS, service="horde", method="DELETE", status=404, body='{"message": "?"}'))
    with pytest.raises(InferenceUnavailable, match="within 120 s"):
        bench.text().generate(PROMPT)
    assert desk.results[-1] is Result.FAILED
    assert Result.GONE not in desk.results


# --- pictures ---


def test_paint__makes_and_fetches_one_picture(bench: Bench, services: Services, clock: HandClock) -> None:
    """Checks until it is ready, one status, one fetch; the address stays with the picture."""
    services.horde_jobs.plan("image", [Fate(looks=3)])
    picture = bench.painter().paint("a lighthouse")
    assert picture.kind == "png"
    assert picture.data in services.horde_jobs.pictures.values()
    assert picture.url is not None
    assert picture.url.endswith("?signature=of-the-sandbox")
    paths = [request.path.split("/")[-2] for request in bench.requests("GET")]
    assert paths == ["check"] * 4 + ["status", "r2"]
    assert clock.pauses == [5.0] * 4


def test_paint__order_is_safe_for_work(bench: Bench) -> None:
    """Nothing indecent, no bytes in the answer, sides by 64, the negative prompt behind its mark and nothing else."""
    painter = bench.painter(
        width=1000, height=640, num_inference_steps=9000, guidance_scale=7.5, negative_prompt="fog", n=4, nsfw=True
    )
    painter.paint("a lighthouse ### fog ##### ducks")
    order = bench.order()
    assert order["prompt"] == "a lighthouse # fog # ducks ### fog"
    assert order["params"] == {
        "width": 960, "height": 640, "steps": 500, "cfg_scale": 7.5, "n": 1, "post_processing": [],
    }  # fmt: skip
    assert (order["nsfw"], order["censor_nsfw"], order["r2"]) == (False, True, True)
    assert order["models"] == ["AlbedoBase XL"]


def test_paint__enlarges_within_the_job_where_told_to(bench: Bench) -> None:
    """One job instead of two, by the wiring's word or the operator's."""
    bench.painter(upscaler="RealESRGAN_x4plus", post_processing=["NMKD_Siax"]).paint("a lighthouse")
    bench.painter(post_processing=["NMKD_Siax"]).paint("a lighthouse")
    assert [bench.order(number)["params"]["post_processing"] for number in (0, 1)] == [
        ["RealESRGAN_x4plus"],
        ["NMKD_Siax"],
    ]


@pytest.mark.parametrize(
    ("fate", "error"),
    [
        (Fate(faulted=True), JobLost),
        (Fate(lost=True), JobLost),
        (Fate(missing=1), JobLost),
        (Fate(possible=False), JobImpossible),
        (Fate(censored=True), InferenceRejected),
        (Fate(metadata=({"type": "censorship", "value": "nsfw"},)), InferenceRejected),
        (Fate(state="censored"), InferenceRejected),
        (Fate(results=("N/A",)), InferenceNonsense),
        (Fate(results=("",)), InferenceNonsense),
        (Fate(results=(None,)), InferenceNonsense),
        (Fate(results=("file:///etc/passwd",)), InferenceNonsense),
        (Fate(results=("http://127.0.0.1:1/x.webp",)), InferenceRejected),
        (Fate(results=("https://127.0.0.1/x.webp",)), InferenceRejected),
        (Fate(results=("https://[::1]/x.webp",)), InferenceRejected),
    ],
)
def test_paint__what_is_not_good_is_not_used(
    bench: Bench, services: Services, fate: Fate, error: type[InferenceError]
) -> None:
    """Faulted, censored, no address, or one that leads inside: no picture."""
    services.horde_jobs.plan("image", [fate])
    with pytest.raises(error):
        bench.painter().paint("a lighthouse")
    assert not bench.requests("GET", "r2")


@pytest.mark.parametrize("data", [b"", b"<html>", b"N/A"])
def test_paint__bytes_that_are_no_picture(bench: Bench, plan: Plan, data: bytes) -> None:
    """The first bytes decide, whatever the header says."""
    plan.add(Rule(Action.ABSURD, service="horde", path="/r2/*", body=data.decode() or "empty"))
    with pytest.raises(InferenceRejected):
        bench.painter().paint("a lighthouse")


def test_paint__is_called_off_after_ten_minutes(bench: Bench, services: Services, clock: HandClock) -> None:
    """Pictures have their own limit; the service's on looks is kept all the while."""
    services.horde_jobs.plan("image", [Fate(looks=10_000)])
    begun = clock.elapsed
    with pytest.raises(InferenceUnavailable, match="within 600 s"):
        bench.painter().paint("a lighthouse")
    assert 595 <= clock.elapsed - begun <= 600
    assert services.horde_jobs.jobs[0].cancelled
    assert 429 not in [answer.status for _, answer in services.horde.log.answers()]


def test_paint__status_that_fails_keeps_the_pace(bench: Bench, plan: Plan, services: Services) -> None:
    """Ten statuses a minute are all that the service gives of a picture: no failure may cost more."""
    plan.add(Rule(Action.RESET, service="horde", path="*/generate/status/*", method="GET"))
    with pytest.raises(InferenceUnavailable):
        bench.painter().paint("a lighthouse")
    times = [request.at for request in bench.requests("GET", "generate/status")]
    assert len(times) > 10
    assert max(sum(begin <= at < begin + 60 for at in times) for begin in times) <= 10


def test_paint__too_dear_is_made_smaller(bench: Bench, plan: Plan) -> None:
    """Of the same shape as far as sides allow, and no larger than what everybody gets."""
    plan.add(refusal(403, "KudosUpfront", count=1))
    bench.painter(width=1536, height=1024, steps=30).paint("a lighthouse")
    params = bench.order()["params"]
    assert params["width"] * params["height"] <= 576 * 576
    assert (params["width"], params["height"], params["steps"]) == (704, 448, 20)


# --- alchemy ---


def test_describe__gives_one_line(bench: Bench, services: Services) -> None:
    """The address goes to the service; its caption becomes one line."""
    services.horde_jobs.plan("alchemy", [Fate(looks=2, results=({"caption": " two ducks\n with hats "},))])
    assert bench.captioner.describe(PICTURE_URL) == "two ducks with hats"
    assert bench.order() == {"forms": [{"name": "caption"}], "source_image": PICTURE_URL, "slow_workers": True}


@pytest.mark.parametrize(
    ("fate", "error"),
    [
        (Fate(faulted=True), JobLost),
        (Fate(lost=True), JobLost),
        (Fate(results=({"caption": ""},)), InferenceNonsense),
        (Fate(results=({"caption": 5},)), InferenceNonsense),
        (Fate(results=({},)), InferenceNonsense),
        (Fate(results=(None,)), InferenceNonsense),
    ],
)
def test_describe__what_is_not_good_is_not_used(
    bench: Bench, services: Services, fate: Fate, error: type[InferenceError]
) -> None:
    """No caption is better than a wrong one."""
    services.horde_jobs.plan("alchemy", [fate])
    with pytest.raises(error):
        bench.captioner.describe(PICTURE_URL)


def test_describe__nobody_there_orders_nothing(bench: Bench, services: Services) -> None:
    """Such a job never says that nobody can do it, so it is asked before."""
    services.horde_jobs.alchemists = 0
    with pytest.raises(InferenceUnavailable, match="no volunteer") as caught:
        bench.captioner.describe(PICTURE_URL)
    assert caught.value.retry_after == 60.0
    assert not bench.requests("POST")


def test_describe__is_called_off_after_ten_minutes(bench: Bench, services: Services) -> None:
    """Alchemy has the limit of pictures."""
    services.horde_jobs.plan("alchemy", [Fate(looks=10_000)])
    with pytest.raises(InferenceUnavailable, match="did not finish caption within 600 s"):
        bench.captioner.describe(PICTURE_URL)
    assert services.horde_jobs.jobs[0].cancelled


def test_enlarge__by_address_where_there_is_one(bench: Bench, services: Services) -> None:
    """Bytes would be compressed anew."""
    small = Picture(data=draw_png("small"), kind="png", url=PICTURE_URL)
    large = bench.upscaler.enlarge(small)
    assert large.data in services.horde_jobs.pictures.values()
    assert large.data != small.data
    assert bench.order()["source_image"] == PICTURE_URL
    assert bench.order()["forms"] == [{"name": "RealESRGAN_x4plus"}]


def test_enlarge__by_its_bytes_where_there_is_none(bench: Bench) -> None:
    """Bare base64, without a `data:` before it."""
    small = Picture(data=draw_png("small"), kind="png")
    assert bench.upscaler.enlarge(small).kind == "png"
    assert base64.b64decode(bench.order()["source_image"], validate=True) == small.data


def test_enlarge__by_its_bytes_where_the_address_is_refused(bench: Bench, plan: Plan) -> None:
    """The service has two seconds for an address; the bytes are here."""
    plan.add(refusal(400, "SourceImageFetchFailed", count=1))
    small = Picture(data=draw_png("small"), kind="png", url=PICTURE_URL)
    assert bench.upscaler.enlarge(small).kind == "png"
    assert [bench.order(number)["source_image"][:8] for number in (0, 1)] == ["https://", "iVBORw0K"]


@pytest.mark.parametrize("result", ["N/A", "file:///etc/passwd", {"url": "x"}, "http://127.0.0.1:1/x"])
def test_enlarge__result_that_is_no_address_outside(bench: Bench, services: Services, result: Any) -> None:
    """Whoever does the job names the address: it leads nowhere inside."""
    services.horde_jobs.plan("alchemy", [Fate(results=(result,))])
    with pytest.raises((InferenceRejected, InferenceNonsense)):
        bench.upscaler.enlarge(Picture(data=draw_png("small"), kind="png"))


# --- wiring, and the emulator ---


def test_build__text_model_of_api_horde(bench: Bench) -> None:
    """`api: horde` is a text backend like others."""
    model = build_text_model(api="horde", endpoint=bench.endpoint(), model=MODEL, parameters={}, session=bench.session)
    assert model.name == f"horde:{MODEL}"
    assert model.generate(PROMPT).texts


def test_build__pictures_by_horde(bench: Bench) -> None:
    """Painter, captioner and upscaler are made by the same words as others, and work."""
    painter = build_painter(
        api="horde", endpoint=bench.endpoint(Role.PICTURE), model="any", parameters={}, session=bench.session
    )
    upscaler = build_upscaler(kind="horde", endpoint=bench.endpoint(Role.UPSCALE), session=bench.session)
    captioner = build_captioner(kind="horde", endpoint=bench.endpoint(Role.CAPTION), session=bench.session)
    large = upscaler.enlarge(painter.paint("a lighthouse"))
    assert large.url is not None
    assert captioner.describe(large.url)
    assert [bench.order(number).get("source_image", "")[:7] for number in (0, 1, 2)] == ["", "http://", "http://"]


def test_sandbox__counts_what_a_key_sent(bench: Bench, services: Services) -> None:
    """The prompt of an order counts once; looks bring none."""
    bench.text().generate(PROMPT)
    assert services.received_chars(KEY) == Chars(len(PROMPT_TEXT))
