"""From YAML files to configurations, with every fault of every file in one run.

Nothing here raises for what a file holds, waits for anything, or keeps a secret's value that is written by
reference. Paths: `bots_dir`, `secrets_file` and every other relative path count from the file in which they stand.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hotshotd._types import BotName
from hotshotd.config.document import Document, Tree, load_document
from hotshotd.config.faults import Fault, KeyPath, Place, Places, blame, find_place, unique
from hotshotd.config.hotshotbot import OldFile, is_of_hotshotbot, translate
from hotshotd.config.hotshotbot_notice import make_notice
from hotshotd.config.loaded import BotLoad, InvalidBot, Loaded, LoadedBot, MainLoad
from hotshotd.config.merge import SECRET_KEYS, WHOLE_KEYS, choose_defaults, descend, overlay, select
from hotshotd.config.rules import check_bot, check_literals, check_main, warn_of_no_effect
from hotshotd.config.schema import BACKEND_PRESETS, SERVICE_PRESETS, BotConfig, MainConfig
from hotshotd.config.secrets import Secrets, webhook_ref
from hotshotd.config.validation import validate, validate_part
from hotshotd.errors import ConfigError, name_remedy

__all__ = [
    "BotLoad",
    "Fault",
    "InvalidBot",
    "Loaded",
    "LoadedBot",
    "MainLoad",
    "find_main_config",
    "load_all",
    "load_bot",
    "load_for_run",
    "load_main",
]

#: The main file of an installed package.
SYSTEM_CONFIG = Path("/etc/hotshot/hotshotd.yaml")

_BOT_SUFFIXES = (".yaml", ".yml")
_PATH_KEYS = frozenset({"bots_dir", "state_dir", "runtime_dir", "secrets_file", "textfile"})
_FILE_KEYS = frozenset(f"{secret}_file" for secret in SECRET_KEYS)
_PRESETS = Tree({"backends": BACKEND_PRESETS, "services": SERVICE_PRESETS}, {})


def find_main_config(environ: Mapping[str, str], *, system: Path = SYSTEM_CONFIG) -> Path:
    """Give the main file: $HOTSHOT_CONFIG, else the system's, else the one in the XDG config directory.

    Raises:
        ConfigError: If none of them is there; the message names them.
    """
    if environ.get("HOTSHOT_CONFIG"):
        return Path(environ["HOTSHOT_CONFIG"])
    own = _xdg(environ, "XDG_CONFIG_HOME", ".config") / "hotshotd.yaml"
    found = next((path for path in (system, own) if os.path.lexists(path)), None)
    if found is None:
        raise ConfigError(f"no main config: write {system} or {own}, or name one with --config or $HOTSHOT_CONFIG")
    return found


def load_main(path: Path, environ: Mapping[str, str]) -> MainLoad:
    """Read the main file, and `bot_defaults` as far as they can be checked without a bot."""
    path = Path(os.path.abspath(path))
    document = load_document(path)
    if document.tree is None:
        return MainLoad(path, None, document.faults, None)
    default = Place(path, 1)
    tree = _with_folders(overlay(_PRESETS, document.tree), path, environ)
    tree = Tree(_absolute_paths(tree.data, (), tree.places, _home(environ)), tree.places)
    config, faults = validate(MainConfig, tree, default=default)
    found = [*document.faults, *check_literals(document), *faults, *check_main(tree, default=default)]
    found += _check_defaults(descend(tree, "bot_defaults"), default)
    return MainLoad(path, None if found else config, _sorted(found), tree, _home(environ))


def load_bot(path: Path, main: MainLoad) -> BotLoad:
    """Read one bot's file over the main file's defaults and servers. Looks no secret up."""
    path = Path(os.path.abspath(path))
    document = load_document(path)
    if document.tree is None:
        return _invalid(path, path.stem, document.faults)
    old = translate_old(document, main)
    tree = merge_bot(old.tree if old else document.tree, main, path)
    default = Place(path, 1)
    config, faults = validate(BotConfig, tree, default=default)
    found = [*document.faults, *check_literals(document), *faults, *check_bot(tree, default=default)]
    if old is not None:
        found = [*old.rename(found), *old.faults]
    if config is None or found:
        return _invalid(path, tree.data["name"], _sorted(found))
    warnings = (*_warn_of_post(document.tree, config, path), *warn_of_no_effect(tree, default=default))
    bot = LoadedBot(config, path, tree.places)
    if old is not None:
        return BotLoad(path, bot, None, (make_notice(old, tree.data, warnings),), old, tree)
    return BotLoad(path, bot, None, warnings)


def translate_old(document: Document, main: MainLoad) -> OldFile | None:
    """Put a file of HotShotBot into our keys; give None for any other."""
    if document.tree is None or not is_of_hotshotbot(document.tree):
        return None
    below = main.tree or _PRESETS
    return translate(document, servers=select(below, "backends", "services"), defaults=descend(below, "bot_defaults"))


def merge_bot(bot: Tree, main: MainLoad, path: Path) -> Tree:
    """Lay a bot's own keys over `bot_defaults`, the main file's servers and the presets."""
    below = main.tree or _PRESETS
    defaults = choose_defaults(descend(below, "bot_defaults"), bot)
    tree = overlay(overlay(select(below, "backends", "services"), defaults), bot)
    data = {**tree.data, "name": tree.data.get("name") or path.stem}
    return Tree(_absolute_paths(data, (), tree.places, main.home), tree.places)


def load_all(
    config_path: Path,
    *,
    environ: Mapping[str, str],
    check_secrets: bool = True,
    running: Mapping[BotName, LoadedBot] | None = None,
) -> Loaded:
    """Read the main file and every bot's file in `bots_dir`.

    `running` says what runs already: a running bot keeps its name and account against a new file, even one
    whose file has become invalid.
    """
    main = load_main(config_path, environ)
    if main.tree is None:
        return Loaded(main.path, None, main.faults, (), ())
    files, faults, warnings = _list_bot_files(main)
    secrets = _secrets(main, environ) if check_secrets else None
    loaded = _load_bots(files, main, secrets=secrets, running=running or {})
    main_faults = unique([*main.faults, *faults])
    return Loaded(
        main.path,
        None if main_faults else main.config,
        main_faults,
        loaded.bots,
        loaded.invalid,
        unique(
            [
                *warn_of_no_effect(main.tree, default=Place(config_path, 1)),
                *_warn_of_webhook(main, secrets),
                *warnings,
                *loaded.warnings,
            ]
        ),
    )


def load_for_run(
    botfiles: Sequence[Path],
    environ: Mapping[str, str],
    *,
    check_secrets: bool = True,
    running: Mapping[BotName, LoadedBot] | None = None,
) -> Loaded:
    """Read just these files, as `hotshotd run` does: default settings, state in the XDG folders.

    Where two have the same name or account, the one that was named first keeps it.
    """
    files = list(dict.fromkeys(Path(os.path.abspath(path)) for path in botfiles))
    main = make_bare_main(environ, bots_dir=files[0].parent if files else None)
    secrets = _secrets(main, environ) if check_secrets else None
    loaded = _load_bots(files, main, secrets=secrets, running=running or {})
    return Loaded(None, main.config, (), loaded.bots, loaded.invalid, loaded.warnings)


def make_bare_main(environ: Mapping[str, str], *, bots_dir: Path | None = None) -> MainLoad:
    """Give what stands in for a main file where there is none: the defaults, and the XDG folders."""
    tree = overlay(_PRESETS, Tree({"bots_dir": str(bots_dir or os.getcwd())}, {}))
    # Under systemd, too: its folders belong to the service, not to a trial run.
    bare = {key: value for key, value in environ.items() if key not in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY")}
    tree = _with_folders(tree, Path("/"), bare)
    return MainLoad(None, MainConfig.model_validate(tree.data), (), tree, _home(environ))


# --- the main file ---------------------------------------------------------------------------


def _with_folders(tree: Tree, path: Path, environ: Mapping[str, str]) -> Tree:
    data = dict(tree.data)
    folders = {
        "bots_dir": path.parent / "bots.d",
        "state_dir": _state_dir(environ),
        "runtime_dir": _runtime_dir(environ),
    }
    for key, folder in folders.items():
        if data.get(key) is None:
            data[key] = str(folder)
    return Tree(data, tree.places)


def _state_dir(environ: Mapping[str, str]) -> Path:
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(given) if given else _xdg(environ, "XDG_STATE_HOME", ".local/state")


def _runtime_dir(environ: Mapping[str, str]) -> Path:
    given = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    # No session, no runtime directory: a folder of our own state is as private as that would be.
    has_session = environ.get("XDG_RUNTIME_DIR", "").startswith("/")
    return Path(environ["XDG_RUNTIME_DIR"]) / "hotshot" if has_session else _state_dir(environ) / "run"


def _xdg(environ: Mapping[str, str], name: str, otherwise: str) -> Path:
    # A relative one is to be ignored (XDG Base Directory Specification).
    folder = environ.get(name, "")
    return (Path(folder) if folder.startswith("/") else _home(environ) / otherwise) / "hotshot"


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or "/")


def _check_defaults(defaults: Tree, default: Place) -> tuple[Fault, ...]:
    faults = validate_part(BotConfig, defaults, default=default)
    if "name" not in defaults.data:
        return faults
    place = find_place(defaults.places, ("name",), default=default)
    return (*faults, Fault(place.file, place.line, "bot_defaults.name", "can't be the same for all bots: remove it"))


def _absolute_paths(data: dict[str, Any], path: KeyPath, places: Places, home: Path) -> dict[str, Any]:
    result = dict(data)
    for key, value in data.items():
        if isinstance(value, dict) and key not in WHOLE_KEYS:
            result[key] = _absolute_paths(value, (*path, key), places, home)
        elif isinstance(value, str) and key in _PATH_KEYS | _FILE_KEYS:
            folder = find_place(places, (*path, key), default=Place(Path("/"), 1)).file.parent
            expanded = str(home / value[2:]) if value.startswith("~/") else value
            result[key] = os.path.normpath(folder / expanded)
    return result


def _secrets(main: MainLoad, environ: Mapping[str, str]) -> Secrets:
    data = main.tree.data if main.tree else {}
    secrets_file, state_dir = data.get("secrets_file"), data.get("state_dir")
    return Secrets(
        environ,
        secrets_file=Path(secrets_file) if isinstance(secrets_file, str) else None,
        state_dir=Path(state_dir) if isinstance(state_dir, str) else None,
    )


def _warn_of_webhook(main: MainLoad, secrets: Secrets | None) -> tuple[Fault, ...]:
    """Warn of alerts that can't be sent: no bot depends on them."""
    ref = webhook_ref(main.config) if main.config else None
    why = secrets.warn_of_webhook(ref) if ref and secrets else None
    if main.tree is None or main.path is None or ref is None or why is None:
        return ()
    return (blame(main.tree.places, ref.key, why, default=Place(main.path, 1)),)


# --- the bots' files -------------------------------------------------------------------------


def _list_bot_files(main: MainLoad) -> tuple[list[Path], list[Fault], list[Fault]]:
    """Give the files, the faults of the folder, and its warnings."""
    folder = main.tree.data["bots_dir"] if main.tree else None
    if not isinstance(folder, str) or main.path is None:
        return [], [], []
    place = find_place(main.tree.places if main.tree else {}, ("bots_dir",), default=Place(main.path, 1))
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(_BOT_SUFFIXES) and name[0] != ".")
    except FileNotFoundError:
        message = f"{folder} does not exist: make it, and put one file for each bot there"
        return [], [], [Fault(place.file, place.line, "bots_dir", message)]
    except OSError as exc:
        message = f"{folder} can't be read ({exc.strerror}): {name_remedy(exc)}"
        return [], [Fault(place.file, place.line, "bots_dir", message)], []
    if not names:
        return [], [], [Fault(place.file, place.line, "bots_dir", f"{folder} holds no bot: no *.yaml and no *.yml")]
    return [Path(folder) / name for name in names], [], []


def _load_bots(
    files: Iterable[Path], main: MainLoad, *, secrets: Secrets | None, running: Mapping[BotName, LoadedBot]
) -> Loaded:
    loads = [load_bot(path, main) for path in files]
    warnings = [] if secrets is None else [*secrets.warn_of_file()]
    warnings += [warning for load in loads for warning in _warn(load, secrets)]
    if secrets is not None:
        loads = [_with_secrets(load, secrets) for load in loads]
    kept, losers = _settle_conflicts(loads, running)
    invalid = sorted([*(load.invalid for load in loads if load.invalid), *losers], key=lambda bot: str(bot.path))
    return Loaded(main.path, main.config, (), kept, tuple(invalid), unique(warnings))


def _warn(load: BotLoad, secrets: Secrets | None) -> tuple[Fault, ...]:
    found = secrets.warn(load.bot) if load.bot and secrets else ()
    if not found or load.old is None or load.tree is None:
        return (*load.warnings, *found)
    # One notice, whatever there is to say.
    further = (*warn_of_no_effect(load.tree, default=Place(load.path, 1)), *load.old.rename(found))
    return (make_notice(load.old, load.tree.data, further),)


def _with_secrets(load: BotLoad, secrets: Secrets) -> BotLoad:
    faults = secrets.check(load.bot) if load.bot else ()
    faults = load.old.rename(faults) if load.old else faults
    return _invalid(load.path, load.bot.name, faults) if load.bot and faults else load


def _settle_conflicts(
    loads: Sequence[BotLoad], running: Mapping[BotName, LoadedBot]
) -> tuple[tuple[LoadedBot, ...], list[InvalidBot]]:
    """Leave each name and each account to one file: the one that runs, else the first."""
    owners: dict[tuple[str, str], Path] = {}
    broken = {load.path for load in loads if load.invalid}
    for old in running.values():
        # It goes on with what it last read; nobody else may sign in as it meanwhile.
        if old.path in broken:
            owners.update(dict.fromkeys(_claims(old), old.path))
    bots = [load.bot for load in loads if load.bot]
    losers: list[InvalidBot] = []
    for bot in sorted(bots, key=lambda bot: not _is_running(bot, running)):
        taken = [(claim, owners[claim]) for claim in _claims(bot) if owners.get(claim, bot.path) != bot.path]
        if taken:
            losers.append(_refuse_duplicate(bot, taken))
        else:
            owners.update(dict.fromkeys(_claims(bot), bot.path))
    lost = {loser.path for loser in losers}
    return tuple(bot for bot in bots if bot.path not in lost), losers


def _claims(bot: LoadedBot) -> tuple[tuple[str, str], ...]:
    return ("name", bot.name.casefold()), ("account", bot.account)


def _is_running(bot: LoadedBot, running: Mapping[BotName, LoadedBot]) -> bool:
    return bot.name in running and running[bot.name].path == bot.path


def _refuse_duplicate(bot: LoadedBot, taken: Sequence[tuple[tuple[str, str], Path]]) -> InvalidBot:
    faults = []
    for (what, _), owner in taken:
        key = ("name",) if what == "name" else ("reddit", "username")
        value = bot.name if what == "name" else f"u/{bot.config.reddit.username}"
        place = bot.place(*key)
        message = f"{value} is in two files, {owner} and {bot.path}; {owner.name} keeps it: change or remove this one"
        faults.append(Fault(place.file, place.line, ".".join(key), message))
    return InvalidBot(bot.name, bot.path, tuple(faults), duplicate_of=taken[0][1])


def _invalid(path: Path, name: object, faults: tuple[Fault, ...]) -> BotLoad:
    said = name if isinstance(name, str) and name.isprintable() and len(name) <= 64 else path.stem
    return BotLoad(path, None, InvalidBot(BotName(said), path, faults))


def _warn_of_post(own: Tree, config: BotConfig, path: Path) -> tuple[Fault, ...]:
    post, reply = config.post, config.reply
    if post is None or post.model or reply is None or post.backend in ("hf", reply.backend):
        return ()
    place = find_place(own.places, ("post", "backend"), default=Place(path, 1))
    message = f"has no effect without post.model: the reply model on {reply.backend} writes the posts"
    return (Fault(place.file, place.line, "post.backend", message),)


def _sorted(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    return unique(sorted(faults, key=lambda fault: (str(fault.file), fault.line)))
