"""Tavern character cards: every version and wrapping, what goes into a prompt, and hostile files."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from importkit import DATA, Importer, make_chunk, make_png

from hotshotd.config.loaded import MainLoad
from hotshotd.errors import HotshotError, ImportFailed
from hotshotd.importing.card import MAX_BACKSTORY_CHARS, MAX_EXAMPLE_CHARS, read_json_card, read_png_card
from hotshotd.importing.files import read_drafts, settle
from hotshotd.importing.png import MAX_TEXT_BYTES

V2 = (DATA / "card-v2.json").read_text(encoding="utf-8")
V1 = (DATA / "card-v1.json").read_text(encoding="utf-8")


def card(**fields: Any) -> str:
    return json.dumps({"spec": "chara_card_v2", "spec_version": "2.0", "data": {"name": "Moss", **fields}})


def text_chunk(keyword: bytes, text: bytes) -> bytes:
    return make_chunk(b"tEXt", keyword + b"\0" + text)


def pack(text: str) -> bytes:
    return base64.b64encode(text.encode())


# --- what becomes of it ----------------------------------------------------------------------


def test_v2__becomes_a_character(import_one: Importer) -> None:
    """Description, personality and scenario are the backstory, names stand for marks, talk becomes pairs."""
    draft, text = import_one("card.json", V2)
    assert draft.name == "captain-elise-ohara"
    story = draft.data["backstory"]
    assert story.startswith("Write as Captain Élise O'Hara would.\n\nCaptain Élise O'Hara is the captain")
    assert "She likes the other person." in story
    assert "personality: dry, patient" in story
    assert "Scenario: Captain Élise O'Hara and the other person wait for fog to lift." in story
    assert draft.data["reply"]["examples"] == [
        {"them": "Is it far?", "me": "Farther than yesterday.\nStill, it moves."},
        {"them": "Why?", "me": "It minds you."},
    ]
    assert "{{" not in text


def test_v2__what_is_for_people_goes_nowhere(import_one: Importer) -> None:
    """Creator's notes, tags and the rest are named as left over, and their text is in no file."""
    draft, text = import_one("card.json", V2)
    assert {leftover.key for leftover in draft.leftovers} == {
        "first_mes", "creator_notes", "alternate_greetings", "tags", "creator", "character_version", "extensions",
        "character_book",
    }  # fmt: skip
    assert "SECRET NOTE" not in text
    assert "SECRET NOTE" not in "\n".join(map(str, draft.leftovers))
    assert "A rope." not in text


def test_v1__has_its_fields_at_the_top(import_one: Importer) -> None:
    """The first version is the bare fields."""
    draft, _ = import_one("card.json", V1)
    assert (draft.name, draft.data["backstory"]) == ("moss", "Moss grows on the other person's roof.")
    assert "examples" not in draft.data["reply"]


def test_v3__nickname_is_what_it_is_called(import_one: Importer) -> None:
    """In V3 the nickname stands for {{char}}, and remarks go to nobody."""
    text = json.dumps(
        {
            "spec": "chara_card_v3",
            "spec_version": "3.0",
            "data": {"name": "Mossworth", "nickname": "Moss", "description": "{{Char}} is green.{{// a remark}}"},
        }
    )
    draft, _ = import_one("card.json", text)
    assert (draft.name, draft.data["backstory"]) == ("mossworth", "Moss is green.")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Moss", "moss"),
        ("  The  Old/Mill ", "the-old-mill"),
        ("../../etc/passwd", "etc-passwd"),
        ("Ærøskøbing", "rskbing"),
        ("猫", "card"),
        ("", "card"),
        (".hidden", "hidden"),
        ("x" * 300, "x" * 40),
    ],
)
def test_name__is_safe_for_a_file(name: str, expected: str, import_one: Importer) -> None:
    """Whatever a card is called, the bot's name can be a file's."""
    draft, _ = import_one("card.json", card(name=name, description="d"))
    assert draft.name == expected


def test_placeholders__are_marked(import_one: Importer) -> None:
    """What only the operator knows is there, valid, and marked."""
    _, text = import_one("card.json", V1)
    for key in ("username: moss", "operator: your_reddit_name", "subreddits: [your_subreddit]"):
        (line,) = [line for line in text.splitlines() if line.strip().startswith(key)]
        assert line.endswith("# CHANGE THIS")


def test_long_stories__make_room_in_the_prompt(import_one: Importer) -> None:
    """A long backstory gets a longer prompt, and an endless one is cut and named."""
    draft, _ = import_one("card.json", card(description="a long tale. " * 400))
    assert draft.data["reply"]["max_prompt_chars"] == len(draft.data["backstory"]) + 2500
    draft, _ = import_one("endless.json", card(description="a" * 100_000))
    assert len(draft.data["backstory"]) == MAX_BACKSTORY_CHARS
    assert "description" in {leftover.key for leftover in draft.leftovers}


def test_examples__are_bounded(import_one: Importer) -> None:
    """Pairs go out with every prompt: only so many are taken."""
    draft, _ = import_one("card.json", card(description="d", mes_example="{{user}}: ask\n{{char}}: tell\n" * 1000))
    size = sum(len(pair["them"]) + len(pair["me"]) for pair in draft.data["reply"]["examples"])
    assert 0 < size <= MAX_EXAMPLE_CHARS
    assert "mes_example" in {leftover.key for leftover in draft.leftovers}


@pytest.mark.parametrize(
    ("talk", "pairs"),
    [
        ("{{char}}: Alone.", []),
        ("{{user}}: Hi\n{{user}}: there\n{{char}}: Yes.\n{{char}}: No.", [("Hi\nthere", "Yes.\nNo.")]),
        ("<start>\nYou: Hi\nMoss: Green.", [("Hi", "Green.")]),
        ("{{user}}: one\n<START>\n{{char}}: other talk", []),
        ("no marks at all", []),
        ("{{user}}: a: b\n{{char}}: c: d", [("a: b", "c: d")]),
    ],
)
def test_examples__are_what_was_said_and_answered(
    talk: str, pairs: list[tuple[str, str]], import_one: Importer
) -> None:
    """Only what somebody says and the character answers, within one talk, is a pair."""
    draft, _ = import_one("card.json", card(description="d", mes_example=talk))
    assert [(pair["them"], pair["me"]) for pair in draft.data["reply"].get("examples", [])] == pairs


# --- PNG files -------------------------------------------------------------------------------

WRAPPINGS = {
    "tEXt": text_chunk(b"chara", pack(V2)),
    "tEXt in lines": text_chunk(b"chara", base64.encodebytes(V2.encode())),
    "tEXt without padding": text_chunk(b"chara", pack(V2).rstrip(b"=")),
    "tEXt bare": text_chunk(b"chara", json.dumps(json.loads(V2)).encode()),
    "zTXt": make_chunk(b"zTXt", b"chara\0\0" + zlib.compress(pack(V2))),
    "iTXt": make_chunk(b"iTXt", b"chara\0\0\0en\0\0" + pack(V2)),
    "iTXt packed": make_chunk(b"iTXt", b"chara\0\1\0\0\0" + zlib.compress(pack(V2))),
    "ccv3 wins": text_chunk(b"chara", pack(V1)) + text_chunk(b"ccv3", pack(V2)),
    "first wins": text_chunk(b"chara", pack(V2)) + text_chunk(b"chara", pack(V1)),
    "others beside": text_chunk(b"Comment", b"\xff\xfe") + text_chunk(b"chara", pack(V2)),
}


@pytest.mark.parametrize("chunk", WRAPPINGS.values(), ids=WRAPPINGS)
def test_png__every_wrapping(chunk: bytes, import_one: Importer) -> None:
    """The same card comes out of each kind of text chunk."""
    draft, _ = import_one("picture.png", make_png(chunk))
    assert draft.name == "captain-elise-ohara"


def test_png__a_cut_off_picture_still_carries_its_card(import_one: Importer) -> None:
    """What comes before the cut has its sum."""
    draft, _ = import_one("picture.png", make_png(text_chunk(b"chara", pack(V1)), end=False) + b"\0\1")
    assert draft.name == "moss"


BAD_PNGS = {
    "no card": (make_png(), "without a character card"),
    "after its end": (make_png() + text_chunk(b"chara", pack(V1)), "without a character card"),
    "wrong sum": (make_png(make_chunk(b"tEXt", b"chara\0" + pack(V1), check_sum=7)), "check sum"),
    "bomb": (
        make_png(make_chunk(b"zTXt", b"chara\0\0" + zlib.compress(b"A" * (MAX_TEXT_BYTES + 1)))),
        "a text of more than 4096 KiB",
    ),
    "large": (make_png(text_chunk(b"chara", b"A" * MAX_TEXT_BYTES)), "a text of more than 4096 KiB"),
    "packing": (make_png(make_chunk(b"zTXt", b"chara\0\7" + zlib.compress(b"A"))), "packed in an unknown way"),
    "no packing": (make_png(make_chunk(b"zTXt", b"chara\0")), "packed in an unknown way"),
    "garbage": (make_png(make_chunk(b"zTXt", b"chara\0\0garbage")), "can't be unpacked"),
    "cut packing": (make_png(make_chunk(b"zTXt", b"chara\0\0" + zlib.compress(pack(V1))[:-9])), "is cut off"),
    "iTXt": (make_png(make_chunk(b"iTXt", b"chara\0\0\0en")), "a text has no end"),
    "base64": (make_png(text_chunk(b"chara", b"*" * 40)), "no base64"),
    "utf-8": (make_png(text_chunk(b"chara", base64.b64encode(b"\xff\xfe\xfa"))), "no base64 of UTF-8"),
    "json": (make_png(text_chunk(b"chara", base64.b64encode(b"{"))), "no readable JSON"),
    "many chunks": (make_png(make_chunk(b"tEXt", b"a\0b") * 20_001), "more than 20000 chunks"),
    "huge length": (make_png(b"\xff\xff\xff\xfftEXtchara\0", end=False), "without a character card"),
}


@pytest.mark.parametrize(("data", "expected"), BAD_PNGS.values(), ids=BAD_PNGS)
def test_png__hostile_files_are_refused(data: bytes, expected: str, import_one: Importer) -> None:
    """Each is refused with its reason and the file's name."""
    with pytest.raises(ImportFailed, match=expected) as caught:
        import_one("bad.png", data)
    assert "bad.png" in str(caught.value)


BAD_JSON = {
    "no object": ('{"a": [' + "]}", "is no character card"),
    "broken": ("{", "no readable JSON"),
    "deep": ('{"a":' * 100_000, "no readable JSON"),
    "huge number": ('{"a": ' + "9" * 10_000 + "}", "no readable JSON"),
    "other": ('{"name": "x"}', "is no character card"),
    "list": ('{"spec": "chara_card_v2", "data": []}', "is no character card"),
}


@pytest.mark.parametrize(("text", "expected"), BAD_JSON.values(), ids=BAD_JSON)
def test_json__what_is_no_card_is_refused(text: str, expected: str, import_one: Importer) -> None:
    """Each with its reason."""
    with pytest.raises(ImportFailed, match=expected):
        import_one("bad.json", text)


# --- anything at all -------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("name", "nickname", "description", "personality", "scenario", "mes_example", "system_prompt", "tags", "x:\n")
TALK = st.lists(
    st.sampled_from(["{{user}}:", "{{char}}: ", "<START>", "{{original}}", "\n", "\\1", " hi", "# no", "- a", "\u2028"])
).map("".join)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(FIELDS), JSON | st.text() | TALK))
@example({"name": "\\g<1>", "description": "\ud800{{char}}\x00 \x85"})
@example({"description": "tail \\"})
def test_any_fields__give_a_valid_file(bare_main: MainLoad, fields: dict[str, Any]) -> None:
    """Whatever a card's fields hold, the end is a file that the check passes (`settle` looks)."""
    draft = read_json_card(json.dumps({"spec": "chara_card_v2", "data": fields}), source="x.json")
    text = settle(draft, name=draft.name, main=bare_main)
    assert "dry_run: true" in text
    assert draft.data["backstory"].strip()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=60), st.integers(0, 400))
def test_any_bytes__are_a_card_or_refused(noise: bytes, more: bytes, cut: int) -> None:
    """No bytes behind a PNG's signature bring anything but a draft or the one kind of error."""
    whole = make_png(make_chunk(b"zTXt", b"chara\0" + more), text_chunk(b"ccv3", noise), noise)
    for data in (make_png() + noise, whole[:cut] + more + whole[cut:], whole):
        try:
            read_png_card(data, source="x.png")
        except HotshotError:
            continue


def test_large_files__are_refused_before_they_are_read(tmp_path: Path, bare_main: MainLoad) -> None:
    """A file of gigabytes (here with a hole in it) is never read to its end."""
    path = tmp_path / "big.png"
    with path.open("wb") as file:
        file.truncate(40 * 1024 * 1024 * 1024)
    with pytest.raises(ImportFailed, match="is larger than"):
        read_drafts(path, main=bare_main)
