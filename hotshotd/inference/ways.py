"""What known servers do otherwise than their wire format says: the one place to look, and to add a row.

Nothing here is needed: what a server refuses is found out, at the price of one refused request, and remembered
(`habits`). A row spares that request, and switches reasoning off. What answers mean is in `refusals`, how long
to wait in `waits`; `hotshotd.sandbox.quirks` shows each of these ways for tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

NOTHING: Mapping[str, Any] = MappingProxyType({})

#: Any host: for servers that are known by the port they listen on.
ANY = ""

#: Sampling parameters of Hugging Face, llama.cpp and vLLM that OpenAI's own wire format does not have.
SAMPLING_EXTRAS = frozenset({"top_k", "repetition_penalty", "min_p"})


@dataclass(frozen=True, slots=True)
class Ways:
    """What one server wants otherwise, in one wire format ("" for any).

    `left_out` are parameters that it refuses or ignores; `renamed` its own names for ours.
    """

    host: str
    wire: str = ""
    port: int | None = None
    left_out: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)


#: The first row that fits counts.
WAYS: tuple[Ways, ...] = (
    # Only OpenAI itself wants the new name; others know only the old one.
    Ways("api.openai.com", "chat", left_out=SAMPLING_EXTRAS, renamed={"max_tokens": "max_completion_tokens"}),
    Ways("api.openai.com", "completions", left_out=SAMPLING_EXTRAS),
    # 400 on n above 1, logit_bias and logprobs (and on messages[].name, which is never sent).
    Ways("api.groq.com", "chat", left_out=SAMPLING_EXTRAS | {"n", "logit_bias", "logprobs", "top_logprobs"}),
    # 400 "Unknown name" on what it does not know; the penalties are refused by its newer models.
    Ways(
        "generativelanguage.googleapis.com",
        "chat",
        left_out=SAMPLING_EXTRAS | {"frequency_penalty", "presence_penalty", "logit_bias"},
    ),
    # 422 on every unknown key.
    Ways(
        "api.mistral.ai",
        "chat",
        left_out=SAMPLING_EXTRAS | {"logit_bias", "logprobs", "top_logprobs", "user"},
        renamed={"seed": "random_seed"},
    ),
    # Ollama gives one answer whatever `n` says.
    Ways(ANY, "chat", port=11434, left_out=frozenset({"n", "logit_bias"})),
    Ways(ANY, "completions", port=11434, left_out=frozenset({"n", "logit_bias"})),
)


@dataclass(frozen=True, slots=True)
class Quiet:
    """How reasoning is switched off, or kept short where it can't be, for models whose name holds `part`.

    `tries` are sets of parameters: the next one is sent once a server has refused the one before.
    """

    host: str
    part: str
    tries: tuple[Mapping[str, Any], ...]
    port: int | None = None


_NONE = {"reasoning_effort": "none"}
_LOW = {"reasoning_effort": "low"}

#: The first row that fits counts. A server that refuses every try gets none of them any more.
QUIET: tuple[Quiet, ...] = (
    Quiet("api.groq.com", "gpt-oss", (_LOW,)),  # "none" is a 400
    Quiet("api.groq.com", "qwen", (_NONE,)),
    Quiet("generativelanguage.googleapis.com", "gemini", (_LOW,)),  # "none" is a 400
    Quiet("api.mistral.ai", "", (_NONE,)),
    # Models whose reasoning is mandatory refuse to go without: little of it then, and none of it sent.
    Quiet(
        "openrouter.ai",
        "",
        (
            {"reasoning": {"effort": "none"}},
            {"reasoning": {"effort": "low", "exclude": True}},
            {"reasoning": {"exclude": True}},
        ),
    ),
    Quiet("api.openai.com", "gpt-5", (_LOW,)),
    Quiet("api.z.ai", "glm", ({"thinking": {"type": "disabled"}},)),
    Quiet(ANY, "gpt-oss", (_LOW,), port=11434),
    Quiet(ANY, "", (_NONE, _LOW), port=11434),  # Ollama
    Quiet(ANY, "", (_NONE,), port=8080),  # llama-server
    Quiet(ANY, "qwen3", ({"chat_template_kwargs": {"enable_thinking": False}},), port=8000),  # vLLM
)


def find_ways(url: str, *, wire: str) -> Ways:
    """Give the row of the server at an address; an empty one for a server that no row knows."""
    rows = (row for row in WAYS if row.wire in ("", wire) and _is_at(url, row.host, row.port))
    return next(rows, Ways(ANY))


def find_quiet(url: str, model: str, *, refused: int = 0) -> Mapping[str, Any]:
    """Give the parameters that switch a model's reasoning off, after `refused` tries that the server refused.

    Empty where no way is known, or none is left.
    """
    rows = (row for row in QUIET if row.part in model.casefold() and _is_at(url, row.host, row.port))
    row = next(rows, None)
    return row.tries[refused] if row and refused < len(row.tries) else NOTHING


def _is_at(url: str, host: str, port: int | None) -> bool:
    try:
        parts = urlsplit(url)
        return host in (ANY, parts.hostname or "") and port in (None, parts.port)
    except ValueError:  # a port that is no number
        return False
