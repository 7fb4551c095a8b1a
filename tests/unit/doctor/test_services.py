"""Which probes a bot gets: every configured service of every role, nothing paid without being asked, secrets aside."""

from __future__ import annotations

from typing import Any

import pytest

from hotshotd.config.schema import BACKEND_PRESETS, SERVICE_PRESETS, BotConfig
from hotshotd.config.secrets import Secrets
from hotshotd.doctor.findings import Mark
from hotshotd.doctor.probes import shorten_parameters
from hotshotd.doctor.services import Planner, Probe

_VARIABLES = ("OPENAI_API_KEY", "HF_TOKEN", "AZURE_KEY", "DEEPAI_KEY", "GOOGLE_KEY", "GROQ_API_KEY", "MISTRAL_API_KEY")
KEYS = dict.fromkeys(_VARIABLES, "key-0001")

FULL: dict[str, Any] = {
    "post": {
        "schedule": ["09:00"], "backend": "hf", "model": "gpt2", "link_share": 0.5,
        "fallbacks": [{"backend": "horde", "model": "x"}],
    },
    "reply": {
        "backend": "openai", "model": "m", "topics": ["ducks"], "topic_model": "zero",
        "fallbacks": [{"backend": "groq", "model": "g"}],
    },
    "rank": {"gate_model": "gate", "rank_model": "rank"},
    "images": {"caption": "azure", "upscale": "deepai", "generate_backend": "openai", "generate_model": "dall"},
    "safety": {
        "moderators": ["perspective", "openai", "mistral", "hf", "chat"], "chat_backend": "groq", "chat_model": "guard",
    },
}  # fmt: skip


def plan(*, keys: dict[str, str] | None = None, pictures: bool = False, **changes: Any) -> list[Any]:
    config = BotConfig.model_validate(
        {
            "name": "iama",
            "reddit": {"username": "iama", "operator": "me", "subreddits": ["home"]},
            "backstory": "Me.",
            "backends": BACKEND_PRESETS,
            "services": SERVICE_PRESETS,
            **FULL,
            **changes,
        }
    )
    return list(Planner(config, Secrets(KEYS if keys is None else keys), pictures=pictures).plan())


def test_plan__covers_every_role() -> None:
    """Each configured model and service is tried or told."""
    whats = [entry.what if isinstance(entry, Probe) else entry[0] for entry in plan()]
    assert whats == [
        "text openai/m (reply)", "text groq/g (reply fallback)", "text hf/gpt2 (post)", "text horde/x (post fallback)",
        "moderator perspective", "moderator openai", "moderator mistral", "moderator hf (unitary/toxic-bert)",
        "moderator chat (guard)", "topics hf/zero", "gate hf/gate", "rank hf/rank", "captions azure",
        "pictures openai/dall", "upscaling deepai",
    ]  # fmt: skip


def test_plan__pays_for_no_picture_unasked() -> None:
    """Without --pictures the key of the painter is looked at, and nothing is charged for it."""
    chars = {}
    for pictures in (False, True):
        probes = [entry for entry in plan(pictures=pictures) if isinstance(entry, Probe)]
        chars[pictures] = next(probe.chars for probe in probes if probe.what.startswith("pictures"))
    assert chars == {False: 0, True: len("a duck")}


def test_plan__every_metered_probe_is_tiny() -> None:
    """All of a bot's services together cost less than one prompt."""
    probes = [entry for entry in plan() if isinstance(entry, Probe)]
    assert 0 < sum(probe.chars for probe in probes) < 200
    free = [probe.what for probe in probes if probe.chars == 0]
    assert "moderator openai" in free
    assert "text horde/x (post fallback)" in free
    assert "moderator hf (unitary/toxic-bert)" not in free


def test_plan__without_keys_tries_only_what_needs_none() -> None:
    """A missing key is told where it is needed: a failure, or a warning where the bot goes on without."""
    entries = plan(keys={})
    assert [entry.what for entry in entries if isinstance(entry, Probe)] == ["text horde/x (post fallback)"]
    told = {entry[0]: entry[1] for entry in entries if not isinstance(entry, Probe)}
    assert told["text openai/m (reply)"].mark is Mark.FAIL
    assert told["moderator openai"].mark is Mark.FAIL
    assert told["gate hf/gate"].mark is Mark.WARN
    assert "OPENAI_API_KEY" in told["text openai/m (reply)"].detail


def test_plan__same_service_same_key_same_probe() -> None:
    """Probes are told apart by server, key and model, and by nothing that costs a second request."""
    first, again = ([entry.key for entry in plan() if isinstance(entry, Probe)] for _ in range(2))
    assert first == again
    assert len(set(first)) == len(first)
    other = [entry.key for entry in plan(keys={**KEYS, "HF_TOKEN": "key-0002"}) if isinstance(entry, Probe)]
    assert set(first) - set(other) == {key for key in first if "router.huggingface.co" in str(key)}


def test_plan__says_when_nobody_moderates() -> None:
    """A bot that publishes unmoderated is told so at every visit."""
    [told] = [entry for entry in plan(safety={"moderators": [], "unmoderated": True}) if not isinstance(entry, Probe)
              and entry[0] == "moderation"]  # fmt: skip
    assert told[1].mark is Mark.WARN


def test_probe__shows_no_key() -> None:
    """No repr of a plan shows a key."""
    assert "key-0001" not in repr(plan())


@pytest.mark.parametrize("name", ["max_new_tokens", "max_tokens", "max_completion_tokens", "n", "num_return_sequences"])
def test_parameters__are_the_bots_own_but_short(name: str) -> None:
    """What the operator set is tried with; how long and how many is not."""
    assert shorten_parameters({name: 900, "temperature": 0.5}) == {"temperature": 0.5, "max_new_tokens": 16}
