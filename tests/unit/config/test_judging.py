"""Which server can rank, moderate or tell topics: told by `--check`, before anything is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hotshotd.config import extras, judging

HEAD = """\
reddit:
  username: Keeper
  password_env: P
  client_id_env: I
  client_secret_env: S
  operator: somebody
  subreddits: [TestHome]
backstory: A lighthouse keeper.
safety: {moderators: [openai]}
"""
REPLY = HEAD + "reply: {backend: groq, model: m}\n"
OWN = """\
backends:
  own: {api: completions, url: "http://127.0.0.1:7997"}
  tgi: {api: hf, url: "http://127.0.0.1:3000"}
  crowd: {api: horde, url: "https://aihorde.net/api/v2"}
"""


def bot(extra: str, *, reply: str = "", safety: str = "moderators: [openai]") -> str:
    text = REPLY.replace("moderators: [openai]", safety).replace("model: m", f"model: m{reply}")
    return text + OWN + extra


@pytest.mark.parametrize(
    "text",
    [
        bot("rank: {backend: own, api: rerank}\n"),
        bot("rank: {backend: tgi, api: classify, gate_model: null}\n"),
        bot("rank: {backend: groq, api: judge, gate_model: big, rank_model: null}\n"),
        bot("rank: {backend: groq, api: judge, gate_model: null, rank_model: big}\n"),
        bot("", safety="moderators: [hf]"),
        bot("", safety="moderators: [hf], hf_backend: own, hf_model: x/y"),
        bot("", safety="moderators: [chat], chat_backend: groq, chat_model: guard, chat_policy: No ducks."),
        bot("", reply=", topics: [sea], topic_model: facebook/bart-large-mnli"),
        bot("", reply=", avoid_topics: [war], topic_backend: groq, topic_model: big"),
    ],
)
def test_check__takes_what_fits(text: str, faults_of: Callable[[str], list[str]]) -> None:
    """Each judge with a server that can be it."""
    assert faults_of(text) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (bot("rank: {api: rerank}\n"), "rank.backend: does not serve /rerank: name a server of your own"),
        (bot("rank: {backend: own}\n"), "rank.backend: has api completions, but rank.api hf needs"),
        (bot("rank: {backend: crowd, api: classify, gate_model: null}\n"), "rank.backend: has api horde"),
        (bot("rank: {backend: own, api: judge, gate_model: a, rank_model: b}\n"), "rank.backend: has api completions"),
        (bot("rank: {backend: groq, api: judge, gate_model: big}\n"), "rank.rank_model: must be written with rank.api"),
        (
            bot("rank: {backend: groq, api: judge, gate_model: microsoft/DialogRPT-width, rank_model: null}\n"),
            "rank.gate_model: must be written with rank.api judge: a chat model",
        ),
        (bot("", safety="moderators: [hf], hf_backend: groq"), "safety.hf_backend: has api chat, but moderator hf"),
        (
            bot("", safety="moderators: [chat], chat_backend: own, chat_model: g"),
            "safety.chat_backend: has api completions, but moderator chat needs",
        ),
        (bot("", safety="moderators: [chat], chat_backend: groq"), "safety.chat_model: moderator chat needs"),
        (
            bot("", reply=", topics: [sea], topic_backend: own, topic_model: m"),
            "reply.topic_backend: has api completions, but topics need",
        ),
    ],
)
def test_check__names_what_does_not_fit(text: str, told: str, faults_of: Callable[[str], list[str]]) -> None:
    """One fault each, with the key and what would fit."""
    faults = faults_of(text)
    assert len(faults) == 1, faults
    assert faults[0].partition(": ")[2].startswith(told)


def test_check__a_bot_that_only_posts_needs_no_ranker(faults_of: Callable[[str], list[str]]) -> None:
    """Nothing is ranked where nothing is answered."""
    text = HEAD + "post: {schedule: ['09:00'], model: x}\nrank: {api: judge}\n"
    assert faults_of(text) == []


@pytest.mark.parametrize(
    ("package", "languages", "told"),
    [
        (None, "[en]", "moderator local needs a package: pip install 'hotshotd[local-light]'"),
        ("profanity_check", "[de]", "what moderator local uses here knows English only"),
        ("profanity_check", "[en, en-GB]", ""),
        ("profanity_check", "null", ""),
        ("detoxify", "[de, fr]", ""),
    ],
)
def test_check__local_needs_a_package(
    package: str | None,
    languages: str,
    told: str,
    faults_of: Callable[[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fault stands at the moderator and holds the command that mends it."""
    monkeypatch.setattr(judging, "find_local_package", lambda: package)
    faults = faults_of(bot("", safety=f"moderators: [openai, local], languages: {languages}"))
    assert [fault.partition("safety.moderators[1]: ")[2][: len(told)] for fault in faults] == ([told] if told else [])


def test_find_local_package__prefers_the_better_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who installed detoxify wants it."""
    installed = {"detoxify", "profanity_check"}
    monkeypatch.setattr(extras, "is_installed", lambda name: name in installed)
    assert extras.find_local_package() == "detoxify"
    installed.remove("detoxify")
    assert extras.find_local_package() == "profanity_check"
    installed.clear()
    assert extras.find_local_package() is None


def test_is_installed__looks_without_importing() -> None:
    """A package that is there, one that is not, and a name that is none."""
    assert extras.is_installed("json")
    assert not extras.is_installed("no_such_package_at_all")
    assert not extras.is_installed("")


def test_check__judges_need_the_keys_of_their_servers(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each moderator's own server, the topics' and the judge's; `local` needs none; a ranker's is a warning only."""
    monkeypatch.setattr(judging, "find_local_package", lambda: "detoxify")
    safety = "moderators: [hf, chat, local], chat_backend: mistral, chat_model: guard"
    topics = ", topics: [sea], topic_backend: gemini, topic_model: big"
    rank = "rank: {backend: openrouter, api: judge, gate_model: big, rank_model: null}\n"
    folder.write_bot(bot(rank, safety=safety, reply=topics))
    environ = {"P": "p", "I": "i", "S": "s", "GROQ_API_KEY": "g"}
    told = folder.tell(folder.load(environ=environ, check_secrets=True))
    names = [name for name in ("HF_TOKEN", "MISTRAL_API_KEY", "GEMINI_API_KEY") if any(name in fault for fault in told)]
    assert names == ["HF_TOKEN", "MISTRAL_API_KEY", "GEMINI_API_KEY"]
    assert len(told) == 3, told
    environ |= dict.fromkeys(names, "x")
    assert folder.tell(folder.load(environ=environ, check_secrets=True)) == []
