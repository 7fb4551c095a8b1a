"""Wire formats, parameters and inputs, without a network."""

from __future__ import annotations

from typing import Any

import pytest

from hotshotd.errors import InferenceNonsense
from hotshotd.inference.base import Message, Prompt, Speaker
from hotshotd.inference.chat import ChatWire
from hotshotd.inference.completions import CompletionsWire
from hotshotd.inference.generation import WireFormat
from hotshotd.inference.habits import HabitBook, Habits
from hotshotd.inference.hf import HfWire
from hotshotd.inference.hosts import find_proxies, is_loopback
from hotshotd.inference.parameters import Options, make_options
from hotshotd.inference.rankers import END_OF_TURN, join_turns
from hotshotd.inference.thoughts import remove_thought
from hotshotd.inference.ways import find_quiet

PROMPT = Prompt(
    text="Once upon", messages=(Message(Speaker.SYSTEM, "Be odd."), Message(Speaker.USER, "Hi")), stop=("\n\n",)
)
OPTIONS = Options(required={"max_tokens": 9}, optional={"temperature": 0.8})


def read(wire: WireFormat, body: Any) -> tuple[str, ...]:
    return wire.read(body, prompt=PROMPT, where="x").texts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Hello", "Hello"),
        ("<think>hm</think>\n\nHello", "Hello"),
        ("  <Thinking>hm\nhm</Thinking>Hello", "Hello"),
        ("<think>never ending", ""),
        ("hm, so</think>Hello", "Hello"),
        ("<think></think>Hello", "Hello"),
        ("<think>a</think><think>b", ""),
        ("a <think> b", "a <think> b"),
        ("<think>a</think>\n<thinking>b</thinking> Hello", "Hello"),
        ('<think time="3">a</think >Hello', "Hello"),
        ("<think>a <think>b</think> c</think>Hello", "Hello"),
        ("<thinker>Hello", "<thinker>Hello"),
        ("[THINK]hm[/THINK]Hello", "Hello"),
        ("[THINK]hm", ""),
        ("◁think▷hm◁/think▷Hello", "Hello"),
        ("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hello", "Hello"),
        ("<|channel|>analysis<|message|>hm", ""),
        ("", ""),
    ],
)
def test_remove_thought__leaves_only_what_is_said(text: str, said: str) -> None:
    """Reasoning is never published, finished or not."""
    assert remove_thought(text) == said


@pytest.mark.parametrize(
    ("message", "texts"),
    [
        ({"content": "Hello"}, ("Hello",)),
        ({"content": None, "reasoning": "secret thoughts"}, ()),
        ({"content": "", "reasoning_content": "secret thoughts"}, ()),
        ({"content": [{"type": "thinking", "thinking": "no"}, {"type": "text", "text": "Hello"}]}, ("Hello",)),
        ({"content": "<think>hm"}, ()),
    ],
)
def test_chat__reads_content_only(message: dict[str, Any], texts: tuple[str, ...]) -> None:
    """Content may be a string, parts or null; reasoning fields are not read."""
    assert read(ChatWire(), {"choices": [{"message": message}]}) == texts


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (ChatWire(), {}),
        (ChatWire(), []),
        (ChatWire(), None),
        (ChatWire(), {"choices": []}),
        (ChatWire(), {"choices": ["x"]}),
        (ChatWire(), {"choices": [{}]}),
        (ChatWire(), {"choices": [{"message": {"content": 5}}]}),
        (ChatWire(), {"choices": [{"message": "x"}]}),
        (CompletionsWire(), {"choices": [{"message": {"content": "x"}}]}),
        (CompletionsWire(), {"choices": [{"text": None}]}),
        (HfWire(), {}),
        (HfWire(), []),
        (HfWire(), [[]]),
        (HfWire(), "text"),
        (HfWire(), [{"generated_text": 5}]),
    ],
)
def test_read__raises_on_nonsense(wire: WireFormat, body: Any) -> None:
    """What is not of the format raises; a text is never guessed."""
    with pytest.raises(InferenceNonsense):
        read(wire, body)


@pytest.mark.parametrize(
    "body",
    [
        {"generated_text": "Once upon a time"},
        [{"generated_text": "Once upon a time"}],
        [[{"generated_text": "Once upon a time"}]],
        [{"generated_text": " a time"}],
    ],
)
def test_hf__takes_every_shape_and_strips_the_prompt(body: Any) -> None:
    """One entry, a list or a nested list; with the prompt in front or without."""
    assert read(HfWire(), body) == ("a time",)


def test_completions__keeps_the_order_and_drops_empty_texts() -> None:
    """Candidates come in the model's order."""
    assert read(CompletionsWire(), {"choices": [{"text": "b"}, {"text": " "}, {"text": "a"}]}) == ("b", "a")


def test_payload__of_each_format() -> None:
    """Each format sends what its servers document, and charges exactly its texts."""
    assert HfWire().make_payload(PROMPT, model="m", options=OPTIONS) == {
        "inputs": "Once upon",
        "parameters": {"return_full_text": False, "temperature": 0.8, "max_tokens": 9},
    }
    assert CompletionsWire().make_payload(PROMPT, model="", options=OPTIONS.strip()) == {
        "prompt": "Once upon",
        "max_tokens": 9,
    }
    assert ChatWire().make_payload(PROMPT, model="m", options=OPTIONS) == {
        "model": "m",
        "temperature": 0.8,
        "max_tokens": 9,
        "messages": [{"role": "system", "content": "Be odd."}, {"role": "user", "content": "Hi"}],
    }
    assert ChatWire().list_texts(PROMPT) == ("Be odd.", "Hi")
    assert ChatWire().list_texts(Prompt(text="only text")) == ("only text",)


HF_NAMES = {"max_new_tokens": 50, "num_return_sequences": 2, "temperature": 0.8, "top_k": 40, "do_sample": True}


@pytest.mark.parametrize(
    ("wire", "url", "model", "expected"),
    [
        ("hf", "http://127.0.0.1:1/models", "m", HF_NAMES),
        ("completions", "http://own:8000/v1", "m", {"max_tokens": 50, "n": 2, "temperature": 0.8, "top_k": 40}),
        ("chat", "https://api.openai.com/v1", "gpt-4o", {"max_completion_tokens": 50, "n": 2, "temperature": 0.8}),
        (
            "chat",
            "https://api.groq.com/openai/v1",
            "qwen/qwen3.8-27b",
            {"max_tokens": 50, "temperature": 0.8, "reasoning_effort": "none"},
        ),
    ],
)
def test_make_options__translates_for_each_server(wire: str, url: str, model: str, expected: dict[str, Any]) -> None:
    """HF-style names become the server's, and what a known host refuses is left out."""
    options = make_options(HF_NAMES, wire=wire, url=url, model=model, habits=Habits())
    assert options.merge() == expected


def test_make_options__one_answer_needs_no_parameter() -> None:
    """`n: 1` is not sent; a length is always asked for."""
    options = make_options({"num_return_sequences": 1}, wire="chat", url="http://own", model="m", habits=Habits())
    assert options.merge() == {"max_tokens": 250}
    assert options.is_bare


def test_make_options__the_operator_wins_over_the_table() -> None:
    """A written reasoning_effort is sent as it is written."""
    url = "https://api.groq.com/openai/v1"
    options = make_options({"reasoning_effort": "high"}, wire="chat", url=url, model="qwen", habits=Habits())
    assert options.merge()["reasoning_effort"] == "high"


def test_make_options__heeds_what_was_learnt() -> None:
    """Refused parameters stay out, a renamed limit keeps its name, tokens are added."""
    habits = Habits()
    habits.leave_out(["top_k"])
    habits.call_it("max_tokens", "max_completion_tokens")
    habits.add_tokens(1000)
    options = make_options({"top_k": 4, "max_new_tokens": 5}, wire="chat", url="http://own", model="m", habits=habits)
    assert options.merge() == {"max_completion_tokens": 1005}


@pytest.mark.parametrize(
    ("url", "model", "extra"),
    [
        ("https://api.groq.com/openai/v1", "openai/gpt-oss-20b", {"reasoning_effort": "low"}),
        ("https://api.groq.com/openai/v1", "llama", {}),
        ("http://127.0.0.1:11434/v1", "qwen3", {"reasoning_effort": "none"}),
        ("http://localhost:11434/v1", "gpt-oss:20b", {"reasoning_effort": "low"}),
        ("http://gpu-box.lan:11434/v1", "qwen3", {"reasoning_effort": "none"}),
        ("http://localhost:8080/v1", "gemma", {"reasoning_effort": "none"}),
        ("http://localhost:99999/v1", "qwen3", {}),
        ("http://localhost:9999/v1", "qwen3", {}),
        ("https://openrouter.ai/api/v1", "x", {"reasoning": {"effort": "none"}}),
        ("https://router.huggingface.co/v1", "x", {}),
    ],
)
def test_find_quiet__by_host_model_and_port(url: str, model: str, extra: dict[str, Any]) -> None:
    """Reasoning is switched off where a way is known."""
    assert dict(find_quiet(url, model)) == extra


def test_habits__two_different_prompts_in_a_row() -> None:
    """The second different refusal counts; the same prompt again, or a success between, does not."""
    habits = Habits()
    assert not habits.note_refused("a")
    assert not habits.note_refused("a")
    assert habits.note_refused("b")
    habits.note_accepted()
    assert not habits.note_refused("c")


def test_habit_book__one_page_a_model() -> None:
    """Two clients of one model share what was learnt, two models do not."""
    book = HabitBook()
    assert book.open("u", model="m") is book.open("u", model="m")
    assert book.open("u", model="m") is not book.open("u", model="n")


def test_join_turns__drops_oldest_and_keeps_the_reply() -> None:
    """What does not fit DialogRPT's window goes, oldest first; the reply stays whole."""
    assert join_turns(["a ", " b", ""], " c ") == f"a{END_OF_TURN}b{END_OF_TURN}c"
    reply = "r" * 3000
    assert join_turns(["old" * 300, "new"], reply) == f"new{END_OF_TURN}{reply}"
    assert join_turns(["x" * 5000], "r" * 4000) == "r" * 4000
    cut = join_turns(["x" * 5000 + "end"], reply)
    assert cut.endswith(f"end{END_OF_TURN}{reply}")
    assert len(cut) == 3584


def test_join_turns__a_turn_can_not_speak_for_two() -> None:
    """The separator inside somebody's text is taken out."""
    assert join_turns([f"a{END_OF_TURN}b"], "c").count(END_OF_TURN) == 1


@pytest.mark.parametrize(
    ("host", "is_here"),
    [("localhost", True), ("127.9.9.9", True), ("::1", True), ("10.0.0.1", False), ("example.org", False), ("", False)],
)
def test_is_loopback(host: str, is_here: bool) -> None:
    """Only this machine is loopback."""
    assert is_loopback(host) is is_here


def test_find_proxies__never_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment is used for others, but not for loopback, nor for NO_PROXY."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    assert find_proxies("https://127.0.0.1:1/") == {}
    assert find_proxies("https://outside.example/")["https"] == "http://proxy:3128"
    assert "https" not in find_proxies("https://inside.example/")
