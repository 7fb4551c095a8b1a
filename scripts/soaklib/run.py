"""scripts/soak: live through the night, and reckon."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from chaoslib.daemon import ROOT, Daemon, wait_until
from chaoslib.measure import Gauge
from chaoslib.processes import adopt_orphans
from chaoslib.promises import Answers, Breaches, check_moderation, check_repeats, settle_answers
from chaoslib.report import find_commit, print_report
from chaoslib.run import list_failures, list_idle
from chaoslib.world import Setting, World

from soaklib.night import MARK, SETTLE_SECONDS, Night
from soaklib.reckoning import Diary, check_days, check_ledger, check_processes, check_slots, read_spent
from soaklib.timetables import CalmCast, make_calm_cast

#: Hours from which on memory is judged: two until processes are warm, and as many again.
_WHOLE_HOURS = 4.0
#: Seconds of a life before its memory counts.
_WARM_SECONDS = 7200.0
#: Seconds between two looks at memory.
_LOOK_SECONDS = 300.0
#: Seconds between two things that people write, times the number of bots.
_PEOPLE_BOT_SECONDS = 400.0
#: Seconds that a service takes for a text.
_LATENCY_SECONDS = 1.0
#: Requests of one app in ten minutes, as Reddit counts.
_RATE = 1000

#: The promises, in the order of the table.
PROMISES = (
    "slots without a post",
    "slots with two posts",
    "posts without a slot",
    "characters over budget",
    "ledgers that differ from what came",
    "duplicate replies and posts",
    "must-reply items unanswered",
    "unmoderated or rejected texts published",
    "processes that were replaced",
    "processes that grew by more than 2 MB",
    "processes with more descriptors",
    "unexpected ends and crashes",
)


@dataclass(slots=True)
class Report:
    """What the table shows."""

    breaches: Breaches = field(default_factory=Breaches)
    answers: Answers = field(default_factory=Answers)
    diary: Diary = field(default_factory=Diary)
    facts: list[str] = field(default_factory=list)
    published: Counter[str] = field(default_factory=Counter)
    requests: int = 0


def run(night: Night) -> int:
    """Live through one night; give 0 when every promise held."""
    if not timedelta(0) <= night.begin - datetime.now(UTC) <= timedelta(minutes=10):
        raise SystemExit("soak: time is not ours here: is there another sitecustomize before soaklib/swift?")
    adopt_orphans()
    # An end by a signal takes the daemon along, as every other end does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = night.options.keep or Path(tempfile.mkdtemp(prefix="hotshot-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        print(f"{folder} is not empty; name a new folder with --keep", file=sys.stderr)
        return 2
    report = _live(night, folder)
    is_broken = any(report.breaches.counts.values())
    _print(report, night)
    if is_broken:
        print(f"the daemon's log: {folder / 'daemon.log'}")
    elif night.options.keep is None:
        shutil.rmtree(folder, ignore_errors=True)
    return int(is_broken)


def _live(night: Night, folder: Path) -> Report:
    report, calm = Report(), make_calm_cast(night.options.bots)
    # Records tell monotonic time, which does not jump here either.
    since = time.time() - time.monotonic()
    with ExitStack() as stack:
        world = World(folder, calm.bots, seed=night.options.seed, may_mount=False, setting=_make_setting(night))
        daemon = world.open(stack)
        if not wait_until(lambda: list_idle(daemon) == [], seconds=90):
            raise SystemExit(f"soak: not at work: {list_idle(daemon)}; {folder / 'daemon.log'}")
        _wait_for(night.begin)
        gauge = Gauge(daemon, look_seconds=_LOOK_SECONDS, warm_seconds=_WARM_SECONDS)
        gauge.start()
        world.crowd.start()
        _pass_time(night, world)
        world.crowd.stop()
        gauge.stop()
        wait_until(lambda: not settle_answers(world.forum, calm.bots, daemon.ends).open, seconds=SETTLE_SECONDS)
        # From here on time is as slow as ever, and nobody is pressed to end in no time.
        _wait_for(datetime.fromtimestamp(night.end.timestamp() + SETTLE_SECONDS + 3, UTC))
        status = daemon.status() or {"bots": []}
        report.answers = settle_answers(world.forum, calm.bots, daemon.ends)
        daemon.stop()
        gauge.write(folder / "looks.tsv")

    def date_of(at: float) -> date:
        return datetime.fromtimestamp(since + at, night.zone).date()

    report.diary = check_slots(world.forum, calm, night, report.breaches)
    received = check_days(world.records, calm.bots, date_of=date_of, breaches=report.breaches)
    spent = read_spent(status)
    check_ledger(
        world.records, spent, date_of=date_of, today=date_of(time.time() - since), breaches=report.breaches
    )  # fmt: skip
    roles = [*(bot.name for bot in calm.bots), "quota", "supervisor"]
    is_whole = night.options.hours >= _WHOLE_HOURS
    grown = check_processes(gauge, roles, report.breaches, is_whole=is_whole)
    _reckon(world, daemon, calm, report)
    report.facts += [
        f"the latest post was {report.diary.latest.total_seconds():.0f} s late",
        *(f"{bot}, {day}: {chars:,} characters came" for (bot, day), chars in received.items() if "pauper" in bot),
        *(grown or [f"memory is judged in runs of {_WHOLE_HOURS:g} hours and more"]),
        *(f"around the change: {slot}" for slot in report.diary.around_change),
    ]
    return report


def _make_setting(night: Night) -> Setting:
    return Setting(
        zone=str(night.zone), rate=_RATE, latency_seconds=_LATENCY_SECONDS, may_step_clock=False,
        people_seconds=_PEOPLE_BOT_SECONDS / night.options.bots,
        environ={MARK: os.environ[MARK], "PYTHONPATH": os.pathsep.join((os.environ["PYTHONPATH"], str(ROOT)))},
    )  # fmt: skip


def _wait_for(moment: datetime) -> None:
    time.sleep(max(0.0, moment.timestamp() - time.time()))


def _pass_time(night: Night, world: World) -> None:
    """Say how late it is, about every hour, until the end."""
    while (left := night.end.timestamp() - time.time()) > 0:
        time.sleep(min(3600.0, left))
        local = datetime.now(night.zone)
        print(
            f"{local:%a %H:%M %Z}: {len(world.records.published)} published, load {os.getloadavg()[0]:.1f}",
            file=sys.stderr, flush=True,
        )  # fmt: skip


def _reckon(world: World, daemon: Daemon, calm: CalmCast, report: Report) -> None:
    check_repeats(world.forum, calm.bots, world.steps, report.breaches)
    check_moderation(world.records, calm.bots, report.breaches)
    for due in report.answers.open:
        ends = daemon.ends.get((due.bot, due.thing), ())
        last = f"{ends[-1]['outcome']} {ends[-1]['reason']}: {ends[-1].get('detail', '')}" if ends else "no end"
        report.breaches.add("must-reply items unanswered", f"{due.bot} {due.thing}: {last}")
    for what in (*daemon.unexpected_ends, *daemon.orphans, *daemon.crashes, *list_failures(world)):
        report.breaches.add("unexpected ends and crashes", what)
    report.published = Counter(published.what for published in world.records.published)
    report.requests = world.records.answers.total()


# --- showing ----------------------------------------------------------------------------------------


def _print(report: Report, night: Night) -> None:
    options = night.options
    print(f"scripts/soak --hours {options.hours:g} --speed {options.speed:g} --bots {options.bots}"
          f" --change {options.change} --seed {options.seed} at commit {find_commit()}\n"
          f"{night.begin.astimezone(night.zone):%d %B %Y %H:%M %Z} to"
          f" {night.end.astimezone(night.zone):%d %B %Y %H:%M %Z}, {night.zone}")  # fmt: skip
    rows: list[tuple[str, int]] = [
        ("requests", report.requests),
        ("posts", report.published["submit"]),
        ("slots with their post", report.diary.made),
        ("slots around the change with their post", len(report.diary.around_change)),
        ("must-reply items answered", report.answers.replied),
        *((f"must-reply items, {why}", times) for why, times in sorted(report.answers.excepted.items())),
        *((promise, report.breaches.counts[promise]) for promise in PROMISES),
    ]
    print_report(rows, report.facts, report.breaches)
