"""What a bot's `parameters:` become on the wire: tables of names. What known servers do not take is in `ways`.

The YAML uses the names of Hugging Face's text generation. Names that no table knows go through as they are,
so an operator can use whatever an own server takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hotshotd.inference.habits import Habits
from hotshotd.inference.ways import NOTHING, find_quiet, find_ways

#: Tokens that are asked for where `parameters` does not say; without a number some servers give 16, others thousands.
DEFAULT_TOKENS = 250

#: Wire format → our name → its name.
NAMES: dict[str, dict[str, str]] = {
    "hf": {
        "max_tokens": "max_new_tokens",
        "max_completion_tokens": "max_new_tokens",
        "n": "num_return_sequences",
        "stop_sequences": "stop",
    },
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


@dataclass(frozen=True, slots=True)
class Options:
    """What goes beside a prompt: `required` always, `optional` until a server refuses it.

    `quiet` are the names in `optional` that switch reasoning off and were not the operator's wish; `refused_quiets`
    how many such ways were refused before.
    """

    required: Mapping[str, Any]
    optional: Mapping[str, Any] = field(default_factory=dict)
    quiet: frozenset[str] = frozenset()
    refused_quiets: int = 0

    @property
    def is_bare(self) -> bool:
        return not self.optional

    def merge(self) -> dict[str, Any]:
        return {**self.optional, **self.required}

    def lengthen(self, tokens: int) -> Options:
        """Give the same options with a limit that is higher by so many tokens."""
        required = {name: value + tokens if isinstance(value, int) else value for name, value in self.required.items()}
        return replace(self, required=required)

    def strip(self, keep: Mapping[str, Any] = NOTHING) -> Options:
        """Give the bare options, with nothing optional but `keep`, which keeps reasoning quiet."""
        return replace(self, optional=keep, quiet=frozenset(keep))


def make_options(
    parameters: Mapping[str, Any],
    *,
    wire: str,
    url: str,
    model: str,
    habits: Habits,
    defaults: Mapping[str, Any] = NOTHING,
) -> Options:
    """Make the options of a request out of a bot's parameters, the tables, and what was learnt.

    `defaults` are the wire format's own optional parameters; the operator's win over them.
    """
    ways = find_ways(url, wire=wire)
    wanted = {NAMES[wire].get(name, name): value for name, value in parameters.items() if value is not None}
    tokens = wanted.pop(TOKENS[wire], DEFAULT_TOKENS)
    refused_quiets = habits.refused_quiets
    quiet = find_quiet(url, model, refused=refused_quiets) if wire == "chat" else NOTHING
    optional = {**defaults, **quiet, **wanted}
    if optional.get("n", optional.get("num_return_sequences")) == 1:
        # One answer is what every server gives anyway, and some refuse the parameter.
        optional = {name: value for name, value in optional.items() if name not in ("n", "num_return_sequences")}
    unwanted = NEVER[wire] | ways.left_out | habits.left_out
    named = {ways.renamed.get(name, name): value for name, value in optional.items() if name not in unwanted}
    if isinstance(tokens, int):
        tokens += habits.extra_tokens
    return Options(
        required={habits.rename(ways.renamed.get(TOKENS[wire], TOKENS[wire])): tokens},
        # Again: what was learnt of is named as the server knows it.
        optional={name: value for name, value in named.items() if name not in unwanted},
        quiet=frozenset(quiet) - frozenset(wanted) - unwanted,
        refused_quiets=refused_quiets,
    )
