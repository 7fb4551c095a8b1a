"""What a bot's `parameters:` become on the wire: tables of names, and of what known hosts do not take.

The YAML uses the names of Hugging Face's text generation. Names that no table knows go through as they are,
so an operator can use whatever an own server takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from hotshotd.inference.habits import Habits
from hotshotd.inference.hosts import is_loopback

#: Tokens that are asked for where `parameters` does not say; without a number some servers give 16, others thousands.
DEFAULT_TOKENS = 250

_NOTHING: Mapping[str, str] = MappingProxyType({})

#: Wire format → our name → its name.
NAMES: dict[str, dict[str, str]] = {
    "hf": {"max_tokens": "max_new_tokens", "max_completion_tokens": "max_new_tokens", "n": "num_return_sequences"},
    "completions": {
        "max_new_tokens": "max_tokens",
        "max_completion_tokens": "max_tokens",
        "num_return_sequences": "n",
        "stop_sequences": "stop",
    },
}
NAMES["chat"] = NAMES["completions"]

#: Wire format → the parameter that limits the length of an answer.
TOKENS: dict[str, str] = {"hf": "max_new_tokens", "completions": "max_tokens", "chat": "max_tokens"}

#: Parameters of Hugging Face that no OpenAI-compatible server knows.
HF_ONLY = frozenset(
    {
        "best_of", "clean_up_tokenization_spaces", "details", "do_sample", "early_stopping", "eos_token_id",
        "handle_long_generation", "length_penalty", "max_length", "max_time", "min_length", "no_repeat_ngram_size",
        "num_beams", "pad_token_id", "return_full_text", "return_text", "truncate", "typical_p", "use_cache",
        "wait_for_model", "watermark",
    }
)  # fmt: skip

#: Wire format → names that are never sent.
NEVER: dict[str, frozenset[str]] = {
    "hf": frozenset({"return_full_text", "use_cache", "wait_for_model"}),
    "completions": HF_ONLY | {"stream", "model", "messages", "prompt"},
    "chat": HF_ONLY | {"stream", "model", "messages", "prompt"},
}

_SAMPLING_EXTRAS = frozenset({"top_k", "repetition_penalty", "min_p"})


@dataclass(frozen=True, slots=True)
class Host:
    """What a known host wants otherwise; found out by others at the price of a refused request."""

    left_out: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)


#: (host, wire format) → its ways. "" as the format: any.
HOSTS: dict[tuple[str, str], Host] = {
    ("api.openai.com", "chat"): Host(_SAMPLING_EXTRAS, {"max_tokens": "max_completion_tokens"}),
    ("api.openai.com", "completions"): Host(_SAMPLING_EXTRAS),
    ("api.groq.com", "chat"): Host(_SAMPLING_EXTRAS | {"n", "logit_bias", "logprobs", "top_logprobs"}),
    ("generativelanguage.googleapis.com", "chat"): Host(
        _SAMPLING_EXTRAS | {"frequency_penalty", "presence_penalty", "logit_bias"}
    ),
    ("api.mistral.ai", "chat"): Host(_SAMPLING_EXTRAS, {"seed": "random_seed"}),
}


@dataclass(frozen=True, slots=True)
class Quiet:
    """How reasoning is switched off, or kept short where it can't be, at one host for models whose name holds `part`.

    `port` is for servers known by where they listen on this machine.
    """

    host: str
    part: str
    extra: Mapping[str, Any]
    port: int | None = None


LOOPBACK = "loopback"

#: The first row that fits counts. A host that refuses its row gets the bare request, once.
QUIET: tuple[Quiet, ...] = (
    Quiet("api.groq.com", "gpt-oss", {"reasoning_effort": "low"}),
    Quiet("api.groq.com", "qwen", {"reasoning_effort": "none"}),
    Quiet("generativelanguage.googleapis.com", "gemini", {"reasoning_effort": "low"}),
    Quiet("api.mistral.ai", "", {"reasoning_effort": "none"}),
    Quiet("openrouter.ai", "", {"reasoning": {"effort": "none"}}),
    Quiet("api.openai.com", "gpt-5", {"reasoning_effort": "low"}),
    Quiet("api.z.ai", "glm", {"thinking": {"type": "disabled"}}),
    Quiet(LOOPBACK, "gpt-oss", {"reasoning_effort": "low"}, port=11434),
    Quiet(LOOPBACK, "", {"reasoning_effort": "none"}, port=11434),  # Ollama
    Quiet(LOOPBACK, "", {"reasoning_effort": "none"}, port=8080),  # llama-server
)


@dataclass(frozen=True, slots=True)
class Options:
    """What goes beside a prompt: `required` always, `optional` until a server refuses it."""

    required: Mapping[str, Any]
    optional: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_bare(self) -> bool:
        return not self.optional

    def merge(self) -> dict[str, Any]:
        return {**self.optional, **self.required}

    def strip(self) -> Options:
        """Give the bare options."""
        return Options(required=self.required)


def make_options(
    parameters: Mapping[str, Any],
    *,
    wire: str,
    url: str,
    model: str,
    habits: Habits,
    defaults: Mapping[str, Any] = _NOTHING,
    extra_tokens: int = 0,
) -> Options:
    """Make the options of a request out of a bot's parameters, the tables, and what was learnt.

    `defaults` are the wire format's own optional parameters; the operator's win over them. `extra_tokens` come
    on top of what the operator wants, or those already learnt of, if they are more.
    """
    ways = HOSTS.get((urlsplit(url).hostname or "", wire), Host())
    wanted = {NAMES[wire].get(name, name): value for name, value in parameters.items() if value is not None}
    tokens = wanted.pop(TOKENS[wire], DEFAULT_TOKENS)
    optional = {**defaults, **(find_quiet(url, model) if wire == "chat" else {}), **wanted}
    if optional.get("n", optional.get("num_return_sequences")) == 1:
        # One answer is what every server gives anyway, and some refuse the parameter.
        optional = {name: value for name, value in optional.items() if name not in ("n", "num_return_sequences")}
    unwanted = NEVER[wire] | ways.left_out | habits.left_out
    if isinstance(tokens, int):
        tokens += max(extra_tokens, habits.extra_tokens)
    return Options(
        required={habits.rename(ways.renamed.get(TOKENS[wire], TOKENS[wire])): tokens},
        optional={ways.renamed.get(name, name): value for name, value in optional.items() if name not in unwanted},
    )


def find_quiet(url: str, model: str) -> Mapping[str, Any]:
    """Give the parameters that switch reasoning off at an address; empty where no way is known."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    names = (host, LOOPBACK) if is_loopback(host) else (host,)
    rows = (row for row in QUIET if row.host in names and row.port in (None, parts.port))
    return next((row.extra for row in rows if row.part in model.casefold()), _NOTHING)
