"""Long commands on their way through the supervisor: who waits, who is told, once, whatever becomes of the worker."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from hotshotd.loop import Loop
from hotshotd.supervisor.errands import ERRAND_SECONDS, MAX_ERRANDS, Errands, TooManyErrands, Waiting


class Asked:
    """One who waits, and all that he was told."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.replies: list[Any] = []
        self.failures: list[tuple[str, str]] = []

    @property
    def waiting(self) -> Waiting:
        return Waiting(self.steps.append, self.replies.append, lambda *failure: self.failures.append(failure))

    @property
    def ends(self) -> int:
        return len(self.replies) + len(self.failures)


class Room:
    """The errands of a bot, and what its worker was sent."""

    def __init__(self, loop: Loop) -> None:
        self.sent: list[dict[str, Any]] = []
        self.has_worker = True
        self.errands = Errands(loop, self._send)

    def _send(self, message: dict[str, Any]) -> bool:
        if self.has_worker:
            self.sent.append(message)
        return self.has_worker

    def begin(self) -> tuple[Asked, Callable[[], None]]:
        asked = Asked()
        return asked, self.errands.begin({"op": "try", "url": "t3_a"}, asked.waiting)


@pytest.fixture
def room(loop: Loop) -> Room:
    return Room(loop)


def test_errand__is_sent_told_and_answered(room: Room) -> None:
    """The worker gets it with a number; its steps and its end go to who asked."""
    asked, _ = room.begin()
    assert room.sent == [{"id": 1, "op": "try", "url": "t3_a"}]
    room.errands.on_step({"event": "step", "id": 1, "name": "prompt", "text": "words", "cost": 5})
    room.errands.on_done({"event": "errand_done", "id": 1, "ok": True, "data": {"would_reply": True}})
    assert asked.steps == [{"name": "prompt", "text": "words", "cost": 5}]
    assert (asked.replies, asked.failures) == ([{"would_reply": True}], [])


def test_errand__that_fails_keeps_code_and_words(room: Room) -> None:
    """They are for the operator."""
    asked, _ = room.begin()
    room.errands.on_done({"id": 1, "ok": False, "code": "paused", "message": "paused meanwhile"})
    assert asked.failures == [("paused", "paused meanwhile")]


def test_errands__are_told_apart(room: Room) -> None:
    """Two at once, answered in any order."""
    (first, _), (second, _) = room.begin(), room.begin()
    room.errands.on_done({"id": 2, "ok": True, "data": {"n": 2}})
    room.errands.on_step({"id": 1, "name": "a", "text": "", "cost": 0})
    assert (first.ends, second.replies, len(first.steps), second.steps) == (0, [{"n": 2}], 1, [])


def test_errands__are_four_at_most(room: Room) -> None:
    """One more is refused; when one has ended there is room again."""
    for _ in range(MAX_ERRANDS):
        room.begin()
    with pytest.raises(TooManyErrands):
        room.begin()
    assert len(room.sent) == MAX_ERRANDS
    room.errands.on_done({"id": 1, "ok": True, "data": {}})
    room.begin()


def test_drop__tells_the_worker_once_and_nobody_is_answered(room: Room) -> None:
    """Also when the worker still tells its steps and its end; a drop after the end is no matter."""
    asked, drop = room.begin()
    drop()
    drop()
    assert room.sent[1:] == [{"op": "drop", "id": 1}]
    room.errands.on_step({"id": 1, "name": "a", "text": "", "cost": 0})
    room.errands.on_done({"id": 1, "ok": True, "data": {}})
    assert (asked.steps, asked.ends, len(room.errands)) == ([], 0, 0)
    other, drop = room.begin()
    room.errands.on_done({"id": 2, "ok": True, "data": {}})
    drop()
    assert (other.ends, len(room.sent)) == (1, 3)


def test_worker__that_ends_fails_all_and_its_successor_answers_none(room: Room) -> None:
    """Numbers are not given twice: a late message of the old worker is not taken for that of a new errand."""
    asked, _ = room.begin()
    room.errands.fail_all("worker_ended", "gone")
    assert asked.failures == [("worker_ended", "gone")]
    newer, _ = room.begin()
    room.errands.on_done({"id": 1, "ok": True, "data": {}})
    assert (asked.ends, newer.ends) == (1, 0)


def test_worker__that_is_not_there_fails_it_at_once(room: Room) -> None:
    """Nobody waits for a process that does not exist."""
    room.has_worker = False
    asked, drop = room.begin()
    assert [code for code, _ in asked.failures] == ["no_worker"]
    drop()
    assert len(room.errands) == 0


def test_worker__that_never_answers_is_given_up(room: Room, pass_time: Callable[[float], None]) -> None:
    """After a time longer than any item or post may take; it is told to stop, too."""
    asked, _ = room.begin()
    pass_time(ERRAND_SECONDS - 1)
    assert asked.ends == 0
    pass_time(2)
    assert [code for code, _ in asked.failures] == ["timeout"]
    assert room.sent[1:] == [{"op": "drop", "id": 1}]


class Crowd:
    """Operators who come and go at random, and a worker that says anything at any time."""

    def __init__(self, room: Room, chance: random.Random, pass_time: Callable[[float], None]) -> None:
        self.room, self.chance, self.pass_time = room, chance, pass_time
        self.everyone: list[tuple[Asked, Callable[[], None]]] = []
        self.left: set[int] = set()

    def act(self) -> None:
        self.chance.choice([self._come, self._come, self._say, self._say, self._leave, self._die, self._wait])()

    def _come(self) -> None:
        try:
            self.everyone.append(self.room.begin())
        except TooManyErrands:
            assert len(self.room.errands) == MAX_ERRANDS

    def _say(self) -> None:
        number = self.chance.randint(1, len(self.everyone) + 2)
        errands = self.room.errands
        self.chance.choice(
            [
                lambda: errands.on_step({"id": number, "name": "a", "text": "", "cost": 0}),
                lambda: errands.on_done({"id": number, "ok": True, "data": {}}),
                lambda: errands.on_done({"id": number, "ok": False, "code": "x", "message": "y"}),
            ]
        )()

    def _leave(self) -> None:
        if self.everyone:
            place = self.chance.randrange(len(self.everyone))
            asked, drop = self.everyone[place]
            if asked.ends == 0:
                self.left.add(place)
            drop()

    def _die(self) -> None:
        if self.chance.random() < 0.2:
            self.room.errands.fail_all("worker_ended", "gone")

    def _wait(self) -> None:
        self.pass_time(self.chance.choice([1.0, ERRAND_SECONDS / 3]))


@pytest.mark.parametrize("seed", range(20))
def test_errands__end_once_whatever_happens(room: Room, pass_time: Callable[[float], None], seed: int) -> None:
    """A hundred random events: each who asked is answered once, or never when he left; nobody is left waiting."""
    crowd = Crowd(room, random.Random(seed), pass_time)
    for _ in range(100):
        crowd.act()
    pass_time(ERRAND_SECONDS + 1)
    assert len(room.errands) == 0
    assert len(crowd.everyone) > MAX_ERRANDS
    assert [asked.ends for asked, _ in crowd.everyone] == [
        0 if place in crowd.left else 1 for place in range(len(crowd.everyone))
    ]


# -- a bot's -----------------------------------------------------------------------------------


@pytest.fixture
def running(bot_of: Callable[..., Any], spawner: Any) -> Any:
    bot = bot_of()
    bot.start()
    spawner.child.say("signed_in")
    return bot


def test_bot__hands_a_workers_steps_and_ends_on(running: Any, spawner: Any) -> None:
    """The worker's two events, through the channel that all its news take."""
    asked = Asked()
    running.errands.begin({"op": "post", "dry_run": True}, asked.waiting)
    assert spawner.child.sent == ["post"]
    spawner.child.say("step", id=1, name="title", text="A", cost=0)
    spawner.child.say("errand_done", id=1, ok=True, data={"title": "A"})
    assert (len(asked.steps), asked.replies) == (1, [{"title": "A"}])


@pytest.mark.parametrize("status", [0, 1, 77, -9])
def test_bot__whose_worker_ends_fails_what_is_under_way(running: Any, spawner: Any, status: int) -> None:
    """However it ends; what it said last counts before."""
    first, second = Asked(), Asked()
    running.errands.begin({"op": "try"}, first.waiting)
    running.errands.begin({"op": "try"}, second.waiting)
    spawner.child.last_words = [{"event": "errand_done", "id": 1, "ok": True, "data": {"x": 1}}]
    running.reap(running.pid, status)
    assert (first.replies, second.replies) == ([{"x": 1}], [])
    assert [code for code, _ in second.failures] == ["worker_ended"]
