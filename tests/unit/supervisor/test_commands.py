"""The operator's commands on a supervisor whose children are no processes: what is answered, when, and once."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hotshotd._types import BotName
from hotshotd.config.loaded import Loaded
from hotshotd.errors import BotPaused, ControlError, HotshotError, UnknownBot
from hotshotd.supervisor.commands import PAUSE_SECONDS, SIGN_IN_SECONDS, Commands, compute_spend
from hotshotd.supervisor.states import State
from hotshotd.supervisor.supervisor import Supervisor
from hotshotd.supervisor.wishes import Pause, Wishes


class FakeQuota:
    """What a supervisor sees of the quota process."""

    def __init__(self) -> None:
        self.pid, self.state, self.message = 50, "ok", ""
        self.snapshot: dict[str, Any] = {}
        self.next_snapshot: dict[str, Any] | None = None
        self.paused: dict[str, bool] = {}
        self.settings: dict[str, Any] = {}
        self.held: list[Callable[[], None]] | None = None
        self.is_stopped = False

    def configure(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def set_paused(self, bot: str, *, paused: bool, then: Callable[[], None]) -> None:
        self.paused[bot] = paused
        if self.held is None:
            then()
        else:
            self.held.append(then)

    def refresh(self, then: Callable[[], None], *, seconds: float) -> None:
        self.snapshot = self.next_snapshot or self.snapshot
        then()

    def stop(self, _then: Callable[[], None], *, seconds: float) -> None:
        self.is_stopped = True

    def reap(self, pid: int, status: int) -> None: ...


class Answers:
    """All that a command answered."""

    def __init__(self) -> None:
        self.replies: list[dict[str, Any]] = []
        self.failures: list[tuple[str, str]] = []

    def take(self) -> dict[str, Any]:
        return {"reply": self.replies.append, "fail": lambda code, message: self.failures.append((code, message))}


class Room:
    """A supervisor of two running bots, `anna` and `bert`, and the files it will read next."""

    def __init__(self, loop: Any, spawner: Any, loaded: Loaded, folder: Path) -> None:
        self.files = loaded
        self.quota = FakeQuota()
        self.spawner = spawner
        self.wishes = Wishes(folder / "paused.json")
        self.supervisor = Supervisor(
            loop,
            loaded,
            load=lambda _running: self.files,
            quota=self.quota,  # type: ignore[arg-type]
            spawn=lambda _loaded: spawner,
            wishes=self.wishes,
            chance=random.Random(1),
            on_change=lambda: None,
        )
        self.supervisor.bots = {bot.name: self.supervisor._make_bot(bot) for bot in loaded.bots}
        self.supervisor._start_together(tuple(self.supervisor.bots.values()))
        self.sign_in()
        self.commands = Commands(self.supervisor)
        self.answers = Answers()

    def sign_in(self) -> None:
        for child in self.spawner.children:
            child.say("signed_in")

    def get(self, name: str) -> Any:
        return self.supervisor.bots[BotName(name)]

    def child(self, name: str) -> Any:
        return next(child for child in self.spawner.children if child.pid == self.get(name).pid)

    def pause(self, *names: str, **settings: Any) -> None:
        chosen = list(names) or None
        self.commands.pause(chosen, **{"until": None, "reason": "", **settings}, **self.answers.take())

    def status(self, *names: str) -> Any:
        replies: list[Any] = []
        self.commands.status(names, reply=replies.append)
        return replies[0]


@pytest.fixture
def room(loop: Any, spawner: Any, loaded_of: Callable[..., Loaded], tmp_path: Path) -> Room:
    return Room(loop, spawner, loaded_of("anna", "bert"), tmp_path)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Give a function from whose call on nothing can be made durable."""

    def fail(_number: int) -> None:
        raise OSError(28, "No space left on device")

    return lambda: monkeypatch.setattr(os, "fsync", fail)


# -- figures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spent", "budget", "percent"),
    [(0, 1000, 0), (9, 1000, 0), (10, 1000, 1), (999, 1000, 99), (1000, 1000, 100), (1999, 1000, 199), (0, 0, 100)],
)
def test_spend__rounds_percent_down(spent: int, budget: int, percent: int) -> None:
    """99.9 % is not yet all; a budget of nothing is used up from the start."""
    assert compute_spend(spent, budget) == {"characters": spent, "budget": budget, "percent": percent}


def test_spend__of_an_unlimited_budget_has_no_percent() -> None:
    """`budget` and `percent` are null; characters are counted all the same."""
    assert compute_spend(5, None) == {"characters": 5, "budget": None, "percent": None}


def test_spend__is_exact_for_large_numbers() -> None:
    """No float on the way."""
    assert compute_spend(10**18 - 1, 10**18)["percent"] == 99


# -- status and quota --------------------------------------------------------------------------


def test_status__has_the_contracts_fields(room: Room) -> None:
    """Scripts rely on these names."""
    room.quota.next_snapshot = {"ok": True, "quota": {"bots": [{"name": "anna", "characters": 15}]}, "services": []}
    answer = room.status()
    assert {"version", "pid", "uptime_s", "quota", "services"} <= set(answer["daemon"])
    assert answer["daemon"]["quota"] == {"pid": 50, "state": "ok", "message": ""}
    anna, bert = answer["bots"]
    fields = (
        "name state reason pid uptime_s restarts dry_run read write spend next_post_at poll_interval_s paused_until"
        " degraded last_error"
    )
    assert set(fields.split()) <= set(anna)
    assert (anna["name"], anna["state"], bert["name"]) == ("anna", "running", "bert")
    assert anna["spend"] == {"characters": 15, "budget": 1000, "percent": 1}
    assert bert["spend"]["characters"] == 0


def test_status__shows_the_last_figures_while_there_are_no_new_ones(room: Room) -> None:
    """The quota process may be away; status never waits for it."""
    room.quota.snapshot = {"quota": {"bots": [{"name": "anna", "characters": 30}]}}
    assert room.status("anna")["bots"][0]["spend"]["percent"] == 3


def test_status__of_a_name_given_twice_is_shown_once(room: Room) -> None:
    """Each bot once, in the order asked."""
    assert [bot["name"] for bot in room.status("bert", "anna", "bert")["bots"]] == ["bert", "anna"]


def test_status__refuses_an_unknown_name(room: Room) -> None:
    """One unknown among known ones, and nothing is answered."""
    with pytest.raises(UnknownBot, match="nobody: no such bot"):
        room.commands.status(["anna", "nobody"], reply=room.answers.replies.append)
    assert room.answers.replies == []


@pytest.mark.parametrize("name", ["anna", None])
def test_quota__is_empty_before_the_first_figures(room: Room, name: str | None) -> None:
    """No figures is `{}`, whether one bot is asked for or all."""
    room.commands.quota(name, reply=room.answers.replies.append)
    assert room.answers.replies == [{}]


def test_quota__of_one_bot_leaves_the_others_out(room: Room) -> None:
    """And the stored figures stay whole."""
    room.quota.snapshot = {"quota": {"day": "2026-11-24", "bots": [{"name": "anna"}, {"name": "bert"}]}}
    room.commands.quota("bert", reply=room.answers.replies.append)
    room.commands.quota(None, reply=room.answers.replies.append)
    assert [len(reply["bots"]) for reply in room.answers.replies] == [1, 2]


# -- pause and resume --------------------------------------------------------------------------


def test_pause__answers_when_both_ledger_and_worker_are_quiet(room: Room) -> None:
    """Once it returns the bot writes nothing and spends nothing: both must have said so."""
    room.quota.held = []
    room.pause("anna")
    room.child("anna").say("paused", in_doubt=None)
    assert room.answers.replies == []
    room.quota.held[0]()
    assert room.answers.replies == [{"paused": ["anna"]}]
    assert room.quota.paused == {"anna": True}


def test_pause__of_a_name_given_twice_still_waits_for_the_worker(room: Room) -> None:
    """Two answers of the ledger are not one of the worker."""
    room.pause("anna", "anna")
    assert room.answers.replies == []
    room.child("anna").say("paused", in_doubt=None)
    assert room.answers.replies == [{"paused": ["anna"]}]


def test_pause__of_all_waits_for_the_slowest(room: Room) -> None:
    """One answer, when every worker is quiet."""
    room.pause()
    room.child("anna").say("paused", in_doubt=None)
    assert room.answers.replies == []
    room.child("bert").say("paused", in_doubt=None)
    assert room.answers.replies == [{"paused": ["anna", "bert"]}]


def test_pause__of_an_empty_list_pauses_nobody(room: Room) -> None:
    """All is null; a script's empty list is nobody."""
    room.commands.pause([], until=None, reason="", **room.answers.take())
    assert room.answers.replies == [{"paused": []}]
    assert room.get("anna").pause is None


def test_pause__names_the_write_in_doubt(room: Room) -> None:
    """The command fails, the pause holds."""
    room.pause("anna")
    room.child("anna").say("paused", in_doubt="reply to t1_x")
    [(code, message)] = room.answers.failures
    assert (code, room.answers.replies, room.get("anna").shown) == ("in_doubt", [], State.PAUSED)
    assert "anna: reply to t1_x" in message


def test_pause__gives_up_on_a_silent_worker(room: Room, pass_time: Callable[[float], None]) -> None:
    """After its time it fails and names the bot; a late confirmation answers nothing more."""
    room.pause("anna")
    pass_time(PAUSE_SECONDS)
    assert [code for code, _ in room.answers.failures] == ["in_doubt"]
    assert "anna did not confirm" in room.answers.failures[0][1]
    room.child("anna").say("paused", in_doubt=None)
    assert (room.answers.replies, len(room.answers.failures)) == ([], 1)


def test_pause__that_cannot_be_stored_fails_once(
    room: Room, full_disk: Callable[[], None], pass_time: Callable[[float], None]
) -> None:
    """A full disk: the bot is not paused, and no second answer comes when the time for confirmations is over."""
    full_disk()
    room.pause("anna")
    pass_time(PAUSE_SECONDS + 1)
    assert [code for code, _ in room.answers.failures] == ["disk"]
    assert (room.get("anna").pause, room.quota.paused) == (None, {})


def test_pause__refuses_an_end_in_the_past(room: Room, clock: Any) -> None:
    """Nothing has changed then."""
    room.pause("anna", until=clock.now())
    assert [code for code, _ in room.answers.failures] == ["past"]
    assert room.get("anna").pause is None


def test_pause__refuses_all_for_one_unknown_name(room: Room) -> None:
    """With several names, one unknown name changes nothing."""
    with pytest.raises(UnknownBot):
        room.pause("anna", "nobody")
    assert room.get("anna").pause is None


def test_pause__ends_by_itself(room: Room, clock: Any, pass_time: Callable[[float], None]) -> None:
    """At its time the ledger grants again and the worker goes on, also when the end is hours away."""
    room.pause("anna", until=clock.now() + timedelta(minutes=90))
    for _ in range(89):
        room.child("anna").say("beat")
        pass_time(60)
    assert room.get("anna").shown is State.PAUSED
    pass_time(31 * 60)
    assert (room.get("anna").pause, room.quota.paused) == (None, {"anna": False})
    assert room.child("anna").sent[-1] == "resume"


def test_pause__ends_by_itself_on_a_full_disk(
    room: Room, clock: Any, pass_time: Callable[[float], None], full_disk: Callable[[], None]
) -> None:
    """The stored wish has run out anyway: a disk that takes no more must not end the daemon."""
    room.pause("anna", until=clock.now() + timedelta(seconds=10))
    full_disk()
    pass_time(11)
    assert room.get("anna").pause is None


def test_pause__is_laid_over_a_bot_at_the_next_start(room: Room, loop: Any, loaded_of: Any, tmp_path: Path) -> None:
    """The wish is the operator's, not the process's."""
    room.pause("anna", reason="holiday")
    again = Room(loop, type(room.spawner)(), loaded_of("anna"), tmp_path)
    assert again.get("anna").pause == Pause(reason="holiday")
    assert again.spawner.paused == [True]


def test_resume__answers_once_when_all_may_go_on(room: Room) -> None:
    """Also when a name was given twice."""
    room.pause("anna")
    room.commands.resume(["anna", "anna"], **room.answers.take())
    assert room.answers.replies == [{"resumed": ["anna"]}]
    assert room.get("anna").shown is State.RUNNING


def test_resume__that_cannot_be_stored_leaves_the_pause(room: Room, full_disk: Callable[[], None]) -> None:
    """Else the bot would be quiet again after a restart, by surprise."""
    room.pause("anna")
    full_disk()
    room.commands.resume(["anna"], **room.answers.take())
    assert [code for code, _ in room.answers.failures] == ["disk"]
    assert room.get("anna").shown is State.PAUSED


# -- reload and restart ------------------------------------------------------------------------


def test_reload__without_changes_restarts_nobody(room: Room, pass_time: Callable[[float], None]) -> None:
    """Both bots are unchanged and keep their processes."""
    room.commands.reload(None, **room.answers.take())
    pass_time(0)
    [answer] = room.answers.replies
    assert (answer["unchanged"], answer["added"], answer["changed"]) == (["anna", "bert"], [], [])
    assert len(room.spawner.children) == 2


def test_reload__answers_when_new_workers_are_signed_in(
    room: Room, loaded_of: Any, pass_time: Callable[[float], None]
) -> None:
    """A new file is a new worker; the command waits for it."""
    fresh = loaded_of("carl")
    room.files = Loaded(fresh.main_path, room.files.main, (), (*room.files.bots, *fresh.bots), ())
    room.commands.reload(None, **room.answers.take())
    pass_time(0)
    assert room.answers.replies == []
    room.child("carl").say("signed_in")
    [answer] = room.answers.replies
    assert (answer["added"], answer["not_running"]) == (["carl"], [])


def test_restart__answers_after_its_time_at_the_latest(room: Room, pass_time: Callable[[float], None]) -> None:
    """A worker that does not sign in is named, with what it does instead."""
    room.commands.restart("anna", **room.answers.take())
    room.get("anna").reap(room.get("anna").pid, 0)
    pass_time(SIGN_IN_SECONDS)
    [answer] = room.answers.replies
    assert answer["not_running"] == [{"name": "anna", "state": "starting", "reason": "not signed in yet"}]


def test_reload__tries_a_failed_bot_again(room: Room) -> None:
    """The operator may have mended what only a service could tell."""
    room.get("anna").reap(room.get("anna").pid, 77)
    room.commands.reload(None, **room.answers.take())
    assert room.get("anna").state is State.STARTING


def test_reload__stops_and_forgets_a_removed_bot(room: Room) -> None:
    """It is shown until its process has ended."""
    room.files = Loaded(room.files.main_path, room.files.main, (), room.files.bots[:1], ())
    bert = room.get("bert")
    room.commands.reload(None, **room.answers.take())
    assert bert.state is State.STOPPING
    bert.reap(bert.pid, 0)
    assert list(room.supervisor.bots) == ["anna"]


def test_reload__keeps_a_bot_whose_file_is_back_while_it_drains(room: Room) -> None:
    """Removed and put back within the grace: it starts anew and is not forgotten."""
    whole = room.files
    room.files = Loaded(whole.main_path, whole.main, (), whole.bots[:1], ())
    room.commands.reload(None, **room.answers.take())
    room.files = whole
    room.commands.reload(None, **room.answers.take())
    bert = room.get("bert")
    bert.reap(bert.pid, 0)
    assert (room.get("bert").state, sorted(room.supervisor.bots)) == (State.STARTING, ["anna", "bert"])


def test_reload__of_an_unknown_bot_changes_nothing(room: Room) -> None:
    """Neither running nor in the files as they are now."""
    with pytest.raises(UnknownBot):
        room.commands.reload("nobody", **room.answers.take())


def test_reload__is_refused_while_the_daemon_stops(room: Room) -> None:
    """A worker that was started now would keep the daemon from ending."""
    room.supervisor.handle_term()
    with pytest.raises(ControlError, match="stopping"):
        room.commands.reload(None, **room.answers.take())
    with pytest.raises(ControlError, match="stopping"):
        room.commands.restart("anna", **room.answers.take())
    for name in ("anna", "bert"):
        assert not room.quota.is_stopped
        room.get(name).reap(room.get(name).pid, 0)
    assert room.quota.is_stopped
    assert len(room.spawner.children) == 2


# -- tokens ------------------------------------------------------------------------------------


def test_token__is_kept_and_the_bot_starts_anew(room: Room) -> None:
    """The token lies in its file before the worker that will read it is made; no answer holds it."""
    room.commands.token("anna", token="brought-by-auth", **room.answers.take())
    kept = room.supervisor.main.state_dir / "tokens" / "anna"
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == ("brought-by-auth\n", 0o600)
    assert room.child("anna").sent == ["stop"]
    room.get("anna").reap(room.get("anna").pid, 0)
    room.sign_in()
    room.supervisor.loop.turn(0)
    assert room.get("anna").state is State.RUNNING
    assert "brought-by-auth" not in str(room.answers.replies + room.answers.failures)


def test_token__that_can_not_be_stored_changes_nothing(room: Room, full_disk: Callable[[], None]) -> None:
    """A full disk fails the command; the bot goes on with what it has."""
    full_disk()
    room.commands.token("anna", token="brought-by-auth", **room.answers.take())
    assert [code for code, _ in room.answers.failures] == ["disk"]
    assert room.child("anna").sent == []
    assert list((room.supervisor.main.state_dir / "tokens").iterdir()) == []


@pytest.mark.parametrize(("name", "token"), [("nobody", "brought-by-auth"), ("anna", "no token"), ("anna", "x")])
def test_token__for_nobody_or_of_no_use_is_refused(room: Room, name: str, token: str) -> None:
    """An unknown bot, and a word that can't be a token, change nothing."""
    with pytest.raises(HotshotError):
        room.commands.token(name, token=token, **room.answers.take())
    assert room.child("anna").sent == []


# -- try and post ------------------------------------------------------------------------------


def test_errand__goes_to_the_bots_worker(room: Room) -> None:
    """Steps, reply and failure are those of the bot's errand."""
    steps: list[Any] = []
    room.commands.try_thing("anna", url="t3_a", step=steps.append, **room.answers.take())
    drop = room.commands.make_post("anna", dry_run=True, step=steps.append, **room.answers.take())
    child = room.child("anna")
    assert child.sent == ["try", "post"]
    child.say("step", id=1, name="prompt", text="", cost=3)
    child.say("errand_done", id=1, ok=True, data={"would_reply": False})
    assert (steps, room.answers.replies) == ([{"name": "prompt", "text": "", "cost": 3}], [{"would_reply": False}])
    drop()
    assert child.sent == ["try", "post", "drop"]
    assert room.child("bert").sent == []


@pytest.mark.parametrize(
    ("permalink", "shown"),
    [("/r/a/comments/b/", "https://www.reddit.com/r/a/comments/b/"), ("https://x/b", "https://x/b"), (None, None)],
)
def test_post__gives_the_whole_address(room: Room, permalink: str | None, shown: str | None) -> None:
    """A worker knows the path; the site is the main file's."""
    room.commands.make_post("anna", dry_run=False, step=lambda _: None, **room.answers.take())
    room.child("anna").say("errand_done", id=1, ok=True, data={"thing": "t3_b", "permalink": permalink})
    assert room.answers.replies == [{"thing": "t3_b", "permalink": shown}]


@pytest.mark.parametrize("command", ["try_thing", "make_post"])
def test_errand__is_refused_before_anything_is_asked(room: Room, command: str) -> None:
    """Unknown, paused, not running, the daemon stopping: an error, and the worker hears nothing."""
    settings: dict[str, Any] = {"url": "t3_a"} if command == "try_thing" else {"dry_run": False}
    settings |= {"step": lambda _: None, **room.answers.take()}
    call = getattr(room.commands, command)
    with pytest.raises(UnknownBot):
        call("nobody", **settings)
    room.pause("anna")
    room.child("anna").say("paused", in_doubt=None)
    with pytest.raises(BotPaused, match="hotshotctl resume anna"):
        call("anna", **settings)
    bert = room.get("bert")
    bert.reap(bert.pid, 1)
    with pytest.raises(ControlError, match="bert is backoff, not running"):
        call("bert", **settings)
    room.supervisor.handle_term()
    with pytest.raises(ControlError, match="stopping"):
        call("anna", **settings)
    assert room.child("anna").sent == ["pause", "stop"]
