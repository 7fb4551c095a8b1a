"""Whose voice a text is: what finding out costs."""

from __future__ import annotations

import weakref

from hotshotd.brain.voices import _named_speakers


def test_named_speakers__forgets_people() -> None:
    """A pattern of names takes some kB: those of people who left are given up, by us and by `re`."""
    met = [weakref.ref(pattern) for number in range(60) if (pattern := _named_speakers((f"person{number}",)))]
    del pattern
    assert len(met) == 60
    assert sum(it() is not None for it in met) <= 16
