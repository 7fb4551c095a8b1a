"""One place that refuses does not blind a bot."""

from __future__ import annotations

from typing import Any

import pytest

from hotshotd.errors import Down, Refused
from hotshotd.reddit.places import RECHECK_SECONDS, Places


class World:
    """Places of which some refuse."""

    def __init__(self, *closed: str) -> None:
        self.closed = set(closed)
        self.probed: list[str] = []
        self.told: list[tuple[str, bool]] = []

    def probe(self, name: str) -> None:
        self.probed.append(name)
        if name in self.closed:
            raise Refused(f"no {name}", why="forbidden", forbidden=True)

    def tell(self, name: str, why: str | None) -> None:
        self.told.append((name, why is None))


def _refusal() -> Refused:
    return Refused("403 to all", why="forbidden", forbidden=True)


def test_isolate__sets_the_guilty_one_aside(clock: Any) -> None:
    """Each place is asked once; those that refuse are read no more."""
    world = World("b")
    places = Places(("a", "b", "c"), clock=clock, on_place=world.tell)
    places.isolate(_refusal(), world.probe)
    assert places.readable == ("a", "c")
    assert world.probed == ["a", "b", "c"]
    assert world.told == [("b", False)]


def test_isolate__a_lone_place_is_not_asked_again(clock: Any) -> None:
    """There is nobody else to blame."""
    world = World("a")
    places = Places(("a",), clock=clock, on_place=world.tell)
    places.isolate(_refusal(), world.probe)
    assert (places.readable, world.probed) == ((), [])


def test_isolate__raises_where_nobody_is_to_blame(clock: Any) -> None:
    """All answer alone: the refusal stands; so does one that is not about places."""
    world = World()
    places = Places(("a", "b"), clock=clock, on_place=world.tell)
    for refusal in (_refusal(), Refused("scope", why="insufficient_scope")):
        with pytest.raises(Refused):
            places.isolate(refusal, world.probe)
    assert places.readable == ("a", "b")


def test_recheck__takes_a_place_back(clock: Any) -> None:
    """After its time a place is tried again, and told when it answers."""
    world = World("b")
    places = Places(("a", "b"), clock=clock, on_place=world.tell)
    places.isolate(_refusal(), world.probe)
    places.recheck(world.probe)
    assert world.probed == ["a", "b"]
    clock.seconds = RECHECK_SECONDS
    places.recheck(world.probe)
    assert "b" not in places.readable
    world.closed.clear()
    clock.seconds = 2 * RECHECK_SECONDS
    places.recheck(world.probe)
    assert places.readable == ("a", "b")
    assert world.told[-1] == ("b", True)


def test_recheck__passes_an_outage_on(clock: Any) -> None:
    """An outage says nothing of a place."""
    world = World("a")
    places = Places(("a",), clock=clock, on_place=world.tell)
    places.isolate(_refusal(), world.probe)
    clock.seconds = RECHECK_SECONDS

    def down(_: str) -> None:
        raise Down("away")

    with pytest.raises(Down):
        places.recheck(down)


def test_leave__is_for_good(clock: Any) -> None:
    """A place that banned the account is never read again, however it is spelt."""
    places = Places(("Pond", "a"), clock=clock, on_place=World().tell)
    places.leave("pond")
    assert places.readable == ("a",)
