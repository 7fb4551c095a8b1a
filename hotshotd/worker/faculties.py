"""A bot's services, made of its configuration and its keys; none is connected, or even made, before it is used."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial

from hotshotd import log
from hotshotd._types import Role
from hotshotd.admission import Admission
from hotshotd.brain.fallback import Chain
from hotshotd.brain.ports import AsyncText, Faculties
from hotshotd.clock import SystemClock
from hotshotd.config.schema import BotConfig, Fallback
from hotshotd.config.secrets import Secrets
from hotshotd.inference.base import Endpoint
from hotshotd.inference.build import (
    ModelOfModerator,
    build_captioner,
    build_moderator,
    build_painter,
    build_ranker,
    build_text_model,
    build_topic_model,
    build_upscaler,
)
from hotshotd.inference.horde_pictures import DEFAULT_UPSCALER
from hotshotd.inference.http import ServiceSession
from hotshotd.inference.judge import Question
from hotshotd.worker.calls import (
    Calls,
    OffLoopCaptioner,
    OffLoopModerator,
    OffLoopPainter,
    OffLoopRanker,
    OffLoopText,
    OffLoopTopics,
    OffLoopUpscaler,
)

#: Backend of captions and of enlarging by AI Horde where the file names none.
HORDE = "horde"


def build_faculties(config: BotConfig, secrets: Secrets, admission: Admission, calls: Calls) -> Faculties:
    """Make the services that a bot uses; an optional one whose secret is missing is left out.

    Raises:
        SecretMissing: If the secret of a service that it can't do without is gone.
    """
    return _Builder(config, secrets, admission, calls).build()


class _Builder:
    def __init__(self, config: BotConfig, secrets: Secrets, admission: Admission, calls: Calls) -> None:
        self._config = config
        self._secrets = secrets
        self._admission = admission
        self._calls = calls

    @cached_property
    def _missing(self) -> tuple[Role, ...]:
        return self._secrets.missing_optional_roles(self._config)

    @cached_property
    def _session(self) -> ServiceSession:
        """One session for all services, made with the first client."""
        return ServiceSession(admission=self._admission, clock=SystemClock())

    def build(self) -> Faculties:
        config, reply, post = self._config, self._config.reply, self._config.post
        named = config.rank.gate_model or config.rank.rank_model
        ranks = reply is not None and bool(named) and self._has(Role.RANK)
        post_backend = None if post is None else post.backend if post.model or reply is None else reply.backend
        moderators = {name: self._moderator(name) for name in config.safety.moderators}
        return Faculties(
            reply=self._chain(reply.backend, reply.model, reply.parameters, reply.fallbacks) if reply else None,
            post=self._post_text(),
            gate=self._ranker(config.rank.gate_model, Question.GATE) if ranks else None,
            rank=self._ranker(config.rank.rank_model, Question.BETTER) if ranks else None,
            moderators=tuple(moderators.values()),
            post_chats=self._chats(post_backend),
            reply_chats=self._chats(reply.backend if reply else None),
            # Only what sends nothing anywhere may look at what people wrote.
            incoming=(moderators["local"],) if config.safety.check_incoming and "local" in moderators else (),
            topics=self._topics(),
            caption=self._captioner() if reply is not None else None,
            paint=self._painter(),
            upscale=self._upscaler(),
        )

    def _has(self, role: Role) -> bool:
        return role not in self._missing

    def _chats(self, backend: str | None) -> bool:
        return backend is not None and self._config.backends[backend].api == "chat"

    # -- text --------------------------------------------------------------------------------

    def _post_text(self) -> AsyncText | None:
        post, reply = self._config.post, self._config.reply
        if post is None:
            return None
        if post.model:
            return self._chain(post.backend, post.model, post.parameters, post.fallbacks)
        assert reply is not None, "the loader refuses a bot with no model at all"
        return self._chain(reply.backend, reply.model, post.parameters, post.fallbacks or reply.fallbacks)

    def _chain(
        self, backend: str, model: str, parameters: dict[str, object], fallbacks: Sequence[Fallback]
    ) -> AsyncText:
        """Give a model, and with it those that are asked when it is unavailable."""
        first = self._text(backend, model, parameters)
        others = [self._text(other.backend, other.model, other.parameters or parameters) for other in fallbacks]
        return Chain([first, *others]) if others else first

    def _text(self, backend: str, model: str, parameters: dict[str, object]) -> OffLoopText:
        server = self._config.backends[backend]
        endpoint = self._backend(backend, Role.TEXT)
        make = partial(build_text_model, api=server.api.value, endpoint=endpoint, model=model, parameters=parameters)
        return OffLoopText(
            f"{backend}/{model}", lambda: make(session=self._session), self._calls, metered=endpoint.metered
        )

    # -- judges ------------------------------------------------------------------------------

    def _ranker(self, model: str | None, question: Question) -> OffLoopRanker | None:
        if not model:
            return None
        endpoint = self._backend(self._config.rank.backend, Role.RANK)
        make = partial(build_ranker, api=self._config.rank.api, endpoint=endpoint, model=model, question=question)
        return OffLoopRanker(f"{endpoint.name}/{model}", lambda: make(session=self._session), self._calls)

    def _topics(self) -> OffLoopTopics | None:
        reply = self._config.reply
        if reply is None or not reply.topic_model or not (reply.topics or reply.avoid_topics):
            return None
        endpoint = self._backend(reply.topic_backend, Role.TOPIC)
        api = self._config.backends[reply.topic_backend].api.value
        make = partial(build_topic_model, api=api, endpoint=endpoint, model=reply.topic_model)
        return OffLoopTopics(f"{endpoint.name}/{reply.topic_model}", lambda: make(session=self._session), self._calls)

    def _moderator(self, name: str) -> OffLoopModerator:
        safety = self._config.safety
        endpoint, own = self._find_moderator(name)
        make = partial(
            build_moderator,
            name=name,
            endpoint=endpoint,
            threshold=safety.toxicity_threshold,
            languages=safety.languages,
            own=own,
        )
        return OffLoopModerator(name, lambda: make(session=self._session), self._calls)

    def _find_moderator(self, name: str) -> tuple[Endpoint | None, ModelOfModerator]:
        """Give where a moderator is asked, and what it is besides."""
        safety = self._config.safety
        if name == "local":
            return None, ModelOfModerator()
        if name == "perspective":
            return self._service(name, Role.MODERATION), ModelOfModerator()
        own = {
            "hf": (safety.hf_backend, safety.hf_model, None),
            "chat": (safety.chat_backend, safety.chat_model, safety.chat_policy),
        }
        backend, model, policy = own.get(name, (name, None, None))
        assert backend is not None, "the schema wants a backend for a guard model"
        # `openai` and `mistral` moderate for nothing, whatever their texts cost.
        endpoint = self._backend(backend, Role.MODERATION, metered=None if name in own else False)
        return endpoint, ModelOfModerator(self._config.backends[backend].api.value, model or "", policy)

    # -- pictures ----------------------------------------------------------------------------

    def _captioner(self) -> OffLoopCaptioner | None:
        images = self._config.images
        if images.caption == "none" or not self._has(Role.CAPTION):
            return None
        version = None
        if images.caption == "azure":
            endpoint = self._service("azure", Role.CAPTION)
            version = self._config.services["azure"].version
        else:
            endpoint = self._backend(images.caption_backend or HORDE, Role.CAPTION)
        make = partial(
            build_captioner,
            kind=images.caption,
            endpoint=endpoint,
            model=images.caption_model,
            inline=images.caption_inline,
            version=version,
        )
        return OffLoopCaptioner(endpoint.name, lambda: make(session=self._session), self._calls)

    def _painter(self) -> OffLoopPainter | None:
        post, images = self._config.post, self._config.images
        if post is None or post.link_share <= 0 or not self._has(Role.PICTURE):
            return None
        endpoint = self._backend(images.generate_backend, Role.PICTURE)
        parameters = dict(images.generate_parameters)
        if self._horde_does_both:
            parameters.setdefault("post_processing", [DEFAULT_UPSCALER])
        make = partial(
            build_painter,
            api=self._config.backends[images.generate_backend].api.value,
            endpoint=endpoint,
            model=images.generate_model or "",
            parameters=parameters,
        )
        return OffLoopPainter(endpoint.name, lambda: make(session=self._session), self._calls)

    def _upscaler(self) -> OffLoopUpscaler | None:
        images, post = self._config.images, self._config.post
        if images.upscale == "none" or post is None or post.link_share <= 0 or not self._has(Role.UPSCALE):
            return None
        if self._horde_does_both:
            return None
        servers = {
            "deepai": lambda: self._service("deepai", Role.UPSCALE),
            "horde": lambda: self._backend(HORDE, Role.UPSCALE),
        }
        endpoint = servers[images.upscale]() if images.upscale in servers else None
        make = partial(build_upscaler, kind=images.upscale, endpoint=endpoint)
        return OffLoopUpscaler(images.upscale, lambda: make(session=self._session), self._calls)

    @property
    def _horde_does_both(self) -> bool:
        """Whether AI Horde makes and enlarges pictures: then one job does both."""
        images = self._config.images
        return images.upscale == "horde" and self._config.backends[images.generate_backend].api == "horde"

    # -- servers -----------------------------------------------------------------------------

    def _backend(self, name: str, role: Role, *, metered: bool | None = None) -> Endpoint:
        server = self._config.backends[name]
        is_metered = server.metered if metered is None else metered
        return Endpoint(name=name, url=server.url, key=self._key("backends", name), metered=is_metered, role=role)

    def _service(self, name: str, role: Role) -> Endpoint:
        url = self._config.services[name].url
        return Endpoint(name=name, url=url, key=self._key("services", name), metered=False, role=role)

    def _key(self, kind: str, name: str) -> str | None:
        key = self._secrets.resolve_key(self._config, kind, name)
        if key:
            log.register_secret(key)
        return key
