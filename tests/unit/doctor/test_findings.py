"""Lines for people, JSON for programs, and a secret in neither."""

from __future__ import annotations

import pytest

from hotshotd.doctor.findings import EVERYBODY, Finding, Mark, count_marks, fail, format_findings, ok, warn
from hotshotd.doctor.trouble import judge_error, soften
from hotshotd.errors import (
    BotPaused,
    BreakerOpen,
    HotshotError,
    InferenceGone,
    InferenceUnavailable,
    QuotaUnavailable,
    Refused,
    Retry,
)
from hotshotd.log import register_secret


def test_format__is_one_line_a_finding() -> None:
    """The mark, the bot, what, the detail, and what to do; whatever a service wrote."""
    findings = [
        Finding(EVERYBODY, "clock", ok("agrees")),
        Finding("iama", "text", fail("it said\n\x1b[31m\tno\u202e", "do this")),
    ]
    assert format_findings(findings) == [
        "ok    -     clock: agrees",
        "FAIL  iama  text: it said [31m no; do this",
    ]
    assert count_marks(findings) == {"ok": 1, "warn": 0, "FAIL": 1}


def test_finding__hides_secrets_and_cuts_what_is_long() -> None:
    """A registered secret is masked in every part, in text and JSON."""
    register_secret("s3cret-of-a-test")
    finding = Finding("iama", "key s3cret-of-a-test", warn("s3cret-of-a-test " + "x" * 5000, "s3cret-of-a-test"))
    shown = finding.to_json()
    assert "s3cret" not in str(shown) + format_findings([finding])[0]
    assert len(shown["detail"]) <= 600


@pytest.mark.parametrize(
    ("error", "mark"),
    [
        (InferenceGone("x", status=404), Mark.FAIL),
        (InferenceUnavailable("x"), Mark.FAIL),
        (BreakerOpen("x", retry_after=1, gone=True), Mark.FAIL),
        (BreakerOpen("x", retry_after=1, gone=False), Mark.WARN),
        (BotPaused("x"), Mark.WARN),
        (QuotaUnavailable("x"), Mark.WARN),
        (Retry("x", after=1), Mark.WARN),
        (Refused("x", why="insufficient_scope"), Mark.FAIL),
        (HotshotError("x"), Mark.FAIL),
    ],
)
def test_judge__knows_what_was_not_tried_from_what_failed(error: HotshotError, mark: Mark) -> None:
    """What never left is a warning; what came back badly a failure."""
    assert judge_error(error).mark is mark


@pytest.mark.parametrize(("status", "mark"), [(401, Mark.FAIL), (402, Mark.FAIL), (404, Mark.WARN), (410, Mark.WARN)])
def test_soften__never_excuses_a_refused_key(status: int, mark: Mark) -> None:
    """A bot goes on without an optional model; a key that is refused has to be mended all the same."""
    error = InferenceGone("x", status=status)
    assert soften(judge_error(error), error).mark is mark
