"""Figures as Prometheus gets them: a real daemon that is scraped, or writes its file."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
from pathlib import Path

import pytest
import requests
from harness import ROOT, Daemon, World, wait_until
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

DASHBOARD = ROOT / "docs" / "grafana" / "hotshot.json"
EVERY = "post: {schedule: {every: 6h}, backend: openai, model: duck-chat, format: plain}"
POST = "Title: A pond at noon\n\nNothing moved but the water. I counted it twice."


@pytest.fixture
def port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        number: int = sock.getsockname()[1]
    return number


class Page:
    """A page of figures, read by Prometheus' own library."""

    def __init__(self, text: str) -> None:
        self.families: dict[str, Metric] = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def get(self, name: str, **labels: str) -> float | None:
        found = [sample.value for sample in self.samples if sample.name == name and sample.labels == labels]
        assert len(found) <= 1, f"{name} {labels} is there twice"
        return float(found[0]) if found else None


def scrape(port: int) -> Page:
    answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return Page(answer.text)


def wait_value(port: int, value: float, name: str, **labels: str) -> Page:
    """Scrape until a sample has a value: pages are made anew once a second."""
    found: Page = wait_until(
        lambda: (page := scrape(port)).get(name, **labels) == value and page, what=f"{name} {labels} = {value}"
    )
    return found


def _work(world: World, daemon: Daemon) -> None:
    """Let the bot post, and answer one comment."""
    daemon.wait_event("post.done", bot="duck", outcome="published")
    post = world.forum.submissions(author="duck")[0]
    comment = world.forum.comment("ann", post.fullname, "Were you there?")
    daemon.wait_event("item.done", thing=comment.fullname, outcome="replied")


def test_metrics__tell_what_status_tells(world: World, port: int) -> None:
    """The contract's names and labels, with the numbers of `status`; the dashboard names only what is there."""
    world.write_main(f"metrics: {{port: {port}}}\n")
    world.services.script("duck-chat", [POST, "I was there as well, under the reeds."])
    world.add_bot("duck", post=EVERY)
    # Elsewhere: it would answer in the first one's stead.
    world.forum.add_subreddit("lake")
    elsewhere = world.add_bot("free", budget="unlimited").replace("[pond]", "[lake]")
    world.bot_file("free").write_text(elsewhere)
    daemon = world.start()
    _work(world, daemon)
    page = wait_value(port, 1, "hotshot_writes_total", bot="duck", kind="replies")
    bot = daemon.bot("duck")
    assert page.get("hotshot_writes_total", bot="duck", kind="posts") == 1
    assert page.get("hotshot_items_read_total", bot="duck", kind="comments") == bot["read"]["comments"]
    assert page.get("hotshot_items_read_total", bot="duck", kind="submissions") == bot["read"]["submissions"]
    assert page.get("hotshot_items_done_total", bot="duck", outcome="replied", reason="top_level") == 1
    assert page.get("hotshot_posts_done_total", bot="duck", outcome="published", reason="scheduled") == 1
    assert page.get("hotshot_spend_characters", bot="duck") == bot["spend"]["characters"]
    assert page.get("hotshot_budget_characters", bot="duck") == 100_000
    assert page.get("hotshot_budget_characters", bot="free") == float("inf")
    assert page.get("hotshot_restarts_total", bot="duck") == 0
    assert page.get("hotshot_bot_state", bot="duck", state="running") == 1
    assert page.get("hotshot_quota_granting") == 1
    count, seconds = (page.get(f"hotshot_service_seconds_{what}", service="openai") for what in ("count", "sum"))
    assert count
    assert seconds
    assert count >= 3
    (left,) = (sample for sample in page.samples if sample.name == "hotshot_reddit_rate_remaining")
    assert re.fullmatch("[0-9a-f]{12}", left.labels["client"])
    assert 0 < left.value <= 1000
    _check_dashboard(page)


def _check_dashboard(page: Page) -> None:
    """Every metric of the dashboard is in the page, with the labels that the dashboard uses."""
    text = DASHBOARD.read_text(encoding="utf-8")
    json.loads(text)
    names = set(re.findall(r"\bhotshot_[a-z_]+", text))
    there = {sample.name for sample in page.samples} | set(page.families)
    # A role that a bot goes without has a row only while it does.
    assert names - there <= {"hotshot_bot_degraded"}
    assert "hotshot_bot_degraded" in page.families
    contract = {
        "hotshot_items_read_total", "hotshot_items_done_total", "hotshot_writes_total", "hotshot_spend_characters",
        "hotshot_budget_characters", "hotshot_restarts_total", "hotshot_service_seconds_bucket",
        "hotshot_reddit_rate_remaining",
    }  # fmt: skip
    assert contract <= names


def test_counters__go_on_over_deaths_and_reloads(world: World, port: int) -> None:
    """A worker's death, the quota process's and a bot's absence take nothing from a counter."""
    world.write_main(f"metrics: {{port: {port}}}\n")
    world.services.script("duck-chat", [POST, "I was there as well, under the reeds."])
    text = world.add_bot("duck", post=EVERY)
    daemon = world.start()
    _work(world, daemon)
    before = wait_value(port, 1, "hotshot_writes_total", bot="duck", kind="replies")
    os.kill(daemon.bot("duck")["pid"], signal.SIGKILL)
    daemon.wait_event("bot.state", bot="duck", new="running", count=2)
    os.kill(daemon.status()["daemon"]["quota"]["pid"], signal.SIGKILL)
    wait_until(lambda: daemon.status()["daemon"]["quota"]["state"] == "ok", what="the quota process")
    world.bot_file("duck").unlink()
    assert world.ctl("reload").returncode == 0
    wait_until(lambda: scrape(port).get("hotshot_restarts_total", bot="duck") is None, what="its absence")
    world.bot_file("duck").write_text(text)
    assert world.ctl("reload").returncode == 0
    after = wait_value(port, 1, "hotshot_restarts_total", bot="duck")
    counters = [sample for sample in before.samples if re.search("_(total|count|sum|bucket)$", sample.name)]
    assert len(counters) > 20
    for sample in counters:
        assert (after.get(sample.name, **sample.labels) or 0) >= sample.value, sample


def test_textfile__is_whole_readable_and_gone_after_the_stop(world: World, tmp_path: Path) -> None:
    """node_exporter, another user, reads it; what no daemon keeps fresh is taken away."""
    path = tmp_path / "collector" / "hotshot.prom"
    path.parent.mkdir()
    world.write_main(f"metrics: {{textfile: {path}}}\n")
    world.add_bot("duck")
    old = os.umask(0o077)
    try:
        daemon = world.start()
    finally:
        os.umask(old)
    wait_until(path.exists, what="the file")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert Page(path.read_text()).get("hotshot_budget_characters", bot="duck") == 100_000
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert daemon.stop() == 0
    assert list(path.parent.iterdir()) == []


def test_reload__turns_metrics_on_moves_and_ends_them(world: World, port: int, tmp_path: Path) -> None:
    """`hotshotctl reload` applies the settings to the running daemon, and no bot starts anew for it."""
    world.add_bot("duck")
    daemon = world.start()
    pids = daemon.pids()
    path = tmp_path / "hotshot.prom"
    world.write_main(f"metrics: {{port: {port}, textfile: {path}}}\n")
    assert world.ctl("reload").returncode == 0
    assert scrape(port).get("hotshot_bot_state", bot="duck", state="running") == 1
    wait_until(path.exists, what="the file")
    world.write_main()
    assert world.ctl("reload").returncode == 0
    assert not path.exists()
    with pytest.raises(requests.ConnectionError):
        scrape(port)
    assert daemon.pids() == pids


def test_port__that_is_taken_costs_no_bot(world: World) -> None:
    """The daemon says so and works on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        world.write_main(f"metrics: {{port: {taken.getsockname()[1]}}}\n")
        world.add_bot("duck")
        daemon = world.start()
        assert "set another metrics.port" in daemon.wait_event("metrics.failed")["error"]
        assert daemon.bot("duck")["state"] == "running"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"405"),
        (b"GET /metrics\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\n\n", b"400"),
        (b"GET /" + b"x" * 20_000, b"431"),
        (b"HEAD /metrics?x=1 HTTP/1.0\r\n\r\n", b"200"),
    ],
    ids=["path", "method", "version", "tls", "endless", "head"],
)
def test_server__answers_nonsense_shortly(world: World, port: int, request_: bytes, status: bytes) -> None:
    """Each gets its status and the end of the connection."""
    world.write_main(f"metrics: {{port: {port}}}\n")
    world.add_bot("duck")
    world.start()
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(request_)
        answer = b""
        while data := sock.recv(65536):
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"Connection: close" in head
    assert (body == b"") is request_.startswith(b"HEAD")


def test_server__idle_clients_keep_nobody_out(world: World, port: int) -> None:
    """Whoever holds connections and says nothing loses the oldest; the scrape and the control socket are answered."""
    world.write_main(f"metrics: {{port: {port}}}\n")
    world.add_bot("duck")
    daemon = world.start()
    idle = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(40)]
    try:
        assert scrape(port).get("hotshot_quota_granting") == 1
        assert daemon.bot("duck")["state"] == "running"
        assert idle[0].recv(1) == b""
    finally:
        for sock in idle:
            sock.close()
