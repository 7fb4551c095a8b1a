"""What a reload changes: which bots are new, other than before, gone, or the same. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hotshotd._types import BotName
from hotshotd.config.loaded import Loaded, LoadedBot
from hotshotd.config.schema import MainConfig

#: Settings of the main file that a worker works with; its servers and defaults are in each bot already.
WORKER_SETTINGS = ("state_dir", "runtime_dir", "timezone", "log", "reddit", "secrets_file")


@dataclass(frozen=True, slots=True)
class Changes:
    """Names of bots, in order. `kept` are those whose file became invalid: they go on with what they last read."""

    added: tuple[BotName, ...] = ()
    changed: tuple[BotName, ...] = ()
    removed: tuple[BotName, ...] = ()
    unchanged: tuple[BotName, ...] = ()
    kept: tuple[BotName, ...] = ()


def same_for_worker(old: LoadedBot, new: LoadedBot, *, old_main: MainConfig, new_main: MainConfig) -> bool:
    """Tell whether a worker started from `old` needs no restart to be one started from `new`.

    Where the two stand in their files makes no difference. The values of secrets are not looked at.
    """
    if old.config != new.config:
        return False
    return all(getattr(old_main, setting) == getattr(new_main, setting) for setting in WORKER_SETTINGS)


def diff(old: Loaded, new: Loaded) -> Changes:
    """Compare two loads whose main files are both valid.

    Raises:
        ValueError: If one of the main files is invalid: nothing may change then.
    """
    if old.main is None or new.main is None:
        raise ValueError("an invalid main file changes nothing")
    before = {bot.name: bot for bot in old.bots}
    after = {bot.name: bot for bot in new.bots}
    broken = {bot.path for bot in new.invalid}
    gone = [name for name in before if name not in after]
    same = {
        name: same_for_worker(bot, after[name], old_main=old.main, new_main=new.main)
        for name, bot in before.items()
        if name in after
    }
    return Changes(
        added=tuple(sorted(name for name in after if name not in before)),
        changed=tuple(sorted(name for name, is_same in same.items() if not is_same)),
        removed=tuple(sorted(name for name in gone if before[name].path not in broken)),
        unchanged=tuple(sorted(name for name, is_same in same.items() if is_same)),
        kept=tuple(sorted(name for name in gone if before[name].path in broken)),
    )
