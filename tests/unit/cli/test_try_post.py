"""What `try` and `post` print, and where, against a daemon that follows a script."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hotshotd.cli.ctl import main as ctl
from hotshotd.control.client import ControlClient
from hotshotd.errors import ExitCode

WOULD = {"thing": "t3_a", "would_reply": True, "reason": "mention", "detail": "", "text": "I do.", "cost": 1234}
POSTED = {
    "title": "A pond", "text": "Two lines.\nOf text.", "picture": None, "dry_run": False, "thing": "t3_b",
    "permalink": "https://www.reddit.com/r/pond/comments/b/", "cost": 99,
}  # fmt: skip

Answer = Callable[..., Result]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Answer]:
    """Give a function that runs hotshotctl against a daemon which says these lines; the request is in `requests`."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "s"))
    listener.listen(1)
    listener.settimeout(10)
    threads: list[threading.Thread] = []

    def serve(lines: tuple[Any, ...], requests: list[Any]) -> None:
        peer, _ = listener.accept()
        with peer:
            requests.append(json.loads(peer.recv(65536)))
            for line in lines:
                peer.sendall(json.dumps({"id": 1, **line}).encode() + b"\n")

    def run(*words: str, lines: tuple[Any, ...], requests: list[Any] | None = None) -> Result:
        threads.append(threading.Thread(target=serve, args=(lines, requests if requests is not None else [])))
        threads[-1].start()
        return CliRunner().invoke(ctl, ["--socket", str(tmp_path / "s"), *words])

    yield run
    for thread in threads:
        thread.join(10)
    listener.close()


def ok(data: dict[str, Any]) -> dict[str, Any]:
    return {"ok": True, "data": data}


def step(name: str, text: str, cost: int = 0) -> dict[str, Any]:
    return {"step": {"name": name, "text": text, "cost": cost}}


def test_try__prints_steps_then_decision_then_cost(daemon: Answer) -> None:
    """Names as headings, texts indented, what each cost; the request carries bot and address."""
    requests: list[Any] = []
    lines = (step("prompt", "a\n\nb"), step("candidates", "- I do.", 1234), ok(WOULD))
    result = daemon("try", "duck", "t3_a", lines=lines, requests=requests)
    assert result.exit_code == 0
    assert result.stdout == (
        "prompt\n    a\n\n    b\ncandidates (1,234 characters)\n    - I do.\n"
        "would reply: mention\ncost: 1,234 characters\n"
    )
    assert requests == [{"id": 1, "op": "try", "bot": "duck", "url": "t3_a"}]


def test_try__would_not_is_0_and_one_line(daemon: Answer) -> None:
    """The reason and its detail, whatever lines that has."""
    answer = {
        **WOULD,
        "would_reply": False,
        "reason": "moderation",
        "detail": "TOXICITY\n0.95",
        "text": None,
        "cost": 0,
    }
    result = daemon("try", "duck", "t3_a", lines=(ok(answer),))
    assert result.exit_code == 0
    assert result.stdout == "would not reply: moderation (TOXICITY 0.95)\ncost: 0 characters\n"


def test_try__json_holds_steps_and_answer(daemon: Answer) -> None:
    """One object on standard output, and nothing else."""
    result = daemon("try", "duck", "t3_a", "--json", lines=(step("prompt", "a"), ok(WOULD)))
    assert json.loads(result.stdout) == {"steps": [{"name": "prompt", "text": "a", "cost": 0}], **WOULD}


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_try__of_hostile_words_moves_no_cursor(daemon: Answer, as_json: list[str]) -> None:
    """Escape sequences, marks that turn text around and half surrogates reach no terminal as they are."""
    words = "\x1b[2J\x1b]0;owned\x07 \u202eevil\u202c \ud83d \r\x9b1m"
    result = daemon("try", "duck", "t3_a", *as_json, lines=(step("prompt", words), ok({**WOULD, "reason": words})))
    assert result.exit_code == 0
    assert "owned" in result.stdout
    assert not set("\x1b\x07\r\x9b") & set(result.stdout)
    if not as_json:
        assert not set("\u202e\u202c") & set(result.stdout)


def test_post__prints_the_post_and_says_where(daemon: Answer) -> None:
    """The post alone on standard output, so that it can be piped."""
    requests: list[Any] = []
    result = daemon("post", "duck", lines=(step("prompt", "x"), ok(POSTED)), requests=requests)
    assert result.exit_code == 0
    assert result.stdout == "A pond\n\nTwo lines.\nOf text.\n"
    assert result.stderr == "posted: https://www.reddit.com/r/pond/comments/b/ (t3_b); it cost 99 characters\n"
    assert requests == [{"id": 1, "op": "post", "bot": "duck", "dry_run": False}]


def test_post__of_a_picture_describes_it(daemon: Answer) -> None:
    """Its kind and size; its address may not be known."""
    answer = {**POSTED, "text": None, "picture": "png, 12,345 bytes, by horde", "permalink": None}
    result = daemon("post", "duck", lines=(ok(answer),))
    assert result.stdout == "A pond\n\n[picture: png, 12,345 bytes, by horde]\n"
    assert result.stderr == "posted: t3_b; it cost 99 characters\n"


def test_post__dry_run_says_so(daemon: Answer) -> None:
    """Also where the bot's own file says it."""
    requests: list[Any] = []
    answer = {**POSTED, "dry_run": True, "thing": None, "permalink": None}
    result = daemon("post", "duck", "--dry-run", lines=(ok(answer),), requests=requests)
    assert (result.exit_code, result.stdout) == (0, "A pond\n\nTwo lines.\nOf text.\n")
    assert "nothing was posted" in result.stderr
    assert requests[0]["dry_run"] is True


def test_post__says_why_it_takes_longer(daemon: Answer) -> None:
    """A wait for another post, another try: on standard error, as they come."""
    lines = (step("waiting", "a post is being made"), step("try again", "in 15 s"), ok(POSTED))
    result = daemon("post", "duck", lines=lines)
    assert result.stderr.startswith("waiting: a post is being made\ntry again: in 15 s\nposted:")


@pytest.mark.parametrize("words", [("try", "duck", "t3_a"), ("post", "duck")])
@pytest.mark.parametrize(
    ("code", "exit_code"),
    [("paused", ExitCode.FAILED), ("unknown_bot", ExitCode.UNKNOWN_BOT), ("max_per_day", ExitCode.FAILED)],
)
def test_failure__has_its_exit_code_and_words(
    daemon: Answer, words: tuple[str, ...], code: str, exit_code: ExitCode
) -> None:
    """On standard error; a post that was not made is not shown as one."""
    result = daemon(*words, lines=({"ok": False, "code": code, "message": "because"},))
    assert (result.exit_code, result.stdout, result.stderr) == (exit_code, "", "because\n")


@pytest.mark.parametrize("words", [("try", "duck", "t3_a"), ("post", "duck")])
def test_daemon__that_dies_after_a_step_is_3(daemon: Answer, words: tuple[str, ...]) -> None:
    """It is noticed at once."""
    result = daemon(*words, lines=(step("prompt", "x"),))
    assert result.exit_code == ExitCode.NOT_RUNNING
    assert "went away" in result.stderr


@pytest.mark.parametrize("words", [["try", "duck"], ["try"], ["post"], ["post", "a", "b"]])
def test_usage__is_2(words: list[str]) -> None:
    """Each names one bot, `try` one thing."""
    assert CliRunner().invoke(ctl, words).exit_code == ExitCode.USAGE


# -- on the way --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["5", "[a]", "{a: b}", "true", "null"])
def test_config__with_a_runtime_dir_that_is_no_text_is_told(tmp_path: Path, value: str) -> None:
    """The file, the line, the key; no traceback."""
    (tmp_path / "bots.d").mkdir()
    config = tmp_path / "hotshotd.yaml"
    config.write_text(f"timezone: UTC\nruntime_dir: {value}\n")
    result = CliRunner().invoke(ctl, ["--config", str(config), "status"])
    assert isinstance(result.exception, SystemExit)
    if value != "null":
        assert result.exit_code == 1
        assert "hotshotd.yaml:2: runtime_dir:" in result.stderr


def test_watch__ended_by_ctrl_c_while_it_asks_is_0(daemon: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a watch is no failure, wherever it strikes."""

    def interrupt(*_words: object, **_settings: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(ControlClient, "request", interrupt)
    assert CliRunner().invoke(ctl, ["--socket", "/nowhere", "status", "--watch"]).exit_code == 0
