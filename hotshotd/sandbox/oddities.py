"""How a server of the sandbox refuses parameters, shapes its errors and twists its answers: parts of `quirks`.

Each makes a middleware: what stands between a server and its handler.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from hotshotd.sandbox.http import Handler, Middleware, Request, Response, json_response, text_response

#: Keys of a request that are no parameters which a server could do without.
_NO_OPTIONS = frozenset({"model", "messages", "prompt", "inputs", "max_tokens", "max_new_tokens"})

#: Tokens from which a model that thinks comes to its answer.
ENOUGH_TOKENS = 1000

THOUGHT = "The user wants a reply. I should be brief, and stay in character."

Body = dict[str, Any]


# Refused parameters


def _read(request: Request) -> Body:
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _read_options(body: Body) -> Body:
    parameters = body.get("parameters")
    options = parameters if isinstance(parameters, dict) else body
    return {name: value for name, value in options.items() if name not in _NO_OPTIONS}


def refuse(find: Callable[[Body], list[str]], answer: Callable[[list[str]], Response]) -> Middleware:
    """Answer with an error where `find` finds parameters that are not taken."""

    def show(request: Request, handle: Handler) -> Response:
        found = find(_read(request))
        return answer(found) if found else handle(request)

    return show


def named(*names: str) -> Callable[[Body], list[str]]:
    """Find these parameters."""
    return lambda body: [name for name in names if name in _read_options(body)]


def unless(*names: str) -> Callable[[Body], list[str]]:
    """Find every parameter but these."""
    return lambda body: [name for name in _read_options(body) if name not in names]


def find_many(body: Body) -> list[str]:
    """Find a wish for more than one answer."""
    count = _read_options(body).get("n", _read_options(body).get("num_return_sequences", 1))
    return ["n"] if isinstance(count, int) and count > 1 else []


def find_names(body: Body) -> list[str]:
    """Find names of speakers."""
    messages = body.get("messages") or []
    return ["messages[].name"] if any(isinstance(said, dict) and "name" in said for said in messages) else []


def find_array_content(body: Body) -> list[str]:
    """Find messages that are made of parts."""
    messages = body.get("messages") or []
    is_array = any(isinstance(said, dict) and isinstance(said.get("content"), list) for said in messages)
    return ["messages[].content"] if is_array else []


def find_silenced(body: Body) -> list[str]:
    """Find a wish to do without reasoning, in any form."""
    reasoning = body.get("reasoning")
    is_off = isinstance(reasoning, dict) and reasoning.get("effort") == "none"
    return ["reasoning"] if is_off or body.get("reasoning_effort") == "none" else []


def find_none_effort(body: Body) -> list[str]:
    """Find OpenAI's form of that wish."""
    return ["reasoning_effort"] if body.get("reasoning_effort") == "none" else []


def make_error(status: int, message: str, **more: Any) -> Response:
    """Make an error as OpenAI does."""
    error = {"message": message, "type": "invalid_request_error", **more}
    return json_response({"error": error}, status=status)


def say_unsupported(found: list[str]) -> Response:
    """Refuse as Groq does."""
    return make_error(400, f"property '{found[0]}' is unsupported", param=found[0])


def say_unknown_name(found: list[str]) -> Response:
    """Refuse as Google does."""
    return make_error(400, f'Invalid JSON payload received. Unknown name "{found[0]}": Cannot find field.', code=400)


def say_extra(found: list[str]) -> Response:
    """Refuse as Mistral does."""
    detail = [
        {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted", "input": 1}
        for name in found
    ]
    return json_response({"object": "error", "message": {"detail": detail}, "code": None}, status=422)


def say_unexpected_keys(found: list[str]) -> Response:
    """Refuse as `transformers serve` does."""
    return json_response({"detail": f"Unexpected keys in the request: {set(found)}"}, status=422)


# Shapes of errors


def reshape(make: Callable[[int, str], Response]) -> Middleware:
    """Put every error into another shape; `make` takes its status and its sentence."""

    def show(request: Request, handle: Handler) -> Response:
        response = handle(request)
        return make(response.status, _find_sentence(response)) if response.status >= 400 else response

    return show


def _find_sentence(response: Response) -> str:
    text = response.body.decode("utf-8", "replace")
    try:
        body = json.loads(text)
    except ValueError:
        return text
    error = body.get("error", body) if isinstance(body, dict) else body
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)


def as_array(status: int, message: str) -> Response:
    """Make an error of Gemini's."""
    error = {"code": status, "message": message, "status": "INVALID_ARGUMENT"}
    return json_response([{"error": error}], status=status)


def as_numbered_list(status: int, message: str) -> Response:
    """Make an error of Cloudflare's."""
    errors = [{"code": 7000, "message": message}]
    return json_response({"result": None, "success": False, "errors": errors, "messages": []}, status=status)


def as_title(status: int, message: str) -> Response:
    """Make an error of NVIDIA's."""
    return json_response({"type": "about:blank", "title": "Error", "status": status, "detail": message}, status=status)


def inside_200(status: int, message: str) -> Response:
    """Make an error of OpenRouter's."""
    return json_response({"error": {"code": status, "message": message}, "user_id": "user_1"})


# Errors that come by themselves


def always(response: Response) -> Middleware:
    """Answer this, whatever is asked."""
    return lambda _request, _handle: response


RATE = "Rate limit reached on tokens per minute (TPM)."
GROQ_HEADERS = (
    ("x-ratelimit-limit-requests", "1000"),
    ("x-ratelimit-remaining-requests", "998"),
    ("x-ratelimit-reset-requests", "2h5m"),
    ("x-ratelimit-limit-tokens", "8000"),
    ("x-ratelimit-remaining-tokens", "0"),
    ("x-ratelimit-reset-tokens", "2m59.56s"),
)


def crash_past_window(request: Request, handle: Handler) -> Response:
    """Crash where prompt and answer do not fit GPT-2's window."""
    body = _read(request)
    prompt, tokens = body.get("prompt"), body.get("max_tokens", 1024)
    # As a tokenizer would: a GPT-2 token is about four characters of English.
    if isinstance(prompt, str) and isinstance(tokens, int) and len(prompt) / 4 + tokens > 1024:
        return text_response("Internal Server Error", status=500)
    return handle(request)


# Answers


def answer(change: Callable[[Body, Body], None]) -> Middleware:
    """Change each choice of an answer; `change` takes the choice and the request's body."""

    def show(request: Request, handle: Handler) -> Response:
        response = handle(request)
        answer = read_answer(response)
        for choice in answer.get("choices", ()):
            change(choice, _read(request))
        return replace(response, body=json.dumps(answer).encode()) if answer else response

    return show


def read_answer(response: Response) -> Body:
    """Give the body of an answer with choices; empty if it is none."""
    if response.status != 200:
        return {}
    try:
        answer = json.loads(response.body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) and isinstance(answer.get("choices"), list) else {}


def _say(choice: Body, change: Callable[[str], Any], **more: Any) -> None:
    if "message" in choice:
        choice["message"] |= {"content": change(choice["message"]["content"]), **more}
    else:
        choice["text"] = change(choice["text"])


def list_parts(choice: Body, _asked: Body) -> None:
    """Give the content as a list of parts, thoughts among them."""
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}
    _say(choice, lambda text: [thought, {"type": "text", "text": text}])


def say_nothing(choice: Body, _asked: Body) -> None:
    """Give null."""
    _say(choice, lambda _: None)


def think_instead(choice: Body, asked: Body) -> None:
    """Put everything into the reasoning unless it is switched off."""
    if (asked.get("thinking") or {}).get("type") != "disabled":
        _say(choice, lambda _: "", reasoning_content=THOUGHT)


def think_aside(choice: Body, _asked: Body) -> None:
    """Give the reasoning beside the content."""
    _say(choice, lambda text: text, reasoning=THOUGHT, reasoning_content=THOUGHT)


def think_first(choice: Body, _asked: Body) -> None:
    """Put a thought before what is said."""
    _say(choice, lambda text: f"<think>\n{THOUGHT}\n</think>\n\n{text}")


def end_thought(choice: Body, _asked: Body) -> None:
    """Put the end of a thought before what is said."""
    _say(choice, lambda text: f"{THOUGHT}\n</think>\n\n{text}")


def think_long(choice: Body, asked: Body) -> None:
    """Never come to the end of a thought, without many tokens."""
    if asked.get("max_tokens", 0) < ENOUGH_TOKENS:
        choice["finish_reason"] = "length"
        _say(choice, lambda _: f"<think>\n{THOUGHT}")


def think_long_aside(choice: Body, asked: Body) -> None:
    """Say nothing but reasoning, without many tokens."""
    if asked.get("max_tokens", 0) < ENOUGH_TOKENS:
        choice["finish_reason"] = "length"
        _say(choice, lambda _: "", reasoning=THOUGHT)


def decline(choice: Body, _asked: Body) -> None:
    """Refuse to answer."""
    _say(choice, lambda _: None, refusal="I can't help with that.")


def break_off(choice: Body, _asked: Body) -> None:
    """Use the tokens up in the middle."""
    choice["finish_reason"] = "length"
    _say(choice, lambda text: text[: len(text) // 2])


def give_one(request: Request, handle: Handler) -> Response:
    """Give one answer, whatever is asked for."""
    return handle(_change_body(request, {"n": None, "num_return_sequences": None}))


def give_few_tokens(request: Request, handle: Handler) -> Response:
    """Give 16 tokens where no number is said."""
    body = _read(request)
    small = {} if body.get("max_tokens") else {"max_tokens": 16}
    return handle(_change_body(request, small))


def _change_body(request: Request, changes: Mapping[str, Any]) -> Request:
    body = {name: value for name, value in {**_read(request), **changes}.items() if value is not None}
    return replace(request, body=json.dumps(body).encode())


def echo_prompt(request: Request, handle: Handler) -> Response:
    """Quote the request in every error, as validators do."""
    response = handle(request)
    if response.status < 400:
        return response
    said = re.sub(r"\s+", " ", request.body.decode("utf-8", "replace"))
    return make_error(response.status, f"{_find_sentence(response)}; the request was {said}; key {request.bearer}")
