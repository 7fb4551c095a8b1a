"""What is told of bots and ledger, and when; on a supervisor whose children are no processes."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hotshotd.config.loader import load_all
from hotshotd.supervisor.alerts import MAX_MESSAGE_CHARS, MODERATION_SECONDS, READING_SECONDS, Alerts, make_line
from hotshotd.supervisor.bot import EXIT_FATAL
from hotshotd.supervisor.courier import Alert
from hotshotd.supervisor.supervisor import Supervisor
from hotshotd.supervisor.told import WELL_SECONDS, Told
from hotshotd.supervisor.wishes import Pause, Wishes

HOOK = "https://hooks.example/secret"
_BOT = """\
reddit: {username: NAME, password_env: P, client_id_env: I, client_secret_env: S, operator: me, subreddits: [Home]}
backstory: A lighthouse keeper.
character_budget: 1000
reply: {backend: groq, model: some-model}
safety: {moderators: [MODERATOR]}
rank: {gate_model: null, rank_model: null}
"""


class FakeQuota:
    """What is asked of the quota process here."""

    state, pid = "ok", 50

    def configure(self, settings: Any) -> None: ...

    def reap(self, pid: int, status: int) -> None: ...


class Kept:
    """An outbox that keeps what it was given."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.hurried = 0

    def put(self, alert: Alert, _subject: Any) -> None:
        self.alerts.append(alert)

    def hurry(self) -> None:
        self.hurried += 1

    @property
    def told(self) -> list[tuple[str, str | None]]:
        return [(alert.cause, alert.bot) for alert in self.alerts]


class Stage:
    """A supervisor of `anna` (Perspective) and `bert` (OpenAI), running, and its alerts."""

    def __init__(self, loop: Any, clock: Any, spawner: Any, folder: Path) -> None:
        self.loop, self.clock, self.spawner, self.folder = loop, clock, spawner, folder
        (folder / "bots.d").mkdir()
        for name, moderator in (("anna", "perspective"), ("bert", "openai")):
            text = _BOT.replace("NAME", name).replace("MODERATOR", moderator)
            (folder / "bots.d" / f"{name}.yaml").write_text(text)
        self.write_main()
        self.supervisor = Supervisor(
            loop,
            self.load(),
            load=lambda _running: self.load(),
            quota=FakeQuota(),  # type: ignore[arg-type]
            spawn=lambda _loaded: spawner,
            wishes=Wishes(folder / "paused.json"),
            chance=random.Random(1),
            on_change=lambda: None,
        )
        self.supervisor.bots = {bot.name: self.supervisor._make_bot(bot) for bot in self.supervisor.loaded.bots}
        self.supervisor._start_together(tuple(self.supervisor.bots.values()))
        self.anna, self.bert = spawner.children
        self.kept = Kept()
        told = Told(folder / "alerts.json", clock)
        self.alerts = Alerts(loop, told, self.kept, self.supervisor)  # type: ignore[arg-type]
        self.supervisor.watchers.changed.append(self.alerts.look)
        self.supervisor.watchers.reloaded.append(self.alerts.follow)
        for child in (self.anna, self.bert):
            child.say("signed_in")

    def write_main(self, on: str = "") -> None:
        (self.folder / "hotshotd.yaml").write_text(f"timezone: UTC\nalerts: {{webhook_url: '{HOOK}'{on}}}\n")

    def load(self) -> Any:
        path = self.folder / "hotshotd.yaml"
        path.chmod(0o600)
        loaded = load_all(path, environ={"HOME": str(self.folder)}, check_secrets=False)
        assert not loaded.faults, loaded.faults
        return loaded

    def go(self, seconds: float) -> None:
        """Let time pass in which everybody is well."""
        while seconds > 0:
            step = min(10.0, seconds)
            self.clock.advance(step)
            self.loop.turn(0)
            for child in self.spawner.children[-2:]:
                child.say("beat")
            seconds -= step

    def fail(self, child: Any, reason: str = "Reddit refuses to sign in") -> None:
        child.say("fatal", reason=reason)
        self.supervisor._reap(child.pid, EXIT_FATAL)


@pytest.fixture
def stage(loop: Any, clock: Any, spawner: Any, tmp_path: Path) -> Stage:
    return Stage(loop, clock, spawner, tmp_path)


def test_failed__is_told_once_however_often_one_looks(stage: Stage) -> None:
    """The cause and the way out are in it; other bots' changes tell nothing anew, nor does the time of one day."""
    stage.fail(stage.anna)
    for _ in range(50):
        stage.bert.say("report", report={"degraded": []})
    stage.clock.advance(80_000)
    stage.alerts.look()
    assert stage.kept.told == [("failed", "anna")]
    alert = stage.kept.alerts[0]
    assert "Reddit refuses to sign in" in alert.message
    assert "hotshotctl restart anna" in alert.message
    assert alert.at == datetime(2026, 11, 24, 23, 0, tzinfo=UTC)


def test_failed__again_after_it_ran_is_news(stage: Stage) -> None:
    """Who mended it in the morning wants to know in the afternoon."""
    stage.fail(stage.anna)
    stage.supervisor.bots["anna"].start()  # type: ignore[index]
    child = stage.spawner.child
    child.say("signed_in")
    stage.go(WELL_SECONDS)
    stage.fail(child, "the account is suspended")
    assert stage.kept.told == [("failed", "anna")] * 2


def test_banned__is_told_for_each_place(stage: Stage) -> None:
    """A second place is another matter; the first is not repeated with it."""
    stage.bert.say("report", report={"banned_in": ["pond"]})
    stage.bert.say("report", report={"banned_in": ["lake", "pond"]})
    assert stage.kept.told == [("banned", "bert")] * 2
    assert ["r/pond" in alert.message for alert in stage.kept.alerts] == [True, False]


def test_moderation_down__after_five_minutes_without_a_verdict(stage: Stage) -> None:
    """Shorter trouble passes by itself, and other roles are no alert."""
    stage.bert.say("report", report={"degraded": ["rank"]})
    stage.bert.say("report", report={"degraded": ["moderation", "rank"]})
    stage.go(MODERATION_SECONDS - 10)
    stage.bert.say("report", report={"degraded": []})
    stage.go(MODERATION_SECONDS)
    assert stage.kept.told == []
    stage.bert.say("report", report={"degraded": ["moderation"]})
    stage.go(MODERATION_SECONDS)
    assert stage.kept.told == [("moderation_down", "bert")]
    stage.go(3 * MODERATION_SECONDS)
    assert len(stage.kept.alerts) == 1


def test_reddit_down__is_told_once_for_all_bots_and_once_when_it_is_back(stage: Stage) -> None:
    """After half an hour in which nobody could read, and after ten minutes in which one could again."""
    stage.anna.say("report", report={"reading": False})
    stage.go(READING_SECONDS - 10)
    stage.anna.say("report", report={"reading": True})
    stage.anna.say("report", report={"reading": False})
    stage.go(20)
    stage.bert.say("report", report={"reading": True})
    stage.go(READING_SECONDS)
    stage.bert.say("report", report={"reading": False})
    stage.go(READING_SECONDS - 10)
    assert stage.kept.told == []
    stage.anna.say("report", report={"reading": False})
    stage.go(10)
    stage.go(3 * READING_SECONDS)
    assert stage.kept.told == [("reddit_down", None)]
    stage.anna.say("report", report={"reading": True})
    stage.go(WELL_SECONDS - 10)
    assert len(stage.kept.alerts) == 1
    stage.go(3 * WELL_SECONDS)
    assert stage.kept.told == [("reddit_down", None)] * 2
    assert "Reddit is back" in stage.kept.alerts[1].message


def test_reddit_down__again_is_news_once_it_was_back(stage: Stage) -> None:
    """A moment in between, too short to be told as the end, is not; a whole day of it is told once more."""

    def read(*, well: bool, seconds: float) -> None:
        stage.anna.say("report", report={"reading": well})
        stage.go(seconds)

    read(well=False, seconds=READING_SECONDS)
    read(well=True, seconds=WELL_SECONDS - 10)
    read(well=False, seconds=READING_SECONDS)
    assert len(stage.kept.alerts) == 1
    read(well=True, seconds=WELL_SECONDS)
    read(well=False, seconds=READING_SECONDS)
    assert len(stage.kept.alerts) == 3
    stage.go(86_400)
    assert [alert.message.split()[0] for alert in stage.kept.alerts] == ["no", "Reddit", "no", "no"]


def test_reddit_down__counts_who_can_not_even_sign_in(stage: Stage) -> None:
    """Its worker waits; a failed bot and a paused one tell nothing of Reddit."""
    stage.fail(stage.anna)
    stage.go(READING_SECONDS)
    assert stage.kept.told == [("failed", "anna")]
    stage.supervisor.bots["anna"].start()  # type: ignore[index]
    child = stage.spawner.child
    child.say("waiting", reason="signing in: 503")
    stage.bert.say("report", report={"reading": True})
    stage.supervisor.bots["bert"].set_pause(Pause(), lambda _doubt: None)  # type: ignore[index]
    stage.go(READING_SECONDS)
    assert stage.kept.told[1:] == [("reddit_down", None)]


def test_budget__is_told_by_day(stage: Stage) -> None:
    """Each mark once a day, and again on the next one; other percentages and strangers are nothing."""

    def reach(bot: str, percent: object) -> None:
        stage.alerts.on_quota_event({"event": "budget.reached", "bot": bot, "percent": percent})

    for percent in (80, 80, 100, 100, 50, None):
        reach("anna", percent)
    reach("nobody", 80)
    assert stage.kept.told == [("budget_80", "anna"), ("budget_100", "anna")]
    assert "80 % of its 1,000 characters" in stage.kept.alerts[0].message
    stage.clock.advance(3600)
    reach("anna", 80)
    assert stage.kept.told[2:] == [("budget_80", "anna")], "it is another day in UTC"


def test_disk__is_told_when_the_ledger_cannot_be_written(stage: Stage) -> None:
    """With the ledger's own words; when it could be written again for a while, the next time is news."""

    def say(state: str, message: str = "") -> None:
        stage.alerts.on_quota_event({"event": "state", "state": state, "message": message})

    say("ok")
    say("failing", "ledger.db: no space left; free some")
    say("failing", "ledger.db: no space left; free some")
    assert stage.kept.told == [("disk", None)]
    assert "no space left; free some" in stage.kept.alerts[0].message
    say("ok")
    stage.go(WELL_SECONDS)
    say("damaged", "the ledger is older than it should be")
    assert stage.kept.told == [("disk", None)] * 2


def test_service_ending__once_a_week_for_all_who_use_it(stage: Stage) -> None:
    """It names the bots, and when, and what instead; who uses another moderator is not named."""
    stage.alerts.begin()
    for _ in range(13 * 4):
        stage.clock.advance(6 * 3600)
        stage.loop.turn(0)
        for child in stage.spawner.children:
            child.say("beat")
    ending = [alert for alert in stage.kept.alerts if alert.cause == "service_ending"]
    assert [(alert.at.date().isoformat(), alert.bot) for alert in ending] == [
        ("2026-11-24", None),
        ("2026-12-01", None),
    ]
    assert "31 December 2026" in ending[0].message
    assert "(used by anna)" in ending[0].message


def test_off__nothing_is_told_or_taken_as_told(stage: Stage) -> None:
    """A cause that is not in `on` waits until it is: what stands then is told at the reload."""
    stage.write_main(", on: [disk]")
    stage.supervisor.reload()
    stage.fail(stage.anna)
    assert stage.kept.told == []
    stage.write_main()
    stage.supervisor.reload()
    # The reload starts a failed bot anew, so look before it fails again.
    stage.fail(stage.spawner.child)
    assert ("failed", "anna") in stage.kept.told
    assert stage.kept.hurried == 2


def test_stopping__is_no_trouble(stage: Stage) -> None:
    """What ends because the daemon does is not told."""
    stage.bert.say("report", report={"degraded": ["moderation"]})
    stage.supervisor.stopping = True
    stage.fail(stage.anna)
    stage.go(MODERATION_SECONDS + 10)
    assert stage.kept.told == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("two\nlines\tand \x1b[31mcolour\u202e", "two lines and [31mcolour"),
        ("https://x.example/?key=abcdefgh and password=hunter2", "https://x.example/?key=*** and password=***"),
        ("x" * 1000, "x" * (MAX_MESSAGE_CHARS - 1) + "…"),
    ],
)
def test_make_line__is_plain_short_and_clean(text: str, line: str) -> None:
    """Whatever an error quotes, a chat gets one line without secrets."""
    assert make_line(text) == line
