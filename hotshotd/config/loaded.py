"""What loading gives: configurations, and every fault of every file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hotshotd._types import BotName
from hotshotd.config.document import Tree
from hotshotd.config.faults import Fault, Place, Places, find_place, unique
from hotshotd.config.hotshotbot import OldFile
from hotshotd.config.schema import BotConfig, MainConfig


@dataclass(frozen=True, slots=True)
class LoadedBot:
    """A bot whose file is right. `places` says where each key was written (in its file or in the main one)."""

    config: BotConfig
    path: Path
    places: Places = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> BotName:
        return BotName(self.config.name)

    @property
    def account(self) -> str:
        """The Reddit account, in the form in which two are compared."""
        return self.config.reddit.username.casefold()

    def place(self, *path: str | int) -> Place:
        """Give the line of a key, or of the nearest mapping around it."""
        return find_place(self.places, path, default=Place(self.path, 1))


@dataclass(frozen=True, slots=True)
class InvalidBot:
    """A file that makes no bot. `name` is the one it gives itself, else its stem.

    `duplicate_of` is set where all that is wrong is that another file has the same name or account; it is that
    other file, and `name` may then be a running bot's.
    """

    name: BotName
    path: Path
    faults: tuple[Fault, ...]
    duplicate_of: Path | None = None


@dataclass(frozen=True, slots=True)
class MainLoad:
    """The main file. `config` is None when there is any fault.

    `tree` holds what was written over the presets, for the bots' files to be laid over; it is there whenever
    the file is a mapping, so that bots can be checked beside a faulty main file. `home` is what `~/` stands for.
    """

    path: Path | None
    config: MainConfig | None
    faults: tuple[Fault, ...]
    tree: Tree | None = field(repr=False)
    home: Path = Path("/")


@dataclass(frozen=True, slots=True)
class BotLoad:
    """One bot's file: `bot`, or `invalid`, never both. Faults lie in its file, or in the main one's `bot_defaults`.

    `old` and `tree` (its merged keys) are there for a valid file of HotShotBot.
    """

    path: Path
    bot: LoadedBot | None
    invalid: InvalidBot | None
    warnings: tuple[Fault, ...] = ()
    old: OldFile | None = None
    tree: Tree | None = field(default=None, repr=False)

    @property
    def faults(self) -> tuple[Fault, ...]:
        return self.invalid.faults if self.invalid else ()


@dataclass(frozen=True, slots=True)
class Loaded:
    """All files together. With `main_faults` the daemon can't run, whatever `bots` holds."""

    main_path: Path | None
    main: MainConfig | None
    main_faults: tuple[Fault, ...]
    bots: tuple[LoadedBot, ...]
    invalid: tuple[InvalidBot, ...]
    warnings: tuple[Fault, ...] = ()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Every fault once: the main file's first, then by file name."""
        return unique([*self.main_faults, *(fault for bot in self.invalid for fault in bot.faults)])
