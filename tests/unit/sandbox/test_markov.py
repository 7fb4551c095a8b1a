"""The characters' voices."""

from __future__ import annotations

import random

import pytest

from hotshotd.sandbox.markov import (
    CHARACTERS,
    find_subjects,
    find_voice,
    load_corpus,
    load_voice,
    make_chance,
    parse_corpus,
)
from hotshotd.sandbox.textmodels import is_rude


def test_parse_corpus__splits_sections_and_drops_remarks() -> None:
    """A corpus is lines under `== name`; `#` begins a remark."""
    assert parse_corpus("# no\n== a\none\n\n# no\ntwo\n== b\nthree\n") == {"a": ("one", "two"), "b": ("three",)}


@pytest.mark.parametrize("name", CHARACTERS)
def test_corpus__has_all_that_a_voice_needs(name: str) -> None:
    """Every character has sentences enough for a chain, titles, and echoes with a place for the word."""
    corpus = load_corpus(name)
    assert len(corpus["says"]) >= 100
    assert len(corpus["titles"]) >= 10
    assert all("{word}" in line for line in corpus["echoes"])
    assert all(line[-1] in ".?!" for line in corpus["says"])


@pytest.mark.parametrize("name", CHARACTERS)
def test_say_text__repeats_with_its_random_stream(name: str) -> None:
    """The same stream gives the same text, whatever the interpreter's own stream does."""
    voice = load_voice(name)
    first = voice.say_text(make_chance(1), heard="What about the soup?")
    random.seed(99)
    assert voice.say_text(make_chance(1), heard="What about the soup?") == first
    assert voice.say_text(make_chance(2), heard="What about the soup?") != first


def test_say_text__picks_up_a_word_of_what_it_hears() -> None:
    """Most answers speak of what was spoken of."""
    voice = load_voice("lighthouse")
    answers = [voice.say_text(make_chance(n), heard="Tell me about the goat and the piano.") for n in range(50)]
    assert sum("goat" in answer or "piano" in answer for answer in answers) > 40


def test_say_text__is_not_just_a_line_of_the_corpus() -> None:
    """A chain makes sentences that nobody wrote."""
    voice = load_voice("baker")
    chance = make_chance(5)
    said = [voice.say_sentence(chance) for _ in range(60)]
    assert sum(sentence not in voice.sections["says"] for sentence in said) > 20


def test_say_sentence__never_exceeds_its_words() -> None:
    """`max_words` holds; a title has at most fourteen words."""
    voice = load_voice("guard")
    chance = make_chance(5)
    longest_line = max(len(line.split()) for line in (*voice.sections["says"], *voice.sections["titles"]))
    assert all(len(voice.say_sentence(chance, max_words=14).split()) <= max(14, longest_line) for _ in range(200))


def test_find_subjects__prefers_nouns_and_leaves_out_names_and_links() -> None:
    """Account names, links and common words are no subject."""
    subjects = find_subjects("u/someone said there is a goat, see https://example.org/piano")
    assert subjects[0] == "goat"
    assert not {"someone", "piano", "there", "said"}.intersection(subjects)


def test_find_voice__takes_the_character_in_the_model_name() -> None:
    """A model's name holds its character; any other name always gives the same one."""
    assert find_voice("sandbox/gpt2-baker") is load_voice("baker")
    assert find_voice("EleutherAI/gpt-j-6B") is find_voice("EleutherAI/gpt-j-6B")


def test_people__are_rude_only_in_their_rude_lines() -> None:
    """What moderation should refuse stands in one section, and all of that section is refused."""
    corpus = load_corpus("people")
    assert all(is_rude(line) for line in corpus["rude"])
    assert not any(is_rude(line) for name, lines in corpus.items() if name != "rude" for line in lines)
