"""The bots of a run, as files that an operator would write: each of another kind, with a key of its own."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: Where most bots live, where one listens to strangers, and a second home.
HOME, PLAZA, ANNEX = "home", "plaza", "annex"

#: Waits before own newest writes are read after an unknown outcome; no listing lags longer than the first of them.
CONFIRM_AFTER = (2.0, 4.0)

#: Seconds after which listings show a thing under the fault of that name.
LAG_SECONDS = 1.8

FOOTER = "I am a machine, and I was built by a keeper."

BUDGET, SMALL_BUDGET = 2_000_000, 9_000


@dataclass(frozen=True, slots=True)
class BotSpec:
    """One bot: its file and account, and what of it the promises depend on."""

    name: str
    client_id: str
    homes: tuple[str, ...]
    text: str
    moderators: tuple[str, ...]
    budget: int = BUDGET
    every_seconds: float | None = None
    footer: str = ""

    @property
    def key(self) -> str:
        """What it shows to every service."""
        return f"key-of-{self.name}"

    @property
    def password(self) -> str:
        return f"password-of-{self.name}"

    @property
    def secret(self) -> str:
        return f"secret-of-{self.client_id}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that its file names."""
        prefix = self.name.upper().replace("-", "_")
        return {
            f"{prefix}_PASSWORD": self.password,
            f"{prefix}_ID": self.client_id,
            f"{prefix}_SECRET": self.secret,
            f"{prefix}_KEY": self.key,
        }


@dataclass(frozen=True, slots=True)
class _Kind:
    """A template; `{post}` and `{reply}` are the sections below the common head."""

    body: str
    moderators: tuple[str, ...] = ("openai",)
    homes: tuple[str, ...] = (HOME,)
    budget: int = BUDGET
    every: float | None = None
    footer: str = ""
    client: str = ""


_CHAT = """\
reply:
  backend: openai
  model: chaos/talker
"""

_SSI_POST = "post: {{schedule: {{every: {0:g}s}}, backend: hf, model: chaos/poster-gpt2, format: ssi{1}}}\n"
_CHAT_POST = "post: {{schedule: {{every: {0:g}s}}, backend: openai, model: chaos/poster-chat, format: plain{1}}}\n"


def _make_poster(reply: str, post: str, every: float, more: str = "") -> str:
    return reply + post.format(every, more)


_KINDS: dict[str, _Kind] = {
    # A fine-tuned GPT-2 posts, a chat model answers.
    "keeper": _Kind(_make_poster(_CHAT, _SSI_POST, 12), every=12.0),
    # One chat model for everything; two moderators; several candidates, ranked.
    "baker": _Kind(
        _make_poster(
            "reply: {backend: openai, model: chaos/talker, parameters: {max_tokens: 160, n: 2}}\n", _CHAT_POST, 15
        ),
        moderators=("openai", "mistral"),
        every=15.0,
    ),
    # Completions; listens to strangers in a place where no bot posts; deeper comments are ranked.
    "guard": _Kind(
        "reply: {backend: llama, model: chaos/base, followup_only: false, chance: 0.6}\n"
        "rank: {gate_model: microsoft/DialogRPT-width, min_score: 0.5}\n",
        homes=(PLAZA,),
    ),
    # Hugging Face only; half of the posts are pictures.
    "astronaut": _Kind(
        _make_poster(
            "reply: {backend: hf, model: chaos/hf, parameters: {max_new_tokens: 160, return_full_text: false}}\n"
            "images: {generate_model: chaos/diffusion, generate_parameters: {width: 64, height: 64}}\n",
            _SSI_POST,
            16,
            ", link_share: 0.5",
        ),
        moderators=("perspective",),
        every=16.0,
    ),
    # Nothing but pictures, by a server that answers with bytes in JSON.
    "painter": _Kind(
        _make_poster(
            _CHAT
            + "images: {generate_backend: openai, generate_model: chaos/images, generate_parameters: {size: 64x64}}\n",
            _CHAT_POST,
            20,
            ", link_share: 1.0",
        ),
        every=20.0,
    ),
    # Two accounts of one app: one rate for both.
    "twin-a": _Kind(_make_poster(_CHAT, _SSI_POST, 18), client="twins", every=18.0),
    "twin-b": _Kind(_make_poster(_CHAT, _CHAT_POST, 22), client="twins", every=22.0),
    # Money runs out.
    "pauper": _Kind(_make_poster(_CHAT, _CHAT_POST, 25), budget=SMALL_BUDGET, every=25.0),
    # Its first model goes away for good now and then; the second answers.
    "stoic": _Kind(
        "reply: {backend: openai, model: chaos/fragile, fallbacks: [{backend: hf, model: chaos/hf}]}\n"
        "post: {schedule: {cron: '* * * * *'}, backend: openai, model: chaos/poster-chat, catch_up: 10m}\n",
        footer=FOOTER,
    ),
    # Gets banned and suspended; posts where nobody else does.
    "rogue": _Kind(
        _make_poster(_CHAT, _CHAT_POST, 15, ", subreddit: annex"),
        homes=(HOME, ANNEX),
        every=15.0,
    ),
}

_COMMON_REPLY = (
    "max_per_thread: 100000, max_per_author_hour: 100000, max_per_day: null, parallel: 2, max_prompt_chars: 900"
)


def make_cast(count: int) -> tuple[BotSpec, ...]:
    """Make `count` bots; past the tenth the kinds repeat under other names."""
    return tuple(_make_bot(number) for number in range(count))


def _make_bot(number: int) -> BotSpec:
    kinds = list(_KINDS.items())
    name, kind = kinds[number % len(kinds)]
    generation = number // len(kinds)
    name = f"{name}{generation + 1}" if generation else name
    client = f"client-{kind.client or name}"
    return BotSpec(
        name, client, kind.homes, _write(name, kind), kind.moderators, kind.budget, kind.every, kind.footer
    )  # fmt: skip


def _write(name: str, kind: _Kind) -> str:
    prefix = name.upper().replace("-", "_")
    keys = "".join(f"  {backend}: {{key_env: {prefix}_KEY}}\n" for backend in ("hf", "openai", "llama", "mistral"))
    head = textwrap.dedent(f"""\
        name: {name}
        reddit:
          username: {name}
          password_env: {prefix}_PASSWORD
          client_id_env: {prefix}_ID
          client_secret_env: {prefix}_SECRET
          operator: keeper
          subreddits: [{", ".join(kind.homes)}]
          confirm_after: [{CONFIRM_AFTER[0]:g}s, {CONFIRM_AFTER[1]:g}s]
        backstory: I am {name}, I live by a pond, and I have opinions about geese.
        character_budget: {kind.budget}
        poll: {{interval: 1s, lookback: 2h}}
        safety: {{moderators: [{", ".join(kind.moderators)}], negative_keywords: [crypto]}}
        services: {{perspective: {{key_env: {prefix}_KEY}}}}
        """)
    body = kind.body if "rank:" in kind.body else kind.body + "rank: {gate_model: null, min_score: 0.0}\n"
    if kind.footer:
        body = body.replace("reply: {", f"reply: {{footer: '{kind.footer}', ", 1)
    return f"{head}backends:\n{keys}{body}"


def make_main_config(
    *, reddit: str, hf: str, openai: str, perspective: str, state_dir: str, runtime_dir: str, zone: str
) -> str:
    """Write `hotshotd.yaml`: an ordinary one with local addresses."""
    return textwrap.dedent(f"""\
        bots_dir: bots.d
        state_dir: "{state_dir}"
        runtime_dir: "{runtime_dir}"
        timezone: {zone}
        log: {{level: info, format: json}}
        reddit: {{reddit_url: "{reddit}", oauth_url: "{reddit}"}}
        backends:
          hf: {{api: hf, url: "{hf}"}}
          openai: {{api: chat, url: "{openai}"}}
          llama: {{api: completions, url: "{openai}"}}
          mistral: {{api: chat, url: "{openai}"}}
        services: {{perspective: {{url: "{perspective}"}}}}
        bot_defaults:
          post: {{max_per_day: 5000, tries: 3}}
          reply: {{{_COMMON_REPLY}}}
        """)


def names_where(cast: Sequence[BotSpec], fits: Callable[[BotSpec], bool]) -> tuple[str, ...]:
    """Give the names of the bots that fit."""
    return tuple(bot.name for bot in cast if fits(bot))
