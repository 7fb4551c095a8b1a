"""Completion in a shell: the script that it loads, and the bots' names, at once and without ever complaining."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hotshotd.control.client import ControlClient, find_socket

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: Set by the script: the program is to give words, not to do something.
VARIABLE = "_HOTSHOTCTL_COMPLETE"
SHELLS = ("bash", "zsh", "fish")

#: Seconds a daemon has to name its bots; then the files' names must do.
ASK_SECONDS = 0.1
#: Files that are looked into, and how much of each, in bytes.
_MOST_FILES, _MOST_BYTES = 300, 65536

_SYSTEM_CONFIG = Path("/etc/hotshot/hotshotd.yaml")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
# A plain value of a key at the left edge. Reading YAML as it should be takes longer than a person waits for a key.
_PLAIN = r"^%s:[ \t]+[\"']?([^\"'#\n]+?)[\"']?[ \t]*(?:#.*)?$"


class BotName(click.types.StringParamType):
    """A bot's name: any text, for only the daemon knows; completed with the names that there are."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        try:
            given = ctx.params.get(param.name or "")
            taken = given if isinstance(given, tuple) else ()
            known = find_bots(ctx.find_root().params, os.environ)
            return [
                CompletionItem(name, help=state or None)
                for name, state in sorted(known.items())
                if name.startswith(incomplete) and name not in taken
            ]
        except Exception:  # noqa: BLE001 - nobody asked for a message: the prompt stands there
            return []


BOT = BotName()


def make_script(shell: str) -> str:
    """Give what the shell has to load."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, "one of SHELLS"
    # Not `source()`: for bash that runs bash, to look at its version.
    maker = kind(click.Command("hotshotctl"), {}, "hotshotctl", VARIABLE)
    return maker.source_template % maker.source_vars()


def find_bots(options: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Give the bots' names, each with its state: the daemon's, else those of the files, without a state."""
    config = _to_path(options.get("config"))
    try:
        client = ControlClient(_find_socket(config, _to_path(options.get("socket"))))
        answer = client.request({"op": "status", "bots": []}, timeout_seconds=ASK_SECONDS)
        return {str(bot["name"]): str(bot["state"]) for bot in answer["bots"]}
    except Exception:  # noqa: BLE001 - whatever is wrong there, the files are left
        return dict.fromkeys(_list_names(config or _find_config(environ)), "")


def _find_socket(config: Path | None, explicit: Path | None) -> Path:
    if config is None or explicit is not None:
        return find_socket(explicit=explicit)
    folder = _find_value("runtime_dir", config)
    return find_socket(runtime_dir=config.parent / os.path.expanduser(folder) if folder else None)


def _find_config(environ: Mapping[str, str]) -> Path:
    """Give the file that the daemon would take (`hotshotd.config.loader` has the rule; it is slow to import)."""
    if environ.get("HOTSHOT_CONFIG"):
        return Path(environ["HOTSHOT_CONFIG"])
    if os.path.lexists(_SYSTEM_CONFIG):
        return _SYSTEM_CONFIG
    xdg = environ.get("XDG_CONFIG_HOME", "")
    folder = Path(xdg) if xdg.startswith("/") else Path(environ.get("HOME") or "/") / ".config"
    return folder / "hotshot" / "hotshotd.yaml"


def _list_names(config: Path) -> Iterator[str]:
    folder = config.parent / os.path.expanduser(_find_value("bots_dir", config) or "bots.d")
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))
    except OSError:
        return
    for path in paths[:_MOST_FILES]:
        name = _find_value("name", path) or path.stem
        if _NAME.fullmatch(name):
            yield name


def _find_value(key: str, path: Path) -> str:
    found = re.search(_PLAIN % key, _read(path), re.MULTILINE)
    return found[1] if found else ""


def _read(path: Path) -> str:
    try:
        # A pipe would wait for a writer.
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(_MOST_BYTES).decode(errors="replace")
    except OSError:
        return ""


def _to_path(value: object) -> Path | None:
    return Path(str(value)) if value else None
