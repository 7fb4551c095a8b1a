"""The services of a bot on 127.0.0.1, in their real wire formats: a server each, no model, no network.

    with Services(keys={"hf_a": "iama"}) as services:
        services.script("gpt2", ["the text of the next answer"])
        requests.post(f"{services.hf_url}/gpt2", json={"inputs": "Hello"}, headers={"Authorization": "Bearer hf_a"})
        assert services.received_chars("hf_a") == 5

`hf` answers text generation, classification, zero-shot and text-to-image; `openai` answers chat,
completions, moderations, pictures (those of Cloudflare too), `/rerank` and `/classify`; `perspective` answers
comments:analyze, `azure` describes pictures, `deepai` enlarges them, and `horde` takes jobs as AI Horde does.
The names are those that a plan of faults uses; the account of a request is what its key belongs to.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Self

from hotshotd.clock import Clock, SystemClock
from hotshotd.sandbox import pictures, textmodels, verdicts
from hotshotd.sandbox.faults import Action, Plan, Rule
from hotshotd.sandbox.horde import HordeJobs
from hotshotd.sandbox.horde_rules import KEY_HEADER as HORDE_KEY
from hotshotd.sandbox.http import Answered, Handler, HttpServer, Middleware, Request, Response, Route, Routes
from hotshotd.sandbox.http import json_response as as_json
from hotshotd.sandbox.pictures import AZURE_KEY, DEEPAI_KEY, Studio, choose_sides, draw_png, parse_object
from hotshotd.sandbox.textmodels import Answer, Wish

#: The key that is accepted when no others are named.
DEFAULT_KEY = "sandbox-key"

#: What a test lets a model answer to one request: a text, several candidates, a score, or a raw answer.
Scripted = str | Sequence[str] | float | Response


@dataclass(slots=True)
class Hold:
    """Requests of a model that wait for their answer until `release`."""

    model: str
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _open: threading.Event = field(default_factory=threading.Event)

    def wait_arrived(self, *, timeout_seconds: float = 5.0) -> None:
        """Block until one more request waits.

        Raises:
            TimeoutError: If none came.
        """
        if not self.arrived.acquire(timeout=timeout_seconds):
            raise TimeoutError(f"no request for {self.model} in {timeout_seconds} s")

    def release(self) -> None:
        """Let all go on, those that come later too."""
        self._open.set()

    def pass_through(self) -> None:
        self.arrived.release()
        self._open.wait()


class Services:
    """Servers that share keys, scripts, holds and counts. Safe from any thread.

    `keys` maps each accepted key to the name of its owner. `latency_seconds` passes before a text
    answer. All models are served, except those in `gone` (404).
    """

    def __init__(
        self,
        *,
        keys: Mapping[str, str] | None = None,
        seed: int = 0,
        plan: Plan | None = None,
        latency_seconds: float = 0.0,
        clock: Clock | None = None,
    ) -> None:
        self.keys = dict(keys if keys is not None else {DEFAULT_KEY: "sandbox"})
        self.gone: set[str] = set()
        self._seed = seed
        self._latency_seconds = latency_seconds
        self._lock = threading.Lock()
        self._chars: Counter[str] = Counter()
        self._turns: Counter[tuple[str, str]] = Counter()
        self._scripts: defaultdict[str, deque[Scripted]] = defaultdict(deque)
        self._holds: list[Hold] = []
        self._studio = Studio(lambda: self.openai.base_url)
        plan = self._plan = plan or Plan()
        self.hf = self._make_server("hf", Routes(self._hf_routes()), plan, clock)
        self.openai = self._make_server("openai", Routes(self._openai_routes()), plan, clock)
        self.perspective = self._make_server("perspective", Routes(self._perspective_routes()), plan, clock)
        self.azure = self._make_server("azure", Routes(self._azure_routes()), plan, clock)
        self.deepai = self._make_server("deepai", Routes(self._deepai_routes()), plan, clock)
        self.horde_jobs = HordeJobs(
            write=lambda wish: [answer.text for answer in self._generate(wish)],
            draw=draw_png,
            is_key=self.keys.__contains__,
            now=(clock or SystemClock()).monotonic,
        )
        self.horde = self._make_server("horde", Routes(self.horde_jobs.routes()), plan, clock)

    @property
    def servers(self) -> tuple[HttpServer, ...]:
        return self.hf, self.openai, self.perspective, self.azure, self.deepai, self.horde

    @property
    def hf_url(self) -> str:
        """What stands in `backends: {hf: {url: ...}}`."""
        return f"{self.hf.base_url}/hf-inference/models"

    @property
    def openai_url(self) -> str:
        """What stands as `url` of a backend whose api is chat or completions."""
        return f"{self.openai.base_url}/v1"

    @property
    def perspective_url(self) -> str:
        """What stands in `services: {perspective: {url: ...}}`."""
        return self.perspective.base_url

    @property
    def cloudflare_url(self) -> str:
        """What stands as `url` of a backend (api: chat) that is Cloudflare's."""
        return f"{self.openai.base_url}/client/v4/accounts/sandbox/ai/v1"

    @property
    def azure_url(self) -> str:
        """What stands in `services: {azure: {url: ...}}`."""
        return self.azure.base_url

    @property
    def deepai_url(self) -> str:
        """What stands in `services: {deepai: {url: ...}}`."""
        return self.deepai.base_url

    @property
    def horde_url(self) -> str:
        """What stands in `backends: {horde: {url: ...}}`."""
        return f"{self.horde.base_url}/api/v2"

    def start(self) -> Self:
        """Listen, each on a free port; returns at once."""
        for server in self.servers:
            server.start()
        return self

    def stop(self) -> None:
        """Release every hold, close every connection and join every thread."""
        with self._lock:
            held = tuple(self._holds)
        for hold in held:
            hold.release()
        for server in self.servers:
            server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def script(self, model: str, answers: Iterable[Scripted]) -> None:
        """Say what the model answers to its next requests, one entry a request; it improvises after that."""
        with self._lock:
            self._scripts[model].extend(answers)

    @contextmanager
    def hold(self, model: str = "*") -> Iterator[Hold]:
        """Make requests of the models that fit the pattern wait until `release`, or the end of the block."""
        hold = Hold(model)
        with self._lock:
            self._holds.append(hold)
        try:
            yield hold
        finally:
            with self._lock:
                self._holds.remove(hold)
            hold.release()

    def show(self, quirk: str, *, service: str = "*") -> Rule:
        """Make the servers that fit the pattern show a quirk of `sandbox.quirks` from now on; gives its rule."""
        return self._plan.add(Rule(Action.QUIRK, service=service, quirk=quirk))

    def received_chars(self, key: str | None = None) -> int:
        """Count the code points that came with a key, or with any: prompts and messages, whatever was answered.

        Moderation is not counted: it is not metered.
        """
        with self._lock:
            return self._chars.total() if key is None else self._chars[key]

    # --- what all servers do -------------------------------------------------------------------

    def _make_server(self, name: str, handler: Handler, plan: Plan, clock: Clock | None) -> HttpServer:
        faults = plan.middleware(name)
        return HttpServer(name, handler, middleware=self._counting(faults), identify=self._owner, clock=clock)

    def _counting(self, inner: Middleware) -> Middleware:
        def count(request: Request, handle: Handler) -> Response:
            # Before the faults: what was received is billed, whatever is answered.
            with self._lock:
                self._chars[_key_of(request) or ""] += count_chars(request)
            return inner(request, handle)

        return count

    def _owner(self, request: Request) -> str:
        return self.keys.get(_key_of(request) or "", "")

    def _take_script(self, model: str) -> Scripted | None:
        with self._lock:
            script = self._scripts.get(model)
            return script.popleft() if script else None

    def _next_turn(self, model: str, prompt: str) -> int:
        with self._lock:
            self._turns[model, prompt] += 1
            return self._turns[model, prompt]

    def _wait_for_release(self, model: str) -> None:
        with self._lock:
            held = [hold for hold in self._holds if fnmatchcase(model, hold.model)]
        for hold in held:
            hold.pass_through()

    def _generate(self, wish: Wish) -> list[Answer]:
        self._wait_for_release(wish.model)
        scripted = self._take_script(wish.model)
        if isinstance(scripted, Response):
            raise Answered(scripted)
        if scripted is None:
            return textmodels.generate(wish, seed=self._seed, turn=self._next_turn(wish.model, wish.prompt))
        texts = [scripted] if isinstance(scripted, str) else scripted if isinstance(scripted, Sequence) else ["?"]
        return [textmodels.limit(text, wish) for text in texts]

    def _score(self, model: str, text: str) -> list[tuple[str, float]]:
        self._wait_for_release(model)
        scripted = self._take_script(model)
        if isinstance(scripted, Response):
            raise Answered(scripted)
        labels = textmodels.classify(model, text)
        return [(label, float(scripted)) for label, _ in labels] if isinstance(scripted, int | float) else labels

    # --- Hugging Face --------------------------------------------------------------------------

    def _hf_routes(self) -> list[Route]:
        return [
            Route("POST", "/hf-inference/models/{model:path}", self._answer_hf),
            Route("POST", "/models/{model:path}", self._answer_hf),
        ]

    def _answer_hf(self, request: Request) -> Response:
        model = request.variables["model"]
        if request.bearer not in self.keys:
            return as_json({"error": "Invalid username or password."}, status=401)
        if model in self.gone:
            return as_json({"error": f"Model {model} is not supported by provider hf-inference."}, status=404)
        body = request.json()
        inputs = body.get("inputs") if isinstance(body, dict) else None
        if not isinstance(inputs, str) or not inputs:
            return as_json({"error": "Input validation error: `inputs` cannot be empty"}, status=422)
        parameters = body.get("parameters") or {}
        return self._pick_task(request, model, parameters)(model, inputs, parameters)

    def _pick_task(self, request: Request, model: str, parameters: Any) -> Callable[[str, str, Any], Response]:
        if request.headers.get("accept", "").startswith("image/"):
            return self._draw_hf
        if "candidate_labels" in parameters:
            return self._match_hf
        is_classifier = any(word in model.casefold() for word in ("dialogrpt", "toxic", "roberta", "classif"))
        return self._classify_hf if is_classifier else self._write_hf

    def _write_hf(self, model: str, inputs: str, parameters: Any) -> Response:
        wish = Wish(
            model=model,
            prompt=inputs,
            heard=textmodels.find_last_words(inputs),
            count=_whole(parameters.get("num_return_sequences"), 1),
            max_tokens=_whole(parameters.get("max_new_tokens"), 20),
            stop=_texts(parameters.get("stop")),
        )
        head = inputs if parameters.get("return_full_text", True) else ""
        texts = [{"generated_text": head + answer.text} for answer in self._generate(wish)]
        return replace(as_json(texts), delay_seconds=self._latency_seconds)

    def _classify_hf(self, model: str, inputs: str, _parameters: Any) -> Response:
        labels = self._score(model, inputs)
        return as_json([[{"label": label, "score": score} for label, score in labels]])

    def _match_hf(self, model: str, inputs: str, parameters: Any) -> Response:
        self._wait_for_release(model)
        match = verdicts.match_each if parameters.get("multi_label") else textmodels.match_topics
        matches = match(inputs, _texts(parameters["candidate_labels"]))
        return as_json([{"label": label, "score": score} for label, score in matches])

    def _draw_hf(self, model: str, inputs: str, parameters: Any) -> Response:
        self._wait_for_release(model)
        scripted = self._take_script(model)
        if isinstance(scripted, Response):
            return scripted
        width, height = choose_sides(parameters)
        return Response(body=draw_png(inputs, width=width, height=height), content_type="image/png")

    # --- OpenAI and those who speak like it ----------------------------------------------------

    def _openai_routes(self) -> list[Route]:
        answers: dict[str, Callable[[str, Any], Response]] = {
            "/v1/chat/completions": self._chat,
            "/v1/completions": self._complete,
            "/v1/moderations": verdicts.moderate_openai,
            "/v1/images/generations": self._draw,
            "/v1/rerank": self._rerank,
            "/rerank": self._rerank,
            "/v1/classify": self._classify,
            "/classify": self._classify,
        }
        posts = [Route("POST", path, self._openai(answer)) for path, answer in answers.items()]
        return [
            *posts,
            Route("GET", "/v1/models", self._list_models),
            Route("POST", "/client/v4/accounts/{account}/ai/run/{model:path}", self._run_cloudflare),
            self._studio.shelf.route,
        ]

    def _openai(self, answer: Callable[[str, Any], Response]) -> Handler:
        def handle(request: Request) -> Response:
            if request.bearer not in self.keys:
                return openai_error(401, "Incorrect API key provided.", code="invalid_api_key")
            body = request.json()
            if not isinstance(body, dict):
                return openai_error(400, "We could not parse the JSON body of your request.")
            model = str(body.get("model") or "")
            if model in self.gone:
                return openai_error(404, f"The model `{model}` does not exist.", code="model_not_found")
            return answer(model, body)

        return handle

    def _list_models(self, request: Request) -> Response:
        if request.bearer not in self.keys:
            return openai_error(401, "Incorrect API key provided.", code="invalid_api_key")
        return as_json({"object": "list", "data": [{"id": "sandbox/lighthouse-chat", "object": "model"}]})

    def _chat(self, model: str, body: Any) -> Response:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            return openai_error(400, "[] is too short - 'messages'")
        texts = [_message_text(message) for message in messages]
        if "guard" in model.casefold():
            return self._finish("chat.completion", model, texts, self._guard(model, texts[-1]))
        if (verdict := verdicts.answer_question(model, texts)) is not None:
            return self._finish("chat.completion", model, texts, self._say(model, verdict))
        image_url = pictures.find_image_url(messages)
        if image_url is not None:
            return self._finish("chat.completion", model, texts, self._see(model, image_url))
        wish = Wish(
            model=model,
            prompt="\n".join(texts),
            heard=textmodels.find_last_words(texts[-1]),
            count=_whole(body.get("n"), 1),
            max_tokens=_whole(body.get("max_completion_tokens") or body.get("max_tokens"), 250),
            stop=_texts(body.get("stop")),
            is_chat=True,
        )
        return self._finish("chat.completion", model, texts, self._generate(wish))

    def _see(self, model: str, image_url: str) -> list[Answer]:
        scripted = self._take_picture_script(model)
        if isinstance(scripted, Response):
            raise Answered(scripted)
        return [Answer(str(scripted or f"The picture shows {pictures.say_what_is_seen(image_url)}."))]

    def _guard(self, model: str, text: str) -> list[Answer]:
        return self._say(model, "unsafe\nS10" if textmodels.is_rude(text) else "safe")

    def _say(self, model: str, verdict: str) -> list[Answer]:
        self._wait_for_release(model)
        scripted = self._take_script(model)
        if isinstance(scripted, Response):
            raise Answered(scripted)
        return [Answer(str(verdict if scripted is None else scripted))]

    def _complete(self, model: str, body: Any) -> Response:
        prompt = body.get("prompt")
        if not isinstance(prompt, str) or not prompt:
            return openai_error(400, "'prompt' is a required property")
        wish = Wish(
            model=model,
            prompt=prompt,
            heard=textmodels.find_last_words(prompt),
            count=_whole(body.get("n"), 1),
            max_tokens=_whole(body.get("max_tokens"), 16),
            stop=_texts(body.get("stop")),
        )
        return self._finish("text_completion", model, [prompt], self._generate(wish))

    def _finish(self, kind: str, model: str, asked: list[str], answers: list[Answer]) -> Response:
        choices = [_choice(kind, index, answer) for index, answer in enumerate(answers)]
        spent = textmodels.count_tokens(asked), textmodels.count_tokens([answer.text for answer in answers])
        usage = {"prompt_tokens": spent[0], "completion_tokens": spent[1], "total_tokens": sum(spent)}
        body = {"id": "sandbox-1", "object": kind, "created": 0, "model": model, "choices": choices, "usage": usage}
        return replace(as_json(body), delay_seconds=self._latency_seconds)

    def _rerank(self, model: str, body: Any) -> Response:
        query, documents = str(body.get("query", "")), _texts(body.get("documents"))
        scores = [self._score(model, f"{query}{document}")[0][1] for document in documents]
        results = [{"index": index, "relevance_score": score} for index, score in enumerate(scores)]
        results.sort(key=lambda result: -result["relevance_score"])
        return as_json({"object": "rerank", "results": results, "model": model, "usage": {"total_tokens": 0}})

    def _classify(self, model: str, body: Any) -> Response:
        texts = _texts(body.get("input"))
        scores = [self._score(model, text) for text in texts]
        data = [
            {"index": index, "label": found[0][0], "probs": [score for _, score in found], "num_classes": len(found)}
            for index, found in enumerate(scores)
        ]
        return as_json({"id": "classify-1", "object": "list", "model": model, "data": data})

    def _draw(self, model: str, body: Any) -> Response:
        self._wait_for_release(model)
        scripted = self._take_script(model)
        return scripted if isinstance(scripted, Response) else self._studio.generate(body)

    def _run_cloudflare(self, request: Request) -> Response:
        model, body = request.variables["model"], parse_object(request)
        if request.bearer not in self.keys:
            return pictures.cloudflare_error(401, 10000, "Authentication error")
        if model in self.gone:
            return pictures.cloudflare_error(400, 5007, f"No such model {model} or task")
        if body is None:
            return pictures.cloudflare_error(400, 5004, "Invalid data sent")
        self._wait_for_release(model)
        scripted = self._take_script(model)
        return scripted if isinstance(scripted, Response) else self._studio.run(body)

    # --- pictures ------------------------------------------------------------------------------

    def _azure_routes(self) -> list[Route]:
        return pictures.list_azure_routes(self.keys, self._take_picture_script)

    def _deepai_routes(self) -> list[Route]:
        return pictures.list_deepai_routes(self.keys, self._take_picture_script, lambda: self.deepai.base_url)

    def _take_picture_script(self, model: str) -> Scripted | None:
        self._wait_for_release(model)
        return self._take_script(model)

    # --- Perspective ---------------------------------------------------------------------------

    def _perspective_routes(self) -> list[Route]:
        return [Route("POST", "/v1alpha1/comments:analyze", self._analyze)]

    def _analyze(self, request: Request) -> Response:
        key = _key_of(request)
        if key is None:
            return verdicts.google_error(403, "PERMISSION_DENIED", "The request is missing a valid API key.")
        if key not in self.keys:
            # Google says 400 here, not 401.
            reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
            message = "API key not valid. Please pass a valid API key."
            return verdicts.google_error(400, "INVALID_ARGUMENT", message, reason)
        self._wait_for_release("perspective")
        scripted = self._take_script("perspective")
        if isinstance(scripted, Response):
            return scripted
        score = float(scripted) if isinstance(scripted, int | float) else None
        return verdicts.analyze_comment(request.json(), score=score)


def openai_error(status: int, message: str, *, code: str | None = None) -> Response:
    """Make an error as OpenAI does."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return as_json({"error": error}, status=status)


def count_chars(request: Request) -> int:
    """Count the code points that a metered service would charge for: prompts, messages, texts to score."""
    if request.path.endswith(("/moderations", "comments:analyze")):
        return 0
    try:
        body = request.json()
    except Answered:
        return 0
    if not isinstance(body, dict):
        return 0
    messages = body.get("messages")
    spoken = [_message_text(message) for message in messages] if isinstance(messages, list) else []
    plain = [text for key in ("inputs", "prompt", "query", "documents", "input") for text in _texts(body.get(key))]
    return sum(map(len, (*spoken, *plain)))


def _key_of(request: Request) -> str | None:
    named = (request.headers.get(name) for name in ("x-goog-api-key", AZURE_KEY, DEEPAI_KEY, HORDE_KEY))
    return request.bearer or request.params.get("key") or next((key for key in named if key), None)


def _message_text(message: Any) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _choice(kind: str, index: int, answer: Answer) -> dict[str, Any]:
    reason = "stop" if answer.is_whole else "length"
    said: dict[str, Any] = {"text": answer.text, "logprobs": None}
    if kind == "chat.completion":
        said = {"message": {"role": "assistant", "content": answer.text}}
    return {"index": index, **said, "finish_reason": reason}


def _whole(value: Any, default: int) -> int:
    return min(value, 16_384) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()
