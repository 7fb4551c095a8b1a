"""Wheels of what is installed here: a folder from which pip installs hotshotd's libraries without a network."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

#: What is not hotshotd's own need: its wheel is built with the first.
_ALSO = ("setuptools", "prometheus-client")
#: What an installation adds to a wheel's own files.
_ADDED = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def make_wheelhouse(folder: Path) -> Path:
    """Pack the installed libraries into wheels again; their tags are those that they came with."""
    folder.mkdir()
    for found in _find_all():
        _pack(found, folder)
    return folder


def _find_all() -> Iterator[Distribution]:
    own = [Requirement(text) for text in distribution("hotshotd").requires or []]
    waiting = [*_ALSO, *(need.name for need in own if need.marker is None or need.marker.evaluate({"extra": ""}))]
    seen: set[str] = set()
    while waiting:
        found = distribution(waiting.pop())
        if found.name in seen:
            continue
        seen.add(found.name)
        yield found
        needs = [Requirement(text) for text in found.requires or []]
        waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]


def _pack(found: Distribution, folder: Path) -> None:
    tags = [line.split()[1].split("-") for line in (found.read_text("WHEEL") or "").splitlines() if line[:4] == "Tag:"]
    tag = "-".join(".".join(dict.fromkeys(part)) for part in zip(*tags, strict=True))
    name = f"{re.sub(r'[-_.]+', '_', found.name)}-{found.version}"
    with zipfile.ZipFile(folder / f"{name}-{tag}.whl", "w") as archive:
        listed = []
        for path in found.files or []:
            is_added = path.parent.name.endswith(".dist-info") and path.name in _ADDED
            if ".." in path.parts or path.suffix == ".pyc" or is_added:
                continue
            archive.write(str(path.locate()), str(path))
            listed.append(f"{path},,\n")
        record = next(line for line in listed if line.endswith("METADATA,,\n")).replace("METADATA,,\n", "RECORD")
        archive.writestr(record, "".join([*listed, f"{record},,\n"]))
