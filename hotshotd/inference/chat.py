"""OpenAI's /chat/completions, as nearly every hosted model and many an own server speak it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hotshotd.errors import InferenceNonsense, InferenceRejected
from hotshotd.inference.base import Message, Prompt, Speaker
from hotshotd.inference.completions import read_choices
from hotshotd.inference.generation import Reading
from hotshotd.inference.parameters import Options
from hotshotd.inference.thoughts import remove_thought


class ChatWire:
    """`{"messages"}` out, `choices[].message.content` back; what a model thinks is never read."""

    name = "chat"
    thinks = True

    def make_path(self, model: str) -> str:  # noqa: ARG002 - other formats need it
        return "chat/completions"

    def make_defaults(self, prompt: Prompt) -> Mapping[str, Any]:  # noqa: ARG002 - other formats need it
        return {}

    def make_payload(self, prompt: Prompt, *, model: str, options: Options) -> dict[str, Any]:
        named = {"model": model} if model else {}
        messages = [{"role": str(message.speaker), "content": message.text} for message in _list_messages(prompt)]
        return {**options.merge(), **named, "messages": messages}

    def list_texts(self, prompt: Prompt) -> tuple[str, ...]:
        return tuple(message.text for message in _list_messages(prompt))

    def read(self, body: Any, *, prompt: Prompt, where: str) -> Reading:  # noqa: ARG002 - other formats need it
        choices = read_choices(body, where=where)
        raw = [read_content(choice, where=where) for choice in choices]
        texts = tuple(text for text in (remove_thought(text) for text in raw) if text)
        if not texts and any(_is_refusal(choice) for choice in choices):
            # More tokens would not change its mind.
            raise InferenceRejected(f"{where} declined to answer this prompt", status=200)
        return Reading(texts=texts, received_chars=sum(len(text) for text in raw))


def _list_messages(prompt: Prompt) -> tuple[Message, ...]:
    return prompt.messages or (Message(Speaker.USER, prompt.text),)


def _is_refusal(choice: Mapping[str, Any]) -> bool:
    """Tell whether a choice without text says that the model, or a filter before it, will not answer."""
    refusal = choice["message"].get("refusal")
    return choice.get("finish_reason") == "content_filter" or (isinstance(refusal, str) and bool(refusal.strip()))


def read_content(choice: Mapping[str, Any], *, where: str) -> str:
    """Give the content of a chat's choice: a string, the text parts of a list, "" for null.

    Raises:
        InferenceNonsense: If it is anything else.
    """
    message = choice.get("message")
    if not isinstance(message, dict):
        raise InferenceNonsense(f"{where} answered with a choice without `message`; check `api`")
    content = message.get("content")
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_read_part(part) for part in content)
    raise InferenceNonsense(f"{where} answered with a choice without `message.content`; check `api`")


def _read_part(part: Any) -> str:
    if isinstance(part, str):
        return part
    text = part.get("text") if isinstance(part, dict) and part.get("type") in ("text", "output_text") else None
    return text if isinstance(text, str) else ""
