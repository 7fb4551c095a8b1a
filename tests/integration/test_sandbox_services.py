"""The sandbox's services over real HTTP: wire formats, errors, counts, scripts, holds, faults."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests

from hotshotd.sandbox.faults import Action, Plan, Rule, When
from hotshotd.sandbox.http import json_response
from hotshotd.sandbox.services import Services

KEY, OTHER = "key-of-iama", "key-of-baker"
RUDE, KIND = "You are an idiot.", "What a lovely lamp."


@pytest.fixture
def plan() -> Plan:
    return Plan()


@pytest.fixture
def services(plan: Plan) -> Iterator[Services]:
    with Services(keys={KEY: "iama", OTHER: "baker"}, plan=plan) as services:
        yield services
    assert not [failure for server in services.servers for failure in server.failures]


def post(url: str, body: Any, *, key: str | None = KEY, **headers: str) -> requests.Response:
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    return requests.post(url, json=body, headers=headers, timeout=5)


def ask_hf(services: Services, inputs: str, *, model: str = "gpt2", key: str = KEY, **parameters: Any) -> Any:
    body = {"inputs": inputs, "parameters": parameters}
    return post(f"{services.hf_url}/{model}", body, key=key).json()


def analyze(services: Services, text: Any, *, key: str | None = KEY, **body: Any) -> requests.Response:
    body = {"comment": {"text": text}, "languages": ["en"], "requestedAttributes": {"TOXICITY": {}}} | body
    url = f"{services.perspective_url}/v1alpha1/comments:analyze"
    return requests.post(url, params={"key": key} if key else {}, json=body, timeout=5)


# Hugging Face


def test_hf_text__honours_count_length_and_full_text(services: Services) -> None:
    """The candidates wished for come, each with the prompt in front unless refused, none too long."""
    full = ask_hf(services, "Hello", num_return_sequences=3, max_new_tokens=5)
    assert len(full) == 3
    assert all(answer["generated_text"].startswith("Hello") for answer in full)
    assert all(len(answer["generated_text"]) <= len("Hello") + 20 for answer in full)
    (bare,) = ask_hf(services, "Hello", return_full_text=False, max_new_tokens=200)
    assert not bare["generated_text"].startswith("Hello")


def test_hf_text__answers_an_open_ssi_tag_with_a_post(services: Services) -> None:
    """A fine-tuned model fills in what HotShotBot leaves open."""
    (answer,) = ask_hf(services, "<|soss", max_new_tokens=250)
    assert answer["generated_text"].startswith("<|soss|><|sot|>")
    assert "<|eot|><|sost|>" in answer["generated_text"]


def test_hf_classification__is_nested_and_steady(services: Services) -> None:
    """DialogRPT gives one LABEL_0 inside two lists, the same for the same text."""
    first, again = (ask_hf(services, "a<|endoftext|>b", model="microsoft/DialogRPT-width") for _ in range(2))
    assert first == again
    assert first[0][0].keys() == {"label", "score"}
    assert first[0][0]["label"] == "LABEL_0"


def test_hf_zero_shot__sorts_the_labels(services: Services) -> None:
    """The likeliest label comes first, wherever the request had it."""
    matches = ask_hf(services, "all about cheese", model="facebook/bart-large-mnli", candidate_labels=["war", "cheese"])
    assert [match["label"] for match in matches] == ["cheese", "war"]


def test_hf_picture__is_a_png(services: Services) -> None:
    """A request that accepts images gets the bytes of one."""
    answer = post(f"{services.hf_url}/stable-diffusion", {"inputs": "a goat"}, Accept="image/png")
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize(
    ("key", "model", "inputs", "status"),
    [(None, "gpt2", "x", 401), ("wrong", "gpt2", "x", 401), (KEY, "gone", "x", 404), (KEY, "gpt2", "", 422)],
)
def test_hf_errors__have_a_text_under_error(
    services: Services, key: str | None, model: str, inputs: str, status: int
) -> None:
    """Hugging Face's errors are a string under `error`."""
    services.gone.add("gone")
    answer = post(f"{services.hf_url}/{model}", {"inputs": inputs}, key=key)
    assert answer.status_code == status
    assert isinstance(answer.json()["error"], str)


# OpenAI


def test_chat__has_choices_usage_and_finish_reason(services: Services) -> None:
    """`n` choices, each an assistant's message; a text cut at `max_tokens` says `length`."""
    body = {"model": "baker", "messages": [{"role": "user", "content": "Who are you?"}], "n": 2, "max_tokens": 3}
    answer = post(f"{services.openai_url}/chat/completions", body).json()
    assert [choice["finish_reason"] for choice in answer["choices"]] == ["length", "length"]
    assert all(choice["message"]["role"] == "assistant" for choice in answer["choices"])
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]


def test_completions__ends_at_a_stop_string(services: Services) -> None:
    """The text stops where told to, and says `stop`."""
    services.script("gpt2", ["One.\nUser: two"])
    body = {"model": "gpt2", "prompt": "Count:", "max_tokens": 50, "stop": ["\nUser:"]}
    (choice,) = post(f"{services.openai_url}/completions", body).json()["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("One.", "stop")


@pytest.mark.parametrize("model", ["omni-moderation-latest", "mistral-moderation-2603"])
def test_moderations__flag_rude_texts(services: Services, model: str) -> None:
    """A list has a result for each text; categories and scores agree; only OpenAI says `flagged`."""
    answer = post(f"{services.openai_url}/moderations", {"model": model, "input": [RUDE, KIND]}).json()
    rude, kind = answer["results"]
    assert any(rude["categories"].values())
    assert not any(kind["categories"].values())
    assert max(rude["category_scores"].values()) >= 0.9 > max(kind["category_scores"].values())
    assert rude.get("flagged") is (None if model.startswith("mistral") else True)


def test_moderations__take_one_text_or_parts_and_want_input(services: Services) -> None:
    """A string and a list of parts have one result; no input is a 400."""
    url = f"{services.openai_url}/moderations"
    assert len(post(url, {"input": KIND}).json()["results"]) == 1
    assert post(url, {"input": [{"type": "text", "text": RUDE}]}).json()["results"][0]["flagged"]
    assert post(url, {}).status_code == 400


def test_guard_model__answers_safe_or_unsafe(services: Services) -> None:
    """A model with guard in its name judges the last message."""
    url = f"{services.openai_url}/chat/completions"
    words = [
        post(url, {"model": "llama-guard", "messages": [{"role": "user", "content": text}]}).json()["choices"][0]
        for text in (KIND, RUDE)
    ]
    assert [word["message"]["content"] for word in words] == ["safe", "unsafe\nS10"]


def test_rerank_and_classify__score_like_dialogrpt(services: Services) -> None:
    """`/rerank` sorts and keeps the index; `/classify` gives probabilities; both rate as hf does."""
    hf = ask_hf(services, "a<|endoftext|>b", model="microsoft/DialogRPT-updown")[0][0]["score"]
    body = {"model": "microsoft/DialogRPT-updown", "query": "a", "documents": ["<|endoftext|>b", "<|endoftext|>c"]}
    results = post(f"{services.openai.base_url}/rerank", body).json()["results"]
    assert results == sorted(results, key=lambda result: -result["relevance_score"])
    assert {result["index"]: result["relevance_score"] for result in results}[0] == hf
    body = {"model": "microsoft/DialogRPT-updown", "input": "a<|endoftext|>b"}
    assert post(f"{services.openai.base_url}/classify", body).json()["data"][0]["probs"] == [hf]


def test_images__are_base64(services: Services) -> None:
    """A generated picture comes as base64 of a PNG."""
    answer = post(f"{services.openai_url}/images/generations", {"model": "m", "prompt": "a goat"}).json()
    assert base64.b64decode(answer["data"][0]["b64_json"]).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("key", "body", "status", "code"),
    [
        ("wrong", {"model": "m", "messages": []}, 401, "invalid_api_key"),
        (KEY, {"model": "gone", "messages": [{"role": "user", "content": "x"}]}, 404, "model_not_found"),
        (KEY, {"model": "m", "messages": []}, 400, None),
    ],
)
def test_openai_errors__have_an_object_under_error(
    services: Services, key: str, body: Any, status: int, code: str | None
) -> None:
    """OpenAI's errors are an object with message, type, param and code."""
    services.gone.add("gone")
    answer = post(f"{services.openai_url}/chat/completions", body, key=key)
    assert answer.status_code == status
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    assert answer.json()["error"]["code"] == code


# Perspective


def test_perspective__scores_each_attribute(services: Services) -> None:
    """What was asked for is scored, the token comes back, and rudeness is high."""
    wanted = {"TOXICITY": {}, "THREAT": {}}
    answer = analyze(services, RUDE, requestedAttributes=wanted, clientToken="t").json()
    scores = {name: found["summaryScore"]["value"] for name, found in answer["attributeScores"].items()}
    assert scores.keys() == wanted.keys()
    assert scores["TOXICITY"] > 0.9 > scores["THREAT"]
    assert answer["clientToken"] == "t"
    assert analyze(services, KIND).json()["attributeScores"]["TOXICITY"]["summaryScore"]["value"] < 0.3


@pytest.mark.parametrize(
    ("text", "body", "told"),
    [
        ("", {}, "non-empty"),
        ("ä" * 10_241, {}, "too long"),
        ("x", {"requestedAttributes": {"NICENESS": {}}}, "NICENESS"),
        ("x", {"requestedAttributes": {"FLIRTATION": {}}, "languages": ["de"]}, "request languages: de"),
        ("x", {"requestedAttributes": {}}, "No requested attributes"),
    ],
)
def test_perspective__refuses_with_googles_400(services: Services, text: str, body: Any, told: str) -> None:
    """Empty, over 20,480 bytes, unknown attribute, unserved language: 400, the whole request."""
    answer = analyze(services, text, **body)
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"


def test_perspective__takes_exactly_20480_bytes(services: Services) -> None:
    """The limit is in bytes of UTF-8, and is itself allowed."""
    assert analyze(services, "ä" * 10_240).status_code == 200


@pytest.mark.parametrize(("key", "status"), [("wrong", 400), (None, 403)])
def test_perspective__refuses_keys_as_google_does(services: Services, key: str | None, status: int) -> None:
    """A wrong key is a 400 with API_KEY_INVALID, a missing one a 403."""
    answer = analyze(services, "x", key=key)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == status


# For tests


def test_received_chars__counts_code_points_by_key(services: Services) -> None:
    """Prompts and all messages count, for the key they came with; moderation does not."""
    ask_hf(services, "äöü🐐")
    ask_hf(services, "12345", key=OTHER)
    messages = [{"role": "system", "content": "ab"}, {"role": "user", "content": [{"type": "text", "text": "c"}]}]
    post(f"{services.openai_url}/chat/completions", {"model": "m", "messages": messages})
    post(f"{services.openai_url}/completions", {"model": "m", "prompt": "de"})
    post(f"{services.openai_url}/moderations", {"input": KIND})
    analyze(services, KIND)
    assert services.received_chars(KEY) == 4 + 3 + 2
    assert services.received_chars(OTHER) == 5
    assert services.received_chars() == 14


@pytest.mark.parametrize("when", [When.BEFORE, When.AFTER])
def test_received_chars__counts_what_a_fault_swallowed(services: Services, plan: Plan, when: When) -> None:
    """What arrived was sent, whatever became of the answer."""
    plan.add(Rule(Action.RESET, service="hf", account="iama", when=when, count=1))
    with pytest.raises(requests.ConnectionError):
        ask_hf(services, "12345")
    assert services.received_chars(KEY) == 5
    assert ask_hf(services, "12345")


def test_script__says_what_is_answered_next(services: Services) -> None:
    """Texts, candidates, scores and whole answers come in order; then the model improvises again."""
    services.script("gpt2", ["first", ["second", "third"], json_response({"error": "busy"}, status=503)])
    services.script("microsoft/DialogRPT-width", [0.25])
    services.script("perspective", [0.5])
    assert ask_hf(services, "x", return_full_text=False) == [{"generated_text": "first"}]
    assert len(ask_hf(services, "x")) == 2
    assert post(f"{services.hf_url}/gpt2", {"inputs": "x"}).status_code == 503
    assert ask_hf(services, "x", model="microsoft/DialogRPT-width")[0][0]["score"] == 0.25
    assert analyze(services, RUDE).json()["attributeScores"]["TOXICITY"]["summaryScore"]["value"] == 0.5
    assert ask_hf(services, "x", return_full_text=False) != [{"generated_text": "first"}]


def test_hold__keeps_the_answer_until_release(services: Services) -> None:
    """A held request has arrived and has no answer; others go through; `release` lets it end."""
    answers: list[Any] = []
    with services.hold("slow/*") as hold:
        thread = threading.Thread(target=lambda: answers.append(ask_hf(services, "x", model="slow/model")))
        thread.start()
        hold.wait_arrived()
        assert ask_hf(services, "x", model="quick")
        assert not answers
        hold.release()
        thread.join(5)
    assert len(answers) == 1


def test_stop__ends_held_requests() -> None:
    """A server that stops keeps nobody waiting."""
    services = Services(keys={KEY: "iama"}).start()

    def ask() -> None:
        with suppress(requests.RequestException):
            ask_hf(services, "x")

    thread = threading.Thread(target=ask)
    with services.hold() as hold:
        thread.start()
        hold.wait_arrived()
        services.stop()
        thread.join(5)
    assert not thread.is_alive()
