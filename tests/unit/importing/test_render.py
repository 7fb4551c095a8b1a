"""Drafts as YAML: what is written is what is read, whatever it holds; and a person likes to read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hotshotd.config.document import load_document
from hotshotd.config.json_schema import find_schema
from hotshotd.config.loaded import MainLoad
from hotshotd.config.schema import BotConfig
from hotshotd.errors import ImportFailed
from hotshotd.importing.draft import Draft, is_env_name, make_env_name, make_name
from hotshotd.importing.files import settle, write_files
from hotshotd.importing.render import WIDTH, render
from hotshotd.importing.starter import draft_of_name

#: All that YAML can hold (the loader refuses the rest).
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=200)
SCALARS = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.floats(-1e9, 1e9) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(["name", "backstory", "reply", "post", "safety", "odd"]), VALUES, min_size=1))
@example({"backstory": "a # b: c\n\n- d\n  e"})
@example({"backstory": " leading and trailing " * 10})
@example({"backstory": "word " * 60 + "x"})
@example({"backstory": "\n\n" + "x" * 80})
@example({"backstory": "\ttab first\nsecond" + "x" * 80})
@example({"backstory": "no\x85break\u2028here\ufeff" + "x" * 80})
@example({"reply": {"a": "null", "b": "1_000", "c": "0x1f", "d": "6h", "e": "~", "f": "<<", "g": "=", "h": "1e3"}})
@example({"post": {}, "reply": [], "odd": {"": ""}})
def test_render__is_read_back_the_same(tmp_path: Path, data: dict[str, Any]) -> None:
    """Any keys, any texts: what our own reader finds is what was to be written."""
    path = tmp_path / "x.yaml"
    path.write_text(render(Draft("x", "A title.", data)), encoding="utf-8")
    document = load_document(path)
    assert document.faults == ()
    assert document.tree is not None
    assert document.tree.data == data


def test_render__begins_with_the_editors_line() -> None:
    """The first line tells an editor which schema helps with the keys; the schema is there."""
    first = render(draft_of_name("keeper")).splitlines()[0]
    assert first == f"# yaml-language-server: $schema={find_schema('bot.schema.json')}"
    assert Path(first.partition("=")[2]).is_file()


@pytest.mark.parametrize("sign", ["\n", "\x85", "\u2028", "\r", "\udcff"])
def test_render__a_name_of_a_file_is_no_line_of_yaml(sign: str, tmp_path: Path) -> None:
    """What stands in comments comes from files and their names: it can't end its line and become a key."""
    draft = Draft("x", f"Made of a{sign}name: evil", {"dry_run": True})
    draft.leave(f"key{sign}name: evil", f"why{sign}name: evil")
    path = tmp_path / "x.yaml"
    path.write_text(render(draft), encoding="utf-8")
    tree = load_document(path).tree
    assert tree is not None
    assert tree.data == {"dry_run": True}


def test_init__is_valid_and_explains_each_key(bare_main: MainLoad) -> None:
    """The first file passes the check, has our order, and shows every key with what it is for."""
    draft = draft_of_name("keeper")
    text = settle(draft, name="keeper", main=bare_main, with_proposals=True)
    for block in ("dry_run", "reddit", "post", "reply", "rank", "images", "safety", "poll"):
        assert f"\n{block}:" in text or f"\n# {block}:" in text
    for key in ("footer", "topics", "flair_id", "opt_out", "interval: 30s", "caption: none", "model: null"):
        assert key in text
    order = [line.partition(":")[0] for line in text.splitlines() if line[:1].isalpha()]
    assert order == [key for key in BotConfig.model_fields if key in order]
    assert max(map(len, text.splitlines()[1:])) <= WIDTH


def test_init__its_proposals_are_right(bare_main: MainLoad) -> None:
    """Taking the # away from any of the proposed lines, each alone, leaves a valid file."""
    lines = settle(draft_of_name("keeper"), name="keeper", main=bare_main, with_proposals=True).splitlines()
    proposals = [number for number, line in enumerate(lines) if line.lstrip().startswith("# ") and _is_key(line)]
    assert len(proposals) > 30
    for number in proposals:
        changed = [*lines[:number], lines[number].replace("# ", "", 1), *lines[number + 1 :]]
        assert _loads("\n".join(changed), bare_main), lines[number]


def _is_key(line: str) -> bool:
    key, colon, rest = line.strip().removeprefix("# ").partition(": ")
    return bool(colon) and key.isidentifier() and key.islower() and not rest.startswith("everything")


def _loads(text: str, main: MainLoad) -> bool:
    import tempfile

    from hotshotd.config.loader import load_bot

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keeper.yaml"
        path.write_text(text, encoding="utf-8")
        return load_bot(path, main).faults == ()


@pytest.mark.parametrize("name", ["", "../x", "a b", "-x", "x" * 65, "é"])
def test_init__refuses_what_can_be_no_name(name: str) -> None:
    """A bot's name is a file's stem and a word on the command line."""
    with pytest.raises(ImportFailed, match="can't be a bot's name"):
        draft_of_name(name)


@settings(max_examples=200)
@given(st.text(max_size=90))
def test_names__are_always_sound(text: str) -> None:
    """Any text gives a bot's name and a variable's name that pass the checks."""
    assert draft_of_name(make_name(text)).name
    assert is_env_name(make_env_name(text, "password")) or len(make_env_name(text, "password")) > 13


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("IAMA_PASS", True),
        ("iama_pass", True),
        ("TIDE_HF_2", True),
        ("hunter 2", False),
        ("hf_abcdefghijklmnopqrst", False),
        ("0a1b2c", False),
        ("aB3dE5gH7jK9mN1p", False),
        ("d41d8cd98f00b204e9800998ecf8427e", False),
        (None, False),
        (7, False),
    ],
)
def test_env_names__what_may_be_a_secret_is_none(value: object, expected: bool) -> None:
    """A name of a variable looks like one; anything that may be the secret itself is not copied."""
    assert is_env_name(value) is expected


def test_write_files__all_or_none_and_none_over_another(tmp_path: Path) -> None:
    """Where one file exists nothing is written, and a link that leads nowhere counts as a file."""
    (tmp_path / "b").write_text("mine")
    (tmp_path / "c").symlink_to(tmp_path / "nowhere")
    for taken in ("b", "c"):
        with pytest.raises(ImportFailed, match=f"{taken} exists"):
            write_files([(tmp_path / "a", "x"), (tmp_path / taken, "y")])
    with pytest.raises(ImportFailed, match="can't be written"):
        write_files([(tmp_path / "a", "x"), (tmp_path / "no" / "d", "y")])
    assert (tmp_path / "b").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c"]
