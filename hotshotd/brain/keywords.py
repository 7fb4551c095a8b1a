r"""Words to look for in a text: an operator's lists, and the built-in list of what no bot should say.

How a word is written:

- `word`: just so, whatever its case, and as a word: a letter or digit may not stand beside its own
  outer letters or digits. `who` is not in `whole`; `?` and `My 5 Questions:` are found anywhere.
- `stem*`: every word that begins so. `*end` and `*part*` likewise.
- `re:pattern`: a regular expression (Python's `re`), whatever the case.

Texts are searched as a reader sees them: full-width letters, invisible characters and curly quotes
make no difference. A hardened list also sees through lookalike letters, digits for letters, and
words stretched or spelled out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Self

from hotshotd.brain.textview import disguise_views, fold_view, plain_view
from hotshotd.config.patterns import find_pattern_fault

#: A pattern sees a text in pieces of this many characters, so that a poor one stays bearable ...
_PIECE_CHARS = 4000
#: ... which overlap by this many: the longest match that is found for certain.
_OVERLAP_CHARS = 500

#: Scripts that put no space between words: nothing there is ever "beside" a word.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
#: How much of a keyword the search for all of them at once looks at.
_SHARED_CHARS = 12
#: A word's characters, without the underscore: `_what_` is `what` in italics.
_WORD = r"[^\W_]"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One keyword as written, and the pattern that finds it.

    `before`, `body` and `after` are what the pattern of a literal is made of: its edges, and the letters between, in
    which a space stands for any white space.
    """

    word: str
    pattern: re.Pattern[str]
    before: str = ""
    body: str = ""
    after: str = ""


#: A hardened list with what finds any of it. Lists are not merged: the built-in one is shared by all workers.
_Hardened = tuple[tuple[_Entry, ...], re.Pattern[str] | None]


class Keywords:
    """A compiled list. Immutable, cheap to search, safe to share between threads."""

    __slots__ = ("_hardened", "_patterns", "_quick_words", "_words")

    def __init__(
        self,
        *,
        words: tuple[_Entry, ...] = (),
        patterns: tuple[_Entry, ...] = (),
        hardened: tuple[_Hardened, ...] = (),
    ) -> None:
        self._words = words
        self._patterns = patterns
        self._hardened = hardened
        self._quick_words = _any_of(words)

    @classmethod
    def compile(cls, words: Iterable[str], *, hardened: bool = False) -> Self:
        """Make a list of words as an operator writes them.

        Args:
            words: Literal words, stems with `*`, patterns with `re:`. Repeated ones count once.
            hardened: Whether the literal ones are found in disguise as well.

        Raises:
            ValueError: If a word is empty, or a pattern is wrong or could take for ever; it names the word.
        """
        unique = tuple(dict.fromkeys(word.strip() for word in words))
        literal = tuple(_compile_word(word, fold=hardened) for word in unique if not word.startswith("re:"))
        patterns = tuple(_compile_pattern(word) for word in unique if word.startswith("re:"))
        if hardened:
            return cls(hardened=((literal, _any_of(literal)),) if literal else (), patterns=patterns)
        return cls(words=literal, patterns=patterns)

    def __add__(self, other: Keywords) -> Keywords:
        """Give one list of both."""
        if not (self and other):
            return self or other
        return Keywords(
            words=self._words + other._words,
            patterns=self._patterns + other._patterns,
            hardened=self._hardened + other._hardened,
        )

    def __bool__(self) -> bool:
        return bool(self._words or self._patterns or self._hardened)

    def find(self, text: str) -> str | None:
        """Give the first keyword of the list that stands in the text, as it was written in the list."""
        return next(self._found(text), None)

    def count(self, text: str) -> int:
        """Count the distinct keywords that stand in the text, each once however often it stands there."""
        return sum(1 for _ in self._found(text))

    def _found(self, text: str) -> Iterator[str]:
        seen = plain_view(text)
        yield from _search(self._words, self._quick_words, (seen.casefold(),))
        if self._hardened:
            views = (seen.casefold(), *disguise_views(seen))
            for entries, quick in self._hardened:
                yield from _search(entries, quick, views)
        for entry in self._patterns:
            if any(entry.pattern.search(piece) for piece in _pieces(seen)):
                yield entry.word


@cache
def default_keywords() -> Keywords:
    """Give the built-in list; reads its file once, at the first call."""
    text = files("hotshotd.brain").joinpath("data", "negative_keywords.txt").read_text(encoding="utf-8")
    return Keywords.compile(parse_word_file(text), hardened=True)


def parse_word_file(text: str) -> tuple[str, ...]:
    """Give the words of a list file: one a line; `#` begins a remark, `[name]` a section."""
    lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("["))


@lru_cache(maxsize=8)
def _any_of(entries: tuple[_Entry, ...]) -> re.Pattern[str] | None:
    """Give a pattern that finds any of the literals by their beginnings, in one pass over a text.

    A list of alternatives would try each of them at each letter; here words share what they begin with (forty
    times as fast with the built-in list).
    """
    if not entries:
        return None
    edges = dict.fromkeys(entry.before for entry in entries)
    return re.compile("|".join(f"{edge}{_share(_tails(entries, edge))}" for edge in edges))


def _tails(entries: tuple[_Entry, ...], edge: str) -> list[tuple[str, str]]:
    return [
        (entry.body[:_SHARED_CHARS], entry.after if len(entry.body) <= _SHARED_CHARS else "")
        for entry in entries
        if entry.before == edge
    ]


def _share(tails: list[tuple[str, str]]) -> str:
    """Give a pattern for strings, each with what must follow it, in which common beginnings stand once."""
    by_first: dict[str, list[tuple[str, str]]] = {}
    for body, after in tails:
        by_first.setdefault(body[:1], []).append((body[1:], after))
    ends = dict.fromkeys(after for _, after in by_first.pop("", []))
    starts = (f"{_one(first)}{_share(rest)}" for first, rest in by_first.items())
    branches = [*ends, *starts]
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


def _one(char: str) -> str:
    return r"\s+" if char == " " else re.escape(char)


def _search(entries: tuple[_Entry, ...], quick: re.Pattern[str] | None, views: tuple[str, ...]) -> Iterator[str]:
    hit = [view for view in views if quick is not None and quick.search(view)]
    if hit:
        yield from (entry.word for entry in entries if any(entry.pattern.search(view) for view in hit))


def _pieces(text: str) -> Iterator[str]:
    step = _PIECE_CHARS - _OVERLAP_CHARS
    for start in range(0, max(1, len(text) - _OVERLAP_CHARS), step):
        yield text[start : start + _PIECE_CHARS]


def _compile_word(word: str, *, fold: bool) -> _Entry:
    stem_before, core, stem_after = _split_stem(word)
    plain = plain_view(core)
    seen = (fold_view(plain) if fold else plain.casefold()).split()
    if not seen:
        raise ValueError("an empty keyword would be found everywhere: remove it, or quote a mark such as '#'")
    body = " ".join(seen)
    before = "" if stem_before else _edge(seen[0][0], f"(?<!{_WORD})")
    after = f"{_WORD}*" if stem_after else _edge(seen[-1][-1], f"(?!{_WORD})")
    letters = "".join(map(_one, body))
    return _Entry(word, re.compile(f"{before}{letters}{after}"), before, body, "" if stem_after else after)


def _split_stem(word: str) -> tuple[bool, str, bool]:
    core = word.strip("*")
    if not core.strip():
        return False, word, False
    return word.startswith("*"), core, word.endswith("*")


def _edge(char: str, boundary: str) -> str:
    return boundary if char.isalnum() and not _UNSPACED.match(char) else ""


def _compile_pattern(word: str) -> _Entry:
    source = word.removeprefix("re:")
    fault = find_pattern_fault(source)
    if fault:
        raise ValueError(f"keyword {word!r}: {fault}")
    try:
        return _Entry(word, re.compile(source, re.IGNORECASE))
    except (re.error, OverflowError, RecursionError) as exc:
        raise ValueError(f"keyword {word!r} is no valid pattern: {exc}") from exc
