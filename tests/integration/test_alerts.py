"""Alerts as an operator gets them: a real daemon, and a real web hook on this machine."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from harness import World, wait_until

from hotshotd.sandbox.http import HttpServer, Request, Response, text_response

SECRET = "/services/T0PSECRET/B0PSECRET/hookmarker"


class Hook:
    """A web hook that keeps what it was told; `answers` are given in turn, the last one for ever."""

    def __init__(self) -> None:
        self.answers = [text_response("ok")]
        self.server = HttpServer("hook", self._answer)
        self.gate = threading.Event()
        self.gate.set()

    @property
    def url(self) -> str:
        return self.server.base_url + SECRET

    def _answer(self, _request: Request) -> Response:
        self.gate.wait(30)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def wait(self, count: int) -> list[dict[str, Any]]:
        """Give the bodies of the first `count` alerts that were taken."""
        taken = self.server.log.wait_for_answer(lambda pair: pair[1].status == 200, count=count, timeout_seconds=15)
        assert len(taken) == count, "more than one expects"
        return [request.json() for request, _ in taken]


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    with made.server:
        yield made
        made.gate.set()


@pytest.fixture
def alerted(world: World, hook: Hook) -> World:
    """A world whose daemon has the hook's address in its environment."""
    world.environ["ALERT_HOOK"] = hook.url
    world.write_main("alerts: {webhook_url_env: ALERT_HOOK}\n")
    return world


def _add_broken_bot(world: World, name: str) -> None:
    """Add a bot whose account has another password."""
    world.forum.add_account(name, "another")
    world.add_bot(name)


def test_failed__is_told_once_and_not_again_after_restarts(alerted: World, hook: Hook) -> None:
    """One POST says which bot and why; the same trouble is no news for the bot's next start, nor for the daemon's."""
    _add_broken_bot(alerted, "duck")
    alerted.add_bot("well")
    daemon = alerted.start()
    daemon.wait_state("duck", "failed")
    (alert,) = hook.wait(1)
    assert set(alert) == {"cause", "bot", "message", "daemon", "at"}
    assert (alert["cause"], alert["bot"]) == ("failed", "duck")
    assert "duck has failed: Reddit refuses to sign in" in alert["message"]
    assert datetime.fromisoformat(alert["at"]).tzinfo is not None
    daemon.wait_event("alert.sent", cause="failed", bot="duck")
    alerted.ctl("restart", "duck")
    daemon.wait_event("bot.state", bot="duck", new="failed", count=2)
    daemon.stop()
    daemon = alerted.start()
    _add_broken_bot(alerted, "goose")
    alerted.ctl("reload")
    alerts = hook.wait(2)
    # A second one of the duck's would have come before this.
    assert [alert["bot"] for alert in alerts] == ["duck", "goose"]
    requests = hook.server.log.requests()
    assert {request.method for request in requests} == {"POST"}
    assert {request.headers["content-type"] for request in requests} == {"application/json"}
    assert daemon.bot("well")["state"] == "running"


def test_hook__that_hangs_holds_nothing_up(alerted: World, hook: Hook) -> None:
    """While the hook says nothing, bots answer people and the daemon its operator; the daemon stops at once."""
    hook.gate.clear()
    _add_broken_bot(alerted, "duck")
    alerted.add_bot("well")
    daemon = alerted.start()
    hook.server.log.wait_for(lambda request: request.path == SECRET, timeout_seconds=15)
    thing = alerted.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    daemon.wait_event("item.done", thing=thing.fullname, outcome="replied")
    assert daemon.bot("well")["state"] == "running"
    assert daemon.stop() == 0


def test_hook__that_fails_is_tried_again(alerted: World, hook: Hook) -> None:
    """A 503 passes: the alert waits, and a reload sends it at once; its address is in no log."""
    hook.answers = [text_response("later", status=503), text_response("ok")]
    _add_broken_bot(alerted, "duck")
    daemon = alerted.start()
    assert "answered with 503" in daemon.wait_event("alert.delayed")["error"]
    alerted.ctl("reload")
    assert hook.wait(1)[0]["bot"] == "duck"
    daemon.wait_event("alert.sent")
    daemon.stop()
    assert "PSECRET" not in "".join(daemon.lines)
    assert "hookmarker" not in "".join(daemon.lines)


def test_hook__that_is_gone_loses_the_alert_loudly_until_it_is_mended(
    alerted: World, hook: Hook, tmp_path: Path
) -> None:
    """A 404 is for good: it is logged with the alert's words, and new settings send what was lost."""
    hook.answers = [text_response("no such hook", status=404), text_response("ok")]
    _add_broken_bot(alerted, "duck")
    daemon = alerted.start()
    lost = daemon.wait_event("alert.lost")
    assert lost["level"] == "error"
    assert "404" in lost["error"]
    assert "duck has failed" in lost["message"]
    address = tmp_path / "hook.txt"
    address.write_text(hook.url + "\n")
    address.chmod(0o600)
    alerted.write_main(f"alerts: {{webhook_url_file: {address}, format: slack}}\n")
    assert alerted.ctl("reload").returncode == 0
    (body,) = hook.wait(1)
    assert set(body) == {"text"}
    assert "duck has failed" in body["text"]


def test_budget__is_told_at_80_and_100_percent(alerted: World, hook: Hook) -> None:
    """What the quota process says of a bot is told, and of nobody else."""
    # In two places, so that neither answers the other.
    alerted.forum.add_subreddit("lake")
    alerted.bot_file("swan").write_text(alerted.add_bot("swan").replace("[pond]", "[lake]"))
    daemon = alerted.start()
    trial = alerted.forum.submit("ann", "lake", "Question 0", "What is it that quacks at night?")
    daemon.wait_event("item.done", thing=trial.fullname, bot="swan", outcome="replied")
    spent = wait_until(lambda: daemon.bot("swan")["spend"]["characters"], what="a spend")
    # One answer fits, a second one does not.
    alerted.add_bot("loon", budget=spent * 115 // 100)
    alerted.ctl("reload")
    first = alerted.forum.submit("ann", "pond", "Question 1", "What is it that quacks at night?")
    daemon.wait_event("item.done", thing=first.fullname, bot="loon", outcome="replied")
    second = alerted.forum.submit("ann", "pond", "Question 2", "What is it that quacks at night?")
    daemon.wait_event("item.done", thing=second.fullname, bot="loon", reason="over_budget")
    alerts = hook.wait(2)
    assert [(alert["bot"], alert["cause"]) for alert in alerts] == [("loon", "budget_80"), ("loon", "budget_100")]
    assert f"100 % of its {spent * 115 // 100:,} characters" in alerts[1]["message"]


def test_ban__is_told_and_a_cause_that_is_off_is_not(alerted: World, hook: Hook) -> None:
    """The subreddit is named; what `on` leaves out is not told."""
    alerted.write_main("alerts: {webhook_url_env: ALERT_HOOK, on: [banned]}\n")
    _add_broken_bot(alerted, "duck")
    alerted.add_bot("swan")
    daemon = alerted.start()
    daemon.wait_state("duck", "failed")
    alerted.forum.ban("swan", "pond")
    for number in range(2):
        thing = alerted.forum.submit("ann", "pond", f"Question {number}", "What is it that quacks?")
        daemon.wait_event("item.done", thing=thing.fullname, bot="swan", outcome="failed")
    (alert,) = hook.wait(1)
    assert (alert["bot"], alert["cause"]) == ("swan", "banned")
    assert "r/pond" in alert["message"]


def test_disk__is_told_when_the_ledger_cannot_be_written(alerted: World, hook: Hook) -> None:
    """A quota process that may not write grants nothing; that concerns the daemon, not one bot."""
    alerted.add_bot("duck")
    daemon = alerted.start()
    ledger = daemon.status()["daemon"]["quota"]["pid"]
    # As on a full disk: every write is refused (EFBIG; CPython ignores SIGXFSZ).
    usual = resource.prlimit(ledger, resource.RLIMIT_FSIZE)
    resource.prlimit(ledger, resource.RLIMIT_FSIZE, (0, usual[1]))
    alerted.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    (alert,) = hook.wait(1)
    assert (alert["cause"], alert["bot"]) == ("disk", None)
    assert alert["message"].startswith("no characters are granted, no bot writes: ")
    resource.prlimit(ledger, resource.RLIMIT_FSIZE, usual)
    daemon.wait_event("quota.state", state="ok")
    late = alerted.forum.submit("ann", "pond", "And now?", "I heard something.")
    daemon.wait_event("item.done", thing=late.fullname, outcome="replied")


def test_secret__of_an_alert_is_in_no_other_process(
    world: World, hook: Hook, tmp_path: Path, memory_of: Callable[[int], bytes]
) -> None:
    """The address is read by the courier alone: neither the supervisor nor a worker ever holds it."""
    secrets = tmp_path / "secrets"
    secrets.write_text(f"ALERT_HOOK={hook.url}\n")
    secrets.chmod(0o600)
    world.write_main(f"secrets_file: {secrets}\nalerts: {{webhook_url_env: ALERT_HOOK, format: discord}}\n")
    _add_broken_bot(world, "duck")
    world.add_bot("well")
    daemon = world.start()
    (body,) = hook.wait(1)
    assert body["content"].startswith("hotshotd on ")
    assert body["allowed_mentions"] == {"parse": []}
    daemon.wait_event("alert.sent")
    assert b"hookmarker" not in memory_of(daemon.process.pid)
    assert b"well" in memory_of(daemon.process.pid), "the look into memory sees something"


@pytest.fixture
def memory_of() -> Callable[[int], bytes]:
    """Give a function that reads all writable memory of a process."""

    def read(pid: int) -> bytes:
        found = bytearray()
        with open(f"/proc/{pid}/mem", "rb") as memory:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                span, mode, *_ = line.split()
                start, end = (int(part, 16) for part in span.split("-"))
                if "w" in mode:
                    memory.seek(start)
                    found += memory.read(end - start)
        return bytes(found)

    return read
