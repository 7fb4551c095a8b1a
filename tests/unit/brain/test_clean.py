"""From what a model said to what may be published."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotshotd.brain.clean import CleanRules, Fault, clean_body, clean_reply, clean_title, is_near_duplicate

RULES = CleanRules(own_names=("IAmA-Bot",), other_names=("alice", "bob_1"))
PUBLISHABLE: list[str] = json.loads(
    (Path(__file__).parents[2] / "data" / "publishable.json").read_text(encoding="utf-8")
)

#: Pieces of what models say, put together by Hypothesis: more telling than random characters alone.
_PIECES = [
    *["I go. You go? go", 'She said "no"', "alice: yes", "bob_1 replied: no", "IAmA-Bot: hi", "u/bob", "u/carol: x"],
    *["User: hi", "### Answer", "<|eor|>", "<|"],
    *[
        '"',
        "'",
        "“",
        "”",
        "\n",
        "\n\n",
        " ",
        "    ",
        "```",
        "`",
        "<b>",
        "</p>",
        "<br>",
        "&amp;",
        "&lt;",
        "lt;",
        "&#96;",
        "&#x200B;",
    ],
    *[
        "- ",
        "1. ",
        "> ",
        "*",
        "**",
        "_",
        "😀",
        "👨\u200d👩",
        "\u200b",
        "\ufe0f",
        "\r",
        "。",
        "你好",
        "[a](http://x.yz)",
        "[",
        "]",
    ],
    *[
        "bla ",
        "bla bla bla bla bla bla ",
        "I love it. ",
        "x" * 90,
        "Title: ",
        "Comment by ",
        "<!--",
        "-->",
        "<script>",
        "...",
    ],
    *["#tag ", "1999. ", "\n---", "\n===", ">!", "!<", "~~", "`x`", ">:(", ">>>>>>", "\\", "[x](http", "![", "](y"],
    *["Ã©", "â€™", "\x85", "\xad", "\ufffd", "Ð¿Ñ€", "\x1b[31m", "\u0336", "<\uff5c", "🫨", "\ufe0f\u20e3", "\u202e"],
    *["Sure! Here's a reply: ", "Reply: ", "\n\nLet me know if you'd like a shorter version.", "Somebody replied: ok"],
]
TEXTS = st.one_of(st.text(max_size=80), st.lists(st.sampled_from(_PIECES), max_size=14).map("".join))


@pytest.mark.parametrize("text", PUBLISHABLE)
def test_clean_reply__gives_publishable_text_back_byte_for_byte(text: str) -> None:
    """Quotes, lists, code, verse, emoji and every script stay as they are (defects 26, 27)."""
    assert clean_reply(text, RULES).text == text
    assert clean_body(text, RULES).text == text


def test_publishable__are_many_and_different() -> None:
    """The corpus is worth its name."""
    assert len(set(PUBLISHABLE)) >= 200


def count_escapes(text: str) -> int:
    """Count the backslashes that stand before a mark at the start of a line, or after a number there."""
    return len(re.findall(r"^ {0,3}(?:\d{3,9})?\\(?=[#>.=-])", text, re.MULTILINE))


@settings(deadline=None)
@given(TEXTS)
def test_clean__is_idempotent_and_never_lengthens(raw: str) -> None:
    """What was cleaned is clean, and nothing is ever added but escapes of Markdown."""
    for clean in (clean_reply, clean_body, clean_title):
        once = clean(raw, RULES)
        assert (once.text is None) is (once.refused is not None)
        if once.text is not None:
            assert clean(once.text, RULES).text == once.text
            assert len(once.text) - count_escapes(once.text) <= len(raw)


@settings(deadline=None)
@given(TEXTS)
def test_clean__leaves_nothing_that_may_not_be_published(raw: str) -> None:
    """No mark of a model, no control or invisible character between letters, no ping, whatever came in."""
    text = clean_reply(raw, RULES).text or ""
    assert "<|" not in text
    assert not any(unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\t" for char in text)
    assert "\u200b" not in text
    assert not any(word.casefold().startswith(("u/bob", "u/carol", "/u/bob")) for word in text.split())


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("I go. You go? go", "I go. You go?"),
        ("Hello there friend", "Hello there friend"),
        ('She said "no"..', 'She said "no"..'),
        ("One two. Three fo", "One two."),
        ("First whole.\n\nSecond was cut off in the", "First whole."),
        ("Dr. Who is here. And Mr. Wh", "Dr. Who is here."),
        ("你好。我是", "你好。"),
        ("नमस्ते दोस्तो। कैसे", "नमस्ते दोस्तो।"),
        ("It costs 3.50 euros. Or 4.", "It costs 3.50 euros. Or 4."),
        ("Look:\n\n```\nx = 1", "Look:"),
        (" hi", "hi"),
    ],
)
def test_clean_reply__keeps_whole_sentences(raw: str, text: str) -> None:
    """A cut-off tail goes back to the last sentence end; words are never chopped (defects 26, 27)."""
    assert clean_reply(raw, RULES).text == text


@pytest.mark.parametrize(
    "tail",
    [
        "\nalice replied: no",
        "\n\nbob_1: hm",
        " alice: what?",
        "\nsomebody_else replied: no",
        "\nu/stranger: hello",
        " u/stranger: hello",
        "\nUser: next",
        "\n**User:** next",
        "\nComment by carol",
        "\n### Instruction",
        " <|eor|> junk",
        "<|im_end|>",
        "\nIAmA-Bot: and then",
        "\n[deleted] replied: no",
        "\n[INST] go on",
    ],
)
def test_clean_reply__stops_where_it_speaks_for_others(tail: str) -> None:
    """The text ends before somebody else's turn, a heading or a model's mark (defect 25)."""
    assert clean_reply(f"Sure thing.{tail}", RULES).text == "Sure thing."


@pytest.mark.parametrize("raw", ["alice replied: yes", "User: yes", "<|endoftext|>", "### Answer: yes", "u/bob: hi"])
def test_clean_reply__refuses_what_is_somebody_elses_from_the_start(raw: str) -> None:
    """Nothing of the bot's own is left."""
    assert clean_reply(raw, RULES).refused == Fault.EMPTY


@pytest.mark.parametrize(
    "raw",
    ["IAmA-Bot: Hi.", "iama-bot replied: Hi.", "u/IAmA-Bot: Hi.", "**IAmA-Bot:** Hi.", ' IAmA-Bot replied: "Hi."'],
)
def test_clean_reply__takes_its_own_name_off(raw: str) -> None:
    """A model that repeats whose turn it is means the same."""
    assert clean_reply(raw, RULES).text == "Hi."


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ('"Hello there."', "Hello there."),
        ("“Hello there.”", "Hello there."),
        ('"She said "no" to me."', 'She said "no" to me.'),
        ('"Hello there. How are you', "Hello there."),
        ('Hello there."', "Hello there."),
        ('"a" and "b"', '"a" and "b"'),
        ("'Tis the season, isn't it", "'Tis the season, isn't it"),
        ('It is 5"', 'It is 5"'),
    ],
)
def test_clean_reply__takes_quotes_off_the_whole_only(raw: str, text: str) -> None:
    """Balanced quotes inside stay, quotes around everything go."""
    assert clean_reply(raw, RULES).text == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("<b>Bold</b> words.", "Bold words."),
        ("<p>One.</p><p>Two.</p>", "One.\nTwo."),
        ("One.<br/>Two.", "One.\nTwo."),
        ("Fish &amp; chips.", "Fish & chips."),
        ("&amp;amp;lt;3", "<3"),
        ("&#60;i&#62;No.&#60;/i&#62;", "No."),
        ("So<script>alert(1)</script> good.", "So good."),
        ("a\u200bb\u00adc\u200dd\ufeff.", "abcd."),
        ("bell\x07 and\x00 null.", "bell and null."),
        ("\u202eleft\u202c.", "left."),
        ("one\r\ntwo\rthree.", "one\ntwo\nthree."),
        ("One.\n\n\n\nTwo.", "One.\n\nTwo."),
        ("cafÃ© au lait.", "café au lait."),
        ("\x1b[31mred\x1b[0m alert.", "red alert."),
        ("Cut in an emoji \ufffd\ufffd", "Cut in an emoji"),
        ("Z\u0337\u031b\u031c\u0317\u0344 text.", "Z\u0337\u031b\u031c text."),
        ("\u2066hidden\u2069 \u202dorder.", "hidden order."),
    ],
)
def test_clean_reply__takes_markup_and_invisible_characters_off(raw: str, text: str) -> None:
    """No HTML, no entities, no control, zero-width or direction characters, no lost letters, no towers of accents."""
    assert clean_reply(raw, RULES).text == text


@pytest.mark.parametrize(
    "raw",
    [
        "As an AI language model, I have no cat.",
        "Well, as a large language model I can't.",
        "I'm just an AI assistant.",
        "I'm sorry, but I can't help with that.",
        "I am a language model.",
        "I cannot fulfill this request.",
    ],
)
def test_clean_reply__refuses_the_models_own_voice(raw: str) -> None:
    """A character that calls itself a language model is no character."""
    assert clean_reply(raw, RULES).refused == Fault.SPEAKS_AS_AI


@pytest.mark.parametrize(
    "raw", ["I'm sorry, but I can't stand cats.", "AI is overrated.", "He is as an aide should be."]
)
def test_clean_reply__lets_people_speak_of_such_things(raw: str) -> None:
    """Only the model's own phrases are refused."""
    assert clean_reply(raw, RULES).text == raw


def test_clean_reply__refuses_reasoning() -> None:
    """What a model thought is never published, closed or not."""
    assert clean_reply("<think>they want a joke</think> Haha.", RULES).refused == Fault.REASONING
    assert clean_reply("a joke then</think> Haha.", RULES).refused == Fault.REASONING


@pytest.mark.parametrize(
    "raw",
    [
        "See https://x.yz/a.",
        "See http://x.yz",
        "See www.spam.example",
        "Buy at spam.com now.",
        "Mail me@mail.org",
        "x.io/abc",
    ],
)
def test_clean_reply__refuses_bare_links(raw: str) -> None:
    """A bare address can't be taken out of a sentence; it may stay where links are allowed."""
    assert clean_reply(raw, RULES).refused == Fault.LINK
    assert clean_reply(raw, CleanRules(allow_links=True)).text == raw


def test_clean_reply__keeps_the_words_of_a_marked_link() -> None:
    """`[text](address)` reads well without its address."""
    assert clean_reply("Read [this page](https://x.yz/a_(b)).", RULES).text == "Read this page."
    assert clean_reply("No. See [x](https://x.yz)", CleanRules(allow_links=True)).text == "No. See [x](https://x.yz)"


@pytest.mark.parametrize("raw", ["Ask u/bob.", "Ask /u/bob.", "Ask U/bob."])
def test_clean_reply__calls_nobody(raw: str) -> None:
    """A ping becomes a name, which reads the same; it may stay where mentions are allowed."""
    assert clean_reply(raw, RULES).text == "Ask bob."
    assert clean_reply(raw, CleanRules(allow_mentions=True)).text == raw


def test_clean_reply__refuses_or_ends_runaway_repetition() -> None:
    """A text that only turns in circles is refused, one that begins to is ended there."""
    assert clean_reply("bla bla bla " * 30, RULES).refused == Fault.REPETITION
    assert clean_reply("a" * 500, RULES).refused == Fault.REPETITION
    assert clean_reply("I like it. " + "It is so good. " * 20, RULES).text == "I like it. It is so good."
    assert clean_reply("Hear hear. Hear me out, please. " * 3, RULES).text is not None
    assert clean_reply("ha" * 12 + "!", RULES).text == "ha" * 12 + "!"


@pytest.mark.parametrize("raw", ["", " \n", "...", "\u200b", "[removed]", "[deleted]", "---"])
def test_clean_reply__refuses_nothing(raw: str) -> None:
    """A reply says something."""
    assert clean_reply(raw, RULES).refused == Fault.EMPTY


def test_clean_reply__refuses_a_long_text_without_any_end() -> None:
    """Where no sentence ever ends, nothing can be called whole."""
    words = " ".join(f"word{number}" for number in range(100))
    assert clean_reply(words, RULES).refused == Fault.UNFINISHED


def test_clean_reply__keeps_to_the_platforms_limits() -> None:
    """A comment ends with a sentence within 10,000 characters, or is refused."""
    words = [f"Sentence number {number} is here." for number in range(600)]
    text = clean_reply(" ".join(words), RULES).text
    assert text is not None
    assert 9_900 < len(text) <= 10_000
    assert text.endswith("is here.")
    assert clean_body(" ".join(words), RULES).text == " ".join(words)
    assert clean_reply("\n".join(f"- point {number}" for number in range(1200)), RULES).refused == Fault.TOO_LONG


def test_clean_body__may_be_empty() -> None:
    """A post may be a title alone (defect 29); a body that is only rubbish is refused."""
    assert clean_body(" \n", RULES).text == ""
    assert clean_body("<|eost|>", RULES).text is None


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Title: My day", "My day"),
        ("**My day**", "My day"),
        ("# My day", "My day"),
        ('"My day"', "My day"),
        ("My day<|eot|>", "My day"),
        ("My \n day", "My day"),
        ("What I did. And then", "What I did. And then"),
        ("Tom &amp; Jerry", "Tom & Jerry"),
        ("Ask u/bob anything", "Ask bob anything"),
        ("**Not** all **bold**", "**Not** all **bold**"),
    ],
)
def test_clean_title__makes_one_whole_line(raw: str, text: str) -> None:
    """A title loses its wrapping, never its end."""
    assert clean_title(raw, RULES).text == text


def test_clean_title__is_refused_not_cut() -> None:
    """300 characters are a title, 301 are none."""
    words = ("word " * 60).strip() + "!"
    assert clean_title("x, " + words[:297], RULES).text == "x, " + words[:297]
    assert clean_title("x, " + words[:298], RULES).refused == Fault.TOO_LONG


def test_is_near_duplicate__compares_with_what_was_said() -> None:
    """One word changed in a long text is the same text; another text is not (ssi-bot: 0.95)."""
    said = "I used to work in a bakery, and the ovens were older than me. Nobody knew why they worked at all."
    assert is_near_duplicate(said, ["else", said])
    assert is_near_duplicate(said.replace("bakery", "brewery").upper(), [said])
    assert not is_near_duplicate(said[:60], [said])
    assert not is_near_duplicate("Nothing like it.", [said])
    assert not is_near_duplicate("x", [])


@pytest.mark.parametrize(("changed", "expected"), [(4, True), (5, True), (6, False)])
def test_is_near_duplicate__draws_the_line_at_the_ratio(changed: int, expected: bool) -> None:
    """At a ratio of exactly 0.95 a text counts as said before."""
    letters = "".join(chr(0x4E00 + number) for number in range(100))
    other = "".join(chr(0x6E00 + number) for number in range(changed)) + letters[changed:]
    assert is_near_duplicate(letters, [other]) is expected


@pytest.mark.timeout(10)
def test_clean_reply__stays_quick_on_hostile_texts() -> None:
    """No text of a model's length makes a step slow, nor does a comparison with a hundred long comments."""
    for unit in (
        "[x](http",
        ">!",
        "**a ",
        "> ",
        "#a\n",
        "a\n---\n",
        "Ã©",
        "\u0336",
        "Sure! Here's a ",
        "\n\nnote: reply ",
        "i am sorry ",
        "word. ",
        '"a. ',
        "<!--",
        "[a](",
        "`",
        "\n ",
        "u/",
        "((",
        "“",
        "&amp;",
        "*_",
        ". ",
        "ab " * 7 + "c",
        "<b ",
        "```\n",
        "!",
    ):
        clean_reply((unit * 10_000)[:10_000], RULES)
    long = [" ".join(f"w{(number * seed) % 997}" for number in range(1800)) for seed in range(1, 101)]
    is_near_duplicate(long[0] + " end", long[1:])
