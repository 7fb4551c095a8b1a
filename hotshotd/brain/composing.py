"""From an item that is to be answered to the one text that may answer it: generate, clean, moderate, rank."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from hotshotd.brain.captions import Captions
from hotshotd.brain.case import Case
from hotshotd.brain.clean import CleanRules, clean_reply, is_near_duplicate
from hotshotd.brain.editor import Editor
from hotshotd.brain.ends import GaveUp
from hotshotd.brain.patience import TEXT, ask_patiently
from hotshotd.brain.ports import BrainClock, Faculties, News
from hotshotd.brain.prompt import Persona, build_reply_prompt, ranker_context, shorten
from hotshotd.brain.rules import ReplyRules
from hotshotd.brain.verdict import Why
from hotshotd.config.schema import BotConfig, ReplySection
from hotshotd.errors import InferenceRejected
from hotshotd.inference.base import Candidates, Prompt
from hotshotd.platform import Item, Kind, Limits, Ref

_NAMED = re.compile(r"(?<![A-Za-z0-9])u/([A-Za-z0-9_-]{3,20})")
#: How many names are taken from one text.
_MAX_NAMED = 20

#: Items whose paid texts are kept while a moderator is away.
WAITING_KEPT = 200


class Composing:
    """A bot's way of finding words. Everything it raises ends the item (`hotshotd.brain.ends`)."""

    def __init__(
        self,
        config: BotConfig,
        reply: ReplySection,
        rules: ReplyRules,
        *,
        faculties: Faculties,
        editor: Editor,
        limits: Limits,
        clock: BrainClock,
        news: News,
    ) -> None:
        self._reply = reply
        self._rules = rules
        self._safety = config.safety
        self._persona = Persona(
            config.reddit.username, config.backstory, tuple((pair.them, pair.me) for pair in reply.examples)
        )
        self._faculties = faculties
        self._editor = editor
        self._limits = limits
        self._clock = clock
        self._news = news
        self._captions = Captions(faculties.caption, news)
        #: Texts that are paid for and wait for a moderator's word, by the item and what it said.
        self._waiting: dict[tuple[Ref, str], list[str]] = {}

    async def compose(self, case: Case, said: Collection[str]) -> str:
        """Give the text of an answer, without its footer; `said` is what may not be said again."""
        key = (case.item.ref, case.item.text)
        kept = [] if case.is_trial else self._waiting.pop(key, [])
        # What was said since must not be said again, paid for or not.
        texts = _leave_out(kept, said) or await self._write(case, said)
        try:
            return await self._choose(case, texts)
        except GaveUp as exc:
            if exc.why is Why.MODERATION_UNAVAILABLE and exc.passing and not case.is_trial:
                self._keep(key, texts)
            raise

    async def _write(self, case: Case, said: Collection[str]) -> list[str]:
        caption = await self._describe_picture(case)
        candidates = await self._generate(case, caption)
        return self._clean(case, candidates.texts, said, caption or "")

    def _keep(self, key: tuple[Ref, str], texts: list[str]) -> None:
        """Keep texts for when the item comes again: a moderator that is away must not cost a text each time."""
        self._waiting[key] = texts
        while len(self._waiting) > WAITING_KEPT:
            del self._waiting[next(iter(self._waiting))]

    def with_footer(self, text: str) -> str:
        """Give a text as it is published."""
        return f"{text}\n\n{self._reply.footer}" if self._reply.footer else text

    # -- the picture -------------------------------------------------------------------------

    async def _describe_picture(self, case: Case) -> str | None:
        top = _find_submission(case)
        caption = await self._captions.find(top) if top is not None else None
        if top is None or not top.is_picture:
            return None
        case.show("picture", caption or "without a caption")
        word = self._rules.negative.find(caption) if caption else None
        if word is not None:
            raise GaveUp(Why.KEYWORD, f"the picture's caption holds the keyword {word!r}", passing=False)
        return caption

    # -- the model ---------------------------------------------------------------------------

    async def _generate(self, case: Case, caption: str | None) -> Candidates:
        limit = self._reply.max_prompt_chars
        prompt = self._build_prompt(case, limit, caption)
        try:
            return await self._ask_model(case, prompt)
        except InferenceRejected as exc:
            if not exc.too_long:
                raise
            case.show("model", f"{exc}; once more with a shorter prompt")
        return await self._ask_model(case, self._build_prompt(case, shorten(prompt, limit), caption))

    def _build_prompt(self, case: Case, max_chars: int, caption: str | None) -> Prompt:
        thread = case.view.thread if case.item.kind is not Kind.MESSAGE else None
        prompt = build_reply_prompt(
            self._persona,
            thread,
            case.item,
            max_prompt_chars=max_chars,
            max_levels=self._rules.max_levels,
            caption=caption,
        )
        case.show("prompt", prompt.describe(as_messages=self._faculties.reply_chats))
        return prompt

    async def _ask_model(self, case: Case, prompt: Prompt) -> Candidates:
        model = self._faculties.reply
        assert model is not None, "a bot that replies has a model"
        candidates = await ask_patiently(
            lambda: model.generate(prompt, limit_seconds=max(1.0, case.deadline - self._clock.monotonic())),
            TEXT,
            self._clock,
            deadline=case.deadline,
            on_failure=lambda exc: self._news.trouble(f"{model.name}: {exc}"),
        )
        source = f"{candidates.backend}: {candidates.model}"
        case.show("candidates", "\n".join((source, *(f"- {text.strip()}" for text in candidates.texts))))
        return candidates

    # -- the words ---------------------------------------------------------------------------

    def _clean(self, case: Case, raw_texts: Sequence[str], said: Collection[str], caption: str) -> list[str]:
        rules = self._make_clean_rules(case, caption)
        cleaned = [clean_reply(raw, rules) for raw in raw_texts]
        case.show("cleaned", "\n".join(f"- {clean.text or f'(refused: {clean.refused})'}" for clean in cleaned))
        texts = list(dict.fromkeys(clean.text for clean in cleaned if clean.text))
        if not texts:
            raise GaveUp(Why.UNPUBLISHABLE, ", ".join(str(clean.refused) for clean in cleaned), passing=False)
        fresh = _leave_out(texts, said)
        if not fresh:
            raise GaveUp(Why.DUPLICATE, "the bot said the same before", passing=False)
        return fresh

    def _make_clean_rules(self, case: Case, caption: str) -> CleanRules:
        thread = case.view.thread
        people = [case.item, *((thread.submission, *thread.levels) if thread else ())]
        return CleanRules(
            own_names=(self._persona.name,),
            told=(self._persona.backstory,),
            other_names=_list_names(people, caption),
            allow_links=self._safety.allow_links,
            allow_mentions=self._safety.allow_mentions,
            max_comment_chars=self._limits.comment - len(self.with_footer("")),
        )

    async def _choose(self, case: Case, texts: list[str]) -> str:
        """Moderate, then rank what passed; without a ranker the first that passes is it.

        What was refused for good is taken out of `texts`, also where the others wait for their moderator.
        """
        passed: list[str] = []
        objections: list[GaveUp] = []
        for text in tuple(texts):
            try:
                objection = await self._editor.find_objection(text, deadline=case.deadline, show=case.show)
            except GaveUp as exc:
                # No verdict on one candidate is no word against those that passed.
                objection = exc
            if objection is None:
                passed.append(text)
                if self._faculties.rank is None:
                    break
                continue
            objections.append(objection)
            if not objection.passing:
                texts.remove(text)
        if not passed:
            # One that nobody has judged yet may still be published, whatever is said of the others.
            raise next((objection for objection in objections if objection.passing), objections[0])
        context = [*ranker_context(case.view.thread, case.item), case.item.text]
        return await self._editor.choose(context, passed, deadline=case.deadline, show=case.show)


def _list_names(people: Sequence[Item], caption: str) -> tuple[str, ...]:
    """Give who wrote, and whom they named: none of them is the bot's to speak for."""
    texts = (caption, *(f"{item.title} {item.text}" for item in people))
    named = (name for text in texts for name in _NAMED.findall(text)[:_MAX_NAMED])
    return tuple(sorted({item.author.name for item in people if item.author} | set(named)))


def _leave_out(texts: Sequence[str], said: Collection[str]) -> list[str]:
    return [text for text in texts if not is_near_duplicate(text, tuple(said))]


def _find_submission(case: Case) -> Item | None:
    if case.item.kind is Kind.SUBMISSION:
        return case.item
    return case.view.thread.submission if case.view.thread else None
