"""Each thing is handled once, and its notice is marked read when it is done, not before."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hotshotd.platform import Author, Item, Kind, Notice, Reason, Ref
from hotshotd.worker.inbox import Desk

THING = Ref("t1_thing")
MORNING = datetime(2026, 11, 24, tzinfo=UTC)


def make_notice(thing: str = THING, *, ref: str = "n1") -> Notice:
    item = Item(Ref(thing), Kind.COMMENT, Author("alice"), "Hello?", "bots", MORNING)
    return Notice(Ref(ref), Reason.COMMENT_REPLY, item)


def test_begin__takes_a_thing_in_hand_once() -> None:
    """Neither in work nor done is it taken again."""
    desk = Desk()
    assert desk.begin(THING)
    assert not desk.begin(THING)
    desk.finish(THING, mark=True)
    assert not desk.begin(THING)


def test_begin__knows_what_is_in_work_however_much_was_read_since() -> None:
    """A thing deferred for a day is not begun again when the memory of others has run over."""
    desk = Desk()
    desk.begin(THING)
    for number in range(6000):
        desk.begin(Ref(f"t1_{number}"))
        desk.finish(Ref(f"t1_{number}"), mark=False)
    assert not desk.begin(THING)


def test_finish__marks_the_notice_once() -> None:
    """A notice is to be marked when its thing is done, and only then."""
    desk = Desk()
    desk.note(make_notice())
    desk.begin(THING)
    assert desk.take_done() == []
    desk.finish(THING, mark=True)
    assert desk.take_done() == ["n1"]
    assert desk.take_done() == []


def test_note__of_a_thing_in_work_waits_for_its_end() -> None:
    """The listing showed it first; the inbox's notice comes while it is answered."""
    desk = Desk()
    desk.begin(THING)
    desk.note(make_notice())
    assert desk.take_done() == []
    desk.finish(THING, mark=True)
    assert desk.take_done() == ["n1"]


def test_note__of_a_thing_that_is_done_is_marked_at_once() -> None:
    """The listing showed it first, and it is answered already."""
    desk = Desk()
    desk.begin(THING)
    desk.finish(THING, mark=True)
    desk.note(make_notice())
    assert desk.take_done() == ["n1"]


@pytest.mark.parametrize("noted_before", [True, False])
def test_note__of_a_thing_that_is_left_unread_stays_unread(noted_before: bool) -> None:
    """A dry run, and messages for the operator: the inbox shows them at every poll, and none is marked."""
    desk = Desk()
    if noted_before:
        desk.note(make_notice())
    desk.begin(THING)
    desk.finish(THING, mark=False)
    for _ in range(3):
        desk.note(make_notice())
        assert not desk.begin(THING)
    assert desk.take_done() == []


def test_put_back__keeps_what_could_not_be_marked() -> None:
    """Oldest first, and none twice."""
    desk = Desk()
    for number in range(3):
        desk.note(make_notice(f"t1_{number}", ref=f"n{number}"))
        desk.begin(Ref(f"t1_{number}"))
    desk.finish(Ref("t1_0"), mark=True)
    desk.finish(Ref("t1_1"), mark=True)
    taken = desk.take_done()
    desk.finish(Ref("t1_2"), mark=True)
    desk.note(make_notice("t1_0", ref="n0"))
    desk.put_back(taken)
    assert desk.take_done() == ["n0", "n1", "n2"]
