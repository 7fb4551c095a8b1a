"""Where real services leave their wire format: a row a quirk, and what a server of the sandbox can be told to show.

`QUIRKS` are single ways, `SERVERS` what a known one does all together. A plan of faults names either:

    faults:
      - {action: quirk, quirk: groq, service: openai}
      - {action: quirk, quirk: errors-as-text, service: hf}

What the clients do about each stands in `hotshotd.inference`: `ways`, `refusals`, `waits`, `thoughts`, `generation`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hotshotd.sandbox import oddities as odd
from hotshotd.sandbox.http import Handler, Middleware, Request, Response, json_response, text_response


@dataclass(frozen=True, slots=True)
class Quirk:
    """One way. `shown_by` says who does it, for the reader."""

    shown_by: str
    show: Middleware


def find_quirk(name: str) -> Middleware:
    """Give what shows a quirk, or all the quirks of a server.

    Raises:
        KeyError: If neither is called so.
    """
    if name in QUIRKS:
        return QUIRKS[name].show
    return combine(SERVERS[name])


def list_quirks() -> tuple[str, ...]:
    """Give every name that `find_quirk` knows."""
    return (*QUIRKS, *SERVERS)


def combine(names: Iterable[str]) -> Middleware:
    """Show several quirks at once; the first is nearest to the client."""
    shown = [QUIRKS[name].show for name in names]

    def show(request: Request, handle: Handler) -> Response:
        for middleware in reversed(shown):
            handle = _wrap(middleware, handle)
        return handle(request)

    return show


def _wrap(middleware: Middleware, handle: Handler) -> Handler:
    return lambda request: middleware(request, handle)


#: The parameters that these take; any other is refused.
_MISTRAL = (
    "temperature", "top_p", "n", "stop", "random_seed", "presence_penalty", "frequency_penalty", "stream",
    "response_format", "reasoning_effort", "safe_prompt",
)  # fmt: skip
_TRANSFORMERS = ("temperature", "top_p", "n", "stop", "seed", "frequency_penalty", "stream")

#: Name → the quirk.
QUIRKS: dict[str, Quirk] = {
    # Refused parameters: asked once more without them, and never again.
    "refuses-n": Quirk(
        "Groq", odd.refuse(odd.find_many, lambda _: odd.make_error(400, "'n' : number must be at most 1", param="n"))
    ),
    "refuses-logprobs": Quirk(
        "Groq", odd.refuse(odd.named("logit_bias", "logprobs", "top_logprobs"), odd.say_unsupported)
    ),
    "refuses-names": Quirk("Groq", odd.refuse(odd.find_names, odd.say_unsupported)),
    "refuses-penalties": Quirk(
        "Gemini", odd.refuse(odd.named("frequency_penalty", "presence_penalty"), odd.say_unknown_name)
    ),
    "refuses-top-k": Quirk(
        "Gemini", odd.refuse(odd.named("top_k", "repetition_penalty", "min_p"), odd.say_unknown_name)
    ),
    "refuses-extra-keys": Quirk(
        "Mistral",
        odd.refuse(odd.unless(*_MISTRAL), odd.say_extra),
    ),
    "refuses-unexpected-keys": Quirk(
        "transformers serve",
        odd.refuse(odd.unless(*_TRANSFORMERS), odd.say_unexpected_keys),
    ),
    "refuses-stop": Quirk("some own servers", odd.refuse(odd.named("stop"), odd.say_unsupported)),
    "refuses-everything": Quirk(
        "servers that do not say what", odd.refuse(odd.unless(), lambda _: odd.make_error(400, "Bad Request"))
    ),
    "refuses-array-content": Quirk("Cloudflare", odd.refuse(odd.find_array_content, odd.say_unsupported)),
    "refuses-effort-none": Quirk(
        "Gemini, gpt-oss",
        odd.refuse(
            odd.find_none_effort,
            lambda _: odd.make_error(400, "`reasoning_effort` must be one of `low`, `medium`, `high`"),
        ),
    ),
    "refuses-quiet": Quirk(
        "OpenRouter's mandatory models",
        odd.refuse(
            odd.find_silenced, lambda _: odd.make_error(400, "Reasoning is mandatory here and cannot be disabled.")
        ),
    ),
    "wants-max-completion-tokens": Quirk(
        "OpenAI",
        odd.refuse(
            lambda body: ["max_tokens"] if "max_tokens" in body else [],
            lambda _: odd.make_error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        ),
    ),
    # Parameters that are ignored: what comes is taken.
    "ignores-n": Quirk("Ollama, transformers serve", odd.give_one),
    "gives-few-tokens": Quirk("Cloudflare", odd.give_few_tokens),
    # Shapes of errors: the sentence is found in each.
    "errors-as-array": Quirk("Gemini", odd.reshape(odd.as_array)),
    "errors-inside-200": Quirk("OpenRouter", odd.reshape(odd.inside_200)),
    "errors-as-numbered-list": Quirk("Cloudflare", odd.reshape(odd.as_numbered_list)),
    "errors-as-title": Quirk("NVIDIA", odd.reshape(odd.as_title)),
    "errors-as-detail": Quirk(
        "transformers serve", odd.reshape(lambda status, message: json_response({"detail": message}, status=status))
    ),
    "errors-as-string": Quirk(
        "Hugging Face", odd.reshape(lambda status, message: json_response({"error": message}, status=status))
    ),
    "errors-as-text": Quirk("proxies", odd.reshape(lambda status, message: text_response(message, status=status))),
    "errors-quote-all": Quirk("validators", odd.echo_prompt),
    # Errors that come by themselves.
    "waits-in-text": Quirk(
        "Gemini",
        odd.always(odd.as_array(429, "You exceeded your current quota, check plan and billing. Retry in 28.0s.")),
    ),
    "waits-in-headers": Quirk("Groq", odd.always(odd.make_error(429, odd.RATE).with_headers(*odd.GROQ_HEADERS))),
    "waits-in-ratelimit": Quirk(
        "Hugging Face", odd.always(odd.make_error(429, odd.RATE).with_headers(("RateLimit", '"api";r=0;t=55')))
    ),
    "loads-first": Quirk(
        "Hugging Face",
        odd.always(json_response({"error": "Model is currently loading", "estimated_time": 900.0}, status=503)),
    ),
    "wants-credit": Quirk(
        "Pollinations, Hugging Face", odd.always(odd.make_error(402, "You have depleted your monthly credits."))
    ),
    "empty-purse-as-429": Quirk(
        "OpenAI", odd.always(odd.make_error(429, "You exceeded your current quota.", code="insufficient_quota"))
    ),
    "bad-key-as-400": Quirk(
        "Google", odd.always(odd.make_error(400, "API key not valid. Please pass a valid API key."))
    ),
    "crashes": Quirk("transformers serve", odd.always(text_response("Internal Server Error", status=500))),
    "crashes-past-window": Quirk("transformers serve with GPT-2", odd.crash_past_window),
    # Answers: only what is said is read.
    "content-as-list": Quirk("Mistral", odd.answer(odd.list_parts)),
    "content-null": Quirk("OpenRouter's random models", odd.answer(odd.say_nothing)),
    "thinks-instead": Quirk("Z.ai", odd.answer(odd.think_instead)),
    "thinks-aside": Quirk("llama-server, Ollama, Groq", odd.answer(odd.think_aside)),
    "thinks-first": Quirk("own servers without a reasoning parser", odd.answer(odd.think_first)),
    "ends-a-thought": Quirk("own servers whose template opens the thought", odd.answer(odd.end_thought)),
    "thinks-long": Quirk("own servers without a reasoning parser", odd.answer(odd.think_long)),
    "thinks-long-aside": Quirk("hosted reasoning models", odd.answer(odd.think_long_aside)),
    "declines": Quirk("OpenAI", odd.answer(odd.decline)),
    "breaks-off": Quirk("all", odd.answer(odd.break_off)),
}

#: A known server → its quirks, the one nearest to the client first.
SERVERS: dict[str, tuple[str, ...]] = {
    "openai": ("wants-max-completion-tokens", "refuses-top-k"),
    "groq": ("refuses-n", "refuses-logprobs", "refuses-names", "refuses-top-k", "thinks-aside"),
    "gemini": ("errors-as-array", "refuses-penalties", "refuses-top-k", "refuses-effort-none"),
    "mistral": ("refuses-extra-keys", "content-as-list"),
    "openrouter": ("errors-inside-200", "refuses-quiet", "thinks-aside"),
    "cloudflare": ("errors-as-numbered-list", "refuses-array-content", "gives-few-tokens"),
    "nvidia": ("errors-as-title",),
    "zai": ("thinks-instead",),
    "transformers-serve": ("errors-as-detail", "refuses-unexpected-keys", "crashes-past-window", "ignores-n"),
    "ollama": ("ignores-n", "thinks-aside"),
    "llama-server": ("thinks-aside",),
}
