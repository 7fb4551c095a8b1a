"""From a file of another program to files of ours: what it is, that what we make of it is valid, and where it goes."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hotshotd.config.document import MAX_FILE_BYTES, load_document
from hotshotd.config.faults import Fault, format_key
from hotshotd.config.files import Unreadable, read_small_file
from hotshotd.config.hotshotbot import is_of_hotshotbot
from hotshotd.config.loaded import MainLoad
from hotshotd.config.loader import load_bot
from hotshotd.errors import ImportFailed
from hotshotd.importing.card import read_json_card, read_png_card
from hotshotd.importing.draft import Draft
from hotshotd.importing.hotshotbot import draft_of_hotshotbot
from hotshotd.importing.png import SIGNATURE
from hotshotd.importing.render import render
from hotshotd.importing.ssi_ini import read_ini

#: The largest file that is read: a card's picture may be large.
MAX_INPUT_BYTES = 32 * 1024 * 1024
#: Keys are left out one after the other until the rest is valid.
_MAX_REPAIRS = 50
_FILE_MODE = 0o640

_SECTION = re.compile(r"^[ \t]*\[[^\[\]\n]+\][ \t]*$", re.MULTILINE)
_KNOWN = "a HotShotBot YAML, an ssi-bot ini, or a character card (JSON or PNG)"


def read_drafts(path: Path, *, main: MainLoad) -> tuple[Draft, ...]:
    """Read a file of any kind that is known here.

    Raises:
        ImportFailed: If it can't be read, or is of no such kind.
    """
    try:
        data = read_small_file(path, limit_bytes=MAX_INPUT_BYTES).data
    except Unreadable as exc:
        raise ImportFailed(f"{path} {exc}") from exc
    if data.startswith(SIGNATURE):
        return (read_png_card(data, source=path.name),)
    if len(data) > MAX_FILE_BYTES * 8:
        raise ImportFailed(f"{path} is larger than any {_KNOWN}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ImportFailed(f"{path} is none of: {_KNOWN}") from exc
    if text.lstrip().startswith("{") and path.suffix.casefold() not in (".yaml", ".yml"):
        return (read_json_card(text, source=path.name),)
    if _SECTION.search(text) and path.suffix.casefold() not in (".yaml", ".yml"):
        return read_ini(text, source=path.name)
    return (_read_yaml(path, main),)


def settle(draft: Draft, *, name: str, main: MainLoad, with_proposals: bool = False) -> str:
    """Give the text of a draft's file, which `--check --no-secrets` passes; what it does not pass is left out.

    Raises:
        ImportFailed: If nothing valid can be made of it.
    """
    draft.data = {"name": name, **{key: value for key, value in draft.data.items() if key != "name"}, "dry_run": True}
    draft.fill_account()
    faults: list[Fault] = []
    for _ in range(_MAX_REPAIRS):
        text = render(draft, with_proposals=with_proposals)
        faults = _check(text, name, main, draft.data)
        if not faults:
            return text
        if not _leave_out(draft, faults):
            break
        draft.fill_account()
    raise ImportFailed(f"no valid file can be made of it: {faults[0].key}: {faults[0].message}")


def write_files(texts: Sequence[tuple[Path, str]]) -> None:
    """Write all files or none, and none over another.

    Raises:
        ImportFailed: If one exists, or can't be written.
    """
    existing = [str(path) for path, _ in texts if os.path.lexists(path)]
    if existing:
        raise ImportFailed(f"{', '.join(existing)} exists: write elsewhere with -o FILE, or move it away")
    written: list[Path] = []
    try:
        for path, text in texts:
            _write_new(path, text)
            written.append(path)
    except OSError as exc:
        for path in written:
            path.unlink(missing_ok=True)
        raise ImportFailed(f"{exc.filename or path} can't be written: {exc.strerror}") from exc


def _write_new(path: Path, text: str) -> None:
    # Exclusively: between the look and this somebody may have put one there.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _read_yaml(path: Path, main: MainLoad) -> Draft:
    document = load_document(path)
    if document.tree is None:
        raise ImportFailed("\n".join(map(str, document.faults)))
    if not is_of_hotshotbot(document.tree):
        known = "is in our keys already: copy it into bots_dir" if "reddit" in document.tree.data else "is none of"
        raise ImportFailed(f"{path} {known}" + (f": {_KNOWN}" if known == "is none of" else ""))
    draft = draft_of_hotshotbot(document, main=main)
    for fault in document.faults:
        draft.leave(fault.key or path.name, fault.message)
    return draft


def _check(text: str, name: str, main: MainLoad, data: dict[str, Any]) -> list[Fault]:
    """Load a text as the daemon would, in a folder that nobody else can read."""
    with tempfile.TemporaryDirectory(prefix="hotshot-import-") as folder:
        path = Path(folder) / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        document = load_document(path)
        if document.tree is None or document.tree.data != data:
            raise ImportFailed("holds a text that YAML can't carry")
        faults = load_bot(path, main).faults
        return [fault for fault in faults if fault.file == path] or [*faults]


def _leave_out(draft: Draft, faults: Sequence[Fault]) -> bool:
    """Take out what the faults name, or the nearest block around it; tell whether anything was there."""
    paths = {_split_key(fault.key): fault for fault in faults}
    # Backwards, for a list's later entries move up when an earlier one goes.
    done = [_remove(draft, path, paths[path]) for path in sorted(paths, key=_sort_key, reverse=True)]
    return any(done)


def _split_key(key: str) -> tuple[str | int, ...]:
    """Take a fault's key apart: `reddit.subreddits[2]` has three parts."""
    parts = (part for name in key.split(".") for part in re.split(r"\[([0-9]+)\]", name) if part)
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def _sort_key(path: tuple[str | int, ...]) -> list[tuple[int, str, int]]:
    return [(1, "", part) if isinstance(part, int) else (0, part, 0) for part in path]


def _remove(draft: Draft, path: tuple[str | int, ...], fault: Fault) -> bool:
    for end in range(len(path), 0, -1):
        block: Any = draft.data
        for part in path[: end - 1]:
            block = _step(block, part)
        if _step(block, path[end - 1]) is not None or (isinstance(block, dict) and path[end - 1] in block):
            del block[path[end - 1]]
            draft.leave(format_key(path[:end]), fault.message)
            return True
    return False


def _step(block: Any, part: str | int) -> Any:
    if isinstance(block, dict):
        return block.get(part)
    return block[part] if isinstance(block, list) and isinstance(part, int) and part < len(block) else None
