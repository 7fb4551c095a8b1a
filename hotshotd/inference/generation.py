"""A text model behind any wire format: asks once, and knows the two reasons to ask once more.

A 400 or 422 while optional parameters were sent: once more without them, and what was refused is remembered.
An answer that is all reasoning and no text: once more with more tokens, remembered too. Each is an admitted
request of its own. All else is left to the caller, in typed errors. A server that gives fewer texts than it was
asked for is not asked again: that would cost the whole prompt once more for each.

A metered server that failed is knocked at first, where the quota process says so: a tiny request that costs next to
nothing, and whose answer nobody reads.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hotshotd._types import Chars, Role
from hotshotd.admission import Knock
from hotshotd.errors import (
    InferenceError,
    InferenceGone,
    InferenceNonsense,
    InferenceRejected,
    InferenceUnavailable,
    KnockFirst,
)
from hotshotd.inference.base import Candidates, Endpoint, Prompt
from hotshotd.inference.habits import Habits
from hotshotd.inference.http import TEXT_SECONDS, Answer, Call, ServiceSession, make_ask
from hotshotd.inference.parameters import Options, make_options
from hotshotd.inference.refusals import Problem
from hotshotd.inference.ways import find_quiet

#: Tokens added for a model that used up its own on reasoning.
EXTRA_TOKENS = 1000

#: Statuses with which servers refuse a parameter.
_PARAMETER_STATUSES = (400, 422)

#: GPT-2's window in tokens, and the fewest characters that a token of it is on average. See `_refine_crash`.
GPT2_WINDOW_TOKENS = 1024
GPT2_CHARS_PER_TOKEN = 3.0

#: Words of a refusal that is about reasoning.
_REASONING = re.compile(r"reasoning|thinking", re.IGNORECASE)

_NO_OPTIONS = Options(required={})

#: What a server that failed is asked first, and the limit of its answer: servers refuse smaller ones.
KNOCK = Prompt(text="Hi")
KNOCK_TOKENS = 16


class NoText(InferenceNonsense):
    """The model answered and said nothing: reasoning only, or an empty text."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer holds. `texts` are publishable as far as the wire format goes, and may be empty."""

    texts: tuple[str, ...]
    received_chars: int


class WireFormat(Protocol):
    """How prompts and texts travel. `thinks` tells whether a model behind it may use up its tokens reasoning."""

    name: str
    thinks: bool

    def make_path(self, model: str) -> str:
        """Give what stands behind the endpoint's address."""
        ...

    def make_defaults(self, prompt: Prompt) -> Mapping[str, Any]:
        """Give optional parameters that the operator need not write."""
        ...

    def make_payload(self, prompt: Prompt, *, model: str, options: Options) -> dict[str, Any]: ...

    def list_texts(self, prompt: Prompt) -> tuple[str, ...]:
        """Give the texts of the payload: they are what is charged, and what no message may quote."""
        ...

    def read(self, body: Any, *, prompt: Prompt, where: str) -> Reading:
        """Read the JSON of an answer.

        Raises:
            InferenceNonsense: If it is not of this format.
        """
        ...


@dataclass(slots=True)
class _Round:
    """One `generate`: what it cost so far, the words of the last refusal, and the options that were taken last."""

    prompt: Prompt
    read_seconds: float
    cost: int = 0
    problem: Problem | None = None
    taken: Options = _NO_OPTIONS


@dataclass(frozen=True, slots=True)
class HttpTextModel:
    """A `TextModel` on a server. Thread-safe; keeps nothing but the session's habits."""

    wire: WireFormat
    endpoint: Endpoint
    model: str
    session: ServiceSession = field(repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    read_seconds: float = TEXT_SECONDS

    @property
    def name(self) -> str:
        return f"{self.endpoint.name}:{self.model}"

    def cost(self, prompt: Prompt) -> Chars:
        return Chars(self._count(prompt) if self.endpoint.metered else 0)

    def generate(self, prompt: Prompt, *, limit_seconds: float | None = None) -> Candidates:
        """Ask for candidates: one request, and one more each where it was refused or brought no text.

        Raises:
            QuotaError: A request may not leave.
            InferenceError: Nothing usable came; `InferenceGone` also after two different prompts in a row were
                refused with the barest of requests.
        """
        this = _Round(prompt, min(self.read_seconds, limit_seconds or self.read_seconds))
        try:
            texts = self._ask_with_parameters(this)
        except NoText:
            if not self.wire.thinks or self._habits.extra_tokens:
                raise
            # With what the server has just taken: other parameters may be refused, and that would be one request more.
            texts = self._ask(this, this.taken.lengthen(EXTRA_TOKENS))
            # Only now: a server may refuse so many.
            self._habits.add_tokens(EXTRA_TOKENS)
        self._habits.note_accepted(self._count(prompt))
        return Candidates(
            texts=texts,
            cost=Chars(this.cost),
            backend=self.endpoint.name,
            model=self.model,
            of_messages=self.wire.name == "chat",
        )

    @property
    def _habits(self) -> Habits:
        return self.session.habits.open(self.endpoint.url, model=self.model)

    def _count(self, prompt: Prompt) -> int:
        return sum(len(text) for text in self.wire.list_texts(prompt))

    def _make_options(self, prompt: Prompt) -> Options:
        return make_options(
            self.parameters,
            wire=self.wire.name,
            url=self.endpoint.url,
            model=self.model,
            habits=self._habits,
            defaults=self.wire.make_defaults(prompt),
        )

    def _ask_with_parameters(self, this: _Round) -> tuple[str, ...]:
        options = self._make_options(this.prompt)
        try:
            return self._ask(this, options)
        except InferenceRejected as exc:
            renames = _wants_other_name(options, this.problem)
            if exc.too_long or exc.status not in _PARAMETER_STATUSES or (options.is_bare and not renames):
                raise
        if renames:
            self._habits.call_it("max_tokens", "max_completion_tokens")
            return self._ask(this, self._make_options(this.prompt))
        if _is_about_quiet(options, this.problem):
            return self._ask_less_quietly(this, options)
        return self._ask_bare(this, options)

    def _ask_bare(self, this: _Round, options: Options) -> tuple[str, ...]:
        """Ask again with nothing optional; where that is taken, remember what was not."""
        problem = this.problem
        try:
            texts = self._ask(this, options.strip())
        except NoText:
            _learn(options, problem, self._habits)
            raise
        _learn(options, problem, self._habits)
        return texts

    def _ask_less_quietly(self, this: _Round, options: Options) -> tuple[str, ...]:
        """Ask again with nothing optional but the next way to switch reasoning off, for the first was refused."""
        refused = options.refused_quiets + 1
        self._habits.refuse_quiet(refused)
        return self._ask(this, options.strip(find_quiet(self.endpoint.url, self.model, refused=refused)))

    def _ask(self, this: _Round, options: Options) -> tuple[str, ...]:
        try:
            return self._ask_now(this, options)
        except KnockFirst:
            self._knock(this, options)
        return self._ask_now(this, options)

    def _ask_now(self, this: _Round, options: Options) -> tuple[str, ...]:
        def parse(answer: Answer) -> Reading:
            this.cost += call.ask.chars
            this.taken = options
            reading = self.wire.read(answer.json, prompt=this.prompt, where=answer.where)
            if not reading.texts:
                raise NoText(f"{answer.where} answered without any text, or with reasoning only")
            return reading

        def refine(problem: Problem, error: InferenceError) -> InferenceError:
            this.cost += call.ask.chars
            this.problem = problem
            return self._refine(problem, error, this, options)

        knock = Knock.CAN if self.endpoint.role is Role.TEXT else Knock.NONE
        call = self._make_call(this.prompt, options, this.read_seconds, knock)
        return self.session.send(call, parse=parse, refine=refine, measure=lambda reading: reading.received_chars).texts

    def _knock(self, this: _Round, options: Options) -> None:
        """See whether anybody is there, whatever is said: also nothing, and that it likes no such requests."""

        def parse(answer: Answer) -> Reading:
            this.cost += call.ask.chars
            return self.wire.read(answer.json, prompt=KNOCK, where=answer.where)

        def refine(_problem: Problem, error: InferenceError) -> InferenceError:
            this.cost += call.ask.chars
            return error

        # Nothing optional: several answers are not wanted, and a refused parameter would tell nothing.
        bare = Options(required=dict.fromkeys(options.required, KNOCK_TOKENS))
        call = self._make_call(KNOCK, bare, this.read_seconds, Knock.IS)
        try:
            self.session.send(call, parse=parse, refine=refine, measure=lambda reading: reading.received_chars)
        except InferenceRejected:
            pass

    def _make_call(self, prompt: Prompt, options: Options, read_seconds: float, knock: Knock) -> Call:
        return Call(
            endpoint=self.endpoint,
            path=self.wire.make_path(self.model),
            payload=self.wire.make_payload(prompt, model=self.model, options=options),
            ask=make_ask(self.endpoint, chars=self._count(prompt), model=self.model, knock=knock),
            read_seconds=read_seconds,
            headers={"x-use-cache": "false"} if self.wire.name == "hf" else {},
            sent_texts=self.wire.list_texts(prompt),
        )

    def _refine(self, problem: Problem, error: InferenceError, this: _Round, options: Options) -> InferenceError:
        """Tell a refused model from a refused prompt: see the class's `generate`."""
        if isinstance(error, InferenceUnavailable):
            return self._refine_crash(problem, error, this, options)
        if not isinstance(error, InferenceRejected) or error.too_long or _wants_other_name(options, problem):
            return error
        gone = InferenceGone(f"{error}; the model counts as gone: check `model` and `url`", status=error.status)
        if problem.says_model_gone(self.model) and not _named(options, problem):
            return gone
        if not options.is_bare:
            return error
        is_second = self._habits.note_refused(_identify(this.prompt))
        return gone if problem.names(self.model) or is_second else error

    def _refine_crash(
        self, problem: Problem, error: InferenceUnavailable, this: _Round, options: Options
    ) -> InferenceError:
        """Take a crash for a prompt that is too long, where that is likely: `transformers serve` says so of GPT-2.

        Else the same prompt would be sent again and again, and open the breaker for everybody's.
        """
        chars = self._count(this.prompt)
        tokens = chars / GPT2_CHARS_PER_TOKEN + next(
            (value for value in options.required.values() if isinstance(value, int)), 0
        )
        is_likely = self.wire.name == "completions" and tokens > GPT2_WINDOW_TOKENS and chars > self._habits.longest
        if not is_likely or problem.status != 500 or not problem.is_plain:
            return error
        return InferenceRejected(
            f"{error}; if it serves GPT-2, prompt and `max_new_tokens` must fit 1,024 tokens: lower `max_prompt_chars`",
            status=500,
            too_long=True,
        )


def _named(options: Options, problem: Problem | None) -> frozenset[str]:
    """Give the optional parameters that a refusal names as words."""
    text = problem.text if problem else ""
    return frozenset(name for name in options.optional if re.search(rf"\b{re.escape(name)}\b", text))


def _is_about_quiet(options: Options, problem: Problem | None) -> bool:
    """Tell whether a refusal is about nothing but the parameters that switch reasoning off."""
    if problem is None or not options.quiet:
        return False
    named = _named(options, problem)
    return named <= options.quiet if named else _REASONING.search(problem.text) is not None


def _learn(options: Options, problem: Problem | None, habits: Habits) -> None:
    habits.leave_out(_named(options, problem) or options.optional)


def _wants_other_name(options: Options, problem: Problem | None) -> bool:
    """Tell whether a refusal asks for `max_completion_tokens`, as OpenAI's models do."""
    return problem is not None and "max_tokens" in options.required and problem.names("max_completion_tokens")


def _identify(prompt: Prompt) -> str:
    texts = (prompt.text, *(message.text for message in prompt.messages))
    return hashlib.sha256("\0".join(texts).encode("utf-8", "replace")).hexdigest()
