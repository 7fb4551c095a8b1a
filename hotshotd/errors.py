"""Every error hotshotd raises, in one tree, and the exit codes of its programs.

Each class carries a stable `code`, which is what crosses sockets and stands in logs. The
message is for the operator: it says what is wrong and what to do next.
"""

from __future__ import annotations

import errno
from datetime import datetime
from enum import IntEnum
from typing import ClassVar, Final

#: What an operator does about a file or a folder of ours that the system refuses us.
_REMEDIES: Final = {
    errno.EACCES: "give it to the daemon's user (chown), and that user the right to use it (chmod)",
    errno.EDQUOT: "raise the quota of the daemon's user on its disk, or make room",
    errno.EFBIG: "make room on its disk, or raise LimitFSIZE (ulimit -f)",
    errno.EIO: "look at its disk: it is broken",
    errno.EISDIR: "a folder has its name: move it away",
    errno.ELOOP: "a link has its name: remove it",
    errno.EMFILE: "raise LimitNOFILE (ulimit -n)",
    errno.ENFILE: "raise fs.file-max (sysctl)",
    errno.ENOENT: "make its folder",
    errno.ENOSPC: "make room on its disk",
    errno.ENOTDIR: "a file has the name of its folder: move it away",
    errno.EPERM: "give it to the daemon's user (chown)",
    errno.EROFS: "mount its disk read-write",
}


def name_remedy(exc: OSError) -> str:
    """Say what to do about a file or a folder that the system refused us."""
    return _REMEDIES.get(exc.errno or 0, "look at its folder and its disk")


class ExitCode(IntEnum):
    """Exit codes of both programs; the systemd unit refers to CONFIG."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    UNKNOWN_BOT = 4
    CONFIG = 78  # EX_CONFIG of sysexits(3): a restart can't mend it


class HotshotError(Exception):
    """Root of everything that hotshotd raises on purpose."""

    code: ClassVar[str] = "error"


class ConfigError(HotshotError):
    """A configuration file can't be used; the message lists every fault."""

    code = "config"


class ImportFailed(HotshotError):
    """A file of another program can't be turned into one of ours, or not be written; the message says why."""

    code = "import"


class SecretMissing(HotshotError):
    """A secret that a bot needs is not to be found; the message says where it was looked for."""

    code = "secret_missing"


class ControlError(HotshotError):
    """A control command can't be carried out."""

    code = "control"


class ProtocolError(ControlError):
    """A peer sent bytes that are no message: not JSON, no object, or longer than allowed."""

    code = "protocol"


class DaemonNotRunning(ControlError):
    """Nobody listens on the control socket."""

    code = "not_running"


class UnknownBot(ControlError):
    """A command names a bot that no file defines."""

    code = "unknown_bot"


class QuotaError(HotshotError):
    """A request may not leave the machine now."""

    code = "quota"


class QuotaExceeded(QuotaError):
    """A grant was refused because a budget or a cap has not enough left."""

    code = "over_budget"

    def __init__(self, message: str, *, cost: int, left: int, resets_at: datetime) -> None:
        super().__init__(message)
        self.cost = cost
        self.left = left
        self.resets_at = resets_at


class PaceExceeded(QuotaExceeded):
    """A grant was refused because `pace: even` keeps what is left for later in the day."""

    code = "pace"


class QuotaUnavailable(QuotaError):
    """The quota process is away, or its ledger can't grant; nothing may be sent."""

    code = "quota_unavailable"


class BotPaused(QuotaError):
    """The operator paused the bot; nothing may be sent or written."""

    code = "paused"


class BreakerOpen(QuotaError):
    """The service failed for good, or too often, and is not asked before `retry_after` seconds."""

    code = "breaker_open"

    def __init__(self, message: str, *, retry_after: float, gone: bool) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.gone = gone


class KnockFirst(BreakerOpen):
    """The service failed before: it must answer a tiny request before this one, which is long and paid for, is sent."""

    code = "knock_first"


class InferenceError(HotshotError):
    """A service of the bot (text, ranking, moderation, captions, pictures) gave no usable answer."""

    code = "inference"


class InferenceUnavailable(InferenceError):
    """A passing failure: time-out, reset, overload, 5xx, 429. The same request may work later."""

    code = "unavailable"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class InferenceGone(InferenceError):
    """The model or the key is refused for good (401, 402, 403, 404, 410)."""

    code = "gone"

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class InferenceRejected(InferenceError):
    """The service refused this one request (400, 413, 422); another one may pass."""

    code = "rejected_request"

    def __init__(self, message: str, *, status: int, too_long: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.too_long = too_long


class InferenceNonsense(InferenceError):
    """The answer arrived and is not what the service promises: wrong type, empty, too large."""

    code = "nonsense"


class PlatformError(HotshotError):
    """The platform (Reddit) did not do what was asked."""

    code = "platform"


class Retry(PlatformError):
    """Nothing was done; the same call may be made again after `after` seconds."""

    code = "retry"

    def __init__(self, message: str, *, after: float) -> None:
        super().__init__(message)
        self.after = after


class Unknown(PlatformError):
    """A write was sent and its outcome is not known: look before writing again."""

    code = "unknown_outcome"


class Refused(PlatformError):
    """The platform refused this one thing for good (locked, deleted, banned, too long).

    `why` is a short stable word for logs; `banned` says that the place refused the account.
    """

    code = "refused"

    def __init__(self, message: str, *, why: str, forbidden: bool = False) -> None:
        super().__init__(message)
        self.why = why
        self.forbidden = forbidden


class AuthDead(PlatformError):
    """The account's credentials are refused, or the account is suspended: a restart can't mend it."""

    code = "auth_dead"


class Down(PlatformError):
    """The platform can't be reached or answers with errors; nothing was written."""

    code = "down"
