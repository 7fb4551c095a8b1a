"""The table of quirks, and how a plan of faults names them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hotshotd.errors import ConfigError
from hotshotd.sandbox.faults import load_plan, parse_rule, rule_to_json
from hotshotd.sandbox.http import Request, Response, json_response
from hotshotd.sandbox.oddities import read_answer
from hotshotd.sandbox.quirks import QUIRKS, SERVERS, find_quirk, list_quirks

CHAT = {"choices": [{"message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}]}


def ask(name: str, **body: object) -> Response:
    request = Request("POST", "/v1/chat/completions", body=json.dumps(body).encode())
    return find_quirk(name)(request, lambda _: json_response(CHAT))


@pytest.mark.parametrize("name", list_quirks())
def test_quirk__is_a_way_of_answering(name: str) -> None:
    """Each name of the table can be shown, also to a body that is no JSON, and names what it is."""
    assert name == name.casefold()
    assert isinstance(ask(name, model="m", messages=[]), Response)
    assert isinstance(find_quirk(name)(Request("GET", "/"), lambda _: Response()), Response)


def test_quirks__names_are_of_one_kind_only() -> None:
    """No server is called like a quirk, and each server's quirks are in the table."""
    assert not set(QUIRKS) & set(SERVERS)
    assert {name for names in SERVERS.values() for name in names} <= set(QUIRKS)


def test_combine__shows_all_of_a_server() -> None:
    """Gemini refuses a penalty, and its error is an array."""
    refusal = ask("gemini", frequency_penalty=0.5)
    assert refusal.status == 400
    assert 'Unknown name "frequency_penalty"' in refusal.json()[0]["error"]["message"]
    assert ask("gemini", temperature=0.5).json() == CHAT


def test_openrouter__answers_200_with_an_error_inside() -> None:
    """The status stands in the body alone."""
    refusal = ask("openrouter", reasoning={"effort": "none"})
    assert refusal.status == 200
    assert refusal.json()["error"]["code"] == 400


def test_thinks_long__says_nothing_but_thoughts_without_many_tokens() -> None:
    """Its answer comes once there is room for it."""
    short = read_answer(ask("thinks-long", max_tokens=50))["choices"][0]
    assert short["finish_reason"] == "length"
    assert short["message"]["content"].startswith("<think>")
    assert read_answer(ask("thinks-long", max_tokens=1050)) == CHAT


def test_load_plan__takes_a_quirk(tmp_path: Path) -> None:
    """`action: quirk` with the name of a quirk or of a server."""
    path = tmp_path / "faults.yaml"
    path.write_text("faults:\n  - {service: openai, action: quirk, quirk: groq, count: 2}\n")
    (rule,) = load_plan(path).rules
    assert rule.quirk == "groq"
    assert parse_rule(rule_to_json(rule)) == rule


@pytest.mark.parametrize(
    ("line", "fault"),
    [("{action: quirk}", "quirk: is missing"), ("{action: quirk, quirk: grok}", "'grok' is wrong; wanted is one of")],
)
def test_load_plan__names_the_quirks_there_are(tmp_path: Path, line: str, fault: str) -> None:
    """A name that is wrong or not there is answered with those that are."""
    path = tmp_path / "faults.yaml"
    path.write_text(f"faults:\n  - {line}\n")
    with pytest.raises(ConfigError, match=fault) as caught:
        load_plan(path)
    assert "refuses-n" in str(caught.value)
    assert f"{path}:2:" in str(caught.value)
