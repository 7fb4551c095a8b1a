"""From plain words to clients: a row a wire format, and nothing else to change for a new one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hotshotd.errors import ConfigError
from hotshotd.inference.base import Captioner, Endpoint, Moderator, Painter, Ranker, TextModel, TopicModel, Upscaler
from hotshotd.inference.captions import ChatCaptioner, make_azure
from hotshotd.inference.chat import ChatWire
from hotshotd.inference.completions import CompletionsWire
from hotshotd.inference.generation import HttpTextModel, WireFormat
from hotshotd.inference.guard import GuardModerator
from hotshotd.inference.hf import HfWire
from hotshotd.inference.hf_moderation import ClassifierModerator
from hotshotd.inference.horde_pictures import HordeCaptioner, HordePainter, HordeUpscaler
from hotshotd.inference.horde_text import HordeTextModel
from hotshotd.inference.http import ServiceSession
from hotshotd.inference.images import IMAGE_WIRES, HttpPainter, ImageWire, find_wire
from hotshotd.inference.judge import JudgeRanker, Question
from hotshotd.inference.local import make_local_moderator
from hotshotd.inference.moderation import Thresholds, make_thresholds
from hotshotd.inference.openai_moderation import MISTRAL, OPENAI, ModerationsModerator
from hotshotd.inference.perspective import Perspective
from hotshotd.inference.rankers import ClassifierRanker, RerankRanker
from hotshotd.inference.topics import ChatTopics, ZeroShotTopics
from hotshotd.inference.upscale import DeepAi, make_pillow

T = TypeVar("T")

#: `api` of a text backend → its wire format.
TEXT_WIRES: dict[str, Callable[[], WireFormat]] = {
    "hf": HfWire,
    "completions": CompletionsWire,
    "chat": ChatWire,
}

#: `api` of a text backend whose texts come by more than one exchange → its client.
TEXT_MODELS: dict[str, type[HordeTextModel]] = {"horde": HordeTextModel}

#: `api` of a ranker → what makes it of endpoint, model, session and what it is asked.
RANKERS: dict[str, Callable[[Endpoint, str, ServiceSession, Question], Ranker]] = {
    "hf": lambda endpoint, model, session, _question: ClassifierRanker(endpoint=endpoint, model=model, session=session),
    "rerank": lambda endpoint, model, session, _question: RerankRanker(endpoint=endpoint, model=model, session=session),
    "classify": lambda endpoint, model, session, _question: ClassifierRanker(
        endpoint=endpoint, model=model, session=session, api="classify"
    ),
    "judge": lambda endpoint, model, session, question: JudgeRanker(
        endpoint=endpoint, model=model, session=session, question=question
    ),
}

#: `api` of a backend → its way to tell what a text is about.
TOPIC_MODELS: dict[str, Callable[[Endpoint, str, ServiceSession], TopicModel]] = {
    "hf": lambda endpoint, model, session: ZeroShotTopics(endpoint=endpoint, model=model, session=session),
    "chat": lambda endpoint, model, session: ChatTopics(endpoint=endpoint, model=model, session=session),
}


@dataclass(frozen=True, slots=True)
class ModelOfModerator:
    """What moderators `hf` and `chat` need beside an endpoint: its `api`, a model, and a policy in words."""

    api: str = "hf"
    model: str = ""
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class ModeratorWish:
    """What a moderator is made of; each takes what it needs. `endpoint` is None for one without a server."""

    endpoint: Endpoint | None
    thresholds: Thresholds
    languages: tuple[str, ...] | None
    session: ServiceSession
    own: ModelOfModerator

    @property
    def server(self) -> Endpoint:
        assert self.endpoint is not None, "a service has an address"
        return self.endpoint


#: Name of a moderator → what makes it.
MODERATORS: dict[str, Callable[[ModeratorWish], Moderator]] = {
    "perspective": lambda wish: Perspective(
        endpoint=wish.server, thresholds=wish.thresholds, languages=wish.languages, session=wish.session
    ),
    "openai": lambda wish: ModerationsModerator(
        endpoint=wish.server, thresholds=wish.thresholds, session=wish.session, dialect=OPENAI
    ),
    "mistral": lambda wish: ModerationsModerator(
        endpoint=wish.server, thresholds=wish.thresholds, session=wish.session, dialect=MISTRAL
    ),
    "hf": lambda wish: ClassifierModerator(
        endpoint=wish.server,
        model=wish.own.model,
        thresholds=wish.thresholds,
        session=wish.session,
        api=wish.own.api,
    ),
    "chat": lambda wish: GuardModerator(
        endpoint=wish.server, model=wish.own.model, session=wish.session, policy=wish.own.policy
    ),
    "local": lambda wish: make_local_moderator(wish.thresholds, wish.languages),
}

_Parameters = Mapping[str, Any]


def _paint_by(wire: ImageWire) -> Callable[[Endpoint, str, _Parameters, ServiceSession], Painter]:
    return lambda endpoint, model, parameters, session: HttpPainter(
        wire=find_wire(wire, model=model), endpoint=endpoint, model=model, parameters=parameters, session=session
    )


#: `api` of the backend that makes pictures → what makes its client of endpoint, model, parameters and session.
PAINTERS: dict[str, Callable[[Endpoint, str, _Parameters, ServiceSession], Painter]] = {
    **{api: _paint_by(wire) for api, wire in IMAGE_WIRES.items()},
    "horde": lambda endpoint, model, parameters, session: HordePainter(
        endpoint=endpoint, model=model, parameters=parameters, session=session
    ),
}


@dataclass(frozen=True, slots=True)
class CaptionWish:
    """What a captioner is made of; a service takes what it needs."""

    endpoint: Endpoint
    model: str
    inline: bool
    version: str | None
    session: ServiceSession


#: `images.caption` → what makes its client.
CAPTIONERS: dict[str, Callable[[CaptionWish], Captioner]] = {
    "azure": lambda wish: make_azure(wish.endpoint, version=wish.version, inline=wish.inline, session=wish.session),
    "chat": lambda wish: ChatCaptioner(
        endpoint=wish.endpoint, model=wish.model, inline=wish.inline, session=wish.session
    ),
    "horde": lambda wish: HordeCaptioner(endpoint=wish.endpoint, inline=wish.inline, session=wish.session),
}

#: `images.upscale` → what makes its client of endpoint and session.
UPSCALERS: dict[str, Callable[[Endpoint, ServiceSession], Upscaler]] = {
    "deepai": lambda endpoint, session: DeepAi(endpoint=endpoint, session=session),
    "horde": lambda endpoint, session: HordeUpscaler(endpoint=endpoint, session=session),
}


def build_text_model(
    *, api: str, endpoint: Endpoint, model: str, parameters: Mapping[str, Any], session: ServiceSession
) -> TextModel:
    """Make the client of a text backend. Connects to nothing.

    Raises:
        ConfigError: If there is no client for `api`.
    """
    if api in TEXT_MODELS:
        return TEXT_MODELS[api](endpoint=endpoint, model=model, parameters=dict(parameters), session=session)
    wire = _find(TEXT_WIRES, api, what="api of a text backend")
    return HttpTextModel(wire=wire(), endpoint=endpoint, model=model, parameters=dict(parameters), session=session)


def build_ranker(
    *, api: str, endpoint: Endpoint, model: str, session: ServiceSession, question: Question = Question.GATE
) -> Ranker:
    """Make the client of a ranker. Connects to nothing. `question` is what a judge is asked; others need none.

    Raises:
        ConfigError: If there is no client for `api`.
    """
    return _find(RANKERS, api, what="api of a ranker")(endpoint, model, session, question)


def build_topic_model(*, api: str, endpoint: Endpoint, model: str, session: ServiceSession) -> TopicModel:
    """Make what tells topics; `api` is the backend's. Connects to nothing.

    Raises:
        ConfigError: If there is no client for `api`.
    """
    return _find(TOPIC_MODELS, api, what="api of topic_backend")(endpoint, model, session)


def build_moderator(
    *,
    name: str,
    endpoint: Endpoint | None,
    threshold: float | Mapping[str, float],
    languages: Sequence[str] | None,
    session: ServiceSession,
    own: ModelOfModerator = ModelOfModerator(),
) -> Moderator:
    """Make a moderator. Connects to nothing and loads nothing; `local` needs no endpoint.

    Raises:
        ConfigError: If there is none of that name, a threshold is no number from 0 to 1, or a package is not installed.
    """
    make = _find(MODERATORS, name, what="moderator")
    return make(
        ModeratorWish(
            endpoint=endpoint,
            thresholds=make_thresholds(threshold),
            languages=tuple(languages) if languages else None,
            session=session,
            own=own,
        )
    )


def build_painter(
    *, api: str, endpoint: Endpoint, model: str, parameters: Mapping[str, Any], session: ServiceSession
) -> Painter:
    """Make the client of a backend that makes pictures; `api` is the backend's. Connects to nothing.

    Raises:
        ConfigError: If there is no client for `api`.
    """
    return _find(PAINTERS, api, what="api of a backend that makes pictures")(endpoint, model, dict(parameters), session)


def build_captioner(
    *,
    kind: str,
    endpoint: Endpoint,
    session: ServiceSession,
    model: str | None = None,
    inline: bool = False,
    version: str | None = None,
) -> Captioner:
    """Make the client of a captioner; `kind` is `images.caption`, `version` that of the service. Connects to nothing.

    Raises:
        ConfigError: If there is no client of that kind.
    """
    make = _find(CAPTIONERS, kind, what="images.caption")
    return make(CaptionWish(endpoint=endpoint, model=model or "", inline=inline, version=version, session=session))


def build_upscaler(*, kind: str, session: ServiceSession, endpoint: Endpoint | None = None) -> Upscaler:
    """Make what enlarges pictures; `kind` is `images.upscale`, and `pillow` needs no endpoint. Connects to nothing.

    Raises:
        ConfigError: If there is no client of that kind, or Pillow is not installed.
    """
    if kind == "pillow":
        return make_pillow()
    make = _find(UPSCALERS, kind, what="images.upscale")
    assert endpoint is not None, "a service has an address"
    return make(endpoint, session)


def _find(table: Mapping[str, T], name: str, *, what: str) -> T:
    try:
        return table[str(name)]
    except KeyError:
        raise ConfigError(f"{what} {str(name)!r} is not supported; use one of {', '.join(sorted(table))}") from None
