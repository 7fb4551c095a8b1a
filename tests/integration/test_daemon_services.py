"""Services that fail for good, or can't be reached, as an operator of a whole daemon sees them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from harness import Daemon, World, wait_until

from hotshotd.quota.breakers import FAILURES_TO_OPEN
from hotshotd.sandbox.http import json_response

#: What says that a model, a key or a service is gone.
GONE = (401, 402, 403, 404, 410)


def find_service(daemon: Daemon, *, model: str) -> dict[str, Any] | None:
    lines = daemon.status()["daemon"]["services"]
    return next((line for line in lines if line.get("model") == model), None)


def count_chats(world: World) -> int:
    return len([request for request in world.services.openai.log.requests() if request.path.endswith("completions")])


def test_status__shows_what_is_gone_and_until_when(world: World) -> None:
    """Each of the statuses that are for good: one request, a breaker, a line in status, and a bot that runs on."""
    for status in GONE:
        world.services.script(f"m{status}", [json_response({"error": {"message": "no more"}}, status=status)])
        world.add_bot(f"bot{status}", model=f"m{status}")
    daemon = world.start()
    thing = world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")
    for status in GONE:
        daemon.wait_event("item.done", thing=thing.fullname, bot=f"bot{status}", outcome="failed")
    for status in GONE:
        line = find_service(daemon, model=f"m{status}")
        assert line is not None
        assert (line["name"], line["role"], line["state"]) == ("openai", "text", "gone")
        left = datetime.fromisoformat(line["until"]) - datetime.now(UTC)
        assert timedelta(minutes=9) < left <= timedelta(minutes=10)
        assert f"answered {status}" in line["last_error"]
    # Not even once more for another thing.
    late = world.forum.submit("ann", "pond", "And now?", "Hello?")
    for status in GONE:
        daemon.wait_event("item.done", thing=late.fullname, bot=f"bot{status}", outcome="failed")
        bot = daemon.bot(f"bot{status}")
        assert bot["state"] == "running"
        assert f"m{status}" in bot["last_error"]
    assert count_chats(world) == len(GONE)
    table = world.ctl("status").stdout
    assert "gone" in table


def test_status__shows_a_service_that_can_not_be_reached(world: World) -> None:
    """Nobody listens: all bots together open the breaker, status says why, and nothing is spent."""
    names = [f"duck{number}" for number in range(FAILURES_TO_OPEN)]
    for name in names:
        world.add_bot(name)
    daemon = world.start()
    world.services.openai.stop()
    world.forum.submit("ann", "pond", "Who quacks?", "I heard something.")

    def is_open() -> dict[str, Any] | None:
        line = find_service(daemon, model="duck-chat")
        return line if line and line["state"] == "open" else None

    line = wait_until(is_open, seconds=40, what="an open breaker")
    assert line["last_error"].startswith("openai (127.0.0.1, model duck-chat) can't be reached")
    assert datetime.fromisoformat(line["until"]) > datetime.now(UTC)
    for name in names:
        bot = daemon.bot(name)
        assert (bot["state"], bot["spend"]["characters"]) == ("running", 0)
