"""Both configuration files as frozen models: every key, its default, range and unit.

The field names are the YAML keys. Numbers, flags and texts are strict: `"0.9"` is no number and `true` is
not 1, for a slip that is quietly turned into another value costs money or reaches Reddit. A key that holds a
secret comes in three forms (`X`, `X_env`, `X_file`); `hotshotd.config.secrets` turns them into a value, in
the worker, after the fork.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    Strict,
    field_validator,
    model_validator,
)

from hotshotd.config.schedule import Schedule, parse_schedule
from hotshotd.config.values import (
    parse_budget,
    parse_duration,
    parse_env_name,
    parse_flag,
    parse_interval,
    parse_linkpost_only,
    parse_patterns,
    parse_thresholds,
    parse_version,
    parse_words,
    raise_blames,
)

NO_POST_NO_REPLY = "the bot has neither `post:` nor `reply:`; write at least one"
NO_MODERATOR = (
    "moderators is empty: name at least one (openai is free with any OpenAI key), "
    "or write `unmoderated: true` to publish without"
)
NO_GUARD_MODEL = "moderator chat needs chat_backend and chat_model (a guard model)"
NO_TOPIC_MODEL = "topics and avoid_topics need topic_model: a zero-shot model such as facebook/bart-large-mnli"
NO_REPLY_MODEL = "without `model`, the reply model writes the posts: write post.model, or a `reply:` block"
#: What needs several keys to tell. The loader tells it more exactly (`hotshotd.config.rules`).
CROSS_CHECKS = frozenset({NO_POST_NO_REPLY, NO_MODERATOR, NO_GUARD_MODEL, NO_TOPIC_MODEL, NO_REPLY_MODEL})

#: Keys of `parameters` that would carry text past the budget, or name another model than the one that is logged.
RESERVED_PARAMETERS = frozenset({"inputs", "prompt", "messages", "model"})


class Section(BaseModel):
    """A YAML mapping. Unknown keys are faults; null means the default."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or cls._takes_null(key)}

    @classmethod
    def _takes_null(cls, key: Any) -> bool:
        field = cls.model_fields.get(key) if isinstance(key, str) else None
        return field is None or type(None) in getattr(field.annotation, "__args__", ())


def _free_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    raise_blames(((key,), "is set by the daemon: remove it") for key in parameters if key in RESERVED_PARAMETERS)
    return parameters


Flag = Annotated[bool, BeforeValidator(parse_flag)]
Int = Annotated[int, Strict()]
Count = Annotated[int, Strict(), Field(ge=0)]
Share = Annotated[float, Strict(), Field(ge=0, le=1)]
Duration = Annotated[float, BeforeValidator(parse_duration)]
PollInterval = Annotated[float, BeforeValidator(parse_interval)]
Words = Annotated[tuple[str, ...], BeforeValidator(parse_words)]
EnvName = Annotated[str | None, BeforeValidator(parse_env_name)]
Parameters = Annotated[dict[str, Any], AfterValidator(_free_parameters)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


def _is_sound(url: str) -> bool:
    try:
        parts = urlsplit(url)
        readable = parts.scheme in ("https", "http") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
    return readable and all(32 < ord(char) != 127 for char in url)


def _http_url(url: str) -> str:
    if not _is_sound(url):
        raise ValueError("must be an address that starts with https:// or http://")
    if "@" in urlsplit(url).netloc:
        raise ValueError("holds a user name or password: leave it out, and use key_env")
    return url.rstrip("/")


Url = Annotated[str, AfterValidator(_http_url)]


class Api(StrEnum):
    """Wire formats of text servers."""

    HF = "hf"
    COMPLETIONS = "completions"
    CHAT = "chat"
    HORDE = "horde"


class Keyed(Section):
    """A server that may want a key."""

    key: SecretStr | None = None
    key_env: EnvName = None
    key_file: Path | None = None


class Backend(Keyed):
    """A named inference server."""

    api: Api
    url: Url
    metered: Flag = True


class Service(Keyed):
    """A server with a wire format of its own."""

    url: Url
    version: Annotated[Literal["4.0", "3.2"] | None, BeforeValidator(parse_version)] = None


BACKEND_PRESETS: dict[str, dict[str, Any]] = {
    "hf": {"api": "hf", "url": "https://router.huggingface.co/hf-inference/models", "key_env": "HF_TOKEN"},
    "hf-chat": {"api": "chat", "url": "https://router.huggingface.co/v1", "key_env": "HF_TOKEN"},
    "openai": {"api": "chat", "url": "https://api.openai.com/v1", "key_env": "OPENAI_API_KEY"},
    "groq": {"api": "chat", "url": "https://api.groq.com/openai/v1", "key_env": "GROQ_API_KEY"},
    "gemini": {
        "api": "chat",
        "url": "https://generativelanguage.googleapis.com/v1beta/openai",
        "key_env": "GEMINI_API_KEY",
    },
    "mistral": {"api": "chat", "url": "https://api.mistral.ai/v1", "key_env": "MISTRAL_API_KEY"},
    "openrouter": {"api": "chat", "url": "https://openrouter.ai/api/v1", "key_env": "OPENROUTER_API_KEY"},
    "ollama": {"api": "chat", "url": "http://127.0.0.1:11434/v1", "key_env": None, "metered": False},
    "horde": {"api": "horde", "url": "https://aihorde.net/api/v2", "key_env": "HORDE_KEY", "metered": False},
}

SERVICE_PRESETS: dict[str, dict[str, Any]] = {
    "perspective": {"url": "https://commentanalyzer.googleapis.com", "key_env": "GOOGLE_KEY"},
    "azure": {"url": "https://NAME.cognitiveservices.azure.com", "key_env": "AZURE_KEY", "version": "4.0"},
    "deepai": {"url": "https://api.deepai.org", "key_env": "DEEPAI_KEY"},
}


# --- the main file ---------------------------------------------------------------------------


class QuotaSection(Section):
    """Caps over all bots, in characters; null is no cap."""

    daily_total: Count | None = None
    monthly_total: Count | None = None
    store: Literal["local"] = "local"


class LogSection(Section):
    """What is logged, and in which form; `auto` takes journald, a console or JSON by what listens."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "journald", "json", "console"] = "auto"


class RedditSites(Section):
    """Where Reddit is; a loopback address may be plain http."""

    reddit_url: Url = "https://www.reddit.com"
    oauth_url: Url = "https://oauth.reddit.com"


class AlertsSection(Section):
    """A web hook that is told of what an operator must see."""

    webhook_url: SecretStr | None = None
    webhook_url_env: EnvName = None
    webhook_url_file: Path | None = None
    format: Literal["auto", "slack", "discord", "json"] = "auto"
    on: tuple[
        Literal[
            "failed", "banned", "budget_80", "budget_100", "moderation_down", "service_ending", "disk", "reddit_down"
        ],
        ...,
    ] = ("failed", "banned", "budget_80", "budget_100", "moderation_down", "service_ending", "disk", "reddit_down")


class MetricsSection(Section):
    """Prometheus: a port, a textfile, or neither."""

    port: Annotated[int, Strict(), Field(ge=1, le=65535)] | None = None
    address: str = "127.0.0.1"
    textfile: Path | None = None


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ValueError(f"no such time zone: {name!r} (use a name such as Europe/Berlin, or UTC)") from exc
    return name


class MainConfig(Section):
    """`hotshotd.yaml`.

    The loader makes every path absolute, and finds `state_dir` and `runtime_dir` where they are not written;
    `backends` and `services` hold the presets too.
    """

    bots_dir: Path = Path("bots.d")
    state_dir: Path = Path("/var/lib/hotshot")
    runtime_dir: Path = Path("/run/hotshot")
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    quota: QuotaSection = QuotaSection()
    log: LogSection = LogSection()
    reddit: RedditSites = RedditSites()
    backends: dict[Name, Backend] = Field(default_factory=dict)
    services: dict[Name, Service] = Field(default_factory=dict)
    secrets_file: Path | None = None
    alerts: AlertsSection = AlertsSection()
    metrics: MetricsSection = MetricsSection()
    bot_defaults: dict[str, Any] = Field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


# --- a bot's file ----------------------------------------------------------------------------


_SUBREDDIT = re.compile(r"[A-Za-z0-9_]{2,30}|u_[A-Za-z0-9_-]{2,30}", re.ASCII)
#: Listings of all Reddit, not communities that could have welcomed a bot.
_NOT_A_HOME = frozenset({"all", "popular", "friends", "mod", "random"})


def _subreddit(name: str) -> str:
    bare = name.strip().removeprefix("/").removeprefix("r/").strip("/")
    if not _SUBREDDIT.fullmatch(bare):
        raise ValueError("is no subreddit's name; several are written as a list")
    if bare.casefold() in _NOT_A_HOME:
        raise ValueError(f"r/{bare} is not one community: name the subreddits that welcome this bot")
    return bare


def _subreddit_fault(name: str) -> str:
    try:
        _subreddit(name)
    except ValueError as exc:
        return str(exc)
    return ""


class RedditAccount(Section):
    """The bot's account and where it is at home."""

    username: Annotated[str, Field(min_length=1, max_length=60)]
    password: SecretStr | None = None
    password_env: EnvName = None
    password_file: Path | None = None
    client_id: SecretStr | None = None
    client_id_env: EnvName = None
    client_id_file: Path | None = None
    client_secret: SecretStr | None = None
    client_secret_env: EnvName = None
    client_secret_file: Path | None = None
    refresh_token: SecretStr | None = None
    refresh_token_env: EnvName = None
    refresh_token_file: Path | None = None
    operator: Annotated[str, Field(min_length=1)]
    subreddits: Annotated[Words, Field(min_length=1)]
    confirm_after: tuple[Duration, ...] = (2.0, 10.0)

    @field_validator("username", "operator")
    @classmethod
    def _bare_name(cls, name: str) -> str:
        bare = name.strip().removeprefix("/").removeprefix("u/")
        # Both go into an HTTP header.
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", bare, re.ASCII):
            raise ValueError("must be a Reddit name: letters, digits, _ and -")
        return bare

    @field_validator("subreddits")
    @classmethod
    def _bare_subreddits(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        raise_blames(((index,), fault) for index, name in enumerate(names) if (fault := _subreddit_fault(name)))
        # The order stays: the first is where the bot posts.
        bare: dict[str, str] = {}
        for name in map(_subreddit, names):
            bare.setdefault(name.casefold(), name)
        return tuple(bare.values())

    @field_validator("confirm_after")
    @classmethod
    def _some_look(cls, waits: tuple[float, ...]) -> tuple[float, ...]:
        if not waits:
            raise ValueError("needs at least one wait: a write of unknown outcome is looked for before it is repeated")
        return waits


class Fallback(Section):
    """The next model to ask when those before it are unavailable."""

    backend: str
    model: str = ""
    parameters: Parameters = Field(default_factory=dict)


class PostSection(Section):
    """What the bot posts on its own, and when.

    Without `model` the reply model writes the posts, and `format` is plain where it is not said.
    """

    schedule: Annotated[Schedule, PlainValidator(parse_schedule)]
    backend: str = "hf"
    model: str | None = None
    fallbacks: tuple[Fallback, ...] = ()
    format: Literal["ssi", "plain"] = "ssi"
    parameters: Parameters = Field(
        default_factory=lambda: {"max_new_tokens": 250, "temperature": 0.8, "top_k": 40, "num_return_sequences": 2}
    )
    tries: Annotated[int, Strict(), Field(ge=1, le=20)] = 3
    max_per_day: Count = 24
    catch_up: Duration = 3600.0
    flair_id: str | None = None
    link_share: Share = 0.0
    subreddit: Annotated[str, AfterValidator(_subreddit)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_without_a_model(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("format") is not None:
            return data
        return {**data, "format": "ssi" if data.get("model") else "plain"}


class Example(Section):
    """A few-shot pair: what somebody says, what the bot says."""

    them: str
    me: str


class InboxSection(Section):
    """Which kinds of unread notices are answered."""

    comments: Flag = True
    mentions: Flag = True
    messages: Flag = False


class ReplySection(Section):
    """Whom the bot answers, how often, and with what."""

    backend: str = "hf"
    model: Annotated[str, Field(min_length=1)]
    fallbacks: tuple[Fallback, ...] = ()
    parameters: Parameters = Field(
        default_factory=lambda: {"max_new_tokens": 250, "temperature": 0.8, "num_return_sequences": 1}
    )
    followup_only: Flag = True
    linkpost_only: Annotated[bool | Literal["force"], BeforeValidator(parse_linkpost_only)] = False
    force_top_level: Flag = True
    chance: Share = 0.1
    positive_keywords: Words = ()
    keyword_boost: Share = 0.1
    max_levels: Annotated[int, Strict(), Field(ge=1)] = 6
    max_prompt_chars: Annotated[int, Strict(), Field(ge=200)] = 4000
    max_per_thread: Count = 10
    max_per_author_hour: Count = 10
    max_per_day: Count | None = 200
    examples: tuple[Example, ...] = ()
    topics: Words = ()
    topic_backend: str = "hf"
    topic_model: str | None = None
    topic_threshold: Share = 0.5
    avoid_topics: Words = ()
    parallel: Annotated[int, Strict(), Field(ge=1, le=8)] = 2
    footer: str | None = None
    delete_below: Int | None = None
    inbox: InboxSection = InboxSection()

    @model_validator(mode="after")
    def _topics_need_a_model(self) -> Self:
        if (self.topics or self.avoid_topics) and not self.topic_model:
            raise ValueError(NO_TOPIC_MODEL)
        return self


class RankSection(Section):
    """Who scores comments worth an answer, and candidate answers."""

    backend: str = "hf"
    api: Literal["hf", "rerank", "classify", "judge"] = "hf"
    gate_model: str | None = "microsoft/DialogRPT-width"
    min_score: Share = 0.5
    rank_model: str | None = "microsoft/DialogRPT-updown"
    when_unavailable: Literal["chance", "skip", "always"] = "chance"


class ImagesSection(Section):
    """Who describes, makes and enlarges pictures."""

    caption: Literal["azure", "chat", "horde", "none"] = "none"
    caption_backend: str | None = None
    caption_model: str | None = None
    caption_inline: Flag = False
    generate_backend: str = "hf"
    generate_model: str | None = None
    generate_parameters: Parameters = Field(default_factory=dict)
    upscale: Literal["deepai", "horde", "pillow", "none"] = "none"


ModeratorName = Literal["perspective", "openai", "mistral", "hf", "chat", "local"]


class SafetySection(Section):
    """What stands before everything that is published."""

    moderators: tuple[ModeratorName, ...]
    unmoderated: Flag = False
    check_incoming: Flag = True
    hf_backend: str = "hf"
    hf_model: str = "unitary/toxic-bert"
    chat_backend: str | None = None
    chat_model: str | None = None
    chat_policy: str | None = None
    languages: Annotated[tuple[str, ...], BeforeValidator(parse_words)] | None = ("en",)
    toxicity_threshold: Annotated[float | dict[str, float], BeforeValidator(parse_thresholds)] = 0.9
    negative_keywords: Annotated[Words, AfterValidator(parse_patterns)] = ()
    default_keywords: Flag = True
    allow_links: Flag = False
    allow_mentions: Flag = False
    opt_out: Flag = True

    @model_validator(mode="after")
    def _someone_moderates(self) -> Self:
        if not self.moderators and not self.unmoderated:
            raise ValueError(NO_MODERATOR)
        if "chat" in self.moderators and not (self.chat_backend and self.chat_model):
            raise ValueError(NO_GUARD_MODEL)
        return self


class PollSection(Section):
    """How often Reddit is read, and how old a thing may be to be answered; seconds."""

    interval: PollInterval = 30.0
    lookback: Duration = 900.0
    inbox_lookback: Duration = 86400.0


class BotConfig(Section):
    """A bot's file, merged over `bot_defaults` and the main file's servers.

    `backends` and `services` hold all servers the bot may use, presets included.
    """

    name: Name
    dry_run: Flag = False
    reddit: RedditAccount
    backstory: Annotated[str, Field(min_length=1)]
    character_budget: Annotated[int | None, BeforeValidator(parse_budget)] = 30_000
    pace: Literal["greedy", "even"] = "greedy"
    post: PostSection | None = None
    reply: ReplySection | None = None
    rank: RankSection = RankSection()
    images: ImagesSection = ImagesSection()
    safety: SafetySection
    poll: PollSection = PollSection()
    backends: dict[Name, Backend] = Field(default_factory=dict)
    services: dict[Name, Service] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.post is None and self.reply is None:
            raise ValueError(NO_POST_NO_REPLY)
        if self.post is not None and not self.post.model and self.reply is None:
            raise ValueError(NO_REPLY_MODEL)
        return self
