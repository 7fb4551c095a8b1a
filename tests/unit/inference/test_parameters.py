"""What goes beside a prompt: the operator's wishes, the tables' ways, and what was learnt."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotshotd.inference.habits import Habits
from hotshotd.inference.parameters import HF_ONLY, NAMES, NEVER, TOKENS, make_options
from hotshotd.inference.ways import QUIET, WAYS, find_quiet, find_ways

OWN = "http://own:9000/v1"
OPENROUTER = "https://openrouter.ai/api/v1"
NAMES_OF_OPTIONS = (
    "temperature", "top_p", "top_k", "seed", "n", "num_return_sequences", "stop", "frequency_penalty", "logit_bias",
    "reasoning_effort", "max_new_tokens", "max_tokens", "do_sample", "some_new_option", "random_seed",
)  # fmt: skip
URLS = (OWN, OPENROUTER, "https://api.mistral.ai/v1", "https://api.groq.com/openai/v1", "http://localhost:11434/v1")


def options(parameters: dict[str, Any], *, wire: str = "chat", url: str = OWN, **more: Any) -> dict[str, Any]:
    habits = more.pop("habits", Habits())
    return make_options(parameters, wire=wire, url=url, model=more.pop("model", "m"), habits=habits, **more).merge()


@given(
    wire=st.sampled_from(sorted(NAMES)),
    url=st.sampled_from(URLS),
    parameters=st.dictionaries(st.sampled_from(NAMES_OF_OPTIONS), st.integers(1, 900) | st.none(), max_size=8),
    refused=st.sets(st.sampled_from(NAMES_OF_OPTIONS)),
)
def test_make_options__what_was_refused_is_not_sent(
    wire: str, url: str, parameters: dict[str, Any], refused: set[str]
) -> None:
    """Under no name, whatever the operator writes; a length is always asked for, and null means not written."""
    habits = Habits()
    habits.leave_out(refused)
    sent = options(parameters, wire=wire, url=url, habits=habits)
    required = TOKENS[wire]
    assert sent[required] > 0
    assert not refused & (set(sent) - {required})
    assert not NEVER[wire] & set(sent)
    assert None not in sent.values()


def test_make_options__a_refused_parameter_is_left_out_under_its_other_name_too() -> None:
    """Mistral's `random_seed` is our `seed`: what it refuses is the former, what the operator wrote the latter."""
    url = "https://api.mistral.ai/v1"
    assert options({"seed": 7}, url=url)["random_seed"] == 7
    habits = Habits()
    habits.leave_out(["random_seed"])
    assert set(options({"seed": 7}, url=url, habits=habits)) == {"max_tokens", "reasoning_effort"}


@pytest.mark.parametrize("wire", ["chat", "completions"])
def test_make_options__hugging_faces_own_words_stay_at_home(wire: str) -> None:
    """A file written for GPT-2 at Hugging Face works with any other server."""
    assert options(dict.fromkeys(HF_ONLY, 1), wire=wire) == {"max_tokens": 250}


def test_make_options__what_no_table_knows_goes_through() -> None:
    """An own server may take what it likes."""
    assert options({"dry_multiplier": 0.8}) == {"max_tokens": 250, "dry_multiplier": 0.8}


def test_make_options__mandatory_reasoning_has_a_second_try_and_then_none() -> None:
    """OpenRouter: off, then little and hidden, then hidden, then nothing; an operator's own wish is not the table's."""
    habits = Habits()
    tries = []
    for refused in (1, 2, 3, 4):
        tries.append(options({}, url=OPENROUTER, habits=habits).get("reasoning"))
        habits.refuse_quiet(refused)
    assert tries == [{"effort": "none"}, {"effort": "low", "exclude": True}, {"exclude": True}, None]
    own = make_options({"reasoning": {"effort": "high"}}, wire="chat", url=OPENROUTER, model="m", habits=Habits())
    assert own.merge()["reasoning"] == {"effort": "high"}
    assert own.quiet == frozenset()


def test_refuse_quiet__two_threads_learn_one_lesson() -> None:
    """Both saw the first try refused: the second one is still to come."""
    habits = Habits()
    habits.refuse_quiet(1)
    habits.refuse_quiet(1)
    assert habits.refused_quiets == 1


def test_options__strip_keeps_reasoning_quiet() -> None:
    """Bare but for the next try."""
    full = make_options({"temperature": 1}, wire="chat", url=OPENROUTER, model="m", habits=Habits())
    assert full.strip().is_bare
    kept = full.strip({"reasoning": {"exclude": True}})
    assert (kept.merge(), kept.quiet) == (
        {"max_tokens": 250, "reasoning": {"exclude": True}},
        frozenset({"reasoning"}),
    )


def test_make_options__no_reasoning_parameter_goes_to_a_base_model() -> None:
    """Only chat models think."""
    assert options({}, wire="completions", url="http://localhost:8080/v1") == {"max_tokens": 250}


@pytest.mark.parametrize("row", WAYS, ids=lambda row: f"{row.host}:{row.port}-{row.wire}")
def test_ways__each_row_can_be_found(row: Any) -> None:
    """No row hides another."""
    url = f"https://{row.host}/v1" if row.host else f"http://own:{row.port}/v1"
    assert find_ways(url, wire=row.wire) is row


@pytest.mark.parametrize("row", QUIET, ids=lambda row: f"{row.host}:{row.port}-{row.part}")
def test_quiet__each_row_can_be_found(row: Any) -> None:
    """No row hides another; each has a first try."""
    url = f"https://{row.host}/v1" if row.host else f"http://own:{row.port}/v1"
    assert find_quiet(url, f"vendor/{row.part}-1") is row.tries[0]
    assert find_quiet(url, f"vendor/{row.part.upper()}-1") is row.tries[0]


@pytest.mark.parametrize("url", ["http://own:port/v1", "http://[", "", "https://api.groq.com.evil.example/v1"])
def test_ways__an_odd_address_is_nobodys(url: str) -> None:
    """An address that can't be read has no ways; the request itself will say what is wrong with it."""
    assert find_ways(url, wire="chat").left_out == frozenset()
    assert find_quiet(url, "qwen") == {}
