"""How often a call is tried, how long the pauses are, and what is given up at once."""

from __future__ import annotations

import pytest
from virtual import VirtualClock, run

from hotshotd.brain.patience import MODERATION, RANK, READ, TEXT, Patience, ask_patiently
from hotshotd.errors import (
    BotPaused,
    BreakerOpen,
    Down,
    HotshotError,
    InferenceGone,
    InferenceNonsense,
    InferenceRejected,
    InferenceUnavailable,
    QuotaUnavailable,
    Retry,
)

AWAY = InferenceUnavailable("overloaded")


def ask(patience: Patience, *errors: HotshotError, deadline: float = 900.0) -> tuple[list[float], str, int]:
    """Ask something that raises the errors in order and then works; give when it was asked, how it ended, the notes."""
    script, times, notes = list(errors), list[float](), list[HotshotError]()

    async def main() -> str:
        clock = VirtualClock()

        async def call() -> str:
            times.append(clock.monotonic())
            if script:
                raise script.pop(0)
            return "well"

        try:
            return await ask_patiently(call, patience, clock, deadline=deadline, on_failure=notes.append)
        except HotshotError as exc:
            return exc.code

    end = run(main())
    return times, end, len(notes)


@pytest.mark.parametrize(
    ("patience", "times"),
    [
        (TEXT, [0, 10, 30, 60, 90, 120]),
        (RANK, [0, 10, 30, 50]),
        (MODERATION, [0, 10, 30, 60, 90]),
        (READ, [0, 2, 6, 14, 30, 60]),
    ],
)
def test_ask__pauses_grow_until_the_tries_are_used_up(patience: Patience, times: list[float]) -> None:
    """The tries of each kind of call; at most six a minute to one service, the ranker's within a minute."""
    assert ask(patience, *[AWAY] * 10) == (times, "unavailable", len(times))


@pytest.mark.parametrize("error", [AWAY, Retry("x", after=1), Down("x")])
def test_ask__a_passing_failure_is_tried_again(error: HotshotError) -> None:
    """What may pass is waited for."""
    assert ask(TEXT, error) == ([0, 10], "well", 1)


@pytest.mark.parametrize("error", [QuotaUnavailable("away"), BreakerOpen("open", retry_after=1, gone=False)])
def test_ask__what_was_not_sent_is_no_try(error: HotshotError) -> None:
    """A no of our own costs nobody anything: it is asked again soon, for as long as the tries would have taken."""
    times = [5.0 * number for number in range(25)]
    assert ask(TEXT, *[error] * 50) == (times, error.code, len(times))
    assert ask(TEXT, *[error] * 3, AWAY, AWAY) == ([0, 5, 10, 15, 25, 45], "well", 5)


@pytest.mark.parametrize(
    ("error", "noted"),
    [
        (InferenceGone("x", status=404), 0),
        (InferenceRejected("x", status=400), 0),
        (BotPaused("x"), 0),
        (BreakerOpen("x", retry_after=600, gone=True), 1),
    ],
)
def test_ask__what_does_not_pass_is_given_up_at_once(error: HotshotError, noted: int) -> None:
    """A model that is gone, a refused request and a pause are not tried again."""
    assert ask(TEXT, error) == ([0], error.code, noted)


def test_ask__nonsense_is_tried_once_more_and_soon() -> None:
    """It may have been paid for, and seldom gets better."""
    assert ask(TEXT, *[InferenceNonsense("empty")] * 5) == ([0, 1], "nonsense", 2)


@pytest.mark.parametrize(
    "error",
    [InferenceUnavailable("x", retry_after=45), Retry("x", after=45), BreakerOpen("x", retry_after=45, gone=False)],
)
def test_ask__a_longer_wish_is_kept(error: HotshotError) -> None:
    """Who asks for a pause gets it."""
    assert ask(TEXT, error) == ([0, 45], "well", 1)


def test_ask__a_pause_past_the_deadline_is_not_waited_for() -> None:
    """The error comes at once, and the last moment still counts."""
    assert ask(TEXT, *[AWAY] * 10, deadline=30) == ([0, 10, 30], "unavailable", 3)
