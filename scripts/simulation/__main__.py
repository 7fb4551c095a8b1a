"""scripts/simulate: run seeds, print what came of them, shrink what failed."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count

from simulation.many import run_many
from simulation.run import Outcome
from simulation.scenario import Scenario, draw_scenario
from simulation.shrink import shrink

#: Seconds between two signs of progress.
_PROGRESS_SECONDS = 30.0


def main(arguments: list[str]) -> int:
    """Be scripts/simulate; give the exit code: 1 when a promise was broken, 130 after Ctrl-C."""
    options = parse_arguments(arguments)
    seeds = count(options.seed) if options.until_fail else range(options.seed, options.seed + options.runs)
    scenarios = (make_scenario(options, seed=seed) for seed in seeds)
    done, failed = 0, None
    try:
        with closing(run_many(scenarios, jobs=options.jobs, keep_log=options.log)) as outcomes:
            for outcome in _show_progress(outcomes):
                done += 1
                _tell(outcome, options)
                if outcome.breach is not None:
                    failed = outcome
                    break
    except KeyboardInterrupt:
        print(f"interrupted after {done} seeds from {options.seed}: every promise held until then", file=sys.stderr)
        return 130
    if failed is not None:
        if options.shrink:
            _shrink(failed)
        return 1
    if options.runs > 1:
        print(f"{done} seeds from {options.seed}: every promise held")
    return 0


def _show_progress(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    begun = told = time.monotonic()
    for done, outcome in enumerate(outcomes):
        now = time.monotonic()
        if done > 1 and now - told >= _PROGRESS_SECONDS:
            told = now
            print(f"{done} seeds in {now - begun:.0f} s", file=sys.stderr)
        yield outcome


def _tell(outcome: Outcome, options: argparse.Namespace) -> None:
    if options.verbose or options.runs == 1 or outcome.breach:
        _print(outcome)
    sys.stdout.writelines(outcome.log)


def _shrink(failed: Outcome) -> None:
    small = shrink(failed, say=lambda text: print(text, file=sys.stderr))
    print(f"shrunk to: {small.scenario.arguments}")
    _print(small)
    for blow in small.scenario.blows:
        print(f"  {blow}")


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=float, default=2.0)
    parser.add_argument("--bots", type=int, default=2)
    parser.add_argument("--runs", type=int, default=1, help="seeds in a row")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that share the seeds")
    parser.add_argument("--until-fail", action="store_true", help="go on with the next seed until one fails")
    parser.add_argument("--shrink", action="store_true", help="make a failing run short")
    parser.add_argument("--keep", help="numbers of the blows that are dealt, as shrinking prints them; - for none")
    parser.add_argument("--calm", default="", help="kinds of calls that go well: service,read,write")
    parser.add_argument("--absent", default="", help="numbers of bots that are never started")
    parser.add_argument("--until", type=float, help="stop after so many days of the scenario")
    parser.add_argument("--log", action="store_true", help="print every event")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args(arguments)


def make_scenario(options: argparse.Namespace, *, seed: int | None = None) -> Scenario:
    """Give the scenario that arguments stand for; another seed than theirs, if one is given."""
    scenario = draw_scenario(options.seed if seed is None else seed, days=options.days, bots=options.bots)
    if options.keep is not None:
        scenario = scenario.keep({int(number) for number in options.keep.split(",") if number.strip("-")})
    scenario = scenario.calm([kind for kind in options.calm.split(",") if kind])
    absent = frozenset(int(number) for number in options.absent.split(",") if number)
    return replace(scenario, until=options.until, absent=absent)


def _print(outcome: Outcome) -> None:
    scenario, breach = outcome.scenario, outcome.breach
    print(
        f"seed {scenario.seed} days {scenario.days:g} bots {scenario.bots}: {outcome.events} events,"
        f" {outcome.steps} steps, {outcome.seconds:.1f} s, hash {outcome.digest}"
    )
    if breach is not None:
        print(f"BROKEN: {breach}")
    else:
        print("  " + ", ".join(f"{count} {what}" for what, count in sorted(outcome.counts.items())))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
