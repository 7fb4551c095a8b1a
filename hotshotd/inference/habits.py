"""What a worker has learnt of a server and model, so that no request is wasted twice on the same lesson.

In memory only: a restart learns anew.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Habits:
    """What one model on one server does not take. Thread-safe."""

    _left_out: frozenset[str] = frozenset()
    _renamed: dict[str, str] = field(default_factory=dict)
    _extra_tokens: int = 0
    _refused_quiets: int = 0
    _last_refused: str | None = None
    _longest: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def left_out(self) -> frozenset[str]:
        """Names of the parameters that are not sent."""
        return self._left_out

    @property
    def extra_tokens(self) -> int:
        """Tokens added to what the operator wants, for a model that thinks before it speaks."""
        return self._extra_tokens

    @property
    def refused_quiets(self) -> int:
        """How many ways to switch reasoning off the server refused."""
        return self._refused_quiets

    def rename(self, key: str) -> str:
        """Give the name under which the server takes a parameter."""
        return self._renamed.get(key, key)

    def leave_out(self, names: Iterable[str]) -> None:
        """Send these parameters no more."""
        with self._lock:
            self._left_out |= frozenset(names)

    def call_it(self, key: str, name: str) -> None:
        """Send parameter `key` as `name` from now on."""
        with self._lock:
            self._renamed = {**self._renamed, key: name}

    def add_tokens(self, count: int) -> None:
        """Ask for at least `count` more tokens from now on."""
        with self._lock:
            self._extra_tokens = max(self._extra_tokens, count)

    def refuse_quiet(self, refused: int) -> None:
        """Go on to the next way to switch reasoning off, `refused` having been refused; two threads may say so."""
        with self._lock:
            self._refused_quiets = max(self._refused_quiets, refused)

    @property
    def longest(self) -> int:
        """The longest prompt that was taken, in characters."""
        return self._longest

    def note_accepted(self, chars: int = 0) -> None:
        """Remember that a prompt of so many characters was taken."""
        with self._lock:
            self._last_refused = None
            self._longest = max(self._longest, chars)

    def note_refused(self, prompt_id: str) -> bool:
        """Remember that a prompt was refused; tell whether the one before it was another, refused as well."""
        with self._lock:
            is_second = self._last_refused is not None and self._last_refused != prompt_id
            self._last_refused = prompt_id
            return is_second


class HabitBook:
    """The habits of all servers and models that a worker asks. Thread-safe."""

    def __init__(self) -> None:
        self._pages: dict[tuple[str, str], Habits] = {}
        self._lock = threading.Lock()

    def open(self, url: str, *, model: str) -> Habits:
        """Give the habits of a model at an address; the same object each time."""
        with self._lock:
            return self._pages.setdefault((url, model), Habits())
