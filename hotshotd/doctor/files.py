"""The files' own faults and warnings, as `hotshotd --check` tells them."""

from __future__ import annotations

from pathlib import Path

from hotshotd.config.loaded import Loaded
from hotshotd.doctor.findings import EVERYBODY, Finding, Mark, fail, ok, warn


def list_names(loaded: Loaded) -> set[str]:
    """Give the names of all bots, right or wrong."""
    return {*(str(bot.name) for bot in loaded.bots), *(str(bot.name) for bot in loaded.invalid)}


def examine_files(loaded: Loaded, path: Path, *, only: str | None) -> list[Finding]:
    """Give every fault and warning of the files, as `--check` does; one line for all where there are none."""
    found = [Finding(EVERYBODY, "file", fail(str(fault))) for fault in loaded.main_faults]
    names = {bot.path: str(bot.name) for bot in loaded.bots} | {bot.path: str(bot.name) for bot in loaded.invalid}
    for invalid in loaded.invalid:
        if only in (None, invalid.name):
            found += [Finding(invalid.name, "file", fail(str(fault))) for fault in invalid.faults]
    for warning in loaded.warnings:
        name = names.get(warning.file, EVERYBODY)
        if only in (None, name) or name == EVERYBODY:
            found.append(Finding(name, "file", warn(str(warning))))
    if not any(finding.mark is Mark.FAIL for finding in found):
        found.insert(0, Finding(EVERYBODY, "files", ok(f"{path} and {len(loaded.bots)} bots are valid")))
    return found
