"""The bots of a run: their files' contents, drawn from the seed."""

from __future__ import annotations

from typing import Any

from hotshotd.config.schema import BotConfig
from simulation.scenario import Scenario
from simulation.seen import KEYWORD

#: Schedules; some have slots at midnight, in the hour that is skipped, or in the one that is repeated.
_SCHEDULES: tuple[object, ...] = (
    ["01:00", "09:00"],
    ["00:00", "02:30", "14:45"],
    ["01:30", "02:00", "23:59"],
    {"cron": "30 */6 * * *"},
    {"mon": ["09:00"], "sat": ["02:15", "20:00"], "sun": ["02:30", "21:00"], "thu": ["12:00"]},
    {"every": "8h"},
)
#: For a night of a clock change: slots in hours that are skipped or repeated somewhere, two on one moment among them.
_NIGHT_SCHEDULES: tuple[object, ...] = (
    ["00:00", "02:00", "02:30"],
    ["00:30", "01:30", "02:15", "23:30"],
    ["01:45", "03:00", "23:59"],
    {"cron": "*/30 */1 * * *"},
    {"sat": ["23:15", "23:45"], "sun": ["00:15", "01:15", "01:59", "02:59"]},
)


def make_config(scenario: Scenario, number: int) -> BotConfig:
    """Give the configuration of one bot."""
    chance = scenario.stream(f"bot {number}")
    name = f"bot{number}"
    reply = {
        "backend": "hf", "model": "m", "max_prompt_chars": chance.choice((600, 1500)),
        "max_per_day": chance.choice((200, 12)), "parallel": chance.choice((1, 2)),
        "footer": chance.choice((None, "I am a bot.")), "followup_only": chance.random() < 0.8,
    }  # fmt: skip
    schedule = _draw_schedule(scenario, number, chance.randrange(len(_SCHEDULES)))
    post = {
        "schedule": schedule, "backend": "hf", "model": "gpt2",
        "format": chance.choice(("ssi", "plain")), "link_share": chance.choice((0.0, 0.3)),
    }  # fmt: skip
    moderators = chance.choice((["openai"], ["openai", "perspective"]))
    data: dict[str, Any] = {
        "name": name,
        "reddit": {
            "username": f"The_{name}", "operator": "me", "password": "x",
            "subreddits": [f"home{number}", *(["bots"] if number % 4 == 0 else [])],
            "client_id": "x", "client_secret": "x",
        },
        "backstory": "I keep a lighthouse, and I count what passes by.",
        "character_budget": "unlimited" if scenario.budget is None else scenario.budget,
        "pace": chance.choice(("greedy", "greedy", "even")),
        "reply": reply,
        "post": post,
        "safety": {"moderators": moderators, "negative_keywords": [KEYWORD]},
        "poll": {
            "interval": f"{scenario.poll_seconds:g}s", "lookback": f"{max(900.0, 3 * scenario.poll_seconds):g}s",
        },
    }  # fmt: skip
    kind = chance.random()
    if kind < 0.1:
        del data["reply"]
    elif kind < 0.3:
        del data["post"]
    return BotConfig.model_validate(data)


def _draw_schedule(scenario: Scenario, number: int, drawn: int) -> object:
    night = scenario.stream(f"night {number}")
    return night.choice(_NIGHT_SCHEDULES) if scenario.is_night else _SCHEDULES[drawn]


def chats(scenario: Scenario, number: int) -> bool:
    """Tell whether a bot's models are chat models."""
    return scenario.stream(f"chats {number}").random() < 0.5
