"""What a bot would say first: titles and texts as a model means them, neither cleaned nor moderated.

A fine-tuned model is shown an open ssi-bot mark and writes title and text itself. Other models are shown the
backstory: a chat model writes all of it at once, a base model a title and then, asked again, the text below it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hotshotd.brain import plain_post, ssi
from hotshotd.brain.patience import Patience, ask_patiently
from hotshotd.brain.ports import BrainClock, Faculties, News
from hotshotd.brain.prompt import Persona, build_body_prompt, build_picture_post_prompt, build_post_prompt
from hotshotd.brain.trace import Show
from hotshotd.config.schema import PostSection
from hotshotd.inference.base import Candidates, Prompt

#: The tries of a post are its own; a model is not asked again within one.
_ONCE = Patience(tries=1, first_pause_seconds=1.0, longest_pause_seconds=1.0)


@dataclass(frozen=True, slots=True)
class RawPost:
    """A post as a model meant it. A picture post has no text."""

    title: str
    text: str = ""


class Drafting:
    """Asks the post's model. Everything it raises ends the try (`hotshotd.brain.ends`)."""

    def __init__(
        self,
        post: PostSection,
        persona: Persona,
        *,
        place: str,
        faculties: Faculties,
        clock: BrainClock,
        news: News,
    ) -> None:
        self._format = post.format
        self._persona = persona
        self._place = place
        self._model = faculties.post
        self._chats = faculties.post_chats
        self._clock = clock
        self._news = news

    async def write(self, *, deadline: float, show: Show) -> list[RawPost]:
        """Give the posts that the model offers, in its order; none where it wrote nothing that is one."""
        plain = build_post_prompt(self._persona, place=self._place)
        prompt = self._mark(plain, link=False)
        candidates = await self._ask(prompt, deadline, show)
        if candidates.of_messages:
            posts = [plain_post.parse_post(text) for text in candidates.texts]
            return [RawPost(post.title, post.text) for post in posts if post is not None]
        if self._format == "ssi":
            return [RawPost(post.title, post.text) for post in _read_ssi(candidates, prompt)]
        return await self._write_bodies(candidates, deadline, show)

    async def write_picture_titles(self, *, deadline: float, show: Show) -> list[RawPost]:
        """Give titles of pictures that the character would post."""
        plain = build_picture_post_prompt(self._persona, place=self._place)
        prompt = self._mark(plain, link=True)
        candidates = await self._ask(prompt, deadline, show)
        if self._format == "ssi" and not candidates.of_messages:
            return [RawPost(post.title) for post in _read_ssi(candidates, prompt)]
        return [RawPost(title) for text in candidates.texts if (title := _read_title(text))]

    def _mark(self, plain: Prompt, *, link: bool) -> Prompt:
        """Give the prompt in the post's format; a chat model among the fallbacks does not know ssi-bot's marks."""
        return replace(ssi.build_ssi_prompt(link=link), messages=plain.messages) if self._format == "ssi" else plain

    async def _write_bodies(self, titles: Candidates, deadline: float, show: Show) -> list[RawPost]:
        """Let a base model go on from the first usable title: a second request."""
        title = next((title for text in titles.texts if (title := plain_post.parse_title(text))), None)
        if title is None:
            return []
        prompt = build_body_prompt(self._persona, place=self._place, title=title)
        candidates = await self._ask(prompt, deadline, show)
        return [RawPost(title, text) for text in candidates.texts]

    async def _ask(self, prompt: Prompt, deadline: float, show: Show) -> Candidates:
        model = self._model
        assert model is not None, "a bot that posts has a model"
        show("prompt", prompt.describe(as_messages=self._chats))
        candidates = await ask_patiently(
            lambda: model.generate(prompt, limit_seconds=max(1.0, deadline - self._clock.monotonic())),
            _ONCE,
            self._clock,
            deadline=deadline,
            on_failure=lambda exc: self._news.trouble(f"{model.name}: {exc}"),
        )
        source = f"{candidates.backend}: {candidates.model}"
        show("candidates", "\n".join((source, *(f"- {text.strip()}" for text in candidates.texts))))
        return candidates


def _read_ssi(candidates: Candidates, prompt: Prompt) -> list[ssi.SsiPost]:
    posts = (ssi.parse_post(text, prompt=prompt.text) for text in candidates.texts)
    return [post for post in posts if post is not None]


def _read_title(raw: str) -> str | None:
    labelled = plain_post.parse_post(raw)
    return labelled.title if labelled is not None else plain_post.parse_title(raw)
