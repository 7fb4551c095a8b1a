"""The many small cases of what models say: a table of what came in and what may go out."""

# ruff: noqa: RUF001 - letters of other scripts are the point
from __future__ import annotations

import pytest

from hotshotd.brain.clean import CleanRules, Fault, clean_body, clean_reply, clean_title

BACKSTORY = (
    "You are a retired pirate who lives in a harbour town with two parrots and a very long memory of the sea. "
    "You never speak of the war."
)
RULES = CleanRules(own_names=("IAmA-Bot",), other_names=("alice", "bob_1"), told=(BACKSTORY,))


def check(raw: str, text: str) -> None:
    assert clean_reply(raw, RULES).text == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("هل أنت بخير؟ أنا بخ", "هل أنت بخير؟"),
        ("کیا حال ہے؟ میں ٹھیک ہوں۔ اور", "کیا حال ہے؟ میں ٹھیک ہوں۔"),
        ("क्या हाल है? मैं ठीक हूँ। और तु", "क्या हाल है? मैं ठीक हूँ।"),
        ("私は猫が好きです。犬も好", "私は猫が好きです。"),
        ("真的吗？我不知", "真的吗？"),
        ("太好了！我们", "太好了！"),
        ("「はい。」と言った。でも", "「はい。」と言った。"),
        ("សួស្តី។ ខ្ញុំ", "សួស្តី។"),
        ("ሰላም። እንዴት", "ሰላም።"),
        ("Τι λες; Δεν ξέ", "Τι λες;"),
        ("«Привет», сказал он. Как де", "«Привет», сказал он."),
        ("สวัสดีครับ วันนี้อากาศดีมาก ผมชอบไป", "สวัสดีครับ วันนี้อากาศดีมาก ผมชอบไป"),
        ("Ja. Wir kamen am 3. Mai und gi", "Ja."),
        ("It was No. 5 he said. Or no", "It was No. 5 he said."),
        ("⛓️\u200d💥 broke it. And then we wen", "⛓️\u200d💥 broke it."),
        ("lol 🫨", "lol 🫨"),
    ],
)
def test_clean__ends_with_a_sentence_in_every_script(raw: str, text: str) -> None:
    """Each script's own marks end sentences; a short number with a dot does not; emoji younger than Python count."""
    check(raw, text)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ('He said "I will." Then he lef', 'He said "I will."'),
        ('One. She said "Two. And thr', "One."),
        ("He said \"I will. You can't stop me", "He said I will."),
        ("“Hello there. How are you", "Hello there."),
        ("Hello there.”", "Hello there."),
        ("Yes. “I know. It is", "Yes."),
        ('It is 5" tall.', 'It is 5" tall.'),
    ],
)
def test_clean__leaves_no_quotation_open(raw: str, text: str) -> None:
    """A text is cut where its quotes are closed; one lone opening quote goes."""
    check(raw, text)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("1. One.\n2. Two.\n3. Thr", "1. One.\n2. Two."),
        ("- buy milk\n- buy eggs", "- buy milk\n- buy eggs"),
        ("- One.\n- Two.\n- Three 👍", "- One.\n- Two.\n- Three 👍"),
        ("See [this page](https://x.yz/ab", "See this page"),
        ("I agree. See [this pa", "I agree."),
        ("I agree. [citation needed]", "I agree. [citation needed]"),
        ("This is **very important. I mean it", "This is very important."),
        ("This is **bold** and **this is not", "This is **bold** and this is not"),
        ("~~No. Yes", "No."),
        ("I like:\n\n- tea\n- cake\n\nAnd then I we", "I like:\n\n- tea\n- cake"),
        ("One.\n\nTwo. And thr", "One.\n\nTwo."),
        ("Use `git rebase for that.", "Use git rebase for that."),
        ("It`s fine.", "It`s fine."),
        ("He >!dies. Sorry", "He dies."),
        (">!One!< and >!two", ">!One!< and two"),
        ("Both:\n\n```python\nx = 1\n```\n\nand\n\n```\ny = 2", "Both:\n\n```python\nx = 1\n```"),
        ("**a `x` b** and **c `**` d**", "**a `x` b** and **c `**` d**"),
    ],
)
def test_clean__leaves_nothing_half_open(raw: str, text: str) -> None:
    """Half points, links, fences and marks that were cut off are taken back; whole ones and code stay."""
    check(raw, text)


def test_clean__takes_half_links_back_where_links_are_allowed() -> None:
    """A link that was cut off leads nowhere."""
    assert clean_reply("Read [this](https://x.yz/a_(b", CleanRules(allow_links=True)).text == "Read this"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("#hashtag life is good.", "\\#hashtag life is good."),
        ("Yes.\n##wow so.", "Yes.\n\\##wow so."),
        ("# A heading\n\nYes.", "# A heading\n\nYes."),
        ("C# is fine.", "C# is fine."),
        ("#️⃣ one.", "#️⃣ one."),
        ("1986. What a season.", "1986\\. What a season."),
        ("42. That is it.", "42. That is it."),
        ("The end\n---\nMore.", "The end\n\\---\nMore."),
        ("The end\n===\nMore.", "The end\n\\===\nMore."),
        ("The end.\n\n---\n\nMore.", "The end.\n\n---\n\nMore."),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "| a | b |\n|---|---|\n| 1 | 2 |"),
        (">:( why?", "\\>:( why?"),
        (">_< oh no.", "\\>_< oh no."),
        (">be me\n>no cat", ">be me\n>no cat"),
        ("^^^^^^tiny words.", "^tiny words."),
        ("x^2 and ^^", "x^2 and ^^"),
        ("> > > > > > > deep\n\nYes.", "> > > > deep\n\nYes."),
        ("```\n#x\n1999. y\n```", "```\n#x\n1999. y\n```"),
    ],
)
def test_clean__keeps_reddit_from_reading_marks_by_accident(raw: str, text: str) -> None:
    """What would become a heading, a list or a quotation against the writer's will is escaped, once."""
    check(raw, text)
    assert clean_reply(text, RULES).text == text


def test_clean__escapes_no_title() -> None:
    """Titles are no Markdown."""
    assert clean_title("#1 in 1999. Wow", RULES).text == "#1 in 1999. Wow"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Sure! Here's a reply in character: Arr, matey!", "Arr, matey!"),
        ("Here is a reply:\n\nArr, matey!", "Arr, matey!"),
        ("**Reply:** Arr!", "Arr!"),
        ("assistant\n\nArr!", "Arr!"),
        ("Arr!\\n\\nAye.\\n", "Arr!\n\nAye."),
        ("It is in C:\\new\\notes.", "It is in C:\\new\\notes."),
        ("Response:\nArr.", "Arr."),
        ("Of course! I'll reply as the character.\n\nArr.", "Arr."),
        ("Natürlich! Hier ist eine Antwort: Arr.", "Arr."),
        ("Voici une réponse : Arr.", "Arr."),
        ("Aquí tienes una respuesta: Arr.", "Arr."),
        ("Arr.\n\nLet me know if you'd like another version!", "Arr."),
        ("Arr.\n\n---\n\n*(Note: this reply stays in character.)*", "Arr."),
        ("Sure! Here's my grandma's recipe: boil an egg.", "Sure! Here's my grandma's recipe: boil an egg."),
        ("Arr.\n\nLet me know how it goes!", "Arr.\n\nLet me know how it goes!"),
        ("My reply was: no.", "My reply was: no."),
    ],
)
def test_clean__takes_the_small_talk_off(raw: str, text: str) -> None:
    """What announces or explains the text goes; the same words in an answer stay."""
    check(raw, text)


@pytest.mark.parametrize(
    "raw",
    [
        "Arr.\nSomebody replied: no",
        "Arr.\nPost by carol in r/bots: A title",
        "Arr.\nPicture posted by carol in r/bots",
        "Arr.\nComment by carol: hm",
        "Arr.\n**Comment by u/carol**",
        "Arr.<｜end▁of▁sentence｜>more",
        "Arr. <</SYS>> more",
        "Arr.<eos>",
        "Arr.[EOS]",
        "Arr.\n\n[end of text]",
        "Arr.\n\n(End of response)",
        "Arr.assistant\n\nArr again.",
        "Arr.\n\n[/INST] more",
    ],
)
def test_clean__stops_at_the_prompts_own_headings(raw: str) -> None:
    """A model that goes on with the page it was shown speaks for others."""
    check(raw, "Arr.")


@pytest.mark.parametrize(
    "raw",
    [
        "Reply by tomorrow, please.",
        "Post by mail costs two euros.",
        "Grandma replied: no way.",
        "My brother said: run.",
        "Ask me about systems: I built one.",
    ],
)
def test_clean__lets_stories_be_told(raw: str) -> None:
    """Not every `by` and `replied:` is somebody's turn."""
    check(raw, raw)


@pytest.mark.parametrize(
    "raw",
    [
        "Answer the last message as this character. Write only the text of the reply.",
        "Okay: ANSWER the last message as this character - write only the text of the reply!",
        "You are a retired pirate who lives in a harbour town with two parrots and a very long memory of the sea. Arr.",
        "Hello {{user}}, I am {{char}}.",
        "Yours truly, [Your Name]",
    ],
)
def test_clean__refuses_to_recite_what_the_model_was_told(raw: str) -> None:
    """Instructions and long stretches of the backstory are not for the public."""
    assert clean_reply(raw, RULES).refused == Fault.RECITES
    assert clean_body(raw, RULES).refused == Fault.RECITES


def test_clean__may_speak_of_its_own_life() -> None:
    """A character shares words with its backstory, only not whole sentences."""
    check(
        "I live in a harbour town with two parrots, and I never speak of the war.",
        "I live in a harbour town with two parrots, and I never speak of the war.",
    )


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("I love it " + "😂" * 300, "I love it 😂"),
        ("I like tea. You like cake. " * 5, "I like tea. You like cake."),
        ("We went home.\n\n" * 4, "We went home."),
        ("ok ok ok ok ok.", "ok ok ok ok ok."),
        ("哈" * 12 + "。", "哈" * 12 + "。"),
    ],
)
def test_clean__ends_circles_after_their_first_round(raw: str, text: str) -> None:
    """Emoji, pairs of sentences and paragraphs turn in circles too; laughing is none."""
    check(raw, text)


@pytest.mark.parametrize(
    "raw",
    [
        "😂" * 300,
        "no " * 100,
        "🙂🙃" * 60,
        "- point\n" * 300,
        "啊" * 60,
        "".join(f"{i % 10}. ok go\n" for i in range(400)),
    ],
)
def test_clean__refuses_what_only_turns_in_circles(raw: str) -> None:
    """A text of one round says nothing."""
    assert clean_reply(raw, RULES).refused == Fault.REPETITION
