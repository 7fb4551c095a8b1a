"""Which answers mean: leave me alone."""

from __future__ import annotations

import pytest

from hotshotd.brain.optout import wants_out


@pytest.mark.parametrize(
    "text", ["stop", "STOP!", "Please stop.", "u/duck stop", "opt-out", "**Stop**", "don't reply to me"]
)
def test_wants_out__hears_a_bare_stop(text: str) -> None:
    """Case, punctuation, markdown and the bot's name do not count."""
    assert wants_out(text)


@pytest.mark.parametrize(
    "text", ["", "stop the press, this is great", "why did you stop", "don't stop", "bus stop", "nonstop"]
)
def test_wants_out__leaves_talk_alone(text: str) -> None:
    """A sentence in which the word occurs is talk."""
    assert not wants_out(text)
