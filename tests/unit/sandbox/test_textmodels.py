"""What the sandbox's models answer."""

from __future__ import annotations

import pytest

from hotshotd.sandbox.textmodels import (
    Answer,
    Wish,
    classify,
    find_last_words,
    generate,
    limit,
    match_topics,
    score_reply,
    score_rudeness,
)


def write(prompt: str, *, turn: int = 1, **wish: object) -> str:
    whole = Wish(model="sandbox/lighthouse", prompt=prompt, heard="", **wish)  # type: ignore[arg-type]
    return generate(whole, seed=1, turn=turn)[0].text


@pytest.mark.parametrize(
    ("prompt", "marks"),
    [
        ("<|soss", ["|><|sot|>", "<|eot|><|sost|>", "<|eost|>"]),
        ("<|soss r/bots|>", []),
        ("<|soss|>", ["<|sot|>", "<|eot|><|sost|>", "<|eost|>"]),
        ("<|sols", ["|><|sot|>", "<|eot|><|sol|>https://", "<|eol|>"]),
        ("<|soss|><|sot|>", ["<|eot|><|sost|>", "<|eost|>"]),
        ("<|soss|><|sot|>A title<|eot|><|sost|>", ["<|eost|>"]),
        ("<|sor|>", ["<|eor|>"]),
    ],
)
def test_generate__goes_on_in_ssi_tags(prompt: str, marks: list[str]) -> None:
    """A prompt that ends in a tag, open or closed, is gone on with in the order that ssi-bot trained."""
    text = write(prompt)
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)


def test_generate__writes_a_titled_post_for_a_chat_model() -> None:
    """A chat model that is asked for `Title:` answers with one, an empty line and a text."""
    text = write("Write a post: a first line `Title: ...`.", is_chat=True)
    title, _, body = text.partition("\n\n")
    assert title.startswith("Title: ")
    assert body


def test_generate__gives_another_answer_at_the_next_turn() -> None:
    """The same prompt is answered anew, but a turn repeats itself."""
    assert write("Hello replied:", turn=1) == write("Hello replied:", turn=1)
    assert write("Hello replied:", turn=1) != write("Hello replied:", turn=2)


def test_generate__makes_as_many_as_wished() -> None:
    """`count` candidates come, and they differ."""
    answers = generate(Wish(model="m", prompt="p", heard="", count=4), seed=1, turn=1)
    assert len({answer.text for answer in answers}) == 4


def test_limit__ends_at_the_first_stop_string() -> None:
    """The text ends before whichever stop string comes first, and counts as whole."""
    wish = Wish(model="m", prompt="", heard="", stop=("\nUser:", "<|"))
    assert limit("Yes.<|eor|>\nUser: no", wish) == Answer("Yes.", True)


def test_limit__cuts_in_the_middle_when_tokens_are_used_up() -> None:
    """A token is four characters here."""
    assert limit("abcdefgh", Wish(model="m", prompt="", heard="", max_tokens=1)) == Answer("abcd", False)


@pytest.mark.parametrize(
    ("prompt", "last"),
    [
        ("Backstory.\n\nPost by a in r/b: A title\n  and text\n\nme replied:", "A title\n  and text"),
        ("Backstory.\n\nsomeone replied: Who is the goat?\n\nme replied:", "Who is the goat?"),
        ("some-one: Who is the goat?", "Who is the goat?"),
        ("", ""),
    ],
)
def test_find_last_words__leaves_out_who_said_it(prompt: str, last: str) -> None:
    """What the answer is about is the last thing said, without its speaker."""
    assert find_last_words(prompt) == last


def test_score_reply__is_steady_and_rates_replies_apart() -> None:
    """The same text has the same score, in [0, 1]; models differ."""
    scores = [score_reply("m", f"hello<|endoftext|>{n}") for n in range(50)]
    assert scores == [score_reply("m", f"hello<|endoftext|>{n}") for n in range(50)]
    assert len(set(scores)) == 50
    assert all(0 <= score <= 1 for score in scores)
    assert score_reply("m", "x") != score_reply("n", "x")


def test_classify__knows_one_label_of_dialogrpt_and_six_of_toxic_bert() -> None:
    """DialogRPT has LABEL_0; toxic-bert's labels come with the highest first."""
    assert [label for label, _ in classify("microsoft/DialogRPT-width", "a")] == ["LABEL_0"]
    rude = classify("unitary/toxic-bert", "you idiot")
    assert len(rude) == 6
    assert rude[0][1] == max(score for _, score in rude) > 0.9


def test_match_topics__puts_the_label_in_the_text_first() -> None:
    """Scores add up to one, the likeliest comes first."""
    matches = match_topics("I like cheese", ["politics", "cheese"])
    assert matches[0][0] == "cheese"
    assert sum(score for _, score in matches) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("text", "is_high"), [("You IDIOT!", True), ("shut up", True), ("idiomatic", False)])
def test_score_rudeness__goes_by_words(text: str, is_high: bool) -> None:
    """Rude words give 0.9 or more, everything else less than 0.3."""
    assert (score_rudeness(text) >= 0.9) is is_high
    assert is_high or score_rudeness(text) < 0.3
