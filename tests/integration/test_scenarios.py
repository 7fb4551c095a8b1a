"""The whole bot in one table: a situation, how it ends and why, what was sent to which service, what was published.

Each row runs the production mind with the real PRAW and the real clients over real HTTP (`theatre`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from theatre import BOT, HOME, Theatre, Troupe

from hotshotd.brain.pipeline import Deferred
from hotshotd.brain.verdict import Verdict, Why
from hotshotd.errors import BotPaused
from hotshotd.platform import Item
from hotshotd.sandbox.faults import Action, Rule, When
from hotshotd.sandbox.http import Response, json_response

GOOD = "It is deep enough for a duck, and I dive in it every day."
OTHER = "Nobody ever measured it, but my feet have an opinion about the mud."
TITLE = "I am a duck and I dive for a living, ask me anything"
BODY = "The water was cold last night. I dived all the same."
SSI = f" r/pond|><|sot|>{TITLE}<|eot|><|sost|>{BODY}<|eost|><|eoss|>"
SSI_LINK = f" r/pond|><|sot|>{TITLE}<|eot|><|sol|>https://x.example<|eol|><|eols|>"
CHAT_POST = f"Title: {TITLE}\n\n{BODY}"
PICTURE_URL = "https://i.example/duck.png"

Arrange = Callable[[Theatre], str]
Act = Callable[[Troupe, str], Awaitable[Verdict | Deferred]]
End = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One situation.

    `arrange` makes it and gives the thing's name; `act` (plainly: read and handle it) gives the verdict. `says` are the
    answers of models by name. `sent` counts the services' requests by role; `published` are the
    texts of replies, and title and text of posts.
    """

    name: str
    end: End
    arrange: Arrange = lambda _theatre: ""
    config: Mapping[str, Any] = field(default_factory=dict)
    says: Mapping[str, list[Any]] = field(default_factory=lambda: {"talker": [GOOD]})
    act: Act | None = None
    sent: Mapping[str, int] = field(default_factory=dict)
    published: tuple[str, ...] = ()
    also: Callable[[Theatre], bool] = lambda _theatre: True


ANSWERED: dict[str, Any] = {"sent": {"text": 1, "moderation": 1}, "published": (GOOD,)}


# ruff: noqa: E501 - a row of the table is a line or two, read across

# --- situations -----------------------------------------------------------------------------


def on_own_post(text: str = "How deep is the pond?", **more: Any) -> Arrange:
    return lambda theatre: theatre.comment(theatre.own_post(), text, **more)


def on_their_post(text: str = "How deep is the pond?", **more: Any) -> Arrange:
    return lambda theatre: theatre.comment(theatre.post(**more), text)


def a_post(**more: Any) -> Arrange:
    return lambda theatre: theatre.post(**more)


def a_picture(theatre: Theatre) -> str:
    return theatre.post("Look at this", "", url=PICTURE_URL, is_picture=True)


def deeper(theatre: Theatre) -> str:
    """A stranger's answer to a stranger, two levels down."""
    return theatre.comment(theatre.comment(theatre.post(), "It is wet."), "Is it really?", author="bob")


def answer_to_us(text: str = "And then?") -> Arrange:
    def arrange(theatre: Theatre) -> str:
        above = theatre.comment(theatre.post(), "It is wet.")
        return theatre.comment(theatre.comment(above, "Quack, it is.", author=BOT), text)

    return arrange


def mention(place: str = HOME) -> Arrange:
    return lambda theatre: theatre.comment(theatre.post(place=place), f"What does u/{BOT} think?")


def message(theatre: Theatre) -> str:
    return theatre.forum.send("ann", BOT, "hello", "How deep is the pond?").fullname


def then(arrange: Arrange, change: Callable[[Theatre, str], object]) -> Arrange:
    """Make a situation and change it."""

    def both(theatre: Theatre) -> str:
        ref = arrange(theatre)
        change(theatre, ref)
        return ref

    return both


def locked(theatre: Theatre, ref: str) -> None:
    theatre.forum.lock(ref)


def locked_above(theatre: Theatre, ref: str) -> None:
    theatre.forum.lock(theatre.forum.thing(ref).link)  # type: ignore[union-attr]


def faulty(**rule: Any) -> Callable[[Theatre, str], object]:
    return lambda theatre, _ref: theatre.plan.add(Rule(**rule))


def failing_text(status: int, body: Any) -> dict[str, list[Any]]:
    return {"talker": [json_response(body, status=status)] * 12}


# --- actions --------------------------------------------------------------------------------


def after(seconds: float) -> Act:
    """Read it, let time pass, and handle it."""

    async def act(troupe: Troupe, ref: str) -> Verdict | Deferred:
        item, reason = await troupe.read(ref)
        troupe.theatre.clock.skipped += seconds
        return await troupe.answer(item, reason, seconds=900.0)

    return act


def changed_in_between(change: Callable[[Theatre, Item], object], *, listed: bool = False) -> Act:
    """Read it; then something happens on Reddit before it is handled. `listed`: as the listing shows it."""

    async def act(troupe: Troupe, ref: str) -> Verdict | Deferred:
        item, reason = await troupe.read(ref)
        change(troupe.theatre, item)
        return await troupe.answer(item, None if listed else reason)

    return act


def again(times: int = 2, author: str = "ann", same_thread: bool = True) -> Act:
    """Handle the thing, and then further ones of the same person; give the last end."""

    async def act(troupe: Troupe, ref: str) -> Verdict | Deferred:
        end = await troupe.handle(ref)
        theatre = troupe.theatre
        for number in range(times - 1):
            under = theatre.forum.thing(ref).link if same_thread else theatre.post(f"Another post {number}")  # type: ignore[union-attr]
            end = await troupe.handle(theatre.comment(under, f"Question number {number}, please?", author=author))
        return end

    return act


async def a_day_of_time(troupe: Troupe, ref: str) -> Verdict | Deferred:
    """As the inbox shows it, with the time that the inbox gives."""
    item, reason = await troupe.read(ref)
    return await troupe.answer(item, reason, seconds=86_400.0)


async def as_listed(troupe: Troupe, ref: str) -> Verdict | Deferred:
    """As the listing shows it: what is not said to the bot is never deferred."""
    item, _ = await troupe.read(ref)
    return await troupe.answer(item, None)


async def make_post(troupe: Troupe, _ref: str) -> Verdict | Deferred:
    return await troupe.make_post()


async def asked_post(troupe: Troupe, _ref: str) -> Verdict | Deferred:
    return await troupe.make_post("manual")


def quota_away(troupe: Troupe) -> None:
    troupe.quota.away = True


def with_troupe(change: Callable[[Troupe], object], act: Act = as_listed) -> Act:
    async def changed(troupe: Troupe, ref: str) -> Verdict | Deferred:
        item, _ = await troupe.read(ref) if ref else (None, None)
        change(troupe)
        return await troupe.answer(item, None) if item else await act(troupe, ref)

    return changed


def ban(troupe: Troupe) -> None:
    for job in (troupe.answering, troupe.posting):
        if job is not None:
            job.banned = {HOME}


REPLY_ONLY_FOLLOWUPS = {"reply": {"followup_only": True}}
GATE = {"rank": {"backend": "hf", "gate_model": "microsoft/DialogRPT-width"}}
RANK = {
    "rank": {"backend": "hf", "rank_model": "microsoft/DialogRPT-updown"},
    "reply": {"parameters": {"num_return_sequences": 2}},
}
TOPIC = {"reply": {"topics": ["water"], "topic_model": "bart-large-mnli", "topic_threshold": 0.5}}
GATE_GONE = json_response({"error": "Model is not supported by provider hf-inference."}, status=404)


def gate_gone(when: str, chance: float = 1.0) -> dict[str, Any]:
    return {
        "rank": {"backend": "hf", "gate_model": "microsoft/DialogRPT-width", "when_unavailable": when},
        "reply": {"chance": chance},
    }


def gone(*models: str) -> Callable[[Theatre, str], object]:
    return lambda theatre, _ref: theatre.services.gone.update(models)


def moderator(name: str, **more: Any) -> dict[str, Any]:
    return {"safety": {"moderators": [name], **more}}


def post(**more: Any) -> dict[str, Any]:
    basics = {"schedule": ["12:00"], "backend": "hf", "model": "own-gpt2"}
    return {"reply": None, "post": {key: value for key, value in (basics | more).items() if value is not None}}


PICTURE = post(link_share=1.0) | {"images": {"generate_model": "stable-diffusion"}}

# fmt: off
ROWS: tuple[Row, ...] = (
    # Whom the bot answers, and why.
    Row("top-level comment on an own post", ("replied", "top_level"), on_own_post(), **ANSWERED),
    Row("top-level, whatever the chance", ("replied", "top_level"), on_own_post(), {"reply": {"chance": 0.0}}, **ANSWERED),
    Row("mention", ("replied", "mention"), mention(), {"reply": {"chance": 0.0}}, **ANSWERED),
    Row("mention, for a bot that answers follow-ups only", ("replied", "mention"), mention(), REPLY_ONLY_FOLLOWUPS, **ANSWERED),
    Row("message, where they are on", ("replied", "message"), message, {"reply": {"inbox": {"messages": True}}},
        sent=ANSWERED["sent"], also=lambda theatre: theatre.forum.messages()[0].text == GOOD),
    Row("message, where they are off", ("skipped", "inbox_off"), message),
    Row("mention, where they are off", ("skipped", "inbox_off"), mention(), {"reply": {"inbox": {"mentions": False}}}),
    Row("comment in the inbox, where they are off", ("skipped", "inbox_off"), on_own_post(),
        {"reply": {"inbox": {"comments": False}}}),
    Row("stranger's post by chance", ("replied", "chance"), a_post(), **ANSWERED),
    Row("stranger's post against chance", ("skipped", "chance"), a_post(), {"reply": {"chance": 0.0}}),
    Row("keyword lifts the chance", ("replied", "chance"), a_post(title="What is deep?"),
        {"reply": {"chance": 0.0, "keyword_boost": 1.0, "positive_keywords": ["what"]}}, **ANSWERED),
    Row("a keyword inside a word does not", ("skipped", "chance"), a_post(title="Whatever", text="Somewhat."),
        {"reply": {"chance": 0.0, "keyword_boost": 1.0, "positive_keywords": ["what"]}}),
    Row("a question mark is a keyword", ("replied", "chance"), a_post(title="Deep?"),
        {"reply": {"chance": 0.0, "keyword_boost": 1.0, "positive_keywords": ["?"]}}, **ANSWERED),
    Row("two keywords lift it twice", ("replied", "chance"), a_post(title="Who and what", text="?"),
        {"reply": {"chance": 0.0, "keyword_boost": 0.5, "positive_keywords": ["who", "what"]}}, **ANSWERED),
    Row("link post, forced", ("replied", "link_post"), a_picture,
        {"reply": {"linkpost_only": "force", "chance": 0.0, "followup_only": True}}, **ANSWERED),
    Row("link post, link posts only", ("replied", "chance"), a_picture, {"reply": {"linkpost_only": True}}, **ANSWERED),
    Row("text post, link posts only", ("skipped", "linkpost_only"), a_post(), {"reply": {"linkpost_only": True}}),
    Row("comment under a text post, link posts only", ("skipped", "linkpost_only"), on_their_post(),
        {"reply": {"linkpost_only": True}}),
    # Deeper comments and the gate.
    Row("deeper comment, the gate says yes", ("replied", "score"), deeper, GATE,
        says={"talker": [GOOD], "microsoft/DialogRPT-width": [0.5]}, sent={"text": 1, "moderation": 1, "rank": 1},
        published=(GOOD,)),
    Row("deeper comment, the gate says no", ("skipped", "low_score"), deeper, GATE,
        says={"microsoft/DialogRPT-width": [0.49]}, sent={"rank": 1}),
    Row("deeper comment, no gate configured", ("replied", "chance"), deeper, **ANSWERED),
    Row("gate not served: always", ("replied", "always"), then(deeper, gone("microsoft/DialogRPT-width")),
        gate_gone("always"), sent={"text": 1, "moderation": 1, "rank": 1}, published=(GOOD,)),
    Row("gate not served: chance for it", ("replied", "chance"), then(deeper, gone("microsoft/DialogRPT-width")),
        gate_gone("chance"), sent={"text": 1, "moderation": 1, "rank": 1}, published=(GOOD,)),
    Row("gate not served: chance against it", ("skipped", "chance"), then(deeper, gone("microsoft/DialogRPT-width")),
        gate_gone("chance", 0.0), sent={"rank": 1}),
    Row("gate not served: skip", ("skipped", "ranker_unavailable"), then(deeper, gone("microsoft/DialogRPT-width")),
        gate_gone("skip"), sent={"rank": 1}),
    Row("gate loading, then there", ("replied", "score"), deeper, GATE,
        says={"talker": [GOOD], "microsoft/DialogRPT-width":
              [json_response({"error": "loading", "estimated_time": 5.0}, status=503), 0.9]},
        sent={"text": 1, "moderation": 1, "rank": 2}, published=(GOOD,)),
    Row("gate by a judge that says yes", ("replied", "score"), deeper,
        {"rank": {"backend": "openai", "api": "judge", "gate_model": "judge-model"}},
        says={"talker": [GOOD], "judge-model": ["Yes."]}, sent={"text": 1, "moderation": 1, "rank": 1}, published=(GOOD,)),
    Row("gate by a judge that says no", ("skipped", "low_score"), deeper,
        {"rank": {"backend": "openai", "api": "judge", "gate_model": "judge-model"}},
        says={"judge-model": ["no"]}, sent={"rank": 1}),
    Row("answer to us is followed up", ("replied", "chance"), answer_to_us(), REPLY_ONLY_FOLLOWUPS, **ANSWERED),
    # What is not answered, for nothing.
    Row("own comment", ("skipped", "own"), on_own_post("Quack.", author=BOT)),
    Row("AutoModerator", ("skipped", "ignored_author"), on_own_post(author="AutoModerator")),
    Row("deleted comment", ("skipped", "deleted"), then(on_own_post(), lambda theatre, ref: theatre.forum.delete(ref)),
        act=as_listed),
    Row("removed after it was read", ("skipped", "removed"), on_own_post(),
        act=changed_in_between(lambda theatre, item: theatre.forum.remove(item.ref))),
    Row("deleted after it was read", ("skipped", "deleted"), on_own_post(),
        act=changed_in_between(lambda theatre, item: theatre.forum.delete(item.ref))),
    Row("comment under a removed post", ("skipped", "removed"), on_their_post(),
        act=changed_in_between(lambda theatre, item: theatre.forum.remove(item.submission or ""))),
    Row("locked comment", ("skipped", "locked"), then(on_own_post(), locked)),
    Row("comment under a locked post", ("skipped", "locked"), then(on_own_post(), locked_above)),
    Row("archived post", ("skipped", "archived"), then(a_post(), lambda theatre, ref: theatre.forum.archive(ref))),
    Row("nothing to be seen", ("skipped", "empty"), on_own_post("\u200b\u200d")),
    Row("edited to a forbidden word after it was read", ("rejected", "keyword"), on_own_post(),
        moderator("openai", negative_keywords=["pineapple"]),
        act=changed_in_between(lambda theatre, item: theatre.forum.edit(item.ref, "Do you like pineapple?"))),
    Row("too old in the listing", ("skipped", "too_old"), a_post(), act=after(901.0)),
    Row("just young enough", ("replied", "chance"), a_post(), act=after(890.0), **ANSWERED),
    Row("too old in the inbox", ("skipped", "too_old"), on_own_post(), act=after(86_401.0)),
    Row("answered already", ("skipped", "already_answered"),
        then(on_own_post(), lambda theatre, ref: theatre.comment(ref, "Quack.", author=BOT))),
    Row("stranger to stranger, follow-ups only", ("skipped", "followup_only"), on_their_post(), REPLY_ONLY_FOLLOWUPS),
    Row("stranger's post, follow-ups only", ("skipped", "followup_only"), a_post(), REPLY_ONLY_FOLLOWUPS),
    Row("deeper than max_levels", ("skipped", "max_levels"), answer_to_us(), {"reply": {"max_levels": 2}}),
    Row("as deep as max_levels", ("replied", "chance"), answer_to_us(), {"reply": {"max_levels": 3}}, **ANSWERED),
    Row("mention in a foreign subreddit", ("skipped", "foreign_subreddit"), mention("elsewhere")),
    Row("in a subreddit that banned the bot", ("skipped", "banned"), on_own_post(), act=with_troupe(ban)),
    Row("negative keyword in a comment", ("rejected", "keyword"), on_own_post("I like pineapple"),
        moderator("openai", negative_keywords=["pineapple"])),
    Row("negative keyword in a title", ("rejected", "keyword"), a_post(title="Pineapple!"),
        moderator("openai", negative_keywords=["pineapple"])),
    Row("negative keyword in the thread above", ("rejected", "keyword"), on_their_post(title="Pineapple?"),
        moderator("openai", negative_keywords=["pineapple"])),
    Row("negative keyword in a user's name only", ("replied", "top_level"), on_own_post("What does u/pineapple-fan say?"),
        moderator("openai", negative_keywords=["pineapple"]), **ANSWERED),
    Row("built-in list off", ("replied", "top_level"), on_own_post("You rapist, how deep is it?"),
        moderator("openai", default_keywords=False), **ANSWERED),
    Row("built-in list on", ("rejected", "keyword"), on_own_post("You rapist, how deep is it?")),
    Row("stop", ("skipped", "opted_out"), on_own_post("Stop."),
        also=lambda theatre: "ann" in theatre.forum.account(BOT).blocked),  # type: ignore[union-attr]
    Row("stop, where it is off", ("replied", "top_level"), on_own_post("Stop."), moderator("openai", opt_out=False),
        **ANSWERED),
    Row("after stop nobody is answered again", ("skipped", "opted_out"), on_own_post("stop"),
        act=again()),
    # Topics.
    Row("on topic", ("replied", "top_level"), on_own_post("Is the water deep?"), TOPIC,
        sent={"text": 1, "moderation": 1, "topic": 1}, published=(GOOD,)),
    Row("off topic", ("skipped", "off_topic"), on_own_post("Do you like trains?"), TOPIC, sent={"topic": 1}),
    Row("avoided topic", ("skipped", "avoided_topic"), on_own_post("What of politics?"),
        {"reply": {"avoid_topics": ["politics"], "topic_model": "bart-large-mnli"}}, sent={"topic": 1}),
    Row("topic model not served", ("skipped", "topic_unavailable"), then(on_own_post(), gone("bart-large-mnli")), TOPIC,
        sent={"topic": 1}),
    Row("a topic is not asked for what chance refuses", ("skipped", "chance"), a_post(),
        {"reply": {"chance": 0.0, **TOPIC["reply"]}}),
    # Limits.
    Row("as often as a thread may have it", ("skipped", "max_per_thread"), on_own_post(), {"reply": {"max_per_thread": 1}},
        act=again(), **ANSWERED),
    Row("as often as a person may have it", ("skipped", "max_per_author_hour"), on_own_post(),
        {"reply": {"max_per_author_hour": 1}}, act=again(same_thread=False), **ANSWERED),
    Row("another person may still", ("replied", "top_level"), on_own_post(), {"reply": {"max_per_author_hour": 1}},
        act=again(author="bob"), says={"talker": [GOOD, OTHER]}, sent={"text": 2, "moderation": 2},
        published=(GOOD, OTHER)),
    Row("as often as a day may have it", ("skipped", "max_per_day"), on_own_post(), {"reply": {"max_per_day": 1}},
        act=again(author="bob"), **ANSWERED),
    Row("two bots of one operator stop at max_per_thread", ("skipped", "max_per_thread"), on_own_post(author="bob"),
        {"reply": {"max_per_thread": 2}}, act=again(3, author="bob"), says={"talker": [GOOD, OTHER]},
        sent={"text": 2, "moderation": 2}, published=(GOOD, OTHER)),
    Row("no budget", ("skipped", "over_budget"), on_own_post(), {"character_budget": 10}),
    Row("budget for the gate is asked first", ("skipped", "over_budget"), deeper, GATE | {"character_budget": 10}),
    Row("dry run", ("skipped", "dry_run"), on_own_post(), {"dry_run": True}, sent={"text": 1, "moderation": 1}),
    # What models say.
    Row("forbidden word in the answer", ("rejected", "keyword"), on_own_post(),
        moderator("openai", negative_keywords=["forbidden"]), {"talker": ["That is forbidden here."]}, sent={"text": 1}),
    Row("openai refuses", ("rejected", "moderation"), on_own_post(), says={"talker": ["You are an idiot."]},
        sent={"text": 1, "moderation": 1}),
    Row("perspective passes", ("replied", "top_level"), on_own_post(), moderator("perspective"), **ANSWERED),
    Row("perspective refuses", ("rejected", "moderation"), on_own_post(), moderator("perspective"),
        {"talker": ["You are an idiot."]}, sent={"text": 1, "moderation": 1}),
    Row("perspective, a lower threshold", ("rejected", "moderation"), on_own_post(),
        moderator("perspective", toxicity_threshold=0.0), sent={"text": 1, "moderation": 1}),
    Row("mistral passes", ("replied", "top_level"), on_own_post(), moderator("mistral"), **ANSWERED),
    Row("mistral refuses", ("rejected", "moderation"), on_own_post(), moderator("mistral"),
        {"talker": ["You are an idiot."]}, sent={"text": 1, "moderation": 1}),
    Row("toxic-bert passes", ("replied", "top_level"), on_own_post(), moderator("hf"), **ANSWERED),
    Row("toxic-bert refuses", ("rejected", "moderation"), on_own_post(), moderator("hf"),
        {"talker": ["You are an idiot."]}, sent={"text": 1, "moderation": 1}),
    Row("guard model passes", ("replied", "top_level"), on_own_post(),
        moderator("chat", chat_backend="openai", chat_model="llama-guard-4"), **ANSWERED),
    Row("guard model refuses", ("rejected", "moderation"), on_own_post(),
        moderator("chat", chat_backend="openai", chat_model="llama-guard-4"), {"talker": ["You are an idiot."]},
        sent={"text": 1, "moderation": 1}),
    Row("guard model that says something else", ("failed", "moderation_unavailable"), on_their_post(),
        moderator("chat", chat_backend="openai", chat_model="llama-guard-4"),
        {"talker": [GOOD], "llama-guard-4": ["I think so."] * 5}, act=as_listed, sent={"text": 1, "moderation": 2}),
    Row("all of two moderators must pass", ("rejected", "moderation"), on_own_post(),
        {"safety": {"moderators": ["openai", "perspective"], "toxicity_threshold": {"TOXICITY": 0.0}}},
        sent={"text": 1, "moderation": 2}),
    Row("no moderator, on purpose", ("replied", "top_level"), on_own_post(),
        {"safety": {"moderators": [], "unmoderated": True}}, sent={"text": 1}, published=(GOOD,)),
    Row("nothing publishable", ("rejected", "unpublishable"), on_own_post(), says={"talker": ["u/ann: And you?"]},
        sent={"text": 1}),
    Row("an assistant's voice", ("rejected", "unpublishable"), on_own_post(),
        says={"talker": ["As an AI language model, I cannot be a duck."]}, sent={"text": 1}),
    Row("the same as before", ("rejected", "duplicate"), on_own_post(), act=again(author="bob"),
        says={"talker": [GOOD, GOOD]}, sent={"text": 2, "moderation": 1}, published=(GOOD,)),
    Row("stops where it speaks for others", ("replied", "top_level"), on_own_post(),
        says={"talker": [f"{GOOD}\n\nu/ann: And how deep is that?"]}, **ANSWERED),
    Row("reasoning is no answer", ("replied", "top_level"), on_own_post(),
        says={"talker": [f"<think>The user asks about depth.</think>{GOOD}"]}, **ANSWERED),
    Row("a link is not published", ("rejected", "unpublishable"), on_own_post(),
        says={"talker": ["See https://spam.example for it."]}, sent={"text": 1}),
    Row("a link, where links are allowed", ("replied", "top_level"), on_own_post(), moderator("openai", allow_links=True),
        {"talker": ["See https://pond.example for it."]}, sent={"text": 1, "moderation": 1},
        published=("See https://pond.example for it.",)),
    Row("footer", ("replied", "top_level"), on_own_post(), {"reply": {"footer": "*A bot by u/op*"}},
        sent=ANSWERED["sent"], published=(f"{GOOD}\n\n*A bot by u/op*",)),
    Row("the best of two", ("replied", "top_level"), on_own_post(), RANK,
        {"talker": [(GOOD, OTHER)], "microsoft/DialogRPT-updown": [0.2, 0.7]},
        sent={"text": 1, "moderation": 2, "rank": 2}, published=(OTHER,)),
    Row("the first of equals", ("replied", "top_level"), on_own_post(), RANK,
        {"talker": [(GOOD, OTHER)], "microsoft/DialogRPT-updown": [0.5, 0.5]},
        sent={"text": 1, "moderation": 2, "rank": 2}, published=(GOOD,)),
    Row("ranker not served: the first", ("replied", "top_level"), then(on_own_post(), gone("microsoft/DialogRPT-updown")),
        RANK, {"talker": [(GOOD, OTHER)]}, sent={"text": 1, "moderation": 2, "rank": 1}, published=(GOOD,)),
    Row("the candidate that passes is not ranked against the refused", ("replied", "top_level"), on_own_post(), RANK,
        {"talker": [("You idiot.", OTHER)]}, sent={"text": 1, "moderation": 2}, published=(OTHER,)),
    # Pictures that people post.
    Row("picture described by azure", ("replied", "chance"), a_picture, {"images": {"caption": "azure"}},
        sent={"text": 1, "moderation": 1, "caption": 1}, published=(GOOD,),
        also=lambda theatre: "a picture: " in theatre.prompts()[0]),
    Row("picture described by a vision model", ("replied", "chance"), a_picture,
        {"images": {"caption": "chat", "caption_backend": "openai", "caption_model": "vision-model"}},
        {"talker": [GOOD], "vision-model": ["A duck in a hat."]}, sent={"text": 1, "moderation": 1, "caption": 1},
        published=(GOOD,), also=lambda theatre: "A duck in a hat" in theatre.prompts()[0]),
    Row("picture that nobody describes", ("replied", "chance"), a_picture, **ANSWERED,
        also=lambda theatre: "a picture without a description" in theatre.prompts()[0]),
    Row("describing fails", ("replied", "chance"),
        then(a_picture, faulty(action=Action.STATUS, service="azure", status=500)), {"images": {"caption": "azure"}},
        sent={"text": 1, "moderation": 1, "caption": 1}, published=(GOOD,),
        also=lambda theatre: "a picture without a description" in theatre.prompts()[0]),
    # Models and services that fail.
    Row("model not served", ("failed", "model_gone"), on_their_post(), says={}, act=with_troupe(
        lambda troupe: troupe.theatre.services.gone.add("talker")), sent={"text": 1}),
    Row("model out of credit", ("failed", "model_gone"), on_their_post(), act=as_listed,
        says=failing_text(402, {"error": {"message": "Insufficient credits"}}), sent={"text": 1}),
    Row("model overloaded for good", ("failed", "model_unavailable"), on_their_post(), act=as_listed,
        says=failing_text(503, {"error": {"message": "overloaded"}}), sent={"text": 6}),
    Row("model overloaded once", ("replied", "top_level"), on_own_post(),
        says={"talker": [json_response({"error": {"message": "overloaded"}}, status=503), GOOD]},
        sent={"text": 2, "moderation": 1}, published=(GOOD,)),
    Row("model refuses this prompt", ("failed", "model_refused"), on_own_post(), act=as_listed,
        says=failing_text(400, {"error": {"message": "content policy"}}), sent={"text": 2}),
    Row("prompt too long once", ("replied", "top_level"), on_own_post(),
        says={"talker": [json_response({"error": {"message": "maximum context length"}}, status=400), GOOD]},
        sent={"text": 2, "moderation": 1}, published=(GOOD,)),
    Row("prompt too long for good", ("failed", "too_long"), on_own_post(), act=as_listed,
        says=failing_text(413, {"error": {"message": "too large"}}), sent={"text": 2}),
    Row("an error inside a 200", ("failed", "model_gone"), on_their_post(), act=as_listed,
        says=failing_text(200, {"error": {"code": 402, "message": "no credit"}}), sent={"text": 1}),
    Row("garbage twice", ("failed", "model_unavailable"), on_their_post(), act=as_listed,
        says={"talker": [Response(body=b"<html>", content_type="text/html")] * 3}, sent={"text": 2}),
    Row("model overloaded for good: an answer to us waits, though a listing showed it first",
        ("deferred", "model_unavailable"), answer_to_us(), act=as_listed,
        says=failing_text(503, {"error": {"message": "overloaded"}}), sent={"text": 6}),
    Row("model overloaded for good: a comment on our post waits", ("deferred", "model_unavailable"), on_own_post(),
        act=as_listed, says=failing_text(503, {"error": {"message": "overloaded"}}), sent={"text": 6}),
    Row("model overloaded for good: no second time where the inbox is off", ("failed", "model_unavailable"),
        on_own_post(), {"reply": {"inbox": {"comments": False}}}, act=as_listed,
        says=failing_text(503, {"error": {"message": "overloaded"}}), sent={"text": 6}),
    Row("garbage twice: an answer to us waits", ("deferred", "model_unavailable"), answer_to_us(),
        says={"talker": [Response(body=b"<html>", content_type="text/html")] * 3}, act=a_day_of_time,
        sent={"text": 2}),
    Row("the fallback answers for a model that is gone", ("replied", "top_level"), then(on_own_post(), gone("talker")),
        {"reply": {"fallbacks": [{"backend": "groq", "model": "second"}]}}, {"second": [GOOD]},
        sent={"text": 2, "moderation": 1}, published=(GOOD,)),
    Row("a free fallback answers when the budget is used up", ("replied", "top_level"), on_own_post(),
        {"character_budget": 10, "reply": {"fallbacks": [{"backend": "ollama", "model": "second"}]}}, {"second": [GOOD]},
        **ANSWERED),
    Row("moderator down", ("failed", "moderation_unavailable"),
        then(on_their_post(), faulty(action=Action.STATUS, path="*/moderations", status=500)), act=as_listed,
        sent={"text": 1, "moderation": 5}),
    Row("moderator down: an answer to us waits", ("deferred", "moderation_unavailable"),
        then(on_own_post(), faulty(action=Action.STATUS, path="*/moderations", status=500)),
        act=a_day_of_time, sent={"text": 1, "moderation": 5}),
    Row("moderator answers nonsense: an answer to us waits", ("deferred", "moderation_unavailable"),
        then(on_own_post(), faulty(action=Action.ABSURD, path="*/moderations", body="html")),
        act=a_day_of_time, sent={"text": 1, "moderation": 2}),
    Row("no quota process", ("failed", "quota_unavailable"), on_their_post(), act=with_troupe(quota_away)),
    # Reddit itself.
    Row("forbidden to write", ("failed", "refused"), on_own_post(),
        act=changed_in_between(lambda theatre, _item: theatre.forum.ban(BOT, HOME)), sent=ANSWERED["sent"],
        also=lambda theatre: theatre.news.places == [HOME]),
    Row("locked while the model wrote", ("failed", "refused"), on_own_post(),
        act=changed_in_between(lambda theatre, item: theatre.plan.add(Rule(
            Action.STATUS, service="reddit", path="/api/comment*", status=200,
            body='{"json": {"errors": [["THREAD_LOCKED", "locked", "parent"]]}}', content_type="application/json"))),
        sent=ANSWERED["sent"]),
    Row("the answer to the write is lost", ("replied", "top_level"),
        then(on_own_post(), faulty(action=Action.RESET, service="reddit", path="/api/comment*", count=1, when=When.AFTER)),
        sent=ANSWERED["sent"], published=(GOOD,), also=lambda theatre: theatre.write_requests() == 1),
    Row("the write is lost on its way", ("replied", "top_level"),
        then(on_own_post(), faulty(action=Action.RESET, service="reddit", path="/api/comment*", count=1, when=When.BEFORE)),
        sent=ANSWERED["sent"], published=(GOOD,), also=lambda theatre: theatre.write_requests() == 2),
    Row("nobody can say what became of the write", ("failed", "unknown_outcome"), on_own_post(),
        act=changed_in_between(lambda theatre, _item: (
            theatre.plan.add(Rule(Action.RESET, service="reddit", path="/api/comment*", when=When.AFTER)),
            # The look before the write still works.
            theatre.plan.add(Rule(Action.STATUS, service="reddit", path="/user/*", status=503, nth=2, count=1000)))),
        sent=ANSWERED["sent"], published=(GOOD,)),
    Row("told to wait longer than there is time", ("failed", "deadline"), on_own_post(),
        act=changed_in_between(lambda theatre, _item: theatre.plan.add(Rule(
            Action.STATUS, service="reddit", path="/api/comment*", status=200, content_type="application/json",
            body='{"json": {"ratelimit": 4000, "errors": [["RATELIMIT", "Take a break for 66 minutes", "ratelimit"]]}}'))),
        sent=ANSWERED["sent"]),
    Row("Reddit away while the thread is read", ("failed", "platform_down"), on_their_post(), act=changed_in_between(
        lambda theatre, _item: theatre.plan.add(Rule(Action.STATUS, service="reddit", path="/comments/*", status=503)),
        listed=True)),
    Row("Reddit has enough of our reading", ("failed", "rate_limited"), on_their_post(), act=changed_in_between(
        lambda theatre, _item: theatre.plan.add(Rule(Action.STATUS, service="reddit", path="/comments/*", status=429,
                                                     headers={"x-ratelimit-reset": "590"})), listed=True)),
    # Posts.
    Row("post of a fine-tuned model", ("published", "scheduled"), config=post(), says={"own-gpt2": [SSI]}, act=make_post,
        sent=ANSWERED["sent"], published=(f"{TITLE}\n{BODY}",)),
    Row("post of a chat model", ("published", "scheduled"),
        config=post(backend="openai", model="talker", format="plain"), says={"talker": [CHAT_POST]}, act=make_post,
        sent=ANSWERED["sent"], published=(f"{TITLE}\n{BODY}",)),
    Row("post of a base model: two requests", ("published", "scheduled"),
        config=post(backend="base", model="base-model", format="plain"), says={"base-model": [f" {TITLE}\n", BODY]},
        act=make_post, sent={"text": 2, "moderation": 1}, published=(f"{TITLE}\n{BODY}",)),
    Row("post by the reply model", ("published", "scheduled"), config={"post": {"schedule": ["12:00"]}},
        says={"talker": [CHAT_POST]}, act=make_post, sent=ANSWERED["sent"], published=(f"{TITLE}\n{BODY}",)),
    Row("post that the operator asked for", ("published", "asked"), config=post(), says={"own-gpt2": [SSI]},
        act=asked_post, sent=ANSWERED["sent"], published=(f"{TITLE}\n{BODY}",)),
    Row("a chat model writes for a fine-tuned one that is gone", ("published", "scheduled"),
        config=post(fallbacks=[{"backend": "openai", "model": "talker"}]), says={"talker": [CHAT_POST]},
        arrange=lambda theatre: gone("own-gpt2")(theatre, "") or "", act=make_post, sent={"text": 2, "moderation": 1},
        published=(f"{TITLE}\n{BODY}",)),
    Row("post with a flair", ("published", "scheduled"),
        config=post(flair_id="00000000-0000-4000-8000-000000000001"), says={"own-gpt2": [SSI]}, act=make_post,
        sent=ANSWERED["sent"], published=(f"{TITLE}\n{BODY}",),
        also=lambda theatre: theatre.forum.submissions(author=BOT)[0].flair is not None),
    Row("post in a dry run", ("skipped", "dry_run"), config=post() | {"dry_run": True}, says={"own-gpt2": [SSI]},
        act=make_post, sent=ANSWERED["sent"]),
    Row("as many posts as a day may have", ("skipped", "max_per_day"), config=post(max_per_day=0), act=make_post),
    Row("post in a subreddit that banned the bot", ("skipped", "banned"), config=post(),
        act=with_troupe(ban, make_post)),
    Row("post without a budget", ("skipped", "over_budget"), config=post() | {"character_budget": 3}, act=make_post),
    Row("post that is refused, then one that is not", ("published", "scheduled"), config=post(),
        says={"own-gpt2": [SSI.replace("duck", "idiot"), SSI]}, act=make_post, sent={"text": 2, "moderation": 2},
        published=(f"{TITLE}\n{BODY}",)),
    Row("the second candidate is the first that passes", ("published", "scheduled"), config=post(),
        says={"own-gpt2": [(SSI.replace("duck", "idiot"), SSI)]}, act=make_post, sent={"text": 1, "moderation": 2},
        published=(f"{TITLE}\n{BODY}",)),
    Row("post that is refused each time", ("rejected", "moderation"), config=post(tries=2),
        says={"own-gpt2": [SSI.replace("duck", "idiot")] * 2}, act=make_post, sent={"text": 2, "moderation": 2}),
    Row("post with a forbidden word", ("rejected", "keyword"),
        config=post(tries=1) | moderator("openai", negative_keywords=["dive"]), says={"own-gpt2": [SSI]}, act=make_post,
        sent={"text": 1}),
    Row("text that is no post", ("rejected", "unpublishable"), config=post(tries=1), says={"own-gpt2": ["quack quack"]},
        act=make_post, sent={"text": 1}),
    Row("post that was made before", ("rejected", "duplicate"), config=post(tries=1), says={"own-gpt2": [SSI]},
        arrange=lambda theatre: theatre.own_post(TITLE, BODY), act=make_post, sent={"text": 1}),
    Row("post whose answer is lost", ("published", "scheduled"), config=post(), says={"own-gpt2": [SSI]},
        arrange=lambda theatre: str(theatre.plan.add(Rule(
            Action.RESET, service="reddit", path="/api/submit*", count=1, when=When.AFTER))) and "",
        act=make_post, sent=ANSWERED["sent"], published=(f"{TITLE}\n{BODY}",)),
    Row("picture of a title", ("published", "scheduled"), config=PICTURE, says={"own-gpt2": [SSI_LINK]}, act=make_post,
        sent={"text": 1, "moderation": 1, "picture": 1}, published=(f"{TITLE}\n",),
        also=lambda theatre: theatre.forum.submissions(author=BOT)[0].is_picture),
    Row("picture by an OpenAI-style server", ("published", "scheduled"),
        config=post(link_share=1.0) | {"images": {"generate_backend": "openai", "generate_model": "painter"}},
        says={"own-gpt2": [SSI_LINK]}, act=make_post, sent={"text": 1, "moderation": 1, "picture": 1},
        published=(f"{TITLE}\n",), also=lambda theatre: theatre.forum.submissions(author=BOT)[0].is_picture),
    Row("picture enlarged by DeepAI", ("published", "scheduled"),
        config=PICTURE | {"images": PICTURE["images"] | {"upscale": "deepai"}}, says={"own-gpt2": [SSI_LINK]},
        act=make_post, sent={"text": 1, "moderation": 1, "picture": 1, "upscale": 1}, published=(f"{TITLE}\n",),
        also=lambda theatre: theatre.forum.submissions(author=BOT)[0].is_picture),
    Row("picture service gone: a text instead", ("published", "scheduled"), config=PICTURE,
        says={"own-gpt2": [SSI_LINK, SSI]}, arrange=lambda theatre: gone("stable-diffusion")(theatre, "") or "",
        act=make_post, sent={"text": 2, "moderation": 2, "picture": 1}, published=(f"{TITLE}\n{BODY}",)),
    Row("picture service down at the last try", ("failed", "picture_unavailable"),
        config=PICTURE | {"post": PICTURE["post"] | {"tries": 1}}, says={"own-gpt2": [SSI_LINK]},
        arrange=lambda theatre: str(theatre.plan.add(Rule(Action.STATUS, path="*diffusion*", status=503))) and "",
        act=make_post, sent={"text": 1, "moderation": 1, "picture": 1}),
    Row("picture with a refused title is never made", ("rejected", "moderation"),
        config=PICTURE | {"post": PICTURE["post"] | {"tries": 1}}, says={"own-gpt2": [SSI_LINK.replace("duck", "idiot")]},
        act=make_post, sent={"text": 1, "moderation": 1}),
)
# fmt: on

#: Reasons that no situation here can make: one that is not final; what only a mistake of ours makes (a worker's unit
#: test); and those of commands to a bot that does not do such a thing (test_try_post).
NOT_HERE = {Why.NEEDS_SCORE, Why.ERROR, Why.REPLY_OFF, Why.POST_OFF}
#: Reasons of the pace, which hangs on the hour of the day (tests/unit/quota/test_pace.py, tests/unit/brain).
BY_THE_HOUR = {Why.PACE}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_scenario(row: Row) -> None:
    """One situation: its end, its reason, what was sent, what was published."""
    with Theatre(row.config) as theatre:
        for model, answers in row.says.items():
            theatre.services.script(model, answers)
        ref = row.arrange(theatre)
        ends: list[Verdict | Deferred] = []
        before = set(theatre.written())

        async def act(troupe: Troupe) -> None:
            ends.append(await (row.act(troupe, ref) if row.act else troupe.handle(ref)))

        theatre.perform(act)
        assert describe(ends[0]) == row.end, theatre.news.troubles
        assert theatre.sent() == dict(row.sent)
        made = [text for ref, text in theatre.written().items() if ref not in before]
        assert tuple(made) == row.published
        assert row.also(theatre)


def describe(end: Verdict | Deferred) -> End:
    return ("deferred", end.why.value) if isinstance(end, Deferred) else (end.outcome.value, end.why.value)


def test_scenarios__reach_every_reason() -> None:
    """The table has at least eighty rows, and each reason that the code can give."""
    reached = {Why(row.end[1]) for row in ROWS}
    assert len(ROWS) >= 80
    assert set(Why) - reached - NOT_HERE - BY_THE_HOUR == set()


def test_scenario__a_pause_sends_nothing_and_ends_nothing() -> None:
    """What a paused bot has in hand is kept for later."""
    with Theatre() as theatre:
        ref = theatre.comment(theatre.own_post())

        async def act(troupe: Troupe) -> None:
            item, reason = await troupe.read(ref)
            troupe.quota.pause(troupe.config.name, paused=True)
            with pytest.raises(BotPaused):
                await troupe.answer(item, reason)

        theatre.perform(act)
        assert theatre.sent() == {}
        assert len(theatre.written()) == 1
