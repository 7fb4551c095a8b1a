"""AI Horde on this machine: jobs for text, pictures and alchemy, done by no volunteers at all.

    jobs = HordeJobs(write=write, draw=draw, is_key=keys.__contains__, now=clock.monotonic)
    server = HttpServer("horde", Routes(jobs.routes()))
    jobs.plan("text", [Fate(faulted=True)])     # what becomes of the next job for text

A job is ready after so many looks, so that no test waits. Sizes, limits of requests and error bodies are the
service's; the addresses of its pictures lead to this server.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID

from hotshotd.sandbox.horde_rules import (
    ANONYMOUS_KEY,
    KEY_HEADER,
    UPSCALERS,
    Limits,
    check_alchemy,
    check_image,
    check_text,
    fit_for_free,
    refuse,
)
from hotshotd.sandbox.http import Answered, Request, Response, Route, json_response
from hotshotd.sandbox.textmodels import Wish, find_last_words

#: A job is forgotten so long after it was ordered, in seconds.
TTL_SECONDS = 1200.0


#: Pictures that are kept; the oldest go first.
SHELF_PICTURES = 100


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a job.

    `looks` looks find it under way. Of its results `missing` never come, and `running` more are said to be under way
    though it is done. `results` replaces what would have been made: texts, addresses, or a caption. `lost` means that
    it is no longer known after the looks.
    """

    looks: int = 1
    possible: bool = True
    faulted: bool = False
    lost: bool = False
    missing: int = 0
    running: int = 0
    state: str = "ok"
    censored: bool = False
    metadata: tuple[Mapping[str, str], ...] = ()
    results: tuple[Any, ...] | None = None


@dataclass(slots=True)
class Job:
    """A job as it was ordered. `kind` is text, image or alchemy; `looks` is how often somebody looked."""

    job_id: str
    kind: str
    body: Mapping[str, Any]
    key: str
    at: float
    fate: Fate
    looks: int = 0
    cancelled: bool = False
    made: list[Any] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def wanted(self) -> int:
        return int(self.body.get("params", {}).get("n", 1)) if self.kind != "alchemy" else len(self.body["forms"])

    @property
    def is_over(self) -> bool:
        return self.fate.possible and self.looks > self.fate.looks


class HordeJobs:
    """The jobs, and the routes that lead to them. Safe from any thread.

    `write` makes texts, `draw` a picture; `is_key` tells whether a key is an account's; `now` is monotonic seconds.
    """

    def __init__(
        self,
        *,
        write: Callable[[Wish], list[str]],
        draw: Callable[[str], bytes],
        is_key: Callable[[str], bool],
        now: Callable[[], float],
    ) -> None:
        self.alchemists = 3
        self.pictures: dict[str, bytes] = {}
        self._write = write
        self._draw = draw
        self._is_key = is_key
        self._now = now
        self._limits = Limits(now)
        self._jobs: dict[str, Job] = {}
        self._plans: defaultdict[str, deque[Fate]] = defaultdict(deque)
        self._numbers = count(1)
        self._lock = threading.Lock()

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs that were taken and are not forgotten, in order."""
        with self._lock:
            return tuple(self._jobs.values())

    def plan(self, kind: str, fates: Iterable[Fate]) -> None:
        """Say what becomes of the next jobs of a kind (text, image, alchemy); later ones go well."""
        with self._lock:
            self._plans[kind].extend(fates)

    def routes(self) -> list[Route]:
        """Give the routes of the service, below `/api/v2`, and those of its pictures."""
        base = "/api/v2"
        status = {
            "/generate/text/status/{id}": ("text", "text status"),
            "/generate/status/{id}": ("image", "image status"),
            "/interrogate/status/{id}": ("alchemy", "alchemy status"),
        }
        found = [
            Route("POST", f"{base}/generate/text/async", self._ordering("text", check_text)),
            Route("POST", f"{base}/generate/async", self._ordering("image", check_image)),
            Route("POST", f"{base}/interrogate/async", self._ordering("alchemy", check_alchemy)),
            Route("GET", f"{base}/generate/check/{{id}}", self._looking("image", "check", is_full=False)),
            Route("GET", f"{base}/status/performance", self._tell_performance),
            Route("GET", f"{base}/status/heartbeat", lambda _: json_response({"message": "OK", "version": "5.1.5"})),
            Route("GET", f"{base}/find_user", self._tell_user),
            Route("GET", "/r2/{name}", self._give_picture),
        ]
        for path, (kind, limit) in status.items():
            found.append(Route("GET", base + path, self._looking(kind, limit, is_full=True)))
            found.append(Route("DELETE", base + path, self._cancelling(kind)))
        return found

    # --- orders ---

    def _ordering(self, kind: str, check: Callable[[Mapping[str, Any]], dict[str, str]]) -> Callable[..., Response]:
        def order(request: Request) -> Response:
            header = self._limits.take("order", kind)
            key = request.headers.get(KEY_HEADER, "")
            if key != ANONYMOUS_KEY and not self._is_key(key):
                return refuse(401, "InvalidAPIKey", "No user matches this key.")
            body = request.json()
            errors = check(body) if isinstance(body, dict) else {"": "is no object"}
            if errors:
                return json_response({"message": "Input payload validation failed", "errors": errors}, status=400)
            body = fit_for_free(kind, body) if key == ANONYMOUS_KEY else body
            job = self._take(kind, body, key)
            answer: dict[str, Any] = {"id": job.job_id, "kudos": 10.0}
            if not job.fate.possible:
                answer["message"] = "No volunteer can do this now."
            return json_response(answer, status=202, headers=[header])

        return order

    def _take(self, kind: str, body: Mapping[str, Any], key: str) -> Job:
        with self._lock:
            for job in [job for job in self._jobs.values() if self._now() - job.at > TTL_SECONDS]:
                del self._jobs[job.job_id]
            number = next(self._numbers)
            plan = self._plans[kind]
            fate = plan.popleft() if plan else Fate()
            job = Job(str(UUID(int=number, version=4)), kind, body, key, self._now(), fate)
            self._jobs[job.job_id] = job
        return job

    # --- looks ---

    def _looking(self, kind: str, limit: str, *, is_full: bool) -> Callable[[Request], Response]:
        def look(request: Request) -> Response:
            job = self._find(kind, request.variables["id"])
            header = self._limits.take(limit, job.job_id)
            with job.lock:
                # A picture's status is read when its check said that it is ready, and is no look of its own.
                job.looks += 0 if kind == "image" and is_full else 1
                if job.fate.lost and job.is_over:
                    raise Answered(_not_found())
                return json_response(self._describe(job, request, is_full=is_full), headers=[header])

        return look

    def _cancelling(self, kind: str) -> Callable[[Request], Response]:
        def cancel(request: Request) -> Response:
            job = self._find(kind, request.variables["id"])
            with job.lock:
                job.cancelled = True
                return json_response(self._describe(job, request, is_full=True))

        return cancel

    def _find(self, kind: str, job_id: str) -> Job:
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None or job.kind != kind or self._now() - job.at > TTL_SECONDS:
            raise Answered(_not_found())
        return job

    def _describe(self, job: Job, request: Request, *, is_full: bool) -> dict[str, Any]:
        if job.kind == "alchemy":
            return self._describe_forms(job, request)
        fate, is_over = job.fate, job.is_over
        finished = job.wanted - fate.missing - fate.running if is_over and not fate.faulted else 0
        status: dict[str, Any] = {
            "finished": finished,
            "processing": fate.running if is_over else int(fate.possible) * job.wanted,
            "restarted": 0,
            "waiting": 0 if is_over or fate.possible else job.wanted,
            "done": is_over,
            "faulted": is_over and fate.faulted,
            "wait_time": 0 if is_over else 5,
            "queue_position": 0,
            "kudos": 10.0,
            "is_possible": fate.possible,
        }
        if is_full:
            made = self._make(job, request) if finished else []
            status["generations"] = [self._describe_result(job, result) for result in made[:finished]]
        return status

    def _describe_result(self, job: Job, result: Any) -> dict[str, Any]:
        models = job.body.get("models") or ["sandbox/any"]
        shared: dict[str, Any] = {
            "worker_id": "00000000-0000-4000-8000-000000000001",
            "worker_name": "sandbox",
            "model": models[0],
            "state": job.fate.state,
            "gen_metadata": [dict(note) for note in job.fate.metadata],
        }
        if job.kind == "text":
            return {**shared, "text": result, "seed": 0}
        return {**shared, "img": result, "seed": "1", "id": job.job_id, "censored": job.fate.censored}

    def _describe_forms(self, job: Job, request: Request) -> dict[str, Any]:
        names = [form["name"] for form in job.body["forms"]]
        if not job.is_over:
            return {"state": "processing", "forms": [{"form": name, "state": "processing"} for name in names]}
        if job.fate.faulted:
            return {"state": "faulted", "forms": [{"form": name, "state": "faulted"} for name in names]}
        results = self._make(job, request)
        forms = [
            {"form": name, "state": "done", "result": {name: result}}
            for name, result in zip(names, results, strict=False)
        ]
        return {"state": "done", "forms": forms}

    # --- results ---

    def _make(self, job: Job, request: Request) -> list[Any]:
        if job.made is None:
            job.made = list(job.fate.results) if job.fate.results is not None else self._do(job, request)
        return job.made

    def _do(self, job: Job, request: Request) -> list[Any]:
        if job.kind == "text":
            return self._write_texts(job)
        if job.kind == "image":
            return [self._store(request, self._draw(f"{job.body['prompt']} {index}")) for index in range(job.wanted)]
        return [self._do_form(form["name"], str(job.body["source_image"]), request) for form in job.body["forms"]]

    def _write_texts(self, job: Job) -> list[Any]:
        params, prompt = job.body.get("params", {}), str(job.body["prompt"])
        wish = Wish(
            model=str((job.body.get("models") or ["sandbox/any"])[0]),
            prompt=prompt,
            heard=find_last_words(prompt),
            count=job.wanted,
            max_tokens=int(params.get("max_length", 80)),
        )
        stops = [stop for stop in params.get("stop_sequence", []) if stop]
        return [_keep_stop(text, stops) for text in self._write(wish)]

    def _do_form(self, name: str, source: str, request: Request) -> Any:
        if name == "nsfw":
            return False
        if name in UPSCALERS:
            return self._store(request, self._draw(f"{name} of {source}"))
        return f"a picture of {source[-40:]}"

    def _store(self, request: Request, data: bytes) -> str:
        with self._lock:
            name = f"{next(self._numbers)}.webp"
            self.pictures[name] = data
            while len(self.pictures) > SHELF_PICTURES:
                del self.pictures[next(iter(self.pictures))]
        return f"http://{request.headers.get('host', '127.0.0.1')}/r2/{name}?signature=of-the-sandbox"

    def _give_picture(self, request: Request) -> Response:
        data = self.pictures.get(request.variables["name"])
        if data is None or "signature" not in request.params:
            return Response(403, b"<Error><Code>AccessDenied</Code></Error>", "application/xml")
        return Response(body=data, content_type="image/webp")

    # --- the rest ---

    def _tell_performance(self, _: Request) -> Response:
        return json_response({"queued_requests": len(self.jobs), "interrogator_count": self.alchemists})

    def _tell_user(self, request: Request) -> Response:
        key = request.headers.get(KEY_HEADER, "")
        if key == ANONYMOUS_KEY or self._is_key(key):
            return json_response({"username": "sandbox#1", "kudos": 0.0, "trusted": False})
        return refuse(404, "UserNotFound", "No user matches this key.")


def _not_found() -> Response:
    return refuse(404, "RequestNotFound", "No such request.")


def _keep_stop(text: str, stops: list[str]) -> str:
    """End a text behind its first stop string, as the volunteers' programs do."""
    ends = [text.index(stop) + len(stop) for stop in stops if stop in text]
    return text[: min(ends)] if ends else text
