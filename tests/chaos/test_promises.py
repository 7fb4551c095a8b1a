"""The reckoning of scripts/chaos finds what it is there to find."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from chaoslib.cast import BotSpec, make_cast
from chaoslib.deeds import Quiet
from chaoslib.plan import KILLS, draw_plan
from chaoslib.promises import (
    Breaches,
    check_moderation,
    check_money,
    check_quiet,
    check_repeats,
    settle_answers,
)
from chaoslib.records import Published, Records, Sent
from chaoslib.world import Step

from hotshotd.sandbox.forum import Forum
from hotshotd.sandbox.http import HttpServer, Request, Response, json_response
from hotshotd.sandbox.verdicts import moderate_openai

NOON = [Step(0.0, 0.0)]


@pytest.fixture
def cast() -> tuple[BotSpec, ...]:
    return make_cast(10)


@pytest.fixture
def forum(cast: tuple[BotSpec, ...]) -> Forum:
    made = Forum()
    for place in ("home", "plaza", "annex"):
        made.add_subreddit(place)
    for name in ("ann", *(bot.name for bot in cast)):
        made.add_account(name)
    return made


def get_counts(breaches: Breaches) -> Counter[str]:
    return +breaches.counts


def test_repeats__are_found_among_replies_and_posts(forum: Forum, cast: tuple[BotSpec, ...]) -> None:
    """A second answer, a second post of one title, and a slot that is used twice."""
    question = forum.submit("ann", "home", "Who quacks?", "I heard something.").fullname
    forum.comment("baker", question, "I do.")
    forum.submit("stoic", "home", "On geese number 1", "They honk.")
    calm = Breaches()
    check_repeats(forum, cast, NOON, calm)
    assert get_counts(calm) == {}
    forum.comment("baker", question, "It was me.")
    forum.submit("stoic", "home", "On geese number 1", "They honk again.")
    for number in (2, 3):
        forum.submit("keeper", "home", f"On lamps number {number}", "They shine.")
    broken = Breaches()
    check_repeats(forum, cast, NOON, broken)
    assert get_counts(broken) == {"duplicate replies and posts": 3}


def test_answers__are_missed_where_there_is_none(forum: Forum, cast: tuple[BotSpec, ...]) -> None:
    """A top-level comment on an own post and a mention must be answered, or end for a documented reason."""
    own = forum.submit("keeper", "home", "On lamps", "They shine.").fullname
    theirs = forum.submit("ann", "home", "Who quacks?", "I heard something.").fullname
    asked = forum.comment("ann", own, "Why?").fullname
    called = forum.comment("ann", theirs, "What does u/baker think?").fullname
    forum.comment("ann", asked, "A deeper one need not be answered.")
    forum.comment("ann", theirs, "Nor need a mention of u/guard where it does not live.")
    assert [due.thing for due in settle_answers(forum, cast, {}).open] == [called, asked]
    ends = {
        ("baker", called): [{"reason": "chance"}, {"reason": "over_budget"}],
        ("keeper", asked): [{"reason": "chance"}],
    }
    settled = settle_answers(forum, cast, ends)
    assert ([due.thing for due in settled.open], dict(settled.excepted)) == ([asked], {"over budget": 1})
    forum.comment("keeper", asked, "Because.")
    assert settle_answers(forum, cast, ends).replied == 1


def test_money__counts_each_day_by_itself(cast: tuple[BotSpec, ...]) -> None:
    """A clock that jumps past midnight and back opens one new day and no old one."""
    pauper = next(bot for bot in cast if bot.name == "pauper")
    steps = [Step(0.0, 0.0), Step(100.0, 13 * 3600.0), Step(120.0, 0.0)]
    records = Records(lambda: 0.0)
    records.sent += [Sent(50.0, "pauper", pauper.budget), Sent(110.0, "pauper", pauper.budget - 5)]
    held = Breaches()
    assert check_money(records, cast, steps, held) == {"pauper": 2 * pauper.budget - 5}
    assert get_counts(held) == {}
    records.sent.append(Sent(130.0, "pauper", 6))
    broken = Breaches()
    check_money(records, cast, steps, broken)
    assert get_counts(broken) == {"characters over budget": 1}


def judge(records: Records, text: str, **changes: object) -> None:
    """Let the recorder see a moderator's answer about a text."""
    body = json.dumps({"model": "omni-moderation-latest", "input": text}).encode()
    server = HttpServer("openai", lambda _: Response(), middleware=lambda request, handle: handle(request))
    answer = replace(moderate_openai("omni", {"input": text}), **changes)  # type: ignore[arg-type]
    server._handler = lambda _: answer
    records.watch(server)
    server.answer(Request("POST", "/v1/moderations", body=body))


@pytest.mark.parametrize(
    ("text", "changes", "broken"),
    [
        ("A fine text.", {}, 0),
        ("A fine text.", {"reset": True}, 1),
        ("A fine text.", {"cut_after": 3}, 1),
        ("A fine text.", {"status": 500}, 1),
        ("A fine text.", {"body": b"[]"}, 1),
        ("You idiot.", {}, 2),
    ],
)
def test_moderation__wants_a_verdict_that_arrived(
    cast: tuple[BotSpec, ...], text: str, changes: dict[str, object], broken: int
) -> None:
    """Only a whole answer that says pass counts; what is rude counts whatever was said."""
    records = Records(lambda: 1.0)
    judge(records, text, **changes)
    records.published.append(Published(2.0, "keeper", "t1_a", "comment", "", text))
    breaches = Breaches()
    check_moderation(records, cast, breaches)
    assert breaches.counts["unmoderated or rejected texts published"] == broken


def test_moderation__comes_before_publishing(cast: tuple[BotSpec, ...]) -> None:
    """A verdict after the fact is none."""
    records = Records(lambda: 3.0)
    judge(records, "A fine text.")
    records.published.append(Published(2.0, "keeper", "t1_a", "comment", "", "A fine text."))
    breaches = Breaches()
    check_moderation(records, cast, breaches)
    assert breaches.counts["unmoderated or rejected texts published"] == 1


def test_quiet__is_broken_by_a_character() -> None:
    """What a paused bot sends or writes is found, what was on its way before is let pass."""
    records = Records(lambda: 0.0)
    records.sent += [Sent(10.5, "keeper", 7), Sent(20.0, "baker", 7), Sent(14.0, "keeper", 9)]
    records.published.append(Published(15.0, "keeper", "t1_a", "comment", "", "x"))
    breaches = Breaches()
    check_quiet(records, [Quiet("keeper", 10.0, 18.0)], breaches)
    assert get_counts(breaches) == {"done while paused": 2}


def test_plan__repeats_itself() -> None:
    """The same seed gives the same faults and deeds; another one gives others; without kills nobody is killed."""
    names = [bot.name for bot in make_cast(10)]
    plan = draw_plan(7, seconds=600, bots=names, kills=True)
    assert plan == draw_plan(7, seconds=600, bots=names, kills=True)
    assert plan != draw_plan(8, seconds=600, bots=names, kills=True)
    assert sum(act.deed in KILLS for act in plan.acts) >= 100
    calm = draw_plan(7, seconds=600, bots=names, kills=False)
    assert calm.weather == plan.weather
    assert {act.deed.value for act in calm.acts} == {"pause"}


def test_records__give_each_title_a_number() -> None:
    """So that two posts of a title are one post made twice, and no chance."""
    records = Records(lambda: 0.0)
    server = HttpServer("hf", lambda _: json_response([{"generated_text": "x<|sot|>On geese<|eot|>y"}] * 2),
                        middleware=lambda request, handle: handle(request))  # fmt: skip
    records.watch(server)
    answer = server.answer(Request("POST", "/hf-inference/models/chaos/poster-gpt2")).json()
    assert [text["generated_text"] for text in answer] == [
        "x<|sot|>On geese number 1<|eot|>y", "x<|sot|>On geese number 2<|eot|>y"
    ]  # fmt: skip
