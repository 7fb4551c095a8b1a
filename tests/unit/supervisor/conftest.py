"""Bots on a clock set by hand, with children that are no processes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from virtual import HandClock

from hotshotd.config.loaded import LoadedBot
from hotshotd.config.loader import load_all
from hotshotd.loop import Loop
from hotshotd.supervisor.bot import Bot
from hotshotd.supervisor.process import SpawnError

_BOT = """\
reddit: {username: NAME, password_env: P, client_id_env: I, client_secret_env: S, operator: me, subreddits: [Home]}
backstory: A lighthouse keeper.
character_budget: 1000
reply: {backend: groq, model: some-model}
safety: {moderators: [openai]}
rank: {gate_model: null, rank_model: null}
"""


class FakeChild:
    """What a bot sees of a process: what it was told, whether it was killed, and a way to speak."""

    def __init__(self, pid: int, on_message: Callable[[Any], None] | None) -> None:
        self.pid = pid
        self.sent: list[str] = []
        self.killed = False
        self.drained = False
        #: Messages that are still unread when the process ends.
        self.last_words: list[dict[str, Any]] = []
        self._on_message = on_message

    def listen(self, on_message: Callable[[Any], None]) -> None:
        self._on_message = on_message

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message["op"])

    def kill(self) -> None:
        self.killed = True

    def drain(self) -> None:
        self.drained = True
        for message in self.last_words:
            self.say(**message)

    def say(self, event: str, **facts: Any) -> None:
        assert self._on_message is not None, "nobody listens"
        self._on_message({"event": event, **facts})


class FakeSpawner:
    """Makes children, or fails as a full system does."""

    def __init__(self) -> None:
        self.children: list[FakeChild] = []
        self.paused: list[bool] = []
        self.loads: list[LoadedBot] = []
        self.is_full = False

    def __call__(self, loaded: LoadedBot, *, paused: bool, on_message: Callable[[Any], None]) -> Any:
        if self.is_full:
            raise SpawnError("can't start a process: no memory")
        self.loads.append(loaded)
        return self._make(paused, on_message)

    def spawn_many(self, bots: Sequence[tuple[LoadedBot, bool]]) -> list[Any]:
        if self.is_full:
            raise SpawnError("can't start a process: no memory")
        return [self._make(paused, None) for _, paused in bots]

    def _make(self, paused: bool, on_message: Callable[[Any], None] | None) -> FakeChild:
        self.paused.append(paused)
        self.children.append(FakeChild(100 + len(self.children), on_message))
        return self.children[-1]

    @property
    def child(self) -> FakeChild:
        """Give the newest child."""
        return self.children[-1]


class Changes:
    """Counts calls."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def clock() -> HandClock:
    return HandClock(datetime(2026, 11, 24, 23, tzinfo=UTC))


@pytest.fixture
def loop(clock: HandClock) -> Iterator[Loop]:
    loop = Loop(clock)
    yield loop
    loop.close()


@pytest.fixture
def pass_time(loop: Loop, clock: HandClock) -> Callable[[float], None]:
    """Give a function that lets seconds go by and runs what was due."""

    def go(seconds: float) -> None:
        clock.advance(seconds)
        loop.turn(0)

    return go


@pytest.fixture
def spawner() -> FakeSpawner:
    return FakeSpawner()


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture(scope="session")
def loaded_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Give a function from bot names to what loading their files gives."""

    def load(*names: str) -> Any:
        root: Path = tmp_path_factory.mktemp("config")
        (root / "bots.d").mkdir()
        main = root / "hotshotd.yaml"
        main.write_text("timezone: UTC\n", encoding="utf-8")
        for name in names:
            (root / "bots.d" / f"{name}.yaml").write_text(_BOT.replace("NAME", name), encoding="utf-8")
        loaded = load_all(main, environ={"HOME": str(root)}, check_secrets=False)
        assert not loaded.faults, loaded.faults
        return loaded

    return load


@pytest.fixture(scope="session")
def loaded_bot(loaded_of: Callable[..., Any]) -> LoadedBot:
    bot: LoadedBot = loaded_of("keeper").bots[0]
    return bot


@pytest.fixture
def bot_of(
    loop: Loop, clock: HandClock, spawner: FakeSpawner, changes: Changes, loaded_bot: LoadedBot
) -> Callable[..., Bot]:
    """Give a function that makes a bot; `chance` draws the jitter."""

    def get_today() -> date:
        return clock.now().date()

    def make(chance: random.Random | None = None) -> Bot:
        return Bot(
            loop,
            loaded_bot,
            spawn=spawner,
            chance=chance or random.Random(1),
            today=get_today,
            on_change=changes,
        )

    return make
