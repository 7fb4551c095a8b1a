"""`hotshotctl try` and `post` from the command line to a worker and back: a real daemon, real PRAW over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from harness import KEY, Daemon, World, wait_until

from hotshotd.sandbox.faults import Action, Rule, When

EVERY = "post: {schedule: {every: 6h}, backend: openai, model: duck-chat, format: plain}"
#: A schedule that comes round in no test.
YEARLY = (
    "post: {schedule: {cron: '0 0 1 1 *'}, catch_up: 1s, backend: openai, model: duck-chat, format: plain, tries: 1}"
)
POST = "Title: A pond at noon\n\nNothing moved but the water. I counted it twice."
REPLY = "I was there as well, under the reeds."


def add_quiet_bot(world: World, *, chance: float = 1.0, post: str = "", more: str = "", moderated: bool = True) -> None:
    """Write a bot that polls at its start and then for a long time not: what it is shown meanwhile waits."""
    text = world.add_bot("duck", post=post, more=more)
    text = text.replace("interval: 1s", "interval: 10m").replace("chance: 1.0", f"chance: {chance}")
    if not moderated:
        text = text.replace("moderators: [openai]", "moderators: [], unmoderated: true")
    world.bot_file("duck").write_text(text)


def start(world: World, *, reads: bool = True) -> Daemon:
    """Start the daemon, and wait until its bot has polled for the last time in ten minutes."""
    if world.forum.account("AutoModerator") is None:
        world.forum.add_account("AutoModerator")
    # Nobody answers it, so it costs nothing.
    sign = world.forum.submit("AutoModerator", "pond", "Rules", "Be kind.")
    daemon = world.start()
    if reads:
        daemon.wait_event("item.done", thing=sign.fullname)
    else:
        daemon.wait_state("duck", "running")
    return daemon


@contextmanager
def running_ctl(world: World, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run hotshotctl beside the test."""
    ctl = subprocess.Popen(
        [sys.executable, "-c", "from hotshotd.cli.ctl import main; main()", "--config", str(world.config), *words],
        env=world.environ, text=True, cwd=world.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield ctl
    finally:
        if ctl.poll() is None:
            ctl.kill()
        ctl.communicate()


def interrupt(ctl: subprocess.Popen[str]) -> int:
    """Press Ctrl-C."""
    ctl.send_signal(signal.SIGINT)
    return ctl.wait(15)


# -- try ---------------------------------------------------------------------------------------


def test_try__shows_the_decision_and_writes_nothing(world: World) -> None:
    """Each step with its words, the verdict in one line, the cost: what the sandbox received; and no write at all."""
    add_quiet_bot(world, moderated=False)
    daemon = start(world)
    thing = world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    world.services.script("duck-chat", [REPLY])
    before = len(world.forum.events())
    spent = world.services.received_chars(KEY)
    shown = world.ctl("try", "duck", f"{world.reddit.base_url}/r/pond/comments/{thing.id}/x/")
    assert shown.returncode == 0, shown.stderr
    cost = world.services.received_chars(KEY) - spent
    assert cost > 0
    assert shown.stdout.splitlines()[-2:] == ["would reply: chance", f"cost: {cost:,} characters"]
    assert f"\ncandidates ({cost:,} characters)\n" in shown.stdout
    assert f"\nreply\n    {REPLY}\n" in shown.stdout
    assert "I heard something." in shown.stdout
    assert len(world.forum.events()) == before
    assert daemon.bot("duck")["write"] == {"posts": 0, "replies": 0}
    assert daemon.bot("duck")["spend"]["characters"] == cost


def test_try__makes_the_decision_that_the_bot_makes(world: World) -> None:
    """What was tried is then read by the bot itself, and each thing ends as `try` has said."""
    add_quiet_bot(world, chance=0.5)
    daemon = start(world)
    things = [world.forum.submit("ann", "pond", f"Question {number}", "Who quacks?") for number in range(8)]
    said = {}
    for thing in things:
        answer = json.loads(world.ctl("try", "duck", thing.fullname, "--json").stdout)
        assert [step["name"] for step in answer["steps"]]
        said[thing.fullname] = answer["would_reply"], answer["reason"]
    assert {would for would, _ in said.values()} == {True, False}
    assert world.comments_of("duck") == []
    assert world.ctl("restart", "duck").returncode == 0
    for thing in things:
        done = daemon.wait_event("item.done", thing=thing.fullname)
        assert (done["outcome"] == "replied", done["reason"]) == said[thing.fullname]


@pytest.mark.parametrize(
    "url", ["https://example.org/r/pond/comments/abc/", "t3_zzzzzz", "nonsense", "https://www.reddit.com/r/pond/"]
)
def test_try__of_what_is_no_thing_is_1(world: World, url: str) -> None:
    """Not of Reddit, or nothing there: told on standard error, and nothing on standard output."""
    add_quiet_bot(world)
    start(world)
    shown = world.ctl("try", "duck", url)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr.strip()
    assert "Traceback" not in shown.stderr


def test_try__with_the_service_down_is_1(world: World) -> None:
    """The decision can't be shown; the reason is."""
    add_quiet_bot(world)
    start(world)
    thing = world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    world.plan.add(Rule(Action.STATUS, service="openai", path="*chat*", status=404))
    shown = world.ctl("try", "duck", thing.fullname)
    assert shown.returncode == 1
    assert "can't tell: model_gone" in shown.stderr


def test_try__reply_off_and_unknown_bots(world: World) -> None:
    """A post-only bot has nothing to show (1); an unknown one is 4."""
    add_quiet_bot(world, post=YEARLY)
    text = world.bot_file("duck").read_text()
    head, tail = text.split("reply:\n")[0], text[text.index("rank:") :]
    world.bot_file("duck").write_text(head + tail)
    start(world, reads=False)
    shown = world.ctl("try", "duck", "t3_a")
    assert shown.returncode == 1
    assert "only posts" in shown.stderr
    assert world.ctl("try", "swan", "t3_a").returncode == 4
    assert world.ctl("post", "swan").returncode == 4


def test_try_and_post__of_a_paused_bot_spend_nothing(world: World) -> None:
    """1, at once, and no request leaves."""
    add_quiet_bot(world, post=YEARLY)
    start(world)
    thing = world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    assert world.ctl("pause", "duck").returncode == 0
    spent = world.services.received_chars()
    for words in (("try", "duck", thing.fullname), ("post", "duck"), ("post", "duck", "--dry-run")):
        shown = world.ctl(*words)
        assert (shown.returncode, shown.stdout) == (1, "")
        assert "hotshotctl resume duck" in shown.stderr
    assert world.services.received_chars() == spent


def test_pause__ends_a_try_under_way(world: World) -> None:
    """The operator is told why, and exits 1."""
    add_quiet_bot(world)
    start(world)
    thing = world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    with world.services.hold("duck-chat") as held, running_ctl(world, "try", "duck", thing.fullname) as ctl:
        held.wait_arrived(timeout_seconds=15)
        assert world.ctl("pause", "duck").returncode == 0
        _, stderr = ctl.communicate(timeout=15)
        assert ctl.returncode == 1
        assert "duck is paused" in stderr
        held.release()


def test_try__ends_at_once_with_a_daemon_that_dies(world: World) -> None:
    """3: it is not waited for."""
    add_quiet_bot(world)
    daemon = start(world)
    thing = world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    with world.services.hold("duck-chat") as held, running_ctl(world, "try", "duck", thing.fullname) as ctl:
        held.wait_arrived(timeout_seconds=15)
        daemon.kill()
        assert ctl.wait(10) == 3
        held.release()


def test_try__ends_with_a_worker_that_dies(world: World) -> None:
    """1: the bot starts anew, the command does not."""
    add_quiet_bot(world)
    daemon = start(world)
    thing = world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    with world.services.hold("duck-chat") as held, running_ctl(world, "try", "duck", thing.fullname) as ctl:
        held.wait_arrived(timeout_seconds=15)
        os.kill(daemon.pids()["duck"], signal.SIGKILL)
        _, stderr = ctl.communicate(timeout=10)
        assert ctl.returncode == 1
        assert "worker ended" in stderr
        held.release()


# -- post --------------------------------------------------------------------------------------


def test_post__publishes_now_and_says_where(world: World) -> None:
    """Title and text on standard output, the address on standard error, `manual` in the log."""
    add_quiet_bot(world, post=YEARLY)
    daemon = start(world)
    world.services.script("duck-chat", [POST])
    made = world.ctl("post", "duck")
    assert made.returncode == 0, made.stderr
    assert made.stdout == "A pond at noon\n\nNothing moved but the water. I counted it twice.\n"
    [post] = world.forum.submissions(author="duck")
    assert post.title == "A pond at noon"
    assert f"{world.reddit.base_url}{post.permalink}" in made.stderr
    assert post.fullname in made.stderr
    done = daemon.wait_event("post.done", bot="duck")
    assert (done["slot"], done["outcome"], done["thing"]) == ("manual", "published", post.fullname)
    wait_until(lambda: daemon.bot("duck")["write"]["posts"] == 1, what="the counter")


def test_post__dry_run_writes_nothing(world: World) -> None:
    """All the rest is done, and shown."""
    add_quiet_bot(world, post=YEARLY)
    start(world)
    world.services.script("duck-chat", [POST])
    made = world.ctl("post", "duck", "--dry-run", "--json")
    assert made.returncode == 0, made.stderr
    answer = json.loads(made.stdout)
    assert (answer["title"], answer["dry_run"], answer["thing"]) == ("A pond at noon", True, None)
    assert answer["cost"] > 0
    assert world.forum.submissions(author="duck") == ()


def test_post__of_a_reply_only_bot_is_1(world: World) -> None:
    """It has no `post` section."""
    add_quiet_bot(world)
    start(world)
    made = world.ctl("post", "duck")
    assert made.returncode == 1
    assert "only replies" in made.stderr


def test_post__over_max_per_day_or_refused_is_1(world: World) -> None:
    """Neither costs a write; the reason is named."""
    add_quiet_bot(world, post=YEARLY.replace("tries: 1", "tries: 1, max_per_day: 1"))
    start(world)
    world.services.script("duck-chat", ["Title: kill yourself\n\nI will kill you all.", POST])
    refused = world.ctl("post", "duck")
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "not posted" in refused.stderr
    assert world.ctl("post", "duck").returncode == 0
    over = world.ctl("post", "duck")
    assert over.returncode == 1
    assert "max_per_day" in over.stderr
    assert len(world.forum.submissions(author="duck")) == 1


def test_post__moves_a_schedule_of_intervals(world: World) -> None:
    """`{every: 6h}` counts from it: the next post is due six hours after this one, not after the one before."""
    world.services.script("duck-chat", [POST, "Title: A pond at night\n\nThe moon went swimming, and so did I."])
    add_quiet_bot(world, post=EVERY)
    daemon = start(world)
    daemon.wait_event("post.done", outcome="published")
    first = wait_until(lambda: daemon.bot("duck")["next_post_at"], what="a next post")
    # It is told in whole seconds: two posts within one could not be told apart.
    later = datetime.fromisoformat(first) - timedelta(hours=6) + timedelta(seconds=2)
    wait_until(lambda: datetime.now(UTC) > later, what="two seconds later")
    assert world.ctl("post", "duck").returncode == 0
    wait_until(lambda: daemon.bot("duck")["next_post_at"] > first, what="a later next post")


def test_post__interrupted_is_never_written(world: World) -> None:
    """Ctrl-C before the write: nothing goes out later, and the bot works on."""
    add_quiet_bot(world, post=YEARLY)
    daemon = start(world)
    with world.services.hold("duck-chat") as held, running_ctl(world, "post", "duck") as ctl:
        held.wait_arrived(timeout_seconds=15)
        assert interrupt(ctl) == 1
        held.release()
        # Else the dropped request, still on its way, takes the script of the next one.
        world.services.openai.log.wait_for_answer(lambda pair: pair[0].path.endswith("/chat/completions"))
    world.services.script("duck-chat", [POST])
    assert world.ctl("post", "duck").returncode == 0
    assert [post.title for post in world.forum.submissions(author="duck")] == ["A pond at noon"]
    assert daemon.count_events("post.done") == 1


def test_post__interrupted_in_its_write_is_written_once(world: World) -> None:
    """Ctrl-C while the write is under way: it ends as it ends."""
    add_quiet_bot(world, post=YEARLY)
    daemon = start(world)
    world.services.script("duck-chat", [POST])
    world.plan.add(Rule(Action.SLOW, service="reddit", path="/api/submit*", seconds=1.5, count=1))
    with running_ctl(world, "post", "duck") as ctl:
        world.plan.wait_for_fired(timeout_seconds=15)
        assert interrupt(ctl) == 1
    daemon.wait_event("post.done", slot="manual", outcome="published")
    assert len(world.forum.submissions(author="duck")) == 1


def test_post__interrupted_in_a_write_that_is_lost_is_not_sent_again(world: World) -> None:
    """The bot looks whether it arrived, sees nothing, and leaves it; others write on."""
    add_quiet_bot(world, post=YEARLY)
    start(world)
    world.services.script("duck-chat", [POST])
    world.plan.add(Rule(Action.HANG, service="reddit", path="/api/submit*", seconds=2.0, count=1, when=When.BEFORE))
    with running_ctl(world, "post", "duck") as ctl:
        world.plan.wait_for_fired(timeout_seconds=15)
        assert interrupt(ctl) == 1
    world.services.script("duck-chat", ["Title: Another pond\n\nThis one is shallow, and full of newts."])
    assert world.ctl("post", "duck").returncode == 0
    assert [post.title for post in world.forum.submissions(author="duck")] == ["Another pond"]


def test_post__many_at_once_are_made_one_after_the_other(world: World) -> None:
    """Four may be asked for at a time; a fifth is told to wait."""
    add_quiet_bot(world, post=YEARLY)
    start(world)
    with world.services.hold("duck-chat") as held, ExitStack() as stack:
        first = stack.enter_context(running_ctl(world, "post", "duck"))
        held.wait_arrived(timeout_seconds=15)
        others = [stack.enter_context(running_ctl(world, "post", "duck")) for _ in range(3)]
        for ctl in others:
            assert ctl.stderr is not None
            assert "a post is being made" in ctl.stderr.readline()
        fifth = world.ctl("post", "duck")
        assert fifth.returncode == 1
        assert "wait for them" in fifth.stderr
        for ctl in (first, *others):
            assert interrupt(ctl) == 1
        held.release()
    assert world.forum.submissions(author="duck") == ()
