"""Back at work by itself: within 60 s of a fault's end a bot answers whoever asks it something new.

Faults of the network and of services come from the sandbox's fault plan, the others from this machine. Every long
fault there can be is lived through, on a virtual clock, in tests/unit/brain/test_recovery.py.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from harness import PLACE, Daemon, World, is_alive, wait_until

from hotshotd.sandbox.faults import Action, Rule, When
from hotshotd.sandbox.services import Services

#: The promise, in seconds.
BACK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong for one bot: with Reddit by its account, with services by its key."""

    service: str
    action: Action
    path: str = "*"
    status: int = 503
    when: When = When.BEFORE
    #: How often it strikes before it ends.
    strikes: int = 2

    def make_rule(self, bot: str) -> Rule:
        return Rule(
            self.action, service=self.service, path=self.path, account=bot, status=self.status, when=self.when,
            body="html" if self.action is Action.ABSURD else None, seconds=3.0, count=self.strikes,
        )  # fmt: skip


TEXT, VERDICT = "/v1/chat/completions", "/v1/moderations"
#: The bot whose service nobody can reach.
CUT_OFF = "cut_off"
#: By the name of the bot that suffers it.
FAULTS = {
    "reset": Fault("reddit", Action.RESET),
    "status": Fault("reddit", Action.STATUS),
    "garbage": Fault("reddit", Action.ABSURD),
    "slow": Fault("reddit", Action.HANG),
    "cut": Fault("reddit", Action.TRUNCATE),
    "lost_write": Fault("reddit", Action.RESET, path="/api/comment*", when=When.AFTER, strikes=1),
    "text_reset": Fault("openai", Action.RESET, path=TEXT),
    "text_status": Fault("openai", Action.STATUS, path=TEXT, status=500),
    "text_garbage": Fault("openai", Action.ABSURD, path=TEXT),
    "text_slow": Fault("openai", Action.HANG, path=TEXT, strikes=1),
    "text_cut": Fault("openai", Action.TRUNCATE, path=TEXT),
    "verdict_status": Fault("openai", Action.STATUS, path=VERDICT),
    "verdict_garbage": Fault("openai", Action.ABSURD, path=VERDICT),
}


def add_lonely_bot(world: World, name: str) -> None:
    """Add a bot with an app, a place and a key of its own: its faults and its breakers are nobody else's."""
    variable = name.upper()
    world.forum.add_subreddit(name)
    world.forum.add_client(f"app-{name}", "client-secret")
    world.services.keys[f"key-{name}"] = name
    world.environ |= {f"ID_{variable}": f"app-{name}", f"KEY_{variable}": f"key-{name}"}
    text = world.add_bot(name, more=f"backends: {{openai: {{key_env: KEY_{variable}}}}}\n")
    text = text.replace(f"[{PLACE}]", f"[{name}]").replace("BOT_ID", f"ID_{variable}")
    world.bot_file(name).write_text(text)


def add_cut_off_bot(world: World, elsewhere: Services) -> None:
    """Add a bot whose model and moderator are on servers of their own, and that asks five questions at once."""
    add_lonely_bot(world, CUT_OFF)
    text = world.bot_file(CUT_OFF).read_text()
    text = text.replace("{key_env: ", f"{{url: {elsewhere.openai_url}, key_env: ")
    world.bot_file(CUT_OFF).write_text(text.replace("  chance: 1.0\n", "  chance: 1.0\n  parallel: 5\n"))


def invent_answers() -> list[str]:
    """Give answers of which none is like another: what a bot has said it does not say again."""
    words = ("pond", "reed", "frog", "moon", "mud", "wind", "egg", "nest", "rain", "fox", "duckweed", "heron")
    chance = random.Random(1)
    return [f"It was the {' '.join(chance.sample(words, 7))}, I think." for _ in range(80)]


def ask(world: World, place: str, words: str, text: str = "I heard something at night.") -> str:
    return world.forum.submit("ann", place, words, text).fullname


def wait_answered(daemon: Daemon, thing: str, bot: str, since: float, *, what: str) -> None:
    """Wait for the answer, and say how long after `since` it came."""
    seconds = since + BACK_SECONDS - time.monotonic()
    daemon.wait_event("item.done", seconds=seconds, thing=thing, bot=bot, outcome="replied")
    print(f"{what}: answered {time.monotonic() - since:.1f} s after its end")


def test_recovery__from_every_fault_of_the_network_and_of_services(world: World) -> None:
    """Fourteen bots, each with a fault of its own, all at once; each answers again, and nothing twice.

    One finds nobody on its service's port, until the breaker opens; its five questions are answered as well.
    """
    for name in FAULTS:
        add_lonely_bot(world, name)
    with Services(keys={f"key-{CUT_OFF}": CUT_OFF}) as elsewhere:
        add_cut_off_bot(world, elsewhere)
        for services in (world.services, elsewhere):
            services.script("duck-chat", invent_answers())
        daemon = world.start()
        for name in (*FAULTS, CUT_OFF):
            daemon.wait_state(name, "running")
        elsewhere.openai.stop()
        held_up = [ask(world, CUT_OFF, f"Is it {number}?") for number in range(5)]
        daemon.wait_event("service.state", state="open")
        elsewhere.openai.start()
        back = time.monotonic()
        held_up.append(ask(world, CUT_OFF, "And what is this?"))
        suffer(world, daemon)
        for thing in held_up:
            wait_answered(daemon, thing, CUT_OFF, back, what=CUT_OFF)


def suffer(world: World, daemon: Daemon) -> None:
    """Let each fault strike its bot, end them all, and see everybody answer."""
    rules = {name: world.plan.add(fault.make_rule(name)) for name, fault in FAULTS.items()}
    for name in FAULTS:
        # Reading alone is enough for a fault of all of Reddit; the others want something to do.
        ask(world, name, "What was that?")

    def list_waiting() -> list[str]:
        struck = [fired.rule for fired in world.plan.fired]
        return [name for name, rule in rules.items() if struck.count(rule) < FAULTS[name].strikes]

    wait_until(lambda: not list_waiting(), seconds=30, what="each fault")
    world.plan.clear()
    since = time.monotonic()
    things = {name: ask(world, name, "And what is this?") for name in FAULTS}
    for name, thing in things.items():
        wait_answered(daemon, thing, name, since, what=name)
    for name in FAULTS:
        assert len(set(world.comments_of(name))) == len(world.comments_of(name))
        assert daemon.bot(name)["restarts"] == 0


# --- what goes wrong on this machine; each gives the daemon that runs after it ---


def kill_worker(_world: World, daemon: Daemon) -> Daemon:
    pid = daemon.bot("duck")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), what="the worker's end")
    return daemon


def kill_quota(_world: World, daemon: Daemon) -> Daemon:
    pid = daemon.status()["daemon"]["quota"]["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), what="the quota process's end")
    return daemon


def kill_supervisor(world: World, daemon: Daemon) -> Daemon:
    """The service manager starts another one (tests/systemd/test_death.py shows that it does)."""
    daemon.kill()
    daemon.end()
    return world.start(ready=False)


@contextmanager
def _no_room(pid: int) -> Iterator[None]:
    """Refuse every write of a process, as a full disk does (EFBIG; CPython ignores SIGXFSZ)."""
    usual = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, usual[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, usual)


def fill_disk(world: World, daemon: Daemon) -> Daemon:
    with _no_room(daemon.status()["daemon"]["quota"]["pid"]):
        # A mark a slab ahead is durable already; what is asked for now is more than that.
        for number in range(2):
            ask(world, PLACE, f"Who quacks {number}?", "And quacks. " * 200)
        daemon.wait_event("quota.state", state="failing")
    return daemon


@pytest.mark.parametrize("harm", [kill_worker, kill_quota, kill_supervisor, fill_disk], ids=lambda harm: harm.__name__)
def test_recovery__from_what_happens_to_this_machine(world: World, harm: Callable[[World, Daemon], Daemon]) -> None:
    """A process that was killed, a disk that was full: nobody has to do anything, and nothing is answered twice."""
    world.add_bot("duck")
    daemon = world.start()
    first = ask(world, PLACE, "What was that?")
    daemon.wait_event("item.done", thing=first, outcome="replied")
    daemon = harm(world, daemon)
    since = time.monotonic()
    thing = ask(world, PLACE, "And what is this?")
    wait_answered(daemon, thing, "duck", since, what=harm.__name__)
    answered = world.comments_of("duck")
    assert answered.count(first) == answered.count(thing) == 1
    daemon.wait_state("duck", "running")
