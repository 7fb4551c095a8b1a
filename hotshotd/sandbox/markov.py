"""What the sandbox's language models and its invented people say: Markov chains over small texts of our own.

A `Voice` is one character. It is built from a file of `corpus/` when it is first asked for, takes
about half a megabyte, and says the same for the same random stream. It tries many sentences and
keeps the one that has most to do with what was said to it, so that its answers seem to be answers.
"""

from __future__ import annotations

import random
import re
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from itertools import accumulate, islice
from typing import Any

#: The characters that ship with the package; models are named after them.
CHARACTERS = ("lighthouse", "baker", "guard", "astronaut")

#: How many sentences are tried for one that fits what is talked about.
TRIES = 24

#: What stands before and after every sentence; no word is empty.
_EDGE = ""

_WORD = re.compile(r"[^\W\d_]{4,}")
# A word of three letters or more after an article or its like is a noun often enough.
_NOUN = re.compile(r"\b(?:the|a|an|my|your|his|her|our|their|no|of)\s+([^\W\d_]{3,})\b(?!\s+(?:of|and)\b)")
_URL = re.compile(r"\S*(?:://|u/|r/)\S*")

#: Words that say nothing about what a text is about; the words of prompts are among them.
_COMMON_WORDS = """
    about after again also always another answer anybody anything because been before being comment comments
    conversation could does done down else even ever every everybody everyone everything first following from goes going
    good have having here into just keep kind know last like little made make many more most much myself need
    never nobody nothing once only other over part people please post posted read reddit really replied replies reply
    said same says should some somebody someone something still such sure system take tell text than thank that their
    them then there these they thing things think this those thread thought title told user very want wants well went
    were what when where which while will with without would write writes wrote year years your yours
"""
_COMMON = frozenset(_COMMON_WORDS.split())


def find_subjects(text: str) -> tuple[str, ...]:
    """Give the words a text is about, in lower case: what looks like a noun first, then the rest, later ones first."""
    said = _URL.sub(" ", text).casefold()
    words = [*reversed(_NOUN.findall(said)), *reversed(_WORD.findall(said))]
    return tuple(dict.fromkeys(word for word in words if word not in _COMMON))


class _Chain:
    """What follows which words, in all of some sentences; draws from a stream of its caller."""

    def __init__(self, sentences: Iterable[Sequence[str]], *, state_size: int) -> None:
        self._begin = (_EDGE,) * state_size
        followers: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for sentence in sentences:
            state = self._begin
            for word in (*sentence, _EDGE):
                followers[state][word] += 1
                state = (*state[1:], word)
        #: For each state the words, and the running sums of their weights.
        self._model = {state: (list(count), list(accumulate(count.values()))) for state, count in followers.items()}

    def walk(self, chance: random.Random) -> Iterator[str]:
        """Give the words of one sentence; it may be a long one."""
        state = self._begin
        while (word := self._draw(state, chance)) != _EDGE:
            yield word
            state = (*state[1:], word)

    def _draw(self, state: tuple[str, ...], chance: random.Random) -> str:
        words, sums = self._model[state]
        return words[bisect(sums, chance.random() * sums[-1])]


class Voice:
    """One character: its sentences, its titles, and its ways of picking up a word of another.

    Safe to use from several threads, each with its own `random.Random`.
    """

    def __init__(self, sections: Mapping[str, tuple[str, ...]], *, state_size: int = 2) -> None:
        self.sections = sections
        says = [line.split() for line in sections["says"]]
        self._chain = _Chain(says, state_size=state_size)
        self._vocabulary = {subject for line in sections["says"] for subject in find_subjects(line)}

    def say_sentence(self, chance: random.Random, *, about: Iterable[str] = (), max_words: int = 32) -> str:
        """Make one sentence, the best of some about the subjects."""
        wanted = self._vocabulary.intersection(about)
        best = ""
        for _ in range(TRIES if wanted else 4):
            words = list(islice(self._chain.walk(chance), max_words + 1))
            if len(words) > max_words:
                continue
            best = best or " ".join(words)
            if wanted.intersection(find_subjects(" ".join(words))):
                return " ".join(words)
        return best or chance.choice(self.sections["says"])

    def say_title(self, chance: random.Random) -> str:
        """Make a title of at most fourteen words, without a full stop."""
        if chance.random() < 0.45:
            return chance.choice(self.sections["titles"])
        return self.say_sentence(chance, max_words=14).rstrip(".")

    def say_text(self, chance: random.Random, *, heard: str = "", sentences: int = 3) -> str:
        """Make some sentences in answer to `heard`; the first often picks up a word of it."""
        subjects = find_subjects(heard)
        said = [] if not subjects or chance.random() < 0.35 else [self.say_echo(chance, subjects)]
        while len(said) < sentences:
            sentence = self.say_sentence(chance, about=subjects)
            said.append(sentence if sentence not in said else self.say_sentence(chance))
        return " ".join(said)

    def say_echo(self, chance: random.Random, subjects: Iterable[str], section: str = "echoes") -> str:
        """Make a remark about one of the subjects."""
        some = list(subjects)[:4] or ["that"]
        return chance.choice(self.sections[section]).replace("{word}", chance.choice(some))


def parse_corpus(text: str) -> dict[str, tuple[str, ...]]:
    """Split a corpus into its `== sections`, a line an entry; lines that start with `#` are remarks."""
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in (line.strip() for line in text.splitlines()):
        if line.startswith("== "):
            current = sections.setdefault(line.removeprefix("== "), [])
        elif line and not line.startswith("#"):
            current.append(line)
    return {name: tuple(lines) for name, lines in sections.items()}


@cache
def load_corpus(name: str) -> Mapping[str, tuple[str, ...]]:
    """Read `corpus/NAME.txt` of the package, once."""
    return parse_corpus(resources.files("hotshotd.sandbox").joinpath(f"corpus/{name}.txt").read_text("utf-8"))


@cache
def load_voice(name: str) -> Voice:
    """Give a character's voice; built at the first call, shared after that."""
    return Voice(load_corpus(name))


def find_voice(model: str) -> Voice:
    """Give the voice of a model: of the character its name holds, else always the same one of all."""
    for name in CHARACTERS:
        if name in model.casefold():
            return load_voice(name)
    return load_voice(CHARACTERS[sum(map(ord, model)) % len(CHARACTERS)])


def make_chance(*parts: Any) -> random.Random:
    """Give a random stream that depends on the parts alone, in every process the same."""
    return random.Random("\x1f".join(map(str, parts)))  # nosec B311  # noqa: S311 - it only chooses sentences
