"""The whole way of an import: a file in, the text of ours out, checked as the daemon checks it."""

from __future__ import annotations

from pathlib import Path

import pytest
from importkit import Importer

from hotshotd.config.loaded import MainLoad
from hotshotd.config.loader import make_bare_main
from hotshotd.importing.draft import Draft
from hotshotd.importing.files import read_drafts, settle


@pytest.fixture
def bare_main() -> MainLoad:
    """Give the defaults, as where there is no main file."""
    return make_bare_main({"HOME": "/nowhere"})


@pytest.fixture
def import_one(tmp_path: Path, bare_main: MainLoad) -> Importer:
    """Give a function that imports one file of one bot; `settle` has checked the text."""

    def run(name: str, content: str | bytes) -> tuple[Draft, str]:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        (draft,) = read_drafts(path, main=bare_main)
        return draft, settle(draft, name=draft.name, main=bare_main)

    return run
