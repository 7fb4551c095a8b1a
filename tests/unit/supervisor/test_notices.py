"""What systemd is told of a supervisor's life, on a clock set by hand."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hotshotd._types import BotName
from hotshotd.config.faults import Fault
from hotshotd.config.loaded import Loaded
from hotshotd.supervisor.notices import (
    EXTEND_EVERY_SECONDS,
    EXTEND_LIMIT_SECONDS,
    FIGURES_EVERY_SECONDS,
    Notices,
    compute_percent,
)
from hotshotd.supervisor.supervisor import SIGN_IN_SECONDS, Supervisor
from hotshotd.supervisor.wishes import Pause, Wishes

Pass = Callable[[float], None]


class FakeNotifier:
    """Notes what is said to systemd, a word each; a status is kept."""

    is_connected = True
    watchdog_interval_seconds = 15.0

    def __init__(self) -> None:
        self.said: list[str] = []
        self.line = ""

    def ready(self, status: str = "") -> None:
        self.said.append("READY")
        self.line = status

    def reloading(self) -> None:
        self.said.append("RELOADING")

    def stopping(self, status: str = "") -> None:
        self.said.append("STOPPING")
        self.line = status

    def status(self, text: str) -> None:
        self.line = text

    def watchdog(self) -> None:
        self.said.append("WATCHDOG")

    def extend_timeout(self, seconds: float) -> None:
        self.said.append("EXTEND")


class FakeQuota:
    """A quota process that says when it grants, and what was spent."""

    pid, message = 50, ""

    def __init__(self) -> None:
        self.state = "starting"
        self.snapshot: dict[str, Any] = {}
        self.next_snapshot: dict[str, Any] | None = None

    def configure(self, settings: Any) -> None: ...

    def request(self, _message: Any, answer: Callable[[Any], None], *, seconds: float) -> None:
        answer(self.next_snapshot)

    def stop(self, _then: Any, *, seconds: float) -> None: ...


class Stage:
    """A supervisor of `anna` and `bert` that was just started, and what systemd hears of it."""

    def __init__(self, loop: Any, spawner: Any, loaded: Loaded, folder: Path) -> None:
        self.files = loaded
        self.loop = loop
        self.spawner = spawner
        self.notifier = FakeNotifier()
        self.quota = FakeQuota()
        self.notices = Notices(loop, self.notifier)  # type: ignore[arg-type]
        self.supervisor = Supervisor(
            loop,
            loaded,
            load=lambda _running: self.files,
            quota=self.quota,  # type: ignore[arg-type]
            spawn=lambda _loaded: spawner,
            wishes=Wishes(folder / "paused.json"),
            chance=random.Random(1),
            on_change=self.notices.on_change,
            on_reload_begun=self.notices.on_reload_begun,
            on_reload_ended=self.notices.on_reload_ended,
        )
        self.notices.attend(self.supervisor)
        self.supervisor.bots = {bot.name: self.supervisor._make_bot(bot) for bot in loaded.bots}
        self.supervisor._start_together(tuple(self.supervisor.bots.values()))

    def grant(self) -> None:
        self.quota.state = "ok"
        self.notices.on_quota_event({"event": "ready"})

    def child(self, name: str) -> Any:
        pid = self.supervisor.bots[BotName(name)].pid
        return next(child for child in self.spawner.children if child.pid == pid)

    def take(self, *but: str) -> list[str]:
        said, self.notifier.said = self.notifier.said, []
        return [word for word in said if word not in ("EXTEND", "WATCHDOG", *but)]

    def add_file(self, more: Loaded) -> None:
        self.files = replace(self.files, bots=(*self.files.bots, *more.bots))

    def get_up(self) -> None:
        self.grant()
        for name in ("anna", "bert"):
            self.child(name).say("signed_in")
        assert self.take() == ["READY"]


@pytest.fixture
def stage(loop: Any, spawner: Any, loaded_of: Callable[..., Loaded], tmp_path: Path) -> Stage:
    return Stage(loop, spawner, loaded_of("anna", "bert"), tmp_path)


# -- the start ---------------------------------------------------------------------------------


def test_ready__waits_for_the_grants_and_for_each_bot(stage: Stage) -> None:
    """READY once, when the quota process grants and each bot is signed in, in whatever order."""
    stage.child("anna").say("signed_in")
    stage.child("bert").say("signed_in")
    assert stage.take() == []
    stage.grant()
    assert stage.take() == ["READY"]
    assert stage.notifier.line == "2 running, 0 paused, 0 failed"
    stage.notices.on_change()
    assert stage.take() == []


def test_ready__does_not_wait_for_a_platform_that_is_away(stage: Stage) -> None:
    """A worker that says it must wait counts as up; systemd's line says so, and changes when it has signed in."""
    stage.grant()
    stage.child("anna").say("signed_in")
    stage.child("bert").say("waiting", reason="signing in: no network")
    assert stage.take() == ["READY"]
    assert stage.notifier.line == "1 running, 0 paused, 0 failed, 1 backoff"
    stage.child("bert").say("signed_in")
    assert stage.notifier.line == "2 running, 0 paused, 0 failed"


def test_ready__counts_a_dead_worker_as_tried(stage: Stage) -> None:
    """backoff and failed are ends of a start, too."""
    stage.grant()
    for name in ("anna", "bert"):
        bot = stage.supervisor.bots[BotName(name)]
        bot.reap(bot.pid or 0, 77 if name == "anna" else 1)
    assert stage.take() == ["READY"]
    assert stage.notifier.line == "0 running, 0 paused, 1 failed, 1 backoff"


def test_extend__is_asked_for_while_the_start_lasts(stage: Stage, pass_time: Pass) -> None:
    """More time is asked for by the loop itself, until READY."""
    stage.notifier.said.clear()
    pass_time(EXTEND_EVERY_SECONDS)
    pass_time(EXTEND_EVERY_SECONDS)
    assert stage.notifier.said.count("EXTEND") == 2
    stage.get_up()
    pass_time(EXTEND_EVERY_SECONDS)
    pass_time(EXTEND_EVERY_SECONDS)
    assert "EXTEND" not in stage.notifier.said


def test_extend__has_an_end(stage: Stage, pass_time: Pass) -> None:
    """A daemon that never gets up is started anew by systemd."""
    for _ in range(int(EXTEND_LIMIT_SECONDS / EXTEND_EVERY_SECONDS)):
        pass_time(EXTEND_EVERY_SECONDS)
    stage.notifier.said.clear()
    pass_time(EXTEND_EVERY_SECONDS)
    assert "EXTEND" not in stage.notifier.said


def test_watchdog__is_fed_from_the_loop_alone(stage: Stage, pass_time: Pass) -> None:
    """Each turn that is due says it once; a loop that does not turn says nothing."""
    stage.notifier.said.clear()
    for _ in range(3):
        pass_time(15)
    assert stage.notifier.said.count("WATCHDOG") == 3


# -- reloads -----------------------------------------------------------------------------------


def test_reload__is_announced_and_ended(stage: Stage, loop: Any, loaded_of: Callable[..., Loaded]) -> None:
    """RELOADING before the files are read; READY when the new worker is signed in, not before."""
    stage.get_up()
    stage.add_file(loaded_of("carl"))
    stage.supervisor.handle_hup()
    loop.turn(0)
    assert stage.take() == ["RELOADING"]
    stage.child("carl").say("signed_in")
    assert stage.take() == ["READY"]
    assert stage.notifier.line == "3 running, 0 paused, 0 failed"


def test_reload__ends_without_the_platform(
    stage: Stage, loop: Any, pass_time: Pass, loaded_of: Callable[..., Loaded]
) -> None:
    """A worker that can't sign in holds a reload up for its ten seconds, as `hotshotctl reload`."""
    stage.get_up()
    stage.add_file(loaded_of("carl"))
    stage.supervisor.reload()
    stage.child("carl").say("waiting", reason="signing in: no network")
    loop.turn(0)
    assert stage.take() == ["RELOADING"]
    pass_time(SIGN_IN_SECONDS)
    assert stage.take() == ["READY"]


def test_reload__that_fails_is_ended_as_well(stage: Stage, loop: Any) -> None:
    """A faulty main file, and an error inside: systemd must not wait for ever."""
    stage.get_up()
    stage.files = replace(stage.files, main_faults=(Fault(Path("hotshotd.yaml"), 1, "x", "bad"),))
    stage.supervisor.handle_hup()
    loop.turn(0)
    assert stage.take() == ["RELOADING", "READY"]
    stage.files = None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        stage.supervisor.reload()
    loop.turn(0)
    assert stage.take() == ["RELOADING", "READY"]


def test_reload__within_another_is_announced_anew(stage: Stage, loop: Any, loaded_of: Callable[..., Loaded]) -> None:
    """systemd waits for a RELOADING younger than its own request; READY comes when all are over."""
    stage.get_up()
    stage.add_file(loaded_of("carl"))
    stage.supervisor.reload()
    stage.supervisor.reload()
    loop.turn(0)
    assert stage.take() == ["RELOADING", "RELOADING"]
    stage.child("carl").say("signed_in")
    assert stage.take() == ["READY"]


def test_reload__during_the_start_is_not_announced(stage: Stage, loop: Any) -> None:
    """Or its READY would be taken for the start's."""
    stage.supervisor.reload()
    loop.turn(0)
    assert stage.take() == []
    stage.get_up()


def test_restart__is_no_reload(stage: Stage, loop: Any) -> None:
    """A restart of one bot concerns nobody but that bot."""
    stage.get_up()
    stage.supervisor.reload(BotName("anna"), restart=True)
    loop.turn(0)
    assert stage.take() == []


def test_stopping__is_said_once_and_last(stage: Stage, pass_time: Pass, loaded_of: Callable[..., Loaded]) -> None:
    """After STOPPING no READY comes, whatever was under way."""
    stage.get_up()
    stage.add_file(loaded_of("carl"))
    stage.supervisor.reload()
    stage.supervisor.handle_term()
    pass_time(SIGN_IN_SECONDS)
    assert stage.take() == ["RELOADING", "STOPPING"]
    assert stage.notifier.line == "3 stopping"


# -- the line ----------------------------------------------------------------------------------


def test_line__follows_a_pause(stage: Stage) -> None:
    """A paused bot is counted as paused, at once, and as running after it."""
    stage.get_up()
    bot = stage.supervisor.bots[BotName("anna")]
    bot.set_pause(Pause(until=None, reason=""), lambda _doubt: None)
    assert stage.notifier.line == "1 running, 1 paused, 0 failed"
    bot.end_pause()
    assert stage.notifier.line == "2 running, 0 paused, 0 failed"


def test_line__shows_what_was_spent(stage: Stage, pass_time: Pass) -> None:
    """Looked at each minute; a budget that is reached is shown at once."""
    stage.get_up()
    stage.quota.next_snapshot = _snapshot(("anna", 300, 1000), ("bert", 120, 0))
    pass_time(FIGURES_EVERY_SECONDS)
    assert stage.notifier.line == "2 running, 0 paused, 0 failed; 42 % of today's characters"
    stage.quota.next_snapshot = _snapshot(("anna", 800, 1000))
    stage.notices.on_quota_event({"event": "budget.reached", "bot": "anna", "percent": 80})
    assert stage.notifier.line.endswith("; 80 % of today's characters")


def test_line__says_when_nothing_can_be_spent(stage: Stage) -> None:
    """A quota process that is away stops every bot; a person should see it."""
    stage.get_up()
    stage.quota.state = "damaged"
    stage.notices.on_quota_event({"event": "state", "state": "damaged"})
    assert stage.notifier.line.endswith("; nothing can be spent: the quota process is damaged")


def _snapshot(*bots: tuple[str, int, int | None], cap: tuple[int, int] | None = None) -> dict[str, Any]:
    spend, limit = cap or (0, None)
    figures = [{"name": name, "characters": spent, "budget": budget} for name, spent, budget in bots]
    return {"ok": True, "quota": {"bots": figures, "daily_total": {"spend": spend, "cap": limit}}}


@pytest.mark.parametrize(
    ("bots", "cap", "percent"),
    [
        ([], None, None),
        ([("a", 5, None)], None, None),
        ([("a", 5, 0)], None, None),
        ([("a", 199, 100)], None, 199),
        ([("a", 99, 1000), ("b", 0, 1000)], None, 4),
        ([("a", 10, 1000)], (50, 100), 50),
        ([("a", 10, 40)], (50, 100), 25),
        ([("a", 10, None)], (99, 1000), 9),
    ],
)
def test_percent__is_of_the_tighter_limit(bots: Any, cap: Any, percent: int | None) -> None:
    """The cap over all, or all budgets together; none where nothing limits; rounded down."""
    assert compute_percent(_snapshot(*bots, cap=cap)["quota"]) == percent
