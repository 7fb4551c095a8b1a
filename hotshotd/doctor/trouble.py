"""From what a request raised to a verdict: a row a kind of error."""

from __future__ import annotations

from hotshotd.doctor.findings import Mark, Verdict, fail, warn
from hotshotd.errors import (
    AuthDead,
    BotPaused,
    BreakerOpen,
    ConfigError,
    Down,
    HotshotError,
    InferenceGone,
    InferenceNonsense,
    InferenceRejected,
    InferenceUnavailable,
    QuotaError,
    QuotaExceeded,
    Refused,
    Retry,
)

#: Kind of error → how bad, what stands before its message, what to do. The first row that fits.
_ROWS: tuple[tuple[type[HotshotError], Mark, str, str], ...] = (
    (QuotaExceeded, Mark.WARN, "not tried: ", "wait for the next day, or raise the budget"),
    (BotPaused, Mark.WARN, "not tried: ", ""),
    (QuotaError, Mark.WARN, "not tried: ", ""),
    (InferenceRejected, Mark.FAIL, "", "check `parameters` and the model's name"),
    (InferenceUnavailable, Mark.FAIL, "", "see whether it is up, then try again"),
    (InferenceNonsense, Mark.FAIL, "", "check that `api` and `url` fit the server"),
    (ConfigError, Mark.FAIL, "", ""),
    (AuthDead, Mark.FAIL, "", ""),
    (Retry, Mark.WARN, "not tried: ", "try again later"),
    (Down, Mark.FAIL, "", "see whether this machine reaches Reddit (network, proxy, reddit.reddit_url)"),
)

#: Statuses of a service that is gone → what to do, where its own message does not say it.
_GONE: dict[int, str] = {
    401: "make a new key and put it where the old one is",
    402: "add credit, or name a backend that is free",
    403: "see what the key may do, and whether the account may use this model",
    404: "name a model that this server has",
    410: "name another backend",
}

#: Credentials are refused: nothing to be done without, whatever the role.
CREDENTIAL_STATUSES = frozenset({401, 402, 403})


def judge_error(error: HotshotError) -> Verdict:
    """Say what an error means for the operator. Its message is kept, for it says what happened."""
    if isinstance(error, BreakerOpen):
        make = fail if error.gone else warn
        return make(f"not tried: {error}", "see its last error in `hotshotctl status`")
    if isinstance(error, InferenceGone):
        return fail(str(error), _GONE.get(error.status, ""))
    if isinstance(error, Refused):
        return fail(str(error), "run `hotshotctl auth BOT`" if error.why == "insufficient_scope" else "")
    row = next((row for row in _ROWS if isinstance(error, row[0])), None)
    if row is None:
        return fail(str(error))
    _, mark, before, remedy = row
    return Verdict(mark, before + str(error), remedy)


def soften(verdict: Verdict, error: HotshotError) -> Verdict:
    """Make a warning of the failure of a service that a bot can go on without; a refused key stays a failure."""
    refused = isinstance(error, InferenceGone) and error.status in CREDENTIAL_STATUSES
    if verdict.mark is not Mark.FAIL or refused:
        return verdict
    return warn(f"{verdict.detail}; the bot goes on without", verdict.remedy)
