"""Texts that leave a process another way than the log: cut and sent without what must not be seen."""

from __future__ import annotations

import pytest

from hotshotd.inference.refusals import MAX_CAUSE, shorten_cause
from hotshotd.log import Redactor, excerpt, redact_all, redaction
from hotshotd.reddit.outcome import error_of_api, error_of_token

SECRET = "correct-horse-battery-staple"


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process know one secret, and forget it again."""
    redactor = Redactor()
    redactor.register(SECRET)
    monkeypatch.setattr(redaction, "_redactor", redactor)
    monkeypatch.setattr(redaction, "redact", redactor.redact)
    monkeypatch.setattr("hotshotd.inference.refusals.redact", redactor.redact)


@pytest.mark.parametrize("start", range(30, 62, 3))
def test_excerpt__never_ends_in_the_middle_of_a_secret(start: int) -> None:
    """Masked first, cut then: half a secret would not be found by anybody after us."""
    text = "x" * (start - 1) + " " + SECRET + " and so on"
    for cut in (
        excerpt(text, longest=60),
        str(error_of_token(text)),
        str(error_of_api("a_word", text, ratelimit=None)),
    ):
        assert SECRET[:4] not in cut
    assert excerpt(text, longest=60) == (text.replace(SECRET, "***"))[:60]


@pytest.mark.parametrize("before", range(MAX_CAUSE - 40, MAX_CAUSE))
def test_shorten_cause__masks_what_this_process_knows_before_it_cuts(before: int) -> None:
    """A service may quote another secret than the key it was sent."""
    cause = shorten_cause("y " * (before // 2) + SECRET + " tail" * 50, secrets=(), sent=())
    assert SECRET[:4] not in cause
    assert len(cause) <= MAX_CAUSE


def test_redact_all__masks_sentences_at_any_depth_and_leaves_words() -> None:
    """What a worker tells its supervisor, which knows none of its secrets."""
    told = {
        "event": "report",
        "at": "2026-11-24T12:00:00+00:00",
        "report": {"last_error": f"it said {SECRET}", "list": [f"?key={SECRET}&x=1", 5, None, True]},
    }
    assert redact_all(told) == {
        "event": "report",
        "at": "2026-11-24T12:00:00+00:00",
        "report": {"last_error": "it said ***", "list": ["?key=***&x=1", 5, None, True]},
    }


def test_redact_all__costs_nothing_for_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat is no reason to spell secrets out."""

    def refuse(_text: str) -> str:
        raise AssertionError("was asked")

    monkeypatch.setattr(redaction, "redact", refuse)
    assert redact_all({"event": "beat", "add": {"polls": 1}}) == {"event": "beat", "add": {"polls": 1}}
