"""The whole daemon, as an operator meets it: real processes, real signals, real PRAW over real HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import KEY, World, is_alive, wait_until

from hotshotd.sandbox.faults import Action, Rule, When
from hotshotd.sandbox.http import text_response

STATUS_KEYS = {
    "name", "state", "reason", "pid", "uptime_s", "restarts", "dry_run", "read", "write", "spend", "next_post_at",
    "poll_interval_s", "paused_until", "degraded", "last_error",
}  # fmt: skip
EVERY = "post: {schedule: {every: 6h}, backend: openai, model: duck-chat, format: plain}"
POST = "Title: A pond at noon\n\nNothing moved but the water. I counted it twice."


def test_bot__posts_and_answers_once(world: World) -> None:
    """A scheduled post is made, a comment is answered once, and status and quota tell it."""
    world.services.script("duck-chat", [POST, "I was there as well, under the reeds."])
    world.add_bot("duck", post=EVERY)
    daemon = world.start()
    world.forum.wait_for(lambda event: event.author == "duck", timeout_seconds=15)
    post = world.forum.submissions(author="duck")[0]
    assert post.title == "A pond at noon"
    done = daemon.wait_event("post.done", bot="duck")
    assert (done["outcome"], done["thing"]) == ("published", post.fullname)
    comment = world.forum.comment("ann", post.fullname, "Were you there?")
    item = daemon.wait_event("item.done", thing=comment.fullname)
    assert (item["outcome"], item["reason"], item["bot"], item["level"]) == ("replied", "top_level", "duck", "info")
    assert world.comments_of("duck") == [comment.fullname]
    wait_until(lambda: not world.forum.inbox("duck", unread=True), what="an empty inbox")
    bot = wait_until(lambda: (shown := daemon.bot("duck"))["write"]["replies"] and shown, what="counters")
    assert bot.keys() >= STATUS_KEYS
    assert bot["write"] == {"posts": 1, "replies": 1}
    assert set(bot["read"]) == {"submissions", "comments"}
    received = world.services.received_chars(KEY)
    assert 0 < bot["spend"]["characters"] <= received
    quota = json.loads(world.ctl("quota", "--json").stdout)
    assert set(quota) == {"day", "timezone", "resets_at", "daily_total", "monthly_total", "bots"}
    assert quota["bots"][0]["characters"] == bot["spend"]["characters"]
    table = world.ctl("status")
    line = next(line for line in table.stdout.splitlines() if line.startswith("duck"))
    assert "| WRITE: post=1 reply=1 | SPEND=" in line


def test_status__names_daemon_and_services(world: World) -> None:
    """The contract's keys are there."""
    world.add_bot("duck")
    world.start()
    answer = json.loads(world.ctl("status", "--json").stdout)
    assert {"version", "pid", "uptime_s", "quota", "services"} <= answer["daemon"].keys()
    assert answer["daemon"]["quota"]["state"] == "ok"


def test_pause__stops_writes_and_spend_before_it_returns(world: World) -> None:
    """An answer under way is dropped; the bot goes on after resume, and the pause survives a restart."""
    world.add_bot("duck")
    daemon = world.start()
    with world.services.hold("duck-chat") as held:
        thing = world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
        held.wait_arrived(timeout_seconds=15)
        assert world.ctl("pause", "duck", "--reason", "a visit").returncode == 0
        spent = world.services.received_chars()
        held.release()
        late = world.forum.submit("ann", "pond", "And now?", "Hello?")
        assert daemon.bot("duck")["state"] == "paused"
        assert daemon.stop() == 0
        daemon = world.start(ready=False)
        assert daemon.wait_state("duck", "paused")["reason"] == "a visit"
        daemon.wait_event("daemon.ready")
        assert world.comments_of("duck") == []
        assert world.services.received_chars() == spent
    assert world.ctl("resume", "duck").returncode == 0
    daemon.wait_event("item.done", thing=late.fullname, outcome="replied")
    daemon.wait_event("item.done", thing=thing.fullname, outcome="replied")
    assert sorted(world.comments_of("duck")) == sorted([thing.fullname, late.fullname])


def test_pause__of_an_unknown_bot_changes_nothing(world: World) -> None:
    """One unknown name gives 4 and pauses nobody."""
    world.add_bot("duck")
    daemon = world.start()
    assert world.ctl("pause", "duck", "swan").returncode == 4
    assert daemon.bot("duck")["state"] == "running"
    assert world.ctl("pause", "duck", "--for", "1h").returncode == 0
    assert daemon.bot("duck")["paused_until"] is not None
    assert world.ctl("resume", "--all").returncode == 0
    assert daemon.bot("duck")["state"] == "running"


def test_pause__waits_for_the_write_under_way(world: World) -> None:
    """It returns when the write has its outcome, and nothing is written after."""
    world.add_bot("duck")
    daemon = world.start()
    world.plan.add(Rule(Action.SLOW, service="reddit", path="/api/comment*", seconds=2.0, count=1))
    thing = world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    world.plan.wait_for_fired(timeout_seconds=15)
    assert world.ctl("pause", "duck").returncode == 0
    assert world.comments_of("duck") == [thing.fullname]
    assert daemon.count_events("item.done", thing=thing.fullname, outcome="replied") == 1


def test_reload__touches_only_what_changed(world: World) -> None:
    """The edited bot gets a new process, the others keep theirs; new files start, removed ones stop."""
    for name in ("duck", "swan", "goose"):
        world.add_bot(name)
    daemon = world.start()
    before = daemon.pids()
    world.bot_file("duck").write_text(world.bot_file("duck").read_text() + "dry_run: true\n")
    world.bot_file("goose").unlink()
    world.add_bot("teal")
    answer = json.loads(world.ctl("reload", "--json").stdout)
    assert answer == {
        "added": ["teal"],
        "changed": ["duck"],
        "removed": ["goose"],
        "unchanged": ["swan"],
        "invalid": [],
    }
    after = wait_until(lambda: (pids := daemon.pids()) and "goose" not in pids and pids, what="the goose's end")
    assert set(after) == {"duck", "swan", "teal"}
    assert after["swan"] == before["swan"]
    assert after["duck"] != before["duck"]
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_event("config.reloaded", count=2)
    assert daemon.pids() == after


def test_reload__waits_for_a_start_under_way(world: World) -> None:
    """SIGHUP before anybody listens to it ends nobody: the files are read again as soon as that is possible."""
    world.add_bot("duck")
    daemon = world.start(ready=False)
    daemon.wait_event("daemon.starting")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_event("config.reloaded")
    daemon.wait_state("duck", "running")


def test_reload__keeps_a_bot_whose_file_broke(world: World) -> None:
    """The fault is printed as --check prints it, the exit code is 1, and the old worker goes on."""
    world.add_bot("duck")
    daemon = world.start()
    before = daemon.pids()
    world.bot_file("duck").write_text(world.bot_file("duck").read_text() + "backstroy: typo\n")
    answer = world.ctl("reload")
    lines = len(world.bot_file("duck").read_text().splitlines())
    assert answer.returncode == 1
    assert f"{world.bot_file('duck')}:{lines}: backstroy: " in answer.stdout
    assert "backstory" in answer.stdout
    assert daemon.pids() == before
    invalid = daemon.wait_event("config.invalid")
    assert (invalid["line"], invalid["key"]) == (lines, "backstroy")
    world.config.write_text("timezone: Atlantis\n")
    # The socket by its name: --config is what is broken.
    assert daemon.process.poll() is None
    with pytest.raises(Exception, match="timezone"):
        daemon.ask("reload")
    assert daemon.pids() == before


def test_invalid_bot__is_shown_and_stops_nobody(world: World) -> None:
    """A broken file, a folder and a missing variable: each is invalid with its cause, the others run."""
    world.add_bot("duck")
    world.bot_file("broken").write_text("reddit: [")
    world.bot_file("folder").mkdir()
    world.bot_file("poor").write_text(world.add_bot("swan").replace("BOT_PASSWORD", "NOWHERE").replace("swan", "poor"))
    world.bot_file("bomb").write_text(
        "a: &a [x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    )
    check = subprocess.run(
        [sys.executable, "-m", "hotshotd", "--config", str(world.config), "--check"],
        env=world.environ, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert check.returncode == 78
    for name in ("broken", "folder", "poor", "bomb"):
        assert f"{world.bot_file(name)}:" in check.stdout
    daemon = world.start()
    states = {bot["name"]: bot["state"] for bot in daemon.status()["bots"]}
    assert states == {"duck": "running", "swan": "running"} | dict.fromkeys(
        ("broken", "folder", "poor", "bomb"), "invalid"
    )
    assert "NOWHERE" in daemon.bot("poor")["reason"]


def test_worker__comes_back_after_kill_and_answers_nothing_twice(world: World) -> None:
    """kill -9 of a worker costs one restart; its memory is Reddit."""
    world.add_bot("duck")
    world.add_bot("swan", more="dry_run: true\n")
    daemon = world.start()
    things = [world.forum.submit("ann", "pond", f"Question {n}", "Well?").fullname for n in range(3)]
    for thing in things:
        daemon.wait_event("item.done", thing=thing, bot="duck", outcome="replied")
    others = daemon.bot("swan")["pid"]
    os.kill(daemon.bot("duck")["pid"], signal.SIGKILL)
    daemon.wait_event("bot.state", bot="duck", new="backoff")
    daemon.wait_event("bot.state", bot="duck", new="running", count=2)
    again = world.forum.submit("ann", "pond", "One more", "Well?").fullname
    daemon.wait_event("item.done", thing=again, bot="duck", outcome="replied")
    assert sorted(world.comments_of("duck")) == sorted([*things, again])
    assert daemon.bot("duck")["restarts"] == 1
    assert daemon.bot("swan")["pid"] == others
    assert world.comments_of("swan") == []
    assert daemon.wait_event("item.done", thing=again, bot="swan")["reason"] == "dry_run"


def test_worker__killed_right_after_its_write_does_not_write_again(world: World) -> None:
    """The write arrived, the worker never heard of it: the next one finds it on Reddit."""
    world.add_bot("duck")
    daemon = world.start()
    world.plan.add(Rule(Action.HANG, service="reddit", path="/api/comment*", seconds=30.0, count=1, when=When.AFTER))
    thing = world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    wait_until(lambda: world.comments_of("duck"), what="the write")
    os.kill(daemon.bot("duck")["pid"], signal.SIGKILL)
    done = daemon.wait_event("item.done", thing=thing.fullname)
    assert done["reason"] == "already_answered"
    assert world.comments_of("duck") == [thing.fullname]


def test_quota_process__comes_back_and_grants_again(world: World) -> None:
    """While it is away nothing is spent; the workers stay, and go on."""
    world.add_bot("duck")
    daemon = world.start()
    before = daemon.pids()
    os.kill(daemon.status()["daemon"]["quota"]["pid"], signal.SIGKILL)
    wait_until(lambda: daemon.status()["daemon"]["quota"]["state"] == "ok", what="a new quota process")
    thing = world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    daemon.wait_event("item.done", thing=thing.fullname, outcome="replied", seconds=50)
    assert daemon.pids() == before


def test_supervisor__killed_leaves_no_process(world: World) -> None:
    """The kernel ends the workers, the end of its channel the quota process."""
    world.add_bot("duck")
    world.add_bot("swan")
    daemon = world.start()
    pids = [*daemon.pids().values(), daemon.status()["daemon"]["quota"]["pid"]]
    daemon.kill()
    wait_until(lambda: not any(map(is_alive, pids)), seconds=5, what="everybody's end")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_supervisor__ends_cleanly(world: World, number: int) -> None:
    """Exit 0, no process left, sockets gone; a stopped worker is killed after the grace period."""
    world.add_bot("duck")
    world.add_bot("swan")
    daemon = world.start()
    pids = [*daemon.pids().values(), daemon.status()["daemon"]["quota"]["pid"]]
    if number == signal.SIGINT:
        os.kill(daemon.pids()["swan"], signal.SIGSTOP)
    begun = time.monotonic()
    assert daemon.stop(number) == 0
    assert time.monotonic() - begun < 10
    assert not any(map(is_alive, pids))
    assert not (world.folder / "run" / "control.sock").exists()
    assert not [event for event in daemon.events if event["event"] == "NOT JSON"]


def test_status__is_answered_whatever_the_others_do(world: World) -> None:
    """Within a second, with the quota process and a worker stopped."""
    world.add_bot("duck")
    daemon = world.start()
    stopped = [daemon.pids()["duck"], daemon.status()["daemon"]["quota"]["pid"]]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        assert daemon.bot("duck")["state"] == "running"
        assert time.monotonic() - begun < 1.0
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def test_wrong_password__fails_that_bot_alone(world: World) -> None:
    """No restart mends it, so there is none; once mended, `restart` does."""
    world.add_bot("duck")
    world.forum.add_account("swan", "another")
    world.add_bot("swan")
    daemon = world.start()
    bot = daemon.wait_state("swan", "failed")
    assert (bot["restarts"], bot["pid"]) == (0, None)
    assert "password" in bot["reason"] or "credentials" in bot["reason"]
    assert daemon.bot("duck")["state"] == "running"
    secret = world.folder / "swan.secret"
    secret.write_text("another\n")
    secret.chmod(0o600)
    text = world.bot_file("swan").read_text().replace("password_env: BOT_PASSWORD", f"password_file: {secret}")
    world.bot_file("swan").write_text(text)
    assert world.ctl("restart", "swan").returncode == 0
    daemon.wait_state("swan", "running")


def test_suspension__is_found_at_the_first_forbidden_write(world: World) -> None:
    """A 403 on a write, one look at `me`: suspended means failed, and says so."""
    world.add_bot("duck")
    daemon = world.start()
    world.forum.suspend("duck")
    world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    bot = daemon.wait_state("duck", "failed")
    assert "suspended" in bot["reason"]


def test_ban__keeps_the_bot_out_of_that_place(world: World) -> None:
    """After two forbidden writes it neither reads nor writes there, and status says so."""
    world.add_bot("duck")
    daemon = world.start()
    world.forum.ban("duck", "pond")
    for n in range(2):
        thing = world.forum.submit("ann", "pond", f"Question {n}", "Well?")
        done = daemon.wait_event("item.done", thing=thing.fullname)
        assert done["outcome"] == "failed"
    bot = wait_until(lambda: (shown := daemon.bot("duck"))["banned_in"] and shown, what="the ban in status")
    assert (bot["state"], bot["last_error"]) == ("running", "banned in r/pond")


@pytest.mark.parametrize(
    "request_",
    [b"GET / HTTP/1.0\r\n\r\n", b"[]\n", b'{"op": 5}\n', b'{"op": "status", "bots": 7}\n', b"x" * 200_000, b"\xff\n"],
)
def test_control__survives_nonsense(world: World, request_: bytes) -> None:
    """Each gets an error reply, and the daemon stays up."""
    world.add_bot("duck")
    daemon = world.start()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(str(world.folder / "run" / "control.sock"))
        try:
            sock.sendall(request_)
        except BrokenPipeError:
            pass
        answer = json.loads(sock.makefile().readline())
    assert answer["ok"] is False
    assert daemon.bot("duck")["state"] == "running"


def test_second_daemon__is_refused(world: World) -> None:
    """Two daemons on one folder would spend one budget twice."""
    world.add_bot("duck")
    first = world.start()
    second = world.start(ready=False)
    assert second.process.wait(15) == 1
    second.end()
    assert "another hotshotd" in second.events[-1]["error"]
    world.daemon = first
    assert first.bot("duck")["state"] == "running"


def test_ctl__says_when_nobody_is_there(world: World) -> None:
    """3 for every verb that needs a daemon."""
    for verb in (["status"], ["reload"], ["pause", "--all"], ["resume", "--all"], ["restart", "duck"], ["quota"]):
        assert world.ctl(*verb).returncode == 3


def test_gone_model__is_asked_once_and_the_bot_runs_on(world: World) -> None:
    """A 404 opens the breaker: one request, `last_error` says why, the state stays running."""
    world.add_bot("duck")
    world.services.gone.add("duck-chat")
    daemon = world.start()
    for n in range(4):
        thing = world.forum.submit("ann", "pond", f"Question {n}", "Well?")
        done = daemon.wait_event("item.done", thing=thing.fullname)
        assert (done["outcome"], done["reason"]) == ("failed", "model_gone")
    bot = daemon.bot("duck")
    assert bot["state"] == "running"
    assert "404" in bot["last_error"] or "duck-chat" in bot["last_error"]
    asked = world.services.openai.log.requests("chat/completions")
    assert len(asked) == 1
    service = next(entry for entry in daemon.status()["daemon"]["services"] if entry["role"] == "text")
    assert service["state"] == "gone"


@pytest.mark.parametrize("answer", ["", "<html>no</html>", "[]", "null", '{"choices": []}', "x" * 5_000_000])
def test_garbage__ends_the_item_and_publishes_nothing(world: World, answer: str) -> None:
    """A service that answers nonsense fails that item, with the cause."""
    world.add_bot("duck")
    world.services.script("duck-chat", [text_response(answer, content_type="application/json")] * 3)
    daemon = world.start()
    thing = world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    done = daemon.wait_event("item.done", thing=thing.fullname, seconds=40)
    assert (done["outcome"], world.comments_of("duck")) == ("failed", [])
    assert daemon.bot("duck")["state"] == "running"


def test_no_secret__in_log_or_state(world: World) -> None:
    """Passwords and keys appear nowhere, with level debug and a failing service."""
    world.write_main("")
    world.config.write_text(world.config.read_text().replace("{format: json}", "{format: json, level: debug}"))
    world.add_bot("duck")
    world.services.gone.add("duck-chat")
    daemon = world.start(environ={"BOT_PASSWORD": "quack", "OPENAI_API_KEY": "wrong-key-marker-1234"})
    thing = world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    daemon.wait_event("item.done", thing=thing.fullname)
    status = json.dumps(daemon.status())
    daemon.stop()
    everything = "".join(daemon.lines) + status
    for file in Path(world.folder / "state").rglob("*"):
        everything += file.read_bytes().decode("latin-1") if file.is_file() else ""
    assert "wrong-key-marker-1234" not in everything
    assert "client-secret" not in everything


def test_fallback__answers_when_the_first_model_is_gone(world: World) -> None:
    """The first is asked once, the second answers this item and those after it."""
    text = world.add_bot("duck")
    world.bot_file("duck").write_text(
        text.replace(
            "  model: duck-chat\n", "  model: duck-chat\n  fallbacks: [{backend: openai, model: other-chat}]\n"
        )
    )
    world.services.gone.add("duck-chat")
    world.services.script("other-chat", ["A first answer from the reeds.", "Something else entirely, from the pond."])
    daemon = world.start()
    for n in range(2):
        thing = world.forum.submit("ann", "pond", f"Question {n}", "Well?")
        daemon.wait_event("item.done", thing=thing.fullname, outcome="replied")
    asked = [request.json()["model"] for request in world.services.openai.log.requests("chat/completions")]
    assert asked == ["duck-chat", "other-chat", "other-chat"]


def test_opt_out__is_never_answered_again(world: World) -> None:
    """Somebody who answers "stop" goes on the account's block list and gets no more answers."""
    world.add_bot("duck")
    world.forum.add_account("bob")
    daemon = world.start()
    thing = world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    daemon.wait_event("item.done", thing=thing.fullname, outcome="replied")
    answer = world.forum.comments(author="duck")[0]
    stop = world.forum.comment("ann", answer.fullname, "Please stop, u/duck!")
    done = daemon.wait_event("item.done", thing=stop.fullname)
    assert (done["outcome"], done["reason"]) == ("skipped", "opted_out")
    assert world.reddit.log.requests("block_user")
    again = world.forum.submit("ann", "pond", "Is it gone?", "I hope so.")
    assert daemon.wait_event("item.done", thing=again.fullname)["reason"] == "opted_out"
    other = world.forum.submit("bob", "pond", "What about me?", "I like ducks.")
    daemon.wait_event("item.done", thing=other.fullname, outcome="replied")
