"""Which services a bot uses, for what, and the probe for each: a function a role, and nothing sent here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hotshotd._types import Role
from hotshotd.config.schema import Api, BotConfig
from hotshotd.config.secrets import OPTIONAL_ROLES, Secrets
from hotshotd.doctor import probes
from hotshotd.doctor.findings import Verdict, fail, ok, warn
from hotshotd.doctor.trouble import soften
from hotshotd.errors import ConfigError, SecretMissing
from hotshotd.inference.base import Endpoint
from hotshotd.inference.build import (
    ModelOfModerator,
    build_captioner,
    build_moderator,
    build_painter,
    build_ranker,
    build_text_model,
    build_topic_model,
)
from hotshotd.inference.http import ServiceSession, compute_key_id
from hotshotd.inference.judge import Question
from hotshotd.log import register_secret

#: Moderators whose server is a backend of the same name, and charges nothing.
_FREE_MODERATORS = frozenset({"openai", "mistral"})


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing to try for a bot. Probes with the same `key` are made once, for all bots that have them.

    `chars` is what it will charge at the most usual; `is_optional` that a bot goes on without it.
    """

    what: str
    key: tuple[object, ...] = field(repr=False)
    ask: probes.Ask = field(repr=False)
    chars: int = 0
    is_optional: bool = False
    #: Adds to a verdict what can be found out for free.
    explain: Callable[[probes.Tried, ServiceSession], probes.Tried] | None = field(default=None, repr=False)

    def run(self, session: ServiceSession) -> Verdict:
        """Try it. Blocks up to the time limits of the service."""
        tried = probes.attempt(self.ask, session)
        if self.explain is not None:
            tried = self.explain(tried, session)
        if tried.error is not None and self.is_optional:
            return soften(tried.verdict, tried.error)
        return tried.verdict


#: A probe, or what is known without one.
Plan = Probe | tuple[str, Verdict]


class Planner:
    """Makes the probes of one bot. Reads its secrets."""

    def __init__(self, config: BotConfig, secrets: Secrets, *, pictures: bool) -> None:
        self._config, self._secrets, self._pictures = config, secrets, pictures

    def plan(self) -> Iterator[Plan]:
        """Give what to try, role by role; a service without its key is told and not tried."""
        for role in (self._texts, self._moderators, self._topics, self._rankers, self._captions, self._painting,
                     self._upscaling):  # fmt: skip
            yield from role()

    # --- roles -------------------------------------------------------------------------------

    def _texts(self) -> Iterator[Plan]:
        for job_name, job in (("reply", self._config.reply), ("post", self._config.post)):
            if job is None:
                continue
            if job.model:
                yield from self._text(job_name, job.backend, job.model, job.parameters)
            for other in job.fallbacks:
                yield from self._text(
                    f"{job_name} fallback", other.backend, other.model, other.parameters or job.parameters
                )

    def _text(self, job: str, backend: str, model: str, parameters: Mapping[str, Any]) -> Iterator[Plan]:
        what = f"text {backend}/{model or 'any model'} ({job})"
        endpoint = self._endpoint(what, "backends", backend, Role.TEXT)
        if not isinstance(endpoint, Endpoint):
            yield endpoint
            return
        api = self._config.backends[backend].api
        if api is Api.HORDE:
            yield self._probe(what, endpoint, probes.ask_horde(endpoint, model, "text"), model)
            return
        own = probes.shorten_parameters(parameters)

        def ask(session: ServiceSession) -> Verdict:
            return probes.ask_text(
                build_text_model(api=api.value, endpoint=endpoint, model=model, parameters=own, session=session)
            )

        yield Probe(
            what,
            key=(*_identify(endpoint), model, repr(sorted(own.items(), key=repr))),
            ask=ask,
            chars=len(probes.GREETING) if endpoint.metered else 0,
            explain=lambda tried, session: probes.with_suggestion(tried, endpoint, api, model, session),
        )

    def _moderators(self) -> Iterator[Plan]:
        safety = self._config.safety
        if not safety.moderators:
            yield "moderation", warn("nobody moderates (unmoderated: true)", "name a moderator in safety.moderators")
        for name in safety.moderators:
            yield from self._moderator(name)

    def _moderator(self, name: str) -> Iterator[Plan]:
        safety = self._config.safety
        what, models = f"moderator {name}", {"hf": safety.hf_model, "chat": safety.chat_model}
        endpoint = self._moderator_endpoint(what, name)
        if isinstance(endpoint, tuple):
            yield endpoint
            return
        model = models.get(name) or ""
        api = self._config.backends[endpoint.name].api.value if model and endpoint else Api.HF.value
        make = partial(
            build_moderator,
            name=name,
            endpoint=endpoint,
            threshold=safety.toxicity_threshold,
            languages=safety.languages,
            own=ModelOfModerator(api=api, model=model, policy=safety.chat_policy),
        )
        text = len(probes.HARMLESS) + (len(safety.chat_policy or "") if name == "chat" else 0)
        yield Probe(
            f"{what} ({model})" if model else what,
            key=("moderator", name, *_identify(endpoint), model, repr(safety.toxicity_threshold), safety.languages),
            ask=lambda session: probes.ask_moderator(make(session=session)),
            chars=text if endpoint is not None and endpoint.metered else 0,
        )

    def _moderator_endpoint(self, what: str, name: str) -> Endpoint | tuple[str, Verdict] | None:
        safety = self._config.safety
        if name == "local":
            return None
        if name == "perspective":
            return self._endpoint(what, "services", name, Role.MODERATION, metered=False)
        backend = {"hf": safety.hf_backend, "chat": safety.chat_backend or ""}.get(name, name)
        metered = None if name not in _FREE_MODERATORS else False
        return self._endpoint(what, "backends", backend, Role.MODERATION, metered=metered)

    def _topics(self) -> Iterator[Plan]:
        reply = self._config.reply
        if reply is None or not reply.topic_model or not (reply.topics or reply.avoid_topics):
            return
        model = reply.topic_model
        what = f"topics {reply.topic_backend}/{model}"
        endpoint = self._endpoint(what, "backends", reply.topic_backend, Role.TOPIC)
        if not isinstance(endpoint, Endpoint):
            yield endpoint
            return
        make = partial(
            build_topic_model, api=self._config.backends[reply.topic_backend].api.value, endpoint=endpoint, model=model
        )
        yield self._probe(what, endpoint, lambda session: probes.ask_topics(make(session=session)), model,
                          chars=len(probes.HARMLESS))  # fmt: skip

    def _rankers(self) -> Iterator[Plan]:
        rank = self._config.rank
        if self._config.reply is None:
            return
        for name, model, question in (
            ("gate", rank.gate_model, Question.GATE),
            ("rank", rank.rank_model, Question.BETTER),
        ):
            if model:
                yield from self._ranker(name, model, question)

    def _ranker(self, name: str, model: str, question: Question) -> Iterator[Plan]:
        rank = self._config.rank
        what = f"{name} {rank.backend}/{model}"
        endpoint = self._endpoint(what, "backends", rank.backend, Role.RANK)
        if not isinstance(endpoint, Endpoint):
            yield endpoint
            return
        make = partial(build_ranker, api=rank.api, endpoint=endpoint, model=model, question=question)
        chars = len(probes.GREETING) + len(probes.HARMLESS) + (len(question.value) if rank.api == "judge" else 0)
        yield self._probe(
            what, endpoint, lambda session: probes.ask_ranker(make(session=session)), f"{model} {question.name}",
            chars=chars, is_optional=True,
        )  # fmt: skip

    def _captions(self) -> Iterator[Plan]:
        images = self._config.images
        if images.caption == "none" or self._config.reply is None:
            return
        what = f"captions {images.caption}"
        if images.caption == "azure":
            yield from self._azure(what)
            return
        backend = images.caption_backend or ("horde" if images.caption == "horde" else "")
        endpoint = self._endpoint(what, "backends", backend, Role.CAPTION)
        if not isinstance(endpoint, Endpoint):
            yield endpoint
            return
        model = images.caption_model or ""
        horde = self._config.backends[backend].api is Api.HORDE
        ask = probes.ask_horde(endpoint, "", "image") if horde else probes.ask_key(endpoint, model)
        yield self._probe(what, endpoint, ask, model, is_optional=True)

    def _azure(self, what: str) -> Iterator[Plan]:
        endpoint = self._endpoint(what, "services", "azure", Role.CAPTION, metered=False)
        if not isinstance(endpoint, Endpoint):
            yield endpoint
            return
        version = self._config.services["azure"].version
        make = partial(build_captioner, kind="azure", endpoint=endpoint, version=version)
        ask: probes.Ask = lambda session: probes.ask_unseen(make(session=session))  # noqa: E731
        yield self._probe(what, endpoint, ask, version or "", is_optional=True)

    def _painting(self) -> Iterator[Plan]:
        post, images = self._config.post, self._config.images
        if post is None or post.link_share <= 0:
            return
        backend, model = images.generate_backend, images.generate_model or ""
        what = f"pictures {backend}/{model or 'any model'}"
        endpoint = self._endpoint(what, "backends", backend, Role.PICTURE)
        if not isinstance(endpoint, Endpoint):
            yield endpoint
            return
        api = self._config.backends[backend].api
        if api is Api.HORDE:
            yield self._probe(what, endpoint, probes.ask_horde(endpoint, model, "image"), model, is_optional=True)
        elif self._pictures:
            make = partial(
                build_painter, api=api.value, endpoint=endpoint, model=model, parameters=images.generate_parameters
            )
            yield self._probe(what, endpoint, lambda session: probes.ask_painter(make(session=session)), model,
                              chars=len(probes.PICTURE), is_optional=True)  # fmt: skip
        elif api is Api.HF:
            yield what, ok("its key is there; not tried, for a picture costs: --pictures makes one")
        else:
            yield self._probe(what, endpoint, probes.ask_key(endpoint, model), model, is_optional=True)

    def _upscaling(self) -> Iterator[Plan]:
        kind, post = self._config.images.upscale, self._config.post
        what = f"upscaling {kind}"
        if kind == "none" or post is None or post.link_share <= 0:
            return
        if kind == "pillow":
            yield what, _check_pillow()
            return
        where = ("services", "deepai") if kind == "deepai" else ("backends", "horde")
        endpoint = self._endpoint(what, *where, Role.UPSCALE, metered=False)
        if not isinstance(endpoint, Endpoint):
            yield endpoint
        elif kind == "horde":
            yield self._probe(what, endpoint, probes.ask_horde(endpoint, "", "image"), "", is_optional=True)
        else:
            yield what, ok("its key is there; not tried, for every picture costs")

    # --- inside ------------------------------------------------------------------------------

    def _probe(
        self, what: str, endpoint: Endpoint, ask: probes.Ask, model: str, *, chars: int = 0, is_optional: bool = False
    ) -> Probe:
        charged = chars if endpoint.metered else 0
        key = (what.partition(" ")[0], *_identify(endpoint), model)
        return Probe(what, key=key, ask=ask, chars=charged, is_optional=is_optional)

    def _endpoint(
        self, what: str, kind: str, name: str, role: Role, *, metered: bool | None = None
    ) -> Endpoint | tuple[str, Verdict]:
        """Give a server with its key, or what is to be told instead of a probe."""
        server = (self._config.services if kind == "services" else self._config.backends).get(name)
        if server is None:
            return what, fail(f"there is no server {name}", "name one of `backends`")
        try:
            key = self._secrets.resolve_key(self._config, kind, name)
        except SecretMissing as exc:
            make = warn if role in OPTIONAL_ROLES else fail
            return what, make(str(exc), "the bot goes on without this role" if role in OPTIONAL_ROLES else "")
        if key:
            register_secret(key)
        charged = self._config.backends[name].metered if metered is None and kind == "backends" else bool(metered)
        return Endpoint(name=name, url=server.url, key=key, metered=charged, role=role)


def _identify(endpoint: Endpoint | None) -> tuple[object, ...]:
    return (endpoint.url, compute_key_id(endpoint.key), endpoint.role) if endpoint else ("here",)


def _check_pillow() -> Verdict:
    from hotshotd.inference.upscale import make_pillow  # Pillow itself is loaded by this

    try:
        make_pillow()
    except ConfigError as exc:
        return fail(str(exc))
    return ok("is installed")
