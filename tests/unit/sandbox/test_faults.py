"""Plans of faults: what strikes when, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hotshotd.errors import ConfigError
from hotshotd.sandbox.faults import Action, Plan, Rule, When, load_plan, parse_rule, rule_to_json
from hotshotd.sandbox.http import Request, Response


def strikes(plan: Plan, times: int, *, service: str = "reddit", path: str = "/x", account: str = "") -> list[bool]:
    """Tell for each of some requests whether a fault struck it."""
    request = Request("GET", path, account=account)
    return [plan.decide(service, request) is not None for _ in range(times)]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, [True, True, True, True]),
        ({"nth": 2}, [False, True, False, False]),
        ({"count": 2}, [True, True, False, False]),
        ({"nth": 3, "count": 5}, [False, False, True, True]),
        ({"probability": 0.0}, [False] * 4),
    ],
)
def test_rule__nth_and_count(limits: dict[str, float], expected: list[bool]) -> None:
    """The nth is the first that can be struck, and no more than count are."""
    assert strikes(Plan(Rule(Action.RESET, **limits)), 4) == expected  # type: ignore[arg-type]


def test_probability__repeats_from_the_seed() -> None:
    """The same seed gives the same faults, another seed others, at about the rate asked for."""
    runs = [strikes(Plan(Rule(Action.RESET, probability=0.3), seed=seed), 1000) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert 240 < sum(runs[0]) < 360


def test_probability__other_requests_do_not_shift_it() -> None:
    """What a rule does to its own requests does not depend on others in between."""
    alone = strikes(Plan(Rule(Action.RESET, path="/x", probability=0.5), seed=3), 50)
    plan = Plan(Rule(Action.RESET, path="/x", probability=0.5), seed=3)
    mixed = [strikes(plan, 1, path="/y") + strikes(plan, 1) for _ in range(50)]
    assert [pair[1] for pair in mixed] == alone
    assert not any(pair[0] for pair in mixed)


@pytest.mark.parametrize(
    ("rule", "request_", "fits"),
    [
        (Rule(Action.RESET, path="/api/comment*"), Request("POST", "/api/comment/"), True),
        (Rule(Action.RESET, path="/api/comment"), Request("POST", "/api/comment/"), False),
        (Rule(Action.RESET, method="GET"), Request("POST", "/"), False),
        (Rule(Action.RESET, account="IAMA-*"), Request("GET", "/", account="iama-bot"), True),
        (Rule(Action.RESET, account="iama"), Request("GET", "/", account=""), False),
        (Rule(Action.RESET, service="hf"), Request("GET", "/"), False),
    ],
)
def test_rule__fits(rule: Rule, request_: Request, fits: bool) -> None:
    """A rule is about a service, paths, a method and an account."""
    assert rule.fits("reddit", request_) is fits


def test_plan__rules_come_and_go() -> None:
    """Rules are tried in order; one taken back strikes no more; what struck is remembered."""
    plan = Plan()
    first = plan.add(Rule(Action.RESET, count=1))
    second = plan.add(Rule(Action.HANG))
    assert strikes(plan, 2) == [True, True]
    plan.remove(second)
    assert strikes(plan, 1) == [False]
    assert [fired.rule for fired in plan.wait_for_fired(2)] == [first, second]
    with pytest.raises(TimeoutError):
        plan.wait_for_fired(3, timeout_seconds=0)


@pytest.mark.parametrize(("when", "handled"), [(When.BEFORE, 0), (When.AFTER, 1)])
def test_middleware__carries_out_or_not(when: When, handled: int) -> None:
    """`after` carries the request out first; `before` never does."""
    seen: list[Request] = []

    def handle(request: Request) -> Response:
        seen.append(request)
        return Response(body=b"done")

    strike = Plan(Rule(Action.STATUS, status=500, when=when)).middleware("reddit")
    assert strike(Request("POST", "/"), handle).status == 500
    assert len(seen) == handled


def test_middleware__without_a_fault_hands_on() -> None:
    """No rule, no change."""
    answer = Response(body=b"done")
    assert Plan().middleware("reddit")(Request("GET", "/"), lambda _: answer) is answer


def test_load__reads_a_whole_plan(tmp_path: Path) -> None:
    """A file gives the seed and the rules in order."""
    file = tmp_path / "faults.yaml"
    file.write_text("""
seed: 7
faults:
  - {service: reddit, path: /api/comment*, account: iama-bot, nth: 2, action: reset, when: after}
  - action: status
    status: 429
    headers: {Retry-After: "3"}
    probability: 1
""")
    plan = load_plan(file)
    assert plan.seed == 7
    assert plan.rules == (
        Rule(Action.RESET, service="reddit", path="/api/comment*", account="iama-bot", nth=2, when=When.AFTER),
        Rule(Action.STATUS, status=429, headers={"Retry-After": "3"}),
    )
    assert [parse_rule(rule_to_json(rule)) for rule in plan.rules] == list(plan.rules)


def test_load__empty_file_is_an_empty_plan(tmp_path: Path) -> None:
    """Nothing goes wrong."""
    file = tmp_path / "faults.yaml"
    file.write_text("# nothing\n")
    assert load_plan(file).rules == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("faults:\n  - action: explode\n", [":2: faults[0].action: 'explode' is wrong; wanted is one of status,"]),
        ("faults:\n  - {action: reset}\n  - nth: 0\n    actoin: reset\n",
         [":4: faults[1].actoin: unknown key", ":3: faults[1].nth: 0 is wrong", ":3: faults[1].action: is missing"]),
        ("faults:\n  - action: status\n    status: 99\n", [":3: faults[0].status: 99 is wrong; wanted is an HTTP"]),
        ("faults:\n  - action: hang\n    seconds: .nan\n", [":3: faults[0].seconds:"]),
        ("faults:\n  - action: reset\n    count: true\n", [":3: faults[0].count: True is wrong"]),
        ("faults:\n  - action: [reset]\n", [":2: faults[0].action: ['reset'] is wrong"]),
        ("faults:\n  - action: reset\n    ? [1]\n    : 2\n", [":2: faults[0]"]),
        ("faults: reset\n", [":1: faults: wanted is a list of rules"]),
        ("faults:\n  - reset\n", [":2: faults[0]: a rule is a mapping"]),
        ("seed: x\n", [":1: seed: 'x' is wrong"]),
        ("fault: []\n", [":1: fault: unknown key"]),
        ("- reset\n", [":1: a plan is a mapping"]),
        ("a: [\n", [":2: "]),
        ("[1]: 2\n", [":1: "]),
    ],
)  # fmt: skip
def test_load__refuses_with_file_and_line(tmp_path: Path, text: str, expected: list[str]) -> None:
    """Every fault of a wrong plan is named with its file and line."""
    file = tmp_path / "faults.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_plan(file)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(expected)
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(f"{file}{start}")


def test_load__missing_file(tmp_path: Path) -> None:
    """A file that can't be read is a ConfigError that names it."""
    with pytest.raises(ConfigError, match=r"none\.yaml: can't be read: No such file"):
        load_plan(tmp_path / "none.yaml")
