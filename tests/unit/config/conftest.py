"""Folders of configuration files, written as text."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hotshotd.config.loader import Loaded, load_all

#: A bot that is right and uses every block.
GOOD_BOT = """\
reddit:
  username: Keeper
  password_env: KEEPER_PASS
  client_id_env: KEEPER_ID
  client_secret_env: KEEPER_SECRET
  operator: somebody
  subreddits: [TestHome]
backstory: A lighthouse keeper.
reply:
  backend: groq
  model: some-model
safety:
  moderators: [openai]
rank: {gate_model: null, rank_model: null}
"""

#: All variables that GOOD_BOT names.
GOOD_ENVIRON = {
    "KEEPER_PASS": "p",
    "KEEPER_ID": "i",
    "KEEPER_SECRET": "s",
    "GROQ_API_KEY": "g",
    "OPENAI_API_KEY": "o",
}


class Folder:
    """A main file and its bots."""

    good_bot = GOOD_BOT
    good_environ = GOOD_ENVIRON

    def __init__(self, root: Path) -> None:
        self.root = root
        self.main = root / "hotshotd.yaml"
        self.bots = root / "bots.d"
        self.bots.mkdir()
        self.write_main("timezone: UTC\n")

    def write_main(self, text: str) -> Path:
        self.main.write_text(textwrap.dedent(text), encoding="utf-8")
        return self.main

    def write_bot(self, text: str = GOOD_BOT, *, name: str = "keeper.yaml") -> Path:
        path = self.bots / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def load(self, *, environ: Mapping[str, str] | None = None, check_secrets: bool = False) -> Loaded:
        """Load everything with only these variables; $HOME is the folder."""
        return load_all(self.main, environ={"HOME": str(self.root), **(environ or {})}, check_secrets=check_secrets)

    def tell(self, loaded: Loaded) -> list[str]:
        """Give all faults as text, without the folder's name."""
        return [str(fault).replace(f"{self.root}/", "") for fault in loaded.faults]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Give an empty configuration."""
    return Folder(tmp_path)


@pytest.fixture
def faults_of(folder: Folder) -> Callable[[str], list[str]]:
    """Give a function from a bot file's text to its faults."""

    def load(text: str) -> list[str]:
        folder.write_bot(text)
        return folder.tell(folder.load())

    return load
