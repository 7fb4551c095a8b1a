"""scripts/chaos: play a plan against the daemon, let it settle, and reckon."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from chaoslib.cast import make_cast
from chaoslib.daemon import Daemon, wait_until
from chaoslib.deeds import Doer
from chaoslib.measure import MAX_KEPT_CONNECTIONS, PASSING_DESCRIPTORS, Gauge, Look
from chaoslib.plan import KILLS, Plan, draw_plan
from chaoslib.processes import adopt_orphans
from chaoslib.promises import (
    Answers,
    Breaches,
    check_moderation,
    check_money,
    check_quiet,
    check_repeats,
    settle_answers,
)
from chaoslib.report import find_commit, print_report
from chaoslib.world import World
from hotshotd.sandbox.faults import Fired, When

#: Seconds until every bot has to be back at work after the last fault: 60, and a busy machine.
BACK_SECONDS = 90.0
#: Seconds that the settling may take: what was deferred comes again after 120 s.
SETTLE_SECONDS = 420.0
#: With --hasty: seconds until bots that have something open are started anew, and seconds from then on.
HASTY_SECONDS = (25.0, 60.0)
#: Growth of memory that is allowed in a run without kills, in per cent.
MAX_GROWTH_PERCENT = 5.0

#: The promises, in the order of the table.
PROMISES = (
    "characters over budget",
    "duplicate replies and posts",
    "must-reply items unanswered",
    "unmoderated or rejected texts published",
    "done while paused",
    "orphan processes",
    "leaked descriptors",
    "processes that grew by 5 % or more",
    "bots not back at work 90 s after the last fault",
    "unexpected ends and crashes",
)


@dataclass(slots=True)
class Report:
    """What the table shows."""

    faults: Counter[str]
    deeds: Counter[str]
    answers: Answers
    breaches: Breaches
    facts: list[str] = field(default_factory=list)


def main(arguments: Sequence[str], *, may_mount: bool) -> int:
    """Run once; give 0 when every promise held."""
    options = _parse(arguments)
    adopt_orphans()
    # An end by a signal takes the daemon along, as every other end does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = options.keep or Path(tempfile.mkdtemp(prefix="hotshot-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        print(f"{folder} is not empty; name a new folder with --keep", file=sys.stderr)
        return 2
    report = _run(options, folder, may_mount=may_mount)
    is_broken = any(report.breaches.counts.values())
    _print(report, options)
    if is_broken:
        print(f"the daemon's log: {folder / 'daemon.log'}")
    elif options.keep is None:
        shutil.rmtree(folder, ignore_errors=True)
    return int(is_broken)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bots", type=int, default=10)
    parser.add_argument("--no-kills", action="store_true", help="faults and pauses only; memory is measured")
    parser.add_argument("--hasty", action="store_true", help="do not wait for what was deferred: start its bots anew")
    parser.add_argument("--keep", type=Path, help="a new folder for files and log, kept whatever happens")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, folder: Path, *, may_mount: bool) -> Report:
    cast = make_cast(options.bots)
    seconds = options.minutes * 60
    plan = draw_plan(options.seed, seconds=seconds, bots=[bot.name for bot in cast], kills=not options.no_kills)
    breaches = Breaches()
    with ExitStack() as stack:
        world = World(folder, cast, seed=options.seed, may_mount=may_mount)
        daemon = world.open(stack)
        gauge, doer = Gauge(daemon), Doer(world, daemon)
        wait_until(lambda: list_idle(daemon) == [], seconds=90)
        world.crowd.start()
        if options.no_kills:
            gauge.start()
        _play(plan, seconds, world, daemon, doer)
        world.crowd.stop()
        world.plan.clear()
        doer.close()
        gauge.stop()
        facts = _settle(world, daemon, breaches, hasty=options.hasty)
        _check_descriptors(daemon, gauge, breaches)
        gauge.write(folder / "looks.tsv")
        answers = settle_answers(world.forum, cast, daemon.ends)
    _reckon(world, daemon, doer, answers, breaches)
    if options.no_kills:
        facts += _check_growth(gauge, breaches)
    received = check_money(world.records, cast, world.steps, breaches)
    facts += _list_facts(world, daemon, doer, received)
    deeds = Counter({deed.value: times for deed, times in doer.done.items()})
    return Report(_count_faults(world.plan.fired), deeds, answers, breaches, facts)


# --- playing ----------------------------------------------------------------------------------------


def _play(plan: Plan, seconds: float, world: World, daemon: Daemon, doer: Doer) -> None:
    begin = time.monotonic()
    acts, sky = list(plan.acts), list(plan.weather)
    in_force = None
    next_word = 30.0
    while (now := time.monotonic() - begin) < seconds:
        while acts and acts[0].at <= now:
            doer.begin(acts.pop(0))
        if in_force is not None and in_force.end <= now:
            world.plan.clear()
            in_force = None
        if in_force is None and sky and sky[0].begin <= now:
            in_force = sky.pop(0)
            for rule in in_force.rules:
                world.plan.add(rule)
        daemon.revive()
        if now > next_word:
            next_word += 30.0
            faults, kills = len(world.plan.fired), sum(doer.done[deed] for deed in KILLS)
            print(f"{now:.0f} s: {faults} faults, {kills} kills", file=sys.stderr, flush=True)
        time.sleep(0.05)


def list_idle(daemon: Daemon) -> list[str]:
    """Give the bots that are not at work, with their state."""
    status = daemon.status()
    if status is None:
        return ["the daemon does not answer"]
    idle = [f"{bot['name']}: {bot['state']} ({bot['reason']})" for bot in status["bots"] if bot["state"] != "running"]
    return idle + (
        ["quota: " + status["daemon"]["quota"]["state"]] if status["daemon"]["quota"]["state"] != "ok" else []
    )


def _settle(world: World, daemon: Daemon, breaches: Breaches, *, hasty: bool) -> list[str]:
    begin = time.monotonic()
    if not wait_until(lambda: list_idle(daemon) == [], seconds=BACK_SECONDS, every=0.5):
        for idle in list_idle(daemon):
            breaches.add("bots not back at work 90 s after the last fault", idle)
    back = time.monotonic() - begin

    def is_settled() -> bool:
        return not settle_answers(world.forum, world.cast, daemon.ends).open

    renewed = 0
    if not wait_until(is_settled, seconds=HASTY_SECONDS[0] if hasty else SETTLE_SECONDS, every=0.5) and hasty:
        due = {due.bot for due in settle_answers(world.forum, world.cast, daemon.ends).open}
        renewed = len(due)
        for name in due:
            daemon.ask("restart", bot=name)
        wait_until(is_settled, seconds=HASTY_SECONDS[1], every=0.5)
    return [
        f"every bot at work {back:.0f} s after the last fault, all settled after {time.monotonic() - begin:.0f} s"
        + (f" ({renewed} bots started anew meanwhile)" if renewed else "")
    ]


# --- reckoning --------------------------------------------------------------------------------------


def _check_descriptors(daemon: Daemon, gauge: Gauge, breaches: Breaches) -> None:
    """Compare each process's descriptors with those of the same one after a clean start."""
    used = _look_twice(gauge)
    daemon.stop_supervisor()
    daemon.start()
    wait_until(lambda: list_idle(daemon) == [], seconds=90, every=0.5)
    time.sleep(3.0)
    fresh = _look_twice(gauge)
    for role, look in used.items():
        before = fresh.get(role)
        if before is None:
            continue
        leaked = look.descriptors - before.descriptors - PASSING_DESCRIPTORS
        if leaked > 0:
            breaches.add(
                "leaked descriptors", f"{role}: {look.descriptors}, {before.descriptors} when new", count=leaked
            )
        if look.connections > MAX_KEPT_CONNECTIONS:
            breaches.add("leaked descriptors", f"{role}: {look.connections} connections", count=look.connections)
    daemon.stop()


def _look_twice(gauge: Gauge) -> dict[str, Look]:
    """Look several times: what is open each time is no passing thing."""
    looks = []
    for _ in range(4):
        looks.append(gauge.look())
        time.sleep(0.7)
    return {
        role: min((look[role] for look in looks if role in look), key=lambda look: look.descriptors)
        for role in looks[-1]
    }


def _check_growth(gauge: Gauge, breaches: Breaches) -> list[str]:
    facts = []
    for growth in gauge.compute_growth():
        pss, descriptors = growth.pss_kb, growth.descriptors
        facts.append(
            f"{growth.role}, {growth.lived_seconds:.0f} s: PSS {pss[0]:,} -> {pss[1]:,} kB ({growth.percent:+.1f} %),"
            f" descriptors {descriptors[0]} -> {descriptors[1]}"
        )
        if growth.percent >= MAX_GROWTH_PERCENT or descriptors[1] > descriptors[0]:
            breaches.add("processes that grew by 5 % or more", facts[-1])
    return facts


def _reckon(world: World, daemon: Daemon, doer: Doer, answers: Answers, breaches: Breaches) -> None:
    check_repeats(world.forum, world.cast, world.steps, breaches)
    check_moderation(world.records, world.cast, breaches)
    check_quiet(world.records, doer.quiet, breaches)
    for due in answers.open:
        ends = [f"{end['timestamp']} {end['outcome']} {end['reason']}: {end.get('detail', '')}"
                for end in daemon.ends.get((due.bot, due.thing), ())]  # fmt: skip
        thing = world.forum.thing(due.thing)
        breaches.add(
            "must-reply items unanswered",
            f"{due.bot} {due.thing} of {time.strftime('%H:%M:%S', time.gmtime(due.made_at))}"
            f" {'; '.join(ends[-3:]) or 'no end in the log'} | {thing.text[:80] if thing else ''}",
        )
    for orphan in daemon.orphans:
        breaches.add("orphan processes", orphan)
    for what in (*daemon.unexpected_ends, *daemon.crashes, *doer.faults, *list_failures(world)):
        breaches.add("unexpected ends and crashes", what)


def list_failures(world: World) -> list[str]:
    servers = (world.reddit.http, *world.services.servers)
    return [f"the sandbox's {server.name}: {failure!r}" for server in servers for failure in server.failures]


def _list_facts(world: World, daemon: Daemon, doer: Doer, received: dict[str, int]) -> list[str]:
    published = Counter(published.what for published in world.records.published)
    refused = len(world.records.refused)
    missed = sum(doer.missed.values())
    return [
        f"requests: {world.records.answers.total():,}",
        f"published: {published['comment']} replies, {published['submit']} posts; {refused} texts were refused",
        "characters received: " + ", ".join(f"{bot} {chars:,}" for bot, chars in sorted(received.items())),
        f"the daemon was started {daemon.starts} times, at the slowest in {daemon.slowest_start_seconds:.0f} s",
        f"{missed} deeds of the plan found nobody to do them to",
        *(f"not done: {reason}" for reason in world.skipped),
    ]


def _count_faults(fired: Sequence[Fired]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for fault in fired:
        rule = fault.rule
        name = rule.action.value
        if rule.body is not None and "idiot" in rule.body:
            name = "toxic text"
        elif name == "status":
            name = f"status {rule.status}"
        if rule.when is When.AFTER:
            name += ", after it was carried out"
        counts[f"{name} ({fault.service})"] += 1
    return counts


# --- showing ----------------------------------------------------------------------------------------


def _print(report: Report, options: argparse.Namespace) -> None:
    kills = sum(report.deeds[deed.value] for deed in KILLS)
    print(f"scripts/chaos --minutes {options.minutes:g} --seed {options.seed} --bots {options.bots}"
          f"{' --no-kills' if options.no_kills else ''} at commit {find_commit()}")  # fmt: skip
    rows: list[tuple[str, int]] = [(f"faults injected: {name}", times) for name, times in sorted(report.faults.items())]
    rows.append(("faults injected, all", report.faults.total()))
    rows += [(f"done to it: {name}", times) for name, times in sorted(report.deeds.items())]
    rows.append(("kills, all", kills))
    answers = report.answers
    rows.append(("must-reply items answered", answers.replied))
    rows += [(f"must-reply items, {why}", times) for why, times in sorted(answers.excepted.items())]
    rows += [(promise, report.breaches.counts[promise]) for promise in PROMISES]
    print_report(rows, report.facts, report.breaches)
