"""The example bots of the sandbox, as the YAML an operator would write; only addresses are local ones.

Four templates, each with another kind of life: a fine-tuned GPT-2 that posts at an interval, a chat
model that posts at times of day, a reader that only answers, a poster by cron. With more than four bots
the templates repeat under other names, and everybody reads a little less often.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

#: The subreddit of the sandbox.
SUBREDDIT = "SandboxInteractive"

#: How many bots there are unless said otherwise, and at most.
DEFAULT_BOTS = 4
MAX_BOTS = 100


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the local servers are."""

    reddit: str
    hf: str
    openai: str


@dataclass(frozen=True, slots=True)
class ExampleBot:
    """A bot file, the account it is for, and the secrets it looks up (environment variables).

    `key` is the one it shows to every service.
    """

    name: str
    username: str
    text: str
    password: str = field(repr=False)
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    key: str = field(repr=False)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that its file names, with their values."""
        prefix = _prefix(self.name)
        return {
            f"{prefix}_PASSWORD": self.password,
            f"{prefix}_CLIENT_ID": self.client_id,
            f"{prefix}_CLIENT_SECRET": self.client_secret,
            f"{prefix}_KEY": self.key,
        }


@dataclass(frozen=True, slots=True)
class _Crowd:
    """What a bot's file depends on besides its template."""

    now: datetime
    count: int

    @property
    def interval_seconds(self) -> int:
        """How often each bot reads; a hundred bots at two seconds would keep a small machine busy."""
        return max(2, self.count // 8)

    def thin(self, chance: float) -> float:
        """Lower a chance, so that a thing is not answered by a hundred bots at once."""
        return round(chance * min(1.0, DEFAULT_BOTS / self.count), 3)

    def stretch(self, seconds: int) -> str:
        return f"{max(seconds, seconds * self.count // 8)}s"


def _prefix(name: str) -> str:
    return "SANDBOX_" + name.upper().replace("-", "_")


def _times(crowd: _Crowd) -> str:
    # The slot of this very minute is late by some seconds and is made at once (catch_up).
    step = max(1, crowd.count // 16)
    slots = [crowd.now + timedelta(minutes=minute) for minute in range(0, 24 * 60, step)]
    return ", ".join(f'"{slot:%H:%M}"' for slot in slots[:120])


def _lighthouse(crowd: _Crowd) -> str:
    return f"""\
        # A GPT-2 fine-tune posts, a chat model answers, DialogRPT decides what deserves an answer.
        backstory: >-
          I am a lighthouse keeper on a rock far out at sea. I have been alone with the lamp for
          too long, and I talk to the fog, the stairs and a seagull.
        post:
          schedule: {{every: {crowd.stretch(15)}}}
          backend: hf
          model: sandbox/gpt2-lighthouse
          format: ssi
          max_per_day: 2000
        reply:
          backend: openai
          model: sandbox/lighthouse-chat
          parameters: {{max_tokens: 200, temperature: 0.9}}
          followup_only: false
          chance: {crowd.thin(0.5)}
          positive_keywords: [lamp, sea, stairs, fog, "?"]
          keyword_boost: 0.2
        rank:
          backend: hf
          gate_model: microsoft/DialogRPT-width
          min_score: 0.64
        safety:
          moderators: [openai]
          negative_keywords: [crypto]
        """


def _baker(crowd: _Crowd) -> str:
    return f"""\
        # One chat model writes everything, from the backstory alone; posts at times of day.
        backstory: >-
          I am a baker of the twelfth century who has somehow found the internet. I speak in an
          old-fashioned way, I am proud of my sourdough, and I am at war with the geese.
        post:
          schedule: [{_times(crowd)}]
          format: plain
          max_per_day: 2000
        reply:
          backend: openai
          model: sandbox/baker-chat
          parameters: {{max_tokens: 160, n: 2}}
          followup_only: false
          chance: {crowd.thin(0.3)}
          positive_keywords: [bread, oven, goose, geese, sandwich, soup]
          keyword_boost: 0.3
        rank:
          backend: hf
          min_score: 0.66
        safety:
          moderators: [openai, mistral]
          negative_keywords: [crypto]
        """


def _guard(crowd: _Crowd) -> str:
    return f"""\
        # Never posts. A base model behind /v1/completions answers those who use his words, or speak to him;
        # another model, which sees, tells it what pictures show.
        backstory: >-
          The following is a conversation with a museum guard who has stood in the same room since
          1994. He is bored, polite, and knows what the duke in the big painting did.
        reply:
          backend: llama
          model: sandbox/guard
          parameters: {{max_tokens: 120, temperature: 0.8}}
          followup_only: false
          chance: {crowd.thin(0.15)}
          positive_keywords: [museum, painting, vase, art, why, what, who]
          keyword_boost: 0.35
        rank:
          backend: hf
          min_score: 0.68
          rank_model: null
        images:
          caption: chat
          caption_backend: openai
          caption_model: sandbox/vision
          caption_inline: false
        safety:
          moderators: [openai]
          toxicity_threshold: {{harassment: 0.8, hate: 0.5, violence: 0.5}}
          negative_keywords: [crypto, goose]
        """


def _astronaut(crowd: _Crowd) -> str:
    return f"""\
        # Posts by cron, half of it pictures, and speaks only to those who speak to him (followup_only).
        backstory: >-
          I am a retired astronaut. I spent 214 days in orbit and now I cannot find my glasses.
          I miss the silence and the velcro, and I do not talk about Dave.
        post:
          schedule: {{cron: "* * * * *"}}
          backend: hf
          model: sandbox/gpt2-astronaut
          format: ssi
          max_per_day: 2000
          link_share: 0.5
          catch_up: {60 + crowd.count}s
        reply:
          backend: hf
          model: sandbox/astronaut
          parameters: {{max_new_tokens: 160, temperature: 0.8, num_return_sequences: 2, return_full_text: false}}
          followup_only: true
          chance: 0.9
        rank:
          backend: hf
          min_score: 0.5
        images:
          generate_backend: hf
          generate_model: sandbox/diffusion
          generate_parameters: {{width: 64, height: 64}}
        safety:
          moderators: [openai]
          negative_keywords: [crypto]
        """


_TEMPLATES: tuple[tuple[str, str, Callable[[_Crowd], str]], ...] = (
    ("lighthouse", "LighthouseGPT2", _lighthouse),
    ("baker", "MedievalBakerBot", _baker),
    ("guard", "MuseumGuardBot", _guard),
    ("astronaut", "RetiredAstronaut", _astronaut),
)


def make_bots(count: int, *, now: datetime) -> tuple[ExampleBot, ...]:
    """Make `count` different bots. `now` is the daemon's wall clock: some post at times of day.

    Raises:
        ValueError: If the count is not between 1 and `MAX_BOTS`.
    """
    if not 1 <= count <= MAX_BOTS:
        raise ValueError(f"--bots must be between 1 and {MAX_BOTS}")
    return tuple(_make_bot(number, _Crowd(now, count)) for number in range(count))


def _make_bot(number: int, crowd: _Crowd) -> ExampleBot:
    name, username, write = _TEMPLATES[number % len(_TEMPLATES)]
    generation = number // len(_TEMPLATES)
    name, username = (f"{name}{generation + 1}", f"{username}{generation + 1}") if generation else (name, username)
    text = _head(name, username, crowd) + textwrap.dedent(write(crowd))
    return ExampleBot(
        name=name,
        username=username,
        text=text,
        password=f"password of {name}",
        client_id=f"client-{name}",
        client_secret=f"secret-of-{name}",
        key=f"sandbox-key-of-{name}",
    )


def _head(name: str, username: str, crowd: _Crowd) -> str:
    prefix = _prefix(name)
    return textwrap.dedent(f"""\
        name: {name}
        reddit:
          username: {username}
          password_env: {prefix}_PASSWORD
          client_id_env: {prefix}_CLIENT_ID
          client_secret_env: {prefix}_CLIENT_SECRET
          operator: sandbox
          subreddits: [{SUBREDDIT}]
        character_budget: 400000
        poll: {{interval: {crowd.interval_seconds}s}}
        backends:
          hf: {{key_env: {prefix}_KEY}}
          openai: {{key_env: {prefix}_KEY}}
          llama: {{key_env: {prefix}_KEY}}
          mistral: {{key_env: {prefix}_KEY}}
        """)


def make_main_config(addresses: Addresses, *, state_dir: str, runtime_dir: str) -> str:
    """Write `hotshotd.yaml`: an ordinary one, with local addresses."""
    return textwrap.dedent(f"""\
        bots_dir: bots.d
        state_dir: "{state_dir}"
        runtime_dir: "{runtime_dir}"
        timezone: UTC
        log: {{level: info, format: json}}
        reddit: {{reddit_url: "{addresses.reddit}", oauth_url: "{addresses.reddit}"}}
        backends:
          hf: {{api: hf, url: "{addresses.hf}"}}
          openai: {{api: chat, url: "{addresses.openai}"}}
          llama: {{api: completions, url: "{addresses.openai}"}}
          mistral: {{api: chat, url: "{addresses.openai}"}}
        bot_defaults:
          reply: {{max_per_day: null, max_per_thread: 40, max_per_author_hour: 500, max_prompt_chars: 2500}}
        """)
