"""Hugging Face's `{"inputs": ...}` tasks: the wire format of text generation, and what all of them share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from hotshotd.errors import InferenceNonsense
from hotshotd.inference.base import Prompt
from hotshotd.inference.generation import Reading
from hotshotd.inference.parameters import Options
from hotshotd.inference.thoughts import remove_thought


def make_path(model: str) -> str:
    """Give the path of a model below an endpoint's address; "" for an endpoint that has but one."""
    return quote(model, safe="/:@")


class HfWire:
    """`{"inputs", "parameters"}` out, `generated_text` back, alone or in a list."""

    name = "hf"
    thinks = False

    def make_path(self, model: str) -> str:
        return make_path(model)

    def make_defaults(self, prompt: Prompt) -> Mapping[str, Any]:  # noqa: ARG002 - other formats need it
        # No `stop`: the classic pipelines refuse it, and the cleaner cuts there anyway.
        return {}

    def make_payload(self, prompt: Prompt, *, model: str, options: Options) -> dict[str, Any]:  # noqa: ARG002
        full = {} if options.is_bare else {"return_full_text": False}
        return {"inputs": prompt.text, "parameters": {**full, **options.merge()}}

    def list_texts(self, prompt: Prompt) -> tuple[str, ...]:
        return (prompt.text,)

    def read(self, body: Any, *, prompt: Prompt, where: str) -> Reading:
        raw = [_read_generated(entry, where=where) for entry in flatten(body)]
        if not raw:
            raise InferenceNonsense(f"{where} answered with an empty list")
        texts = (remove_thought(_strip_prompt(text, prompt.text)) for text in raw)
        return Reading(
            texts=tuple(text for text in texts if text.strip()), received_chars=sum(len(text) for text in raw)
        )


def flatten(body: Any) -> list[Any]:
    """Give the entries of an answer, whether it is one, a list, or a list in a list."""
    if not isinstance(body, list):
        return [body]
    return [entry for part in body for entry in (part if isinstance(part, list) else [part])]


def _read_generated(entry: Any, *, where: str) -> str:
    text = entry.get("generated_text") if isinstance(entry, dict) else None
    if not isinstance(text, str):
        raise InferenceNonsense(f"{where} answered without `generated_text`; check `api`")
    return text


def _strip_prompt(text: str, prompt: str) -> str:
    """Take the prompt off the front: some servers return it whatever they are told, some trim it first."""
    for front in (prompt, prompt.strip()):
        if front and text.startswith(front):
            return text[len(front) :]
    return text


def read_number(value: Any, *, what: str, where: str) -> float:
    """Give a probability.

    Raises:
        InferenceNonsense: If it is no finite number from 0 to 1.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0 <= value <= 1:
        raise InferenceNonsense(f"{where} answered with no {what} between 0 and 1")
    return float(value)
