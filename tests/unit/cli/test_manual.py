"""The manual pages: up to date, valid roff, and all that an operator looks for is in them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from hotshotd.cli.ctl import main as ctl
from hotshotd.cli.daemon import main as daemon
from hotshotd.cli.manual import make_pages
from hotshotd.cli.roff import escape, flow
from hotshotd.config.descriptions import DESCRIPTIONS
from hotshotd.config.loader import load_bot, make_bare_main
from hotshotd.errors import ExitCode

FOLDER = Path(__file__).parents[3] / "docs" / "man"
PAGES = make_pages()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_page__is_up_to_date(name: str) -> None:
    """What is in the tree is what the help texts and the models say."""
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name], "run scripts/make-man"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_page__is_valid_roff(name: str) -> None:
    """mandoc finds nothing to say, not even a warning."""
    mandoc = shutil.which("mandoc")
    if mandoc is None:
        pytest.skip("needs mandoc to read manual pages")
    done = subprocess.run(
        [mandoc, "-T", "lint", "-W", "warning"], input=PAGES[name], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", sorted(PAGES))
def test_page__is_plain(name: str) -> None:
    """ASCII alone, no line that is a request by accident, and nothing of the machine that made it."""
    text = PAGES[name]
    assert text.isascii()
    assert not re.search(r"^\.(?!TH|SH|SS|TP|IP|PP|RS|RE|nf|fi|br|\\\")", text, re.MULTILINE)
    assert os.path.expanduser("~/") not in text
    assert "\b" not in text


@pytest.mark.parametrize("name", ["hotshotd.8", "hotshotctl.1"])
def test_page__of_a_program_has_its_sections(name: str) -> None:
    """In the order that man-pages(7) has them."""
    heads = re.findall(r'^\.SH "(.*)"$', PAGES[name], re.MULTILINE)
    wanted = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"]
    assert [head for head in heads if head in wanted] == wanted


@pytest.mark.parametrize(("name", "program"), [("hotshotd.8", daemon), ("hotshotctl.1", ctl)])
def test_page__has_every_verb_and_option(name: str, program: click.Group) -> None:
    """None was forgotten."""
    for verb, command in {"": program, **program.commands}.items():
        assert f'.SS "{escape(verb)}"' in PAGES[name] or not verb
        for option in (param for param in command.params if isinstance(param, click.Option)):
            assert all(f"\\fB{escape(word)}\\fR" in PAGES[name] for word in option.opts), option


@pytest.mark.parametrize(("name", "codes"), [("hotshotd.8", {0, 1, 2, 78}), ("hotshotctl.1", {0, 1, 2, 3, 4})])
def test_page__has_the_exit_codes(name: str, codes: set[int]) -> None:
    """Each with what it means."""
    section = PAGES[name].split('.SH "EXIT STATUS"')[1].split(".SH")[0]
    shown = re.findall(r"^\.TP\n\\fB(\d+)\\fR\n(\w.+\.)$", section, re.MULTILINE)
    assert {int(code) for code, _ in shown} == codes
    assert codes <= set(map(int, ExitCode))


def test_page__of_the_files_has_every_key() -> None:
    """With its sentence."""
    page = PAGES["hotshotd.yaml.5"]
    for model, keys in DESCRIPTIONS.items():
        for key, sentence in keys.items():
            assert escape(key) in page
            assert flow(sentence) in page, (model, key)


@pytest.mark.parametrize(
    "text",
    [
        "character_budget\\fR (whole number, at least 0 or unlimited)",
        "reply.chance\\fR (number from 0 to 1)",
        "poll.interval\\fR (duration)",
        "reply.linkpost_only\\fR (true or false or force)",
        "post.fallbacks[].model\\fR (text)",
        "Default: {max_new_tokens: 250, temperature: 0.8, num_return_sequences: 1}.",
        "Default: [2s, 10s].",
        "backends.NAME.api\\fR (hf, completions, chat, horde)",
    ],
)
def test_page__of_the_files_has_forms_and_defaults(text: str) -> None:
    """As the models have them."""
    assert text in PAGES["hotshotd.yaml.5"]


def test_example__of_a_bot_passes_the_check(tmp_path: Path) -> None:
    """Nobody should copy a fault."""
    example = PAGES["hotshotd.yaml.5"].rsplit(".nf\n", 1)[1].split(".fi")[0].replace("\\-", "-")
    path = tmp_path / "duck.yaml"
    path.write_text(example)
    assert load_bot(path, main=make_bare_main({})).faults == ()


def test_escape__shows_every_letter_as_it_is() -> None:
    """Backslashes, hyphens that can be copied, quotes, dots at the left edge."""
    assert escape("a\\b -c ~^'\"`") == "a\\eb \\-c \\(ti\\(ha\\(aq\\(dq\\(ga"
    assert escape("é.\n.so /etc") == "\\[u00E9].\n\\&.so /etc"
    assert flow(".so\n`a-b`") == "\\&.so \\fBa\\-b\\fR"
