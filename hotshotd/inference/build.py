"""From plain words to clients: a row a wire format, and nothing else to change for a new one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from hotshotd.errors import ConfigError
from hotshotd.inference.base import Endpoint, Moderator, Ranker, TextModel
from hotshotd.inference.chat import ChatWire
from hotshotd.inference.completions import CompletionsWire
from hotshotd.inference.generation import HttpTextModel, WireFormat
from hotshotd.inference.hf import HfRanker, HfWire
from hotshotd.inference.http import ServiceSession
from hotshotd.inference.moderation import Thresholds, make_thresholds
from hotshotd.inference.openai_moderation import MISTRAL, OPENAI, ModerationsModerator
from hotshotd.inference.perspective import Perspective

T = TypeVar("T")

#: `api` of a text backend → its wire format.
TEXT_WIRES: dict[str, Callable[[], WireFormat]] = {
    "hf": HfWire,
    "completions": CompletionsWire,
    "chat": ChatWire,
}

#: `api` of a ranker → what makes it of endpoint, model and session.
RANKERS: dict[str, Callable[[Endpoint, str, ServiceSession], Ranker]] = {
    "hf": lambda endpoint, model, session: HfRanker(endpoint=endpoint, model=model, session=session),
}

_Languages = tuple[str, ...] | None

#: Name of a moderator → what makes it of endpoint, thresholds, languages and session.
MODERATORS: dict[str, Callable[[Endpoint, Thresholds, _Languages, ServiceSession], Moderator]] = {
    "perspective": lambda endpoint, thresholds, languages, session: Perspective(
        endpoint=endpoint, thresholds=thresholds, languages=languages, session=session
    ),
    "openai": lambda endpoint, thresholds, _languages, session: ModerationsModerator(
        endpoint=endpoint, thresholds=thresholds, session=session, dialect=OPENAI
    ),
    "mistral": lambda endpoint, thresholds, _languages, session: ModerationsModerator(
        endpoint=endpoint, thresholds=thresholds, session=session, dialect=MISTRAL
    ),
}


def build_text_model(
    *, api: str, endpoint: Endpoint, model: str, parameters: Mapping[str, Any], session: ServiceSession
) -> TextModel:
    """Make the client of a text backend. Connects to nothing.

    Raises:
        ConfigError: If there is no client for `api`.
    """
    wire = _find(TEXT_WIRES, api, what="api of a text backend")
    return HttpTextModel(wire=wire(), endpoint=endpoint, model=model, parameters=dict(parameters), session=session)


def build_ranker(*, api: str, endpoint: Endpoint, model: str, session: ServiceSession) -> Ranker:
    """Make the client of a ranker. Connects to nothing.

    Raises:
        ConfigError: If there is no client for `api`.
    """
    return _find(RANKERS, api, what="api of a ranker")(endpoint, model, session)


def build_moderator(
    *,
    name: str,
    endpoint: Endpoint,
    threshold: float | Mapping[str, float],
    languages: Sequence[str] | None,
    session: ServiceSession,
) -> Moderator:
    """Make the client of a moderator that is a service. Connects to nothing.

    Raises:
        ConfigError: If there is no client of that name, or a threshold is no number from 0 to 1.
    """
    make = _find(MODERATORS, name, what="moderator")
    return make(endpoint, make_thresholds(threshold), tuple(languages) if languages else None, session)


def _find(table: Mapping[str, T], name: str, *, what: str) -> T:
    try:
        return table[str(name)]
    except KeyError:
        raise ConfigError(f"{what} {str(name)!r} is not supported; use one of {', '.join(sorted(table))}") from None
