"""Both ends of quota.sock agree, and nothing wrong gets past the door."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from hotshotd._types import Chars, Role
from hotshotd.admission import Account, Ask, Knock, Permit, RateHeaders, Result
from hotshotd.errors import BotPaused, BreakerOpen, KnockFirst, ProtocolError, QuotaExceeded, QuotaUnavailable
from hotshotd.quota import messages

ASK = Ask(service="hf", role=Role.RANK, chars=Chars(12), model="m", key_id="k", knock=Knock.CAN)
ACCOUNT = Account(
    permit=Permit(number=(7 << 32) + 1, chars=Chars(12)),
    result=Result.FAILED,
    received_chars=Chars(3),
    seconds=1.5,
    retry_after=20.0,
    error="503",
)


def test_values__survive_the_wire():
    """What one end writes the other reads."""

    def carry(fields):
        return json.loads(json.dumps(fields))

    headers = RateHeaders(used=3.0, remaining=997.0, reset_seconds=12.0)
    assert messages.parse_ask(carry(messages.write_ask(ASK))) == ASK
    assert messages.parse_account(carry(messages.write_account(ACCOUNT))) == ACCOUNT
    assert messages.parse_headers(carry(messages.write_headers(headers))) == headers


@pytest.mark.parametrize(
    "error",
    [
        QuotaExceeded("no", cost=5, left=1, resets_at=datetime(2026, 11, 25, tzinfo=UTC)),
        BreakerOpen("open", retry_after=3.5, gone=True),
        KnockFirst("failed before", retry_after=0.0, gone=True),
        BotPaused("paused"),
        QuotaUnavailable("away"),
    ],
)
def test_errors__survive_the_wire_with_their_facts(error):
    """A refusal arrives as the same class with the same facts."""
    copy = messages.parse_error(json.loads(json.dumps(messages.write_error(error))))
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))


@pytest.mark.parametrize("reply", [{}, {"code": "over_budget"}, {"code": 5, "message": None}, {"code": "new"}])
def test_errors__unknown_ones_mean_unavailable(reply):
    """What can't be read is a refusal all the same."""
    assert type(messages.parse_error(reply)) is QuotaUnavailable


@pytest.mark.parametrize("chars", [None, "5", 1.5, -1, True, 10**13, [1]])
def test_parse_ask__refuses_wrong_costs(chars):
    """A cost is a whole number from 0 up."""
    with pytest.raises(ProtocolError):
        messages.parse_ask({**messages.write_ask(ASK), "chars": chars})


@pytest.mark.parametrize("knock", [None, True, "maybe"])
def test_parse_ask__refuses_other_knocks(knock):
    """It is one of three words."""
    with pytest.raises(ProtocolError):
        messages.parse_ask({**messages.write_ask(ASK), "knock": knock})


@pytest.mark.parametrize(
    ("field", "value"),
    [("number", "x"), ("result", "fine"), ("seconds", float("nan")), ("seconds", float("inf")), ("error", 5)],
)
def test_parse_account__refuses_wrong_fields(field, value):
    """Each field is checked by itself."""
    with pytest.raises(ProtocolError):
        messages.parse_account({**messages.write_account(ACCOUNT), field: value})


def test_write_account__tames_wild_figures():
    """A service's absurd Retry-After must not keep the news from arriving."""
    wild = Account(
        permit=Permit(1, Chars(1)),
        result=Result.FAILED,
        seconds=float("nan"),
        retry_after=float("inf"),
        error="e" * 9999,
    )
    tamed = messages.parse_account(json.loads(json.dumps(messages.write_account(wild))))
    assert (tamed.seconds, tamed.retry_after, len(tamed.error)) == (0.0, 0.0, messages.MAX_TEXT)
