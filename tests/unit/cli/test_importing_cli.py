"""`hotshotctl init` and `import` as they are typed: where files go, what is printed, exit codes."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from importkit import DATA

from hotshotd import log
from hotshotd.cli.ctl import main as ctl
from hotshotd.cli.daemon import main as daemon


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No config of this machine, and the log as it was."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    yield
    log.restore()


def run(program: Any, *args: object) -> Result:
    return CliRunner().invoke(program, [str(arg) for arg in args])


@pytest.fixture
def main_file(tmp_path: Path) -> Path:
    (tmp_path / "bots.d").mkdir()
    path = tmp_path / "hotshotd.yaml"
    path.write_text("timezone: UTC\n", encoding="utf-8")
    return path


SOURCES = {
    "hotshotbot-early.yaml": ["hotshotbot-early"],
    "hotshotbot-late.yaml": ["hotshotbot-late"],
    "ssi-bot.ini": ["gull_bot", "crab-bot"],
    "card-v2.json": ["captain-elise-ohara"],
    "card-v1.json": ["moss"],
}


@pytest.mark.parametrize(("source", "names"), SOURCES.items())
def test_import__writes_into_bots_dir_and_prints(source: str, names: list[str], main_file: Path) -> None:
    """Each bot's file is written and printed, says dry_run, and the check passes; what is left is on stderr."""
    result = run(ctl, "--config", main_file, "import", DATA / source)
    assert result.exit_code == 0, result.output
    for name in names:
        text = (main_file.parent / "bots.d" / f"{name}.yaml").read_text(encoding="utf-8")
        assert text in result.stdout
        assert "\ndry_run: true" in text
    if source != "card-v1.json":
        assert result.stderr
    assert all(": " in line for line in result.stderr.splitlines())
    check = run(daemon, "--config", main_file, "--check", "--no-secrets")
    assert (check.exit_code, check.stderr) == (0, ""), check.output


def test_import__says_each_key_on_a_line_of_its_own(main_file: Path) -> None:
    """The lines begin with the key; several bots are told apart by their name."""
    one = run(ctl, "--config", main_file, "import", DATA / "card-v2.json").stderr.splitlines()
    assert "creator_notes: is for people, and never for a model" in one
    two = run(ctl, "--config", main_file, "import", DATA / "ssi-bot.ini").stderr.splitlines()
    assert {line.partition(": ")[0] for line in two} == {"gull_bot", "crab-bot"}
    assert any(line.startswith("crab-bot: text_model_path: ") for line in two)


def test_import__never_writes_over_a_file(main_file: Path) -> None:
    """The second time there is a file already: exit 1, and it stays as it is."""
    assert run(ctl, "--config", main_file, "import", DATA / "card-v1.json").exit_code == 0
    path = main_file.parent / "bots.d" / "moss.yaml"
    path.write_text("mine", encoding="utf-8")
    result = run(ctl, "--config", main_file, "import", DATA / "card-v1.json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{path} exists" in result.stderr
    assert path.read_text(encoding="utf-8") == "mine"


def test_import__needs_no_main_file_with_an_output(tmp_path: Path) -> None:
    """With -o it works before anything is set up; without, it says what is missing."""
    target = tmp_path / "My bot.yaml"
    result = run(ctl, "import", DATA / "card-v1.json", "-o", target)
    assert result.exit_code == 0, result.output
    assert "\nname: my-bot " in target.read_text(encoding="utf-8")
    assert stat.S_IMODE(target.stat().st_mode) & 0o007 == 0
    result = run(ctl, "import", DATA / "card-v1.json")
    assert (result.exit_code, "no main config" in result.stderr, "-o FILE" in result.stderr) == (1, True, True)


def test_import__several_bots_need_a_folder(tmp_path: Path) -> None:
    """One file can't hold two bots; in a folder each gets its own."""
    result = run(ctl, "import", DATA / "ssi-bot.ini", "-o", tmp_path / "x.yaml")
    assert (result.exit_code, "name a folder" in result.stderr) == (1, True)
    assert run(ctl, "import", DATA / "ssi-bot.ini", "-o", tmp_path).exit_code == 0
    assert {path.name for path in tmp_path.glob("*.yaml")} == {"gull_bot.yaml", "crab-bot.yaml"}


def test_import__a_broken_file_is_exit_1(main_file: Path, tmp_path: Path) -> None:
    """What can't be read gives one message and no file."""
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    result = run(ctl, "--config", main_file, "import", broken)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("broken.png is a picture without")
    assert not list((main_file.parent / "bots.d").iterdir())


def test_init__writes_a_valid_file(main_file: Path) -> None:
    """A new bot's file passes the check and is not written twice."""
    result = run(ctl, "--config", main_file, "init", "keeper")
    assert result.exit_code == 0, result.output
    text = (main_file.parent / "bots.d" / "keeper.yaml").read_text(encoding="utf-8")
    assert (text in result.stdout, "\ndry_run: true" in text, result.stderr) == (True, True, "")
    assert run(daemon, "--config", main_file, "--check", "--no-secrets").exit_code == 0
    assert run(ctl, "--config", main_file, "init", "keeper").exit_code == 1
    assert run(ctl, "--config", main_file, "init", "no name").exit_code == 1


def test_init__two_bots_do_not_clash(main_file: Path) -> None:
    """The placeholders of two new bots are no two bots of one account."""
    for name in ("a1", "b2"):
        assert run(ctl, "--config", main_file, "init", name).exit_code == 0
    assert run(daemon, "--config", main_file, "--check", "--no-secrets").exit_code == 0


def test_invalid_main_file__is_said(main_file: Path) -> None:
    """Where bots_dir can't be told for certain nothing is written."""
    main_file.write_text("timezone: Nowhere/Land\n", encoding="utf-8")
    result = run(ctl, "--config", main_file, "init", "keeper")
    assert (result.exit_code, "timezone: no such time zone" in result.stderr) == (1, True)


def test_check__prints_the_notice_of_an_old_file(main_file: Path) -> None:
    """A HotShotBot file dropped in is valid, and told of in one line."""
    old = (DATA / "hotshotbot-early.yaml").read_text(encoding="utf-8")
    (main_file.parent / "bots.d" / "tide.yaml").write_text(old, encoding="utf-8")
    result = run(daemon, "--config", main_file, "--check", "--no-secrets")
    assert result.exit_code == 0
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"warning: {main_file.parent}/bots.d/tide.yaml:1: (file): is a file of HotShotBot")
