"""Text from AI Horde: a base model's raw prompt out, candidates back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hotshotd._types import Chars
from hotshotd.inference.base import Candidates, Endpoint, Prompt
from hotshotd.inference.horde import Horde
from hotshotd.inference.horde_answers import JobHollow, read_generations, read_progress
from hotshotd.inference.horde_orders import ANY_MODEL, TEXT, Order, list_models
from hotshotd.inference.http import TEXT_SECONDS, ServiceSession
from hotshotd.inference.parameters import DEFAULT_TOKENS
from hotshotd.inference.thoughts import remove_thought

#: Tokens of an answer: what the service takes at least, what it gives to everybody, and what it always gives.
LEAST_TOKENS = 16
MOST_TOKENS = 512
SURE_TOKENS = 256

#: The most texts of one job.
MOST_TEXTS = 20

#: The most stop strings, and the most characters of all of them.
MOST_STOPS = 128
MOST_STOP_CHARS = 2000

#: Windows that models have, in tokens. The smallest that holds the prompt finds the most volunteers.
WINDOWS = (1024, 2048, 4096, 8192, 16384, 32768)
#: Bytes of UTF-8 that a token is at least, on the average of any language.
BYTES_PER_TOKEN = 3

#: Our name → its name, where they differ.
NAMES: dict[str, str] = {
    "max_new_tokens": "max_length",
    "max_tokens": "max_length",
    "max_completion_tokens": "max_length",
    "num_return_sequences": "n",
    "repetition_penalty": "rep_pen",
    "typical_p": "typical",
    "stop": "stop_sequence",
    "stop_sequences": "stop_sequence",
}

#: Its name → least and most. What is in no table is not sent: the service knows no others.
RANGES: dict[str, tuple[float, float]] = {
    "dynatemp_exponent": (0.0, 5.0),
    "dynatemp_range": (0.0, 5.0),
    "min_p": (0.0, 1.0),
    "rep_pen": (1.0, 3.0),
    "rep_pen_range": (0, 4096),
    "rep_pen_slope": (0.0, 10.0),
    "smoothing_factor": (0.0, 10.0),
    "temperature": (0.0, 5.0),
    "tfs": (0.0, 1.0),
    "top_a": (0.0, 1.0),
    "top_k": (0, 100),
    "top_p": (0.001, 1.0),
    "typical": (0.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class HordeTextModel:
    """A `TextModel` on AI Horde; `model` "any" or "" takes any. Thread-safe."""

    endpoint: Endpoint
    model: str
    session: ServiceSession = field(repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    read_seconds: float = TEXT_SECONDS

    @property
    def name(self) -> str:
        return f"{self.endpoint.name}:{self.model}"

    def cost(self, prompt: Prompt) -> Chars:
        return Chars(prompt.count_text() if self.endpoint.metered else 0)

    def generate(self, prompt: Prompt, *, limit_seconds: float | None = None) -> Candidates:
        """Order candidates and wait for them, as `TextModel` says.

        When time is up, those that are there are given, if there are any.

        Raises:
            QuotaError: A request may not leave.
            InferenceError: Nothing usable came in time.
        """
        payload = make_payload(prompt, model=self.model, parameters=self.parameters)
        stops = (*prompt.stop, *payload["params"].get("stop_sequence", ()))
        reader = _Reader(prompt=prompt, stops=stops, wanted=payload["params"]["n"])
        delivery = Horde(self.endpoint, self.session).run(
            Order(
                kind=TEXT,
                payload=payload,
                smaller=_make_smaller(payload),
                limit_seconds=self.read_seconds if limit_seconds is None else min(self.read_seconds, limit_seconds),
                read=reader.read,
                salvage=reader.salvage,
                model=self.model,
                chars=prompt.count_text(),
                sent_texts=(prompt.text,),
                measure=lambda texts: sum(len(text) for text in texts),
            )
        )
        return Candidates(
            texts=delivery.value, cost=delivery.cost, backend=self.endpoint.name, model=self.model or ANY_MODEL
        )


@dataclass(slots=True)
class _Reader:
    """Reads the statuses of one job. `texts` are those that are there so far."""

    prompt: Prompt
    stops: Sequence[str]
    wanted: int
    texts: tuple[str, ...] = ()

    def read(self, body: Any, where: str) -> tuple[str, ...] | None:
        progress = read_progress(body, where=where)
        raw = [self._read_text(entry.get("text"), where) for entry in read_generations(body, where=where)]
        self.texts = tuple(text for text in raw if text.strip())
        if len(raw) >= self.wanted or (raw and progress.is_over):
            if not self.texts:
                raise JobHollow(f"{where} answered without any text, or with reasoning only")
            return self.texts
        progress.raise_if_hopeless(where=where)
        return None

    def salvage(self) -> tuple[str, ...] | None:
        return self.texts or None

    def _read_text(self, text: Any, where: str) -> str:
        if not isinstance(text, str):
            raise JobHollow(f"{where} answered with a generation that has no text; check `api`")
        return remove_thought(cut_at_stop(text.removeprefix(self.prompt.text), self.stops))


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    """Give what stands before the first stop string: the service leaves it, and what may follow, in the text."""
    found = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    return text[: min(found)] if found else text


def make_payload(prompt: Prompt, *, model: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Make the order for a prompt. `parameters` are a bot's, in the names of any of the wire formats."""
    wanted = {NAMES.get(name, name): value for name, value in parameters.items()}
    tokens = _limit(wanted.get("max_length"), low=LEAST_TOKENS, high=MOST_TOKENS, default=DEFAULT_TOKENS)
    stops = choose_stops((*prompt.stop, *_list_texts(wanted.get("stop_sequence"))))
    options: dict[str, Any] = {
        name: _limit(value, low=RANGES[name][0], high=RANGES[name][1], default=None)
        for name, value in wanted.items()
        if name in RANGES
    }
    params = {
        **{name: value for name, value in options.items() if value is not None},
        "n": _limit(wanted.get("n"), low=1, high=MOST_TEXTS, default=1),
        "max_length": tokens,
        "max_context_length": choose_window(prompt.text, tokens=tokens),
        **({"stop_sequence": list(stops)} if stops else {}),
    }
    return {
        "prompt": prompt.text,
        "params": params,
        "models": list_models(model),
        "trusted_workers": False,
        "slow_workers": True,
        # Written, for the service takes it for false where it is not.
        "validated_backends": True,
        # An account without kudos gets a shorter answer then, and no refusal.
        "allow_downgrade": True,
    }


def choose_stops(stops: Sequence[str]) -> tuple[str, ...]:
    """Give as many of the stop strings as the service takes, the first ones, none twice."""
    chosen: list[str] = []
    chars = 0
    for stop in dict.fromkeys(stops):
        if stop and len(chosen) < MOST_STOPS and chars + len(stop) <= MOST_STOP_CHARS:
            chosen.append(stop)
            chars += len(stop)
    return tuple(chosen)


def choose_window(text: str, *, tokens: int) -> int:
    """Give the tokens of context that a prompt and its answer need, as one of the usual windows."""
    needed = len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN + tokens
    return next((window for window in WINDOWS if window >= needed), WINDOWS[-1])


def _make_smaller(payload: Mapping[str, Any]) -> dict[str, Any] | None:
    params = payload["params"]
    if params["max_length"] <= SURE_TOKENS:
        return None
    return {**payload, "params": {**params, "max_length": SURE_TOKENS}}


def _limit(value: Any, *, low: float, high: float, default: Any) -> Any:
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
        return default
    limited = min(max(value, low), high)
    return int(limited) if isinstance(low, int) and isinstance(high, int) else limited


def _list_texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list | tuple) else ()
