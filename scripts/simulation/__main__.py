"""scripts/simulate: run seeds, print what came of them, shrink what failed."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from simulation.run import Outcome, run
from simulation.scenario import Scenario, draw_scenario
from simulation.shrink import shrink


def main(arguments: list[str]) -> int:
    """Be scripts/simulate; give the exit code: 1 when a promise was broken."""
    options = parse_arguments(arguments)
    seed, count = options.seed, 0
    while True:
        outcome = run(make_scenario(options, seed=seed), keep_log=options.log)
        count += 1
        if options.verbose or options.runs == 1 or outcome.breach:
            _print(outcome)
        if options.log:
            sys.stdout.writelines(outcome.log)
        if outcome.breach is not None:
            if options.shrink:
                small = shrink(outcome, say=lambda text: print(text, file=sys.stderr))
                print(f"shrunk to: {small.arguments}")
                _print(small.outcome)
                for blow in small.outcome.scenario.blows:
                    print(f"  {blow}")
            return 1
        seed += 1
        if not options.until_fail and count >= options.runs:
            break
    if options.runs > 1:
        print(f"{count} seeds from {options.seed}: every promise held")
    return 0


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=float, default=2.0)
    parser.add_argument("--bots", type=int, default=2)
    parser.add_argument("--runs", type=int, default=1, help="seeds in a row")
    parser.add_argument("--until-fail", action="store_true", help="go on with the next seed until one fails")
    parser.add_argument("--shrink", action="store_true", help="make a failing run short")
    parser.add_argument("--keep", help="numbers of the blows that are dealt, as shrinking prints them; - for none")
    parser.add_argument("--calm", default="", help="kinds of calls that go well: service,read,write")
    parser.add_argument("--until", type=float, help="stop after so many days of the scenario")
    parser.add_argument("--log", action="store_true", help="print every event")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args(arguments)


def make_scenario(options: argparse.Namespace, *, seed: int | None = None) -> Scenario:
    """Give the scenario that arguments stand for; another seed than theirs, if one is given."""
    scenario = draw_scenario(options.seed if seed is None else seed, days=options.days, bots=options.bots)
    if options.keep is not None:
        scenario = scenario.keep({int(number) for number in options.keep.split(",") if number.strip("-")})
    calm = [kind for kind in options.calm.split(",") if kind]
    scenario = replace(scenario, rates=replace(scenario.rates, **dict.fromkeys(calm, 0.0)))
    return replace(scenario, days=options.until or scenario.days)


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
