"""One bot's life with a child that is no process: starts, deaths, silence, stops, pauses, and counters."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from hotshotd.supervisor.bot import EXIT_FATAL, GRACE_SECONDS, HEALTHY_SECONDS, SILENCE_SECONDS
from hotshotd.supervisor.states import State
from hotshotd.supervisor.wishes import Pause

Pass = Callable[[float], None]


class Drawn(random.Random):
    """A chance that always draws one value."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self._value = value

    def random(self) -> float:
        return self._value


@pytest.fixture
def bot(bot_of: Callable[..., Any]) -> Any:
    """A bot whose jitter is half of the ceiling."""
    return bot_of(Drawn(0.5))


@pytest.fixture
def running(bot: Any, spawner: Any) -> Any:
    """A bot that is signed in."""
    bot.start()
    spawner.child.say("signed_in")
    return bot


def _keep_alive(spawner: Any, pass_time: Pass, seconds: float) -> None:
    for _ in range(int(seconds / 10)):
        pass_time(10)
        spawner.child.say("beat")


# -- start -------------------------------------------------------------------------------------


def test_start__is_starting_until_signed_in(bot: Any, spawner: Any, pass_time: Pass) -> None:
    """`running` means signed in; before, it is `starting`, with a process."""
    bot.start()
    assert (bot.state, bot.pid, bot.is_settled) == (State.STARTING, 100, False)
    pass_time(5)
    spawner.child.say("signed_in")
    assert (bot.state, bot.is_settled, bot.restarts) == (State.RUNNING, True, 0)
    assert bot.describe()["uptime_s"] == 5


def test_start__takes_a_child_that_was_forked_before(bot: Any, spawner: Any) -> None:
    """Children of a common start are forked in a row, and listened to afterwards."""
    [child] = spawner.spawn_many([(bot.loaded, False)])
    bot.start(child)
    child.say("signed_in")
    assert (bot.state, bot.pid, len(spawner.children)) == (State.RUNNING, child.pid, 1)


def test_waiting__is_a_start_that_has_not_failed(bot: Any, spawner: Any, pass_time: Pass) -> None:
    """A worker that can't sign in waits with its process and no restart is counted; then it runs, and grows healthy."""
    bot.start()
    spawner.child.say("waiting", reason="signing in: no network")
    assert (bot.shown, bot.reason, bot.pid) == (State.BACKOFF, "signing in: no network", 100)
    assert (bot.is_waiting, bot.is_settled, bot.restarts) == (True, False, 0)
    _keep_alive(spawner, pass_time, 300)
    assert (len(spawner.children), spawner.child.killed) == (1, False)
    spawner.child.say("signed_in")
    assert (bot.state, bot.reason, bot.is_waiting, bot.is_settled) == (State.RUNNING, "", False, True)
    spawner.child.say("waiting", reason="too late")
    assert bot.state is State.RUNNING


def test_waiting__ends_like_any_other_start(bot: Any, spawner: Any, pass_time: Pass) -> None:
    """One that dies meanwhile is replaced; one that is refused has failed; one that is stopped stops."""
    bot.start()
    spawner.child.say("waiting", reason="no network")
    bot.reap(bot.pid, 1)
    assert (bot.state, bot.is_waiting, bot.is_settled, bot.restarts) == (State.BACKOFF, False, True, 1)
    pass_time(1)
    spawner.child.say("waiting", reason="no network")
    bot.reap(bot.pid, EXIT_FATAL)
    assert bot.state is State.FAILED
    bot.start()
    spawner.child.say("waiting", reason="no network")
    bot.stop()
    assert (bot.state, spawner.child.sent) == (State.STOPPING, ["stop"])
    bot.reap(bot.pid, 0)
    assert bot.state is State.STOPPED


def test_waiting__is_watched(bot: Any, spawner: Any, pass_time: Pass) -> None:
    """A worker that falls silent while it waits is killed as any other."""
    bot.start()
    spawner.child.say("waiting", reason="no network")
    pass_time(SILENCE_SECONDS)
    assert spawner.child.killed


def test_start__on_a_full_system_is_a_failure_like_any_other(bot: Any, spawner: Any, pass_time: Pass) -> None:
    """No process to be had: back-off, and another try."""
    spawner.is_full = True
    bot.start()
    assert (bot.state, bot.pid, bot.restarts) == (State.BACKOFF, None, 1)
    assert bot.last_error == "can't start a process: no memory"
    spawner.is_full = False
    pass_time(0.5)
    assert bot.state is State.STARTING


def test_start__forgets_what_an_earlier_worker_reported(running: Any, spawner: Any, pass_time: Pass) -> None:
    """A new worker has neither bans nor missing roles until it says so."""
    spawner.child.say("report", report={"banned_in": ["Home"], "degraded": ["rank"], "poll_interval_s": 90.0})
    assert running.describe()["banned_in"] == ["Home"]
    running.reap(running.pid, 1)
    pass_time(1)
    shown = running.describe()
    assert (shown["banned_in"], shown["degraded"], shown["poll_interval_s"]) == ([], [], 30.0)


def test_report__is_a_change_only_where_something_changes(running: Any, spawner: Any, changes: Any) -> None:
    """A worker says after every poll that it reads; nobody has to look at every bot each time."""
    before = changes.count
    for facts in ({"reading": True}, {"reading": True}, {"poll_interval_s": 90.0}, {"reading": False}):
        spawner.child.say("report", report=facts)
    assert changes.count == before + 2


def test_message__that_nobody_knows_is_passed_over(running: Any, spawner: Any) -> None:
    """A newer worker may say more."""
    spawner.child.say("weather", sunny=True)
    assert running.state is State.RUNNING


def test_signed_in__after_a_stop_changes_nothing(bot: Any, spawner: Any) -> None:
    """A sign-in that crosses the stop does not make it run again."""
    bot.start()
    bot.stop()
    spawner.child.say("signed_in")
    assert bot.state is State.STOPPING


# -- deaths ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (1, "the worker ended with exit code 1"),
        (0, "the worker ended with exit code 0"),
        (-9, "the worker was ended by signal 9"),
    ],
)
def test_exit__waits_and_starts_again(running: Any, spawner: Any, pass_time: Pass, status: int, reason: str) -> None:
    """Any exit that was not asked for is a failure: backoff, counted, told, and mended after the jittered delay."""
    running.reap(running.pid, status)
    assert (running.state, running.reason, running.last_error) == (State.BACKOFF, reason, reason)
    assert (running.restarts, running.pid, spawner.child.drained) == (1, None, True)
    pass_time(0.49)
    assert running.state is State.BACKOFF
    pass_time(0.02)
    assert (running.state, running.pid) == (State.STARTING, 101)


def test_exit__of_a_stranger_changes_nothing(running: Any) -> None:
    """The supervisor tells every bot of every death."""
    running.reap(4711, 1)
    assert (running.state, running.pid) == (State.RUNNING, 100)


def test_backoff__doubles_with_each_failure(running: Any, pass_time: Pass, loop: Any) -> None:
    """1 s, 2 s, 4 s, 8 s, here halved by the draw."""
    waits = []
    for _ in range(4):
        running.reap(running.pid, 1)
        waits.append(loop._compute_wait(None))
        pass_time(waits[-1])
    assert waits == pytest.approx([0.5, 1.0, 2.0, 4.0])
    assert running.restarts == 4


@pytest.mark.parametrize("draw", [0.0, 0.25, 0.99])
def test_backoff__is_jittered(bot_of: Callable[..., Any], loop: Any, draw: float) -> None:
    """The delay is the drawn share of the ceiling, a tenth of a second at the least."""
    bot = bot_of(Drawn(draw))
    bot.start()
    bot.reap(bot.pid, 1)
    assert loop._compute_wait(None) == pytest.approx(max(0.1, draw))


def test_backoff__is_forgotten_after_a_healthy_minute(running: Any, spawner: Any, pass_time: Pass, loop: Any) -> None:
    """60 s of running end the row of failures; the count of restarts stays."""
    for _ in range(5):
        running.reap(running.pid, 1)
        pass_time(100)
    spawner.child.say("signed_in")
    _keep_alive(spawner, pass_time, HEALTHY_SECONDS)
    running.reap(running.pid, 1)
    assert loop._compute_wait(None) == pytest.approx(0.5)
    assert running.restarts == 6


def test_backoff__grows_on_without_a_healthy_minute(running: Any, spawner: Any, pass_time: Pass, loop: Any) -> None:
    """59 s are not enough: a worker that dies each minute is no healthy one."""
    running.reap(running.pid, 1)
    pass_time(1)
    spawner.child.say("signed_in")
    _keep_alive(spawner, pass_time, 50)
    pass_time(9)
    running.reap(running.pid, 1)
    assert loop._compute_wait(None) == pytest.approx(1.0)


def test_exit_77__fails_and_is_not_tried_again(running: Any, spawner: Any, pass_time: Pass) -> None:
    """What a restart can't mend: `failed` with the cause that the worker said last, and no new process."""
    spawner.child.last_words = [{"event": "fatal", "reason": "Reddit refuses the password"}]
    running.reap(running.pid, EXIT_FATAL)
    assert (running.state, running.reason) == (State.FAILED, "Reddit refuses the password")
    assert (running.last_error, running.restarts, running.is_settled) == ("Reddit refuses the password", 0, True)
    pass_time(100_000)
    assert (running.state, len(spawner.children)) == (State.FAILED, 1)


def test_exit_77__leaves_no_timer(running: Any, loop: Any) -> None:
    """Neither heartbeat nor healthy minute of a dead worker wakes the daemon, or forgives what came after."""
    running.reap(running.pid, EXIT_FATAL)
    assert loop._compute_wait(None) is None


def test_exit_77__without_words_still_has_a_reason(bot: Any) -> None:
    """A worker that dies before it can say why is `failed` all the same."""
    bot.start()
    bot.reap(bot.pid, EXIT_FATAL)
    assert (bot.state, bot.reason) == (State.FAILED, "the platform refuses the account")


def test_failed__is_tried_again_when_asked(running: Any, spawner: Any) -> None:
    """`reload` and `restart` start it anew, and the old reason is gone."""
    spawner.child.say("fatal", reason="suspended")
    running.reap(running.pid, EXIT_FATAL)
    running.stop(running.start)
    assert (running.state, running.reason) == (State.STARTING, "")
    running.reap(running.pid, EXIT_FATAL)
    assert running.reason == "the platform refuses the account"


def test_reset_failures__makes_the_next_delay_the_first(running: Any, pass_time: Pass, loop: Any) -> None:
    """A fresh start that the operator asked for does not inherit a long delay."""
    for _ in range(6):
        running.reap(running.pid, 1)
        pass_time(100)
    running.reset_failures()
    running.reap(running.pid, 1)
    assert loop._compute_wait(None) == pytest.approx(0.5)


# -- silence -----------------------------------------------------------------------------------


def test_silence__is_killed_after_thirty_seconds(running: Any, spawner: Any, pass_time: Pass) -> None:
    """No sign of life for 30 s: SIGKILL, and the death that follows is a failure."""
    pass_time(SILENCE_SECONDS - 0.1)
    assert not spawner.child.killed
    pass_time(0.2)
    assert spawner.child.killed
    running.reap(running.pid, -9)
    assert running.state is State.BACKOFF


def test_silence__counts_while_starting_too(bot: Any, spawner: Any, pass_time: Pass) -> None:
    """A worker that hangs before its sign-in is replaced as well."""
    bot.start()
    pass_time(SILENCE_SECONDS)
    assert spawner.child.killed


def test_beat__keeps_a_worker_alive(running: Any, spawner: Any, pass_time: Pass) -> None:
    """Each beat gives it 30 s from then on."""
    _keep_alive(spawner, pass_time, 600)
    pass_time(29)
    assert not spawner.child.killed
    pass_time(1)
    assert spawner.child.killed


def test_sleep_of_the_machine__is_no_silence(running: Any, spawner: Any, pass_time: Pass) -> None:
    """After a night the worker gets 30 s to be heard, and is killed only if it is not."""
    pass_time(8 * 3600)
    assert not spawner.child.killed
    pass_time(SILENCE_SECONDS - 0.1)
    assert not spawner.child.killed
    pass_time(0.2)
    assert spawner.child.killed


def test_silence__of_a_new_worker_is_its_own(running: Any, spawner: Any, pass_time: Pass) -> None:
    """The watch over a worker ends with it: the next one has its full 30 s."""
    pass_time(29)
    running.reap(running.pid, 1)
    pass_time(0.5)
    assert running.state is State.STARTING
    pass_time(29)
    assert not spawner.child.killed


# -- stop --------------------------------------------------------------------------------------


def test_stop__asks_then_kills_after_the_grace(running: Any, spawner: Any, pass_time: Pass) -> None:
    """8 s to drain, then SIGKILL."""
    running.stop()
    assert (running.state, spawner.child.sent) == (State.STOPPING, ["stop"])
    pass_time(GRACE_SECONDS - 0.1)
    assert not spawner.child.killed
    pass_time(0.2)
    assert spawner.child.killed


@pytest.mark.parametrize("status", [0, 1, -9, EXIT_FATAL])
def test_stop__ends_stopped_whatever_the_exit(running: Any, pass_time: Pass, spawner: Any, status: int) -> None:
    """An exit that was asked for is no failure: not counted, not mended; `then` is called once."""
    calls: list[str] = []
    running.stop(lambda: calls.append("gone"))
    running.reap(running.pid, status)
    assert (running.state, running.restarts, calls) == (State.STOPPED, 0, ["gone"])
    pass_time(1000)
    assert (calls, len(spawner.children), spawner.child.killed) == (["gone"], 1, False)


def test_stop__twice_asks_once_and_the_last_wish_counts(running: Any, spawner: Any) -> None:
    """A restart that is overtaken by the shutdown starts nothing."""
    calls: list[str] = []
    running.stop(running.start)
    running.stop(lambda: calls.append("gone"))
    running.reap(running.pid, 0)
    assert (running.state, calls, spawner.child.sent) == (State.STOPPED, ["gone"], ["stop"])


def test_stop__in_backoff_forgets_the_planned_start(running: Any, spawner: Any, pass_time: Pass) -> None:
    """Stopped at once, and nothing comes back."""
    running.reap(running.pid, 1)
    calls: list[str] = []
    running.stop(lambda: calls.append("gone"))
    assert (running.state, calls) == (State.STOPPED, ["gone"])
    pass_time(1000)
    assert (running.state, len(spawner.children)) == (State.STOPPED, 1)


def test_stop__of_a_stopped_bot_calls_at_once(bot: Any, changes: Any) -> None:
    """There is nothing to wait for, and no change to tell."""
    calls: list[str] = []
    bot.stop(lambda: calls.append("gone"))
    assert (calls, changes.count) == (["gone"], 0)


def test_restart__is_no_failure(running: Any, spawner: Any) -> None:
    """`restarts` counts failures, not the operator's wishes."""
    running.stop(running.start)
    running.reap(running.pid, 0)
    assert (running.state, running.restarts, running.pid) == (State.STARTING, 0, 101)


def test_kill__ends_the_grace(running: Any, spawner: Any) -> None:
    """A second signal to the daemon does not wait."""
    running.stop()
    running.kill()
    assert spawner.child.killed


def test_change__is_told_at_each_move(bot: Any, spawner: Any, changes: Any) -> None:
    """Systemd's status line follows: starting, running, stopping, stopped."""
    bot.start()
    spawner.child.say("signed_in")
    bot.stop()
    bot.reap(bot.pid, 0)
    assert changes.count == 4


# -- pause -------------------------------------------------------------------------------------


def test_pause__wins_over_running(running: Any, spawner: Any) -> None:
    """Shown at once; confirmed when the worker says that nothing is under way."""
    answers: list[str | None] = []
    running.set_pause(Pause(reason="holiday"), answers.append)
    assert (running.shown, running.state, answers) == (State.PAUSED, State.RUNNING, [])
    assert running.describe()["reason"] == "holiday"
    assert spawner.child.sent == ["pause"]
    spawner.child.say("paused", in_doubt=None)
    assert answers == [None]


def test_pause__names_the_write_in_doubt(running: Any, spawner: Any) -> None:
    """The command fails with it, so the worker's words come through."""
    answers: list[str | None] = []
    running.set_pause(Pause(), answers.append)
    spawner.child.say("paused", in_doubt="reply to t1_x")
    assert answers == ["reply to t1_x"]


def test_pause__wins_over_backoff_and_goes_with_the_next_start(running: Any, spawner: Any, pass_time: Pass) -> None:
    """No process, so nothing to wait for; the next worker is born paused."""
    running.reap(running.pid, 1)
    answers: list[str | None] = []
    running.set_pause(Pause(), answers.append)
    assert (running.shown, answers) == (State.PAUSED, [None])
    pass_time(1)
    assert (running.shown, spawner.paused) == (State.STARTING, [False, True])
    spawner.child.say("signed_in")
    assert running.shown is State.PAUSED


def test_pause__does_not_hide_a_failed_bot(running: Any) -> None:
    """`failed` needs the operator; a pause must not cover it."""
    running.reap(running.pid, EXIT_FATAL)
    running.set_pause(Pause(), lambda _doubt: None)
    assert running.shown is State.FAILED


def test_pause__is_confirmed_by_the_workers_death(running: Any) -> None:
    """A dead worker writes nothing: nobody waits on."""
    answers: list[str | None] = []
    running.set_pause(Pause(), answers.append)
    running.set_pause(Pause(), answers.append)
    running.reap(running.pid, -9)
    assert answers == [None, None]


def test_resume__shows_the_process_again(running: Any, spawner: Any) -> None:
    """The wish is gone; the worker is told."""
    running.set_pause(Pause(), lambda _doubt: None)
    running.end_pause()
    assert (running.shown, spawner.child.sent) == (State.RUNNING, ["pause", "resume"])
    assert running.describe()["paused_until"] is None


def test_describe__hides_the_next_post_of_a_paused_bot(running: Any, spawner: Any, clock: Any) -> None:
    """A paused bot has no next post, and says until when it is quiet."""
    spawner.child.say("report", report={"next_post_at": "2026-11-25T01:00:00+00:00"})
    assert running.describe()["next_post_at"] == "2026-11-25T01:00:00+00:00"
    running.set_pause(Pause(until=clock.now()), lambda _doubt: None)
    shown = running.describe()
    assert (shown["next_post_at"], shown["paused_until"]) == (None, clock.now().isoformat())


# -- counters ----------------------------------------------------------------------------------


def test_counts__add_up_and_survive_a_restart(running: Any, spawner: Any, pass_time: Pass) -> None:
    """They are the bot's, not the process's; what a dead worker said last counts."""
    spawner.child.say("counts", add={"submissions": 2, "comments": 3})
    spawner.child.last_words = [{"event": "counts", "add": {"replies": 1}}]
    running.reap(running.pid, 1)
    pass_time(1)
    spawner.child.say("counts", add={"comments": 1})
    shown = running.describe()
    assert shown["read"] == {"submissions": 2, "comments": 4}
    assert shown["write"] == {"posts": 0, "replies": 1}


def test_counts__start_anew_at_midnight(running: Any, spawner: Any, pass_time: Pass) -> None:
    """Today's figures: nothing need happen for yesterday's to go (the clock starts at 23:00)."""
    spawner.child.say("counts", add={"posts": 1})
    assert running.describe()["write"] == {"posts": 1, "replies": 0}
    pass_time(3600)
    assert running.describe()["write"] == {"posts": 0, "replies": 0}
    spawner.child.say("counts", add={"posts": 2})
    assert running.describe()["write"] == {"posts": 2, "replies": 0}


def test_last_error__comes_from_the_workers_report(running: Any, spawner: Any) -> None:
    """A role that is gone leaves the bot running and is told."""
    spawner.child.say("report", report={"last_error": "the model is gone", "degraded": ["rank"]})
    shown = running.describe()
    assert (shown["state"], shown["last_error"], shown["degraded"]) == ("running", "the model is gone", ["rank"])


def test_send__tells_whether_there_is_a_worker(running: Any) -> None:
    """A command for a bot without a process is not lost in silence."""
    assert running.send({"op": "try"})
    running.reap(running.pid, 1)
    assert not running.send({"op": "try"})
