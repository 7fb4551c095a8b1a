"""OpenAI's /completions, as vLLM, llama.cpp, transformers serve and Hugging Face's providers speak it: base models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hotshotd.errors import InferenceNonsense
from hotshotd.inference.base import Prompt
from hotshotd.inference.generation import Reading
from hotshotd.inference.parameters import Options
from hotshotd.inference.thoughts import remove_thought

#: The most stop strings that servers take.
MAX_STOPS = 4


class CompletionsWire:
    """`{"prompt"}` out, `choices[].text` back."""

    name = "completions"
    thinks = False

    def make_path(self, model: str) -> str:  # noqa: ARG002 - other formats need it
        return "completions"

    def make_defaults(self, prompt: Prompt) -> Mapping[str, Any]:
        return {"stop": list(prompt.stop[:MAX_STOPS])} if prompt.stop else {}

    def make_payload(self, prompt: Prompt, *, model: str, options: Options) -> dict[str, Any]:
        named = {"model": model} if model else {}
        return {**options.merge(), **named, "prompt": prompt.text}

    def list_texts(self, prompt: Prompt) -> tuple[str, ...]:
        return (prompt.text,)

    def read(self, body: Any, *, prompt: Prompt, where: str) -> Reading:
        raw = [read_completion(choice, where=where) for choice in read_choices(body, where=where)]
        texts = (remove_thought(text.removeprefix(prompt.text)) for text in raw)
        return Reading(
            texts=tuple(text for text in texts if text.strip()), received_chars=sum(len(text) for text in raw)
        )


def read_choices(body: Any, *, where: str) -> list[dict[str, Any]]:
    """Give the choices of an OpenAI-compatible answer.

    Raises:
        InferenceNonsense: If there are none.
    """
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        raise InferenceNonsense(f"{where} answered without `choices`; check `api`")
    return choices


def read_completion(choice: Mapping[str, Any], *, where: str) -> str:
    """Give the text of a completion's choice; raises InferenceNonsense if it has none."""
    text = choice.get("text")
    if not isinstance(text, str):
        raise InferenceNonsense(f"{where} answered with a choice without `text`; check `api`")
    return text
