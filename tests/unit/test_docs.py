"""The pages for users: every example loads, every command exists, every link leads somewhere."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hotshotd.brain.ssi import parse_post
from hotshotd.cli.ctl import main as ctl
from hotshotd.cli.daemon import main as daemon
from hotshotd.config import judging, schema
from hotshotd.config.document import Tree, load_document
from hotshotd.config.loader import Loaded, load_all
from hotshotd.config.merge import overlay

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BOT = re.compile(r"# (?:\S*/)?bots\.d/([A-Za-z0-9_.-]+\.yaml)\b")
_MAIN = re.compile(r"# (?:\S*/)?hotshotd\.yaml\b")
_PART_OF_BOT = "# part of a bot file"
_PART_OF_MAIN = "# part of hotshotd.yaml"
_MARKS = f"`# bots.d/NAME.yaml`, `# hotshotd.yaml`, `{_PART_OF_BOT}` or `{_PART_OF_MAIN}`"

#: What a part of a bot file is laid over.
BASE: dict[str, Any] = {
    "reddit": {
        "username": "Keeper-Bot",
        "password_env": "KEEPER_PASS",
        "client_id_env": "KEEPER_ID",
        "client_secret_env": "KEEPER_SECRET",
        "operator": "somebody",
        "subreddits": ["TestHome"],
    },
    "backstory": "You are a lighthouse keeper.",
    "reply": {"backend": "groq", "model": "some-model"},
    "rank": {"gate_model": None, "rank_model": None},
    "safety": {"moderators": ["openai"]},
}


def fences(page: Path, *languages: str) -> list[str]:
    return [body for language, body in _FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def first_line(block: str) -> str:
    return block.split("\n", 1)[0].strip()


def lay(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a part over a file, by the rules by which a bot's file is laid over `bot_defaults`."""
    return overlay(Tree(dict(lower), {}), Tree(dict(upper), {})).data


def find_main(page: Path) -> dict[str, Any]:
    """Give all that a page says of the main file: its examples may name each other's servers."""
    main: dict[str, Any] = {}
    for block in fences(page, "yaml"):
        if _MAIN.match(first_line(block)) or first_line(block) == _PART_OF_MAIN:
            main = lay(main, yaml.safe_load(block) or {})
    return main


def load(folder: Path, main: Mapping[str, Any], bots: Mapping[str, str]) -> Loaded:
    (folder / "bots.d").mkdir()
    (folder / "hotshotd.yaml").write_text(yaml.safe_dump(dict(main)), encoding="utf-8")
    for name, text in bots.items():
        (folder / "bots.d" / name).write_text(text, encoding="utf-8")
    return load_all(folder / "hotshotd.yaml", environ={"HOME": str(folder)}, check_secrets=False)


def assert_sound(loaded: Loaded, *, bots: int) -> None:
    assert [str(fault) for fault in loaded.faults] == []
    assert [str(warning) for warning in loaded.warnings if "holds no bot" not in str(warning)] == []
    assert len(loaded.bots) == bots


@pytest.fixture(autouse=True)
def _with_a_local_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples may use moderator `local`, whose package is optional."""
    monkeypatch.setattr(judging, "find_local_package", lambda: "detoxify")


YAML_BLOCKS = [
    pytest.param(page, block, id=f"{name}-{index}")
    for page, name in zip(PAGES, NAMES, strict=True)
    for index, block in enumerate(fences(page, "yaml"))
]


@pytest.mark.parametrize(("page", "block"), YAML_BLOCKS)
def test_yaml__every_example_loads(page: Path, block: str, tmp_path: Path) -> None:
    """A whole file loads as it stands, a part laid over a small bot; neither with a fault or a warning."""
    head, main = first_line(block), find_main(page)
    whole = _BOT.match(head)
    if whole:
        assert_sound(load(tmp_path, main, {whole[1]: block}), bots=1)
    elif head == _PART_OF_BOT:
        part = lay(BASE, yaml.safe_load(block))
        assert_sound(load(tmp_path, main, {"keeper.yaml": yaml.safe_dump(part)}), bots=1)
    else:
        assert _MAIN.match(head) or head == _PART_OF_MAIN, f"mark what this is: {_MARKS}"
        assert_sound(load(tmp_path, main, {"keeper.yaml": yaml.safe_dump(BASE)}), bots=1)


def test_yaml__bots_that_go_live_are_the_readers_choice() -> None:
    """A whole bot file in a page writes nothing until its reader says so."""
    blocks = [block for page in PAGES for block in fences(page, "yaml") if _BOT.match(first_line(block))]
    assert len(blocks) >= 4
    assert all(yaml.safe_load(block)["dry_run"] is True for block in blocks)


#: Every key of both files, wherever it stands, and every name of a preset server.
KEYS = {
    key
    for section in (vars(schema)[name] for name in dir(schema))
    if isinstance(section, type) and issubclass(section, schema.Section)
    for key in section.model_fields
} | {*schema.BACKEND_PRESETS, *schema.SERVICE_PRESETS}

#: A key with one value, or a list or mapping: not a sentence with a colon in it.
_REMARK_OF_A_KEY = re.compile(r"^[ #]*# {1,3}([a-z_]+: (?:[\[{\"].*|\S+(?: +#.*)?))$", re.MULTILINE)


@pytest.mark.parametrize("name", ["hotshotd.yaml", "bots.d/example.yaml.sample"])
def test_yaml__keys_behind_a_remark_can_be_used(name: str, tmp_path: Path) -> None:
    """Whoever takes the # off a key of the shipped files has a line that can be read, of a key that there is."""
    text = (ROOT / "etc" / "hotshot" / name).read_text(encoding="utf-8")
    lines = _REMARK_OF_A_KEY.findall(text)
    assert len(lines) >= 5
    for line in lines:
        (tmp_path / "line.yaml").write_text(line, encoding="utf-8")
        document = load_document(tmp_path / "line.yaml")
        assert document.tree is not None, line
        assert document.tree.data.keys() <= KEYS, line


# --- commands --------------------------------------------------------------------------------


#: A command of ours at the start of a line, up to the end of its code, or to a remark or a pipe behind it.
_COMMAND = re.compile(r"^(?:\S*/)?(hotshotctl|hotshotd)((?:[ \t]+[^\s#|>&;`]+)*)", re.MULTILINE)
_PLACEHOLDER = re.compile(r"[\[\]]|\.\.\.")


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    text = page.read_text(encoding="utf-8")
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", _FENCE.sub("", text))
    for code in (*spans, *fences(page, "sh")):
        for program, rest in _COMMAND.findall(code):
            yield program, shlex.split(rest)


COMMANDS = sorted({(program, *words) for page in PAGES for program, words in commands(page)})


def find_command(group: click.Group, words: list[str]) -> tuple[click.Command, list[str]]:
    """Give the command that some words name, and its own arguments; the group itself where they name none."""
    for index, word in enumerate(words):
        command = group.commands.get(word)
        if command is not None:
            return command, words[index + 1 :]
    return group, words


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands__every_one_exists(words: tuple[str, ...]) -> None:
    """Programs are called as they can be: the verb is there, its options are, and so many arguments are taken."""
    group = {"hotshotctl": ctl, "hotshotd": daemon}[words[0]]
    plain = [_PLACEHOLDER.sub("", word) for word in words[1:]]
    command, arguments = find_command(group, [word for word in plain if word])
    known = {option for param in (*command.params, *group.params) for option in (*param.opts, *param.secondary_opts)}
    options = {word.partition("=")[0] for word in arguments if word.startswith("-")}
    assert options <= known
    if command is group:
        names = [word for word in arguments if not word.startswith("-")]
        takes_value = {"--config", "--socket"} & options
        assert len(names) <= len(takes_value), f"{names[-1] if names else ''} is no command"
    elif arguments and not any(_PLACEHOLDER.search(word) for word in words):
        # A verb without anything behind it is named, not called.
        command.make_context(command.name, list(arguments))


def test_commands__the_readme_has_all_verbs() -> None:
    """The README's table names each verb of hotshotctl, and no other."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## hotshotctl\n")[2].partition("\n## ")[0]
    firsts = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    verbs = {code.split()[0] for first in firsts for code in re.findall(r"`([^`]+)`", first)}
    assert verbs == set(ctl.commands)


# --- links -----------------------------------------------------------------------------------


def make_anchor(heading: str) -> str:
    plain = re.sub(r"[^\w\- ]", "", heading.strip().casefold())
    return plain.replace(" ", "-")


def links(page: Path) -> list[str]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    found = re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text)
    return [link for link in found if not re.match(r"[a-z]+://", link)]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links__lead_somewhere(page: Path) -> None:
    """A relative link names a file of the repository, and its anchor a heading there."""
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(make_anchor, headings), link


def test_links__the_readme_leads_to_every_page() -> None:
    """No page is left for the reader to guess."""
    named = {link.partition("#")[0] for link in links(ROOT / "README.md")}
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= named


# --- the script that trains ------------------------------------------------------------------


def _load_script() -> Any:
    path = ROOT / "docs" / "examples" / "finetune_gpt2.py"
    spec = importlib.util.spec_from_file_location("finetune_gpt2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_SCRIPT = _load_script()
_WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip).filter(bool)


@given(title=_WORDS, text=st.lists(_WORDS, max_size=4).map("\n".join))
def test_finetune__samples_are_read_as_they_were_meant(title: str, text: str) -> None:
    """What a model learns to write from the script is what the reader of `format: ssi` gives back, `<|` apart."""
    post = parse_post(_SCRIPT.make_sample(title, text).removeprefix("<|soss"), prompt="<|soss")
    assert post is not None
    assert (post.title, post.text) == (title.replace("<|", "< |"), text.replace("<|", "< |"))
    assert not post.is_link


def test_finetune__the_page_shows_the_format_that_is_read() -> None:
    """The line of training data in the page is JSON with the keys that the script takes."""
    lines = [line for block in fences(ROOT / "docs" / "fine-tuned-gpt2.md", "json") for line in block.splitlines()]
    assert lines
    for line in lines:
        post = json.loads(line)
        assert _SCRIPT.make_sample(post["title"], post.get("text", "")).startswith("<|soss|><|sot|>")
