"""What AI Horde's answers mean: its return codes, how far a job is, and which results may not be used. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hotshotd.errors import (
    InferenceError,
    InferenceGone,
    InferenceNonsense,
    InferenceRejected,
    InferenceUnavailable,
)
from hotshotd.inference.refusals import Problem

#: Waits where the service says that one is wanted and not how long, in seconds.
MAINTENANCE_SECONDS = 300.0
TOO_MANY_SECONDS = 60.0
TIMEOUT_SECONDS = 180.0
#: For how long the service itself keeps its opinion that no volunteer can do a job, in seconds.
IMPOSSIBLE_SECONDS = 60.0

_JOB_ID = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_SECONDS = re.compile(r"\b([0-9]{1,7}) (?:more )?seconds?\b", re.ASCII)


class JobLost(InferenceUnavailable):
    """The job is over and brought nothing: faulted, or no longer known. Another one may work."""


class JobImpossible(JobLost):
    """No volunteer that is there now can do the job; it would wait until it expires."""


class JobHollow(InferenceNonsense):
    """The job is done, and what it brought can't be used; to look again changes nothing."""


class TooDear(InferenceUnavailable):
    """The job is larger than the account may order without kudos; a smaller one may be taken."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a return code means: the kind of error, what the operator can do, and the least wait in seconds."""

    make: Callable[[str, Problem, float | None], InferenceError]
    advice: str = ""
    wait_seconds: float | None = None


def _unavailable(message: str, _: Problem, wait: float | None) -> InferenceError:
    return InferenceUnavailable(message, retry_after=wait)


def _rejected(message: str, problem: Problem, _: float | None) -> InferenceError:
    return InferenceRejected(message, status=problem.status)


def _gone(message: str, problem: Problem, _: float | None) -> InferenceError:
    return InferenceGone(message, status=problem.status)


def _too_dear(message: str, _: Problem, __: float | None) -> InferenceError:
    return TooDear(message)


def _lost(message: str, _: Problem, __: float | None) -> InferenceError:
    return JobLost(message)


#: Return code → meaning. The codes are for programs, the texts beside them are not.
RETURN_CODES: dict[str, _Meaning] = {
    "MaintenanceMode": _Meaning(_unavailable, "it is being maintained", MAINTENANCE_SECONDS),
    "CorruptPrompt": _Meaning(_rejected, "its filter takes this prompt for abuse: look at backstory and keywords"),
    "InvalidAPIKey": _Meaning(_gone, "check its key, or take `key_env` out to be anonymous"),
    "KudosUpfront": _Meaning(_too_dear, "it wants kudos for so much: ask for fewer tokens or pixels"),
    "TimeoutIP": _Meaning(_unavailable, "it lets this address wait", TIMEOUT_SECONDS),
    "TooManyPrompts": _Meaning(_unavailable, "too many jobs of this account wait there", TOO_MANY_SECONDS),
    "RequestNotFound": _Meaning(_lost, "the job is no longer known there"),
}


def refine_problem(problem: Problem, error: InferenceError) -> InferenceError:
    """Turn the error of a status into that of a return code, where there is a known one."""
    meaning = RETURN_CODES.get(problem.return_code)
    if meaning is None and problem.return_code.startswith("SourceImage"):
        meaning = _Meaning(_rejected, "it can't use the picture")
    if meaning is None:
        return error
    message = f"{error}; {meaning.advice}" if meaning.advice else str(error)
    return meaning.make(message, problem, _find_wait(problem, meaning))


def refine_look(problem: Problem, error: InferenceError) -> InferenceError:
    """Refine what came when a job was looked at: a 404 there is about the job, not about model or key."""
    if problem.status == 404:
        return JobLost(f"{error}; the job is no longer known there")
    return refine_problem(problem, error)


def _find_wait(problem: Problem, meaning: _Meaning) -> float | None:
    if meaning.wait_seconds is None:
        return problem.retry_after
    if problem.return_code == "TimeoutIP" and (found := _SECONDS.search(problem.text)):
        # The one figure that is nowhere but in the sentence.
        return float(found[1])
    return max(meaning.wait_seconds, problem.retry_after or 0.0)


def read_job_id(body: Any, *, where: str) -> str:
    """Give the id of a job that was taken.

    Raises:
        InferenceNonsense: If there is none that can stand in an address.
    """
    job_id = body.get("id") if isinstance(body, dict) else None
    if not isinstance(job_id, str) or not _JOB_ID.fullmatch(job_id):
        raise InferenceNonsense(f"{where} took the job and gave no id for it; check `api` and `url`")
    return job_id


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job for text or pictures is; the figures count its parts."""

    is_done: bool
    is_faulted: bool
    is_possible: bool
    finished: int
    processing: int
    waiting: int

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come; `done` alone is said, too, while a part is still being made."""
        return self.is_faulted or (self.is_done and self.processing + self.waiting == 0)

    def raise_if_hopeless(self, *, where: str) -> None:
        """Raise JobLost where a job is over that should not be, JobImpossible where nobody can do it."""
        if self.is_faulted:
            raise JobLost(f"{where} gave the job up: its volunteers failed at it")
        if self.is_over:
            raise JobLost(f"{where} ended the job with less than was ordered")
        if not self.is_possible and self.processing + self.finished == 0:
            raise JobImpossible(f"{where} has no volunteer now who can do this: name another model, or any")


def read_progress(body: Any, *, where: str) -> Progress:
    """Read a status.

    Raises:
        InferenceNonsense: If it is none.
    """
    if not isinstance(body, dict) or not isinstance(body.get("done"), bool):
        raise InferenceNonsense(f"{where} answered with no status of a job; check `api` and `url`")
    return Progress(
        is_done=body["done"],
        is_faulted=body.get("faulted") is True,
        is_possible=body.get("is_possible") is not False,
        finished=_read_count(body.get("finished")),
        processing=_read_count(body.get("processing")),
        waiting=_read_count(body.get("waiting")),
    )


def _read_count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def read_generations(body: Any, *, where: str) -> list[Mapping[str, Any]]:
    """Give the results of a job so far, each one usable as far as the service's own censorship goes.

    Raises:
        InferenceNonsense: If the status holds no list of results.
        InferenceRejected: If one of them was censored: none is used then, for they are of one prompt.
    """
    entries = body.get("generations") if isinstance(body, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InferenceNonsense(f"{where} answered without `generations`; check `api` and `url`")
    for entry in entries:
        _refuse_censored(entry, where=where)
    return entries


def _refuse_censored(entry: Mapping[str, Any], *, where: str) -> None:
    metadata = entry.get("gen_metadata") or []
    is_marked = not isinstance(metadata, list) or any(
        not isinstance(note, dict) or note.get("type") == "censorship" for note in metadata
    )
    # Fail closed: what is not said to be fine is not.
    if is_marked or entry.get("state") != "ok" or entry.get("censored") not in (None, False):
        raise InferenceRejected(f"{where} censored what was made of this prompt; nothing of it is used", status=200)


def read_form(body: Any, name: str, *, where: str) -> Any:
    """Give the result of the one form of an alchemy job; None while it is not there.

    Raises:
        InferenceNonsense: If the status is none.
        JobHollow: If the form is done without a result.
        JobLost: If it came to nothing.
    """
    forms = body.get("forms") if isinstance(body, dict) else None
    if not isinstance(forms, list):
        raise InferenceNonsense(f"{where} answered without `forms`; check `api` and `url`")
    form = next((entry for entry in forms if isinstance(entry, dict) and entry.get("form") == name), {})
    states = (form.get("state"), body.get("state"))
    if states[0] == "done":
        result = form.get("result")
        if not isinstance(result, dict) or result.get(name) is None:
            raise JobHollow(f"{where} says that {name} is done, and gives no result")
        return result[name]
    if any(state in ("faulted", "cancelled", "partial") for state in states):
        raise JobLost(f"{where} gave the job up: its volunteers failed at it")
    return None
