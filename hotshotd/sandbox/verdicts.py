"""Verdicts: moderation as Perspective, OpenAI and Mistral put it on the wire, topics, and what a chat model is asked.

What is rude, and how good a reply is, is `textmodels`' to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hotshotd.sandbox.http import Response, json_response
from hotshotd.sandbox.textmodels import compute_share, is_rude, score_reply, score_rudeness

#: The longest comment that Perspective takes, in bytes of UTF-8.
MAX_COMMENT_BYTES = 20_480

_EVERYWHERE = frozenset(("en", "fr", "es", "de", "it", "pt", "ru"))
_ENGLISH = frozenset(("en",))

#: Perspective's attributes, and the languages each is served in.
ATTRIBUTES: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("TOXICITY", "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "THREAT"), _EVERYWHERE),
    **dict.fromkeys(
        (
            "SEXUALLY_EXPLICIT",
            "FLIRTATION",
            "ATTACK_ON_AUTHOR",
            "ATTACK_ON_COMMENTER",
            "INCOHERENT",
            "INFLAMMATORY",
            "LIKELY_TO_REJECT",
            "OBSCENE",
            "SPAM",
            "UNSUBSTANTIAL",
        ),
        _ENGLISH,
    ),
}

OPENAI_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)

MISTRAL_CATEGORIES = (
    "hate_and_discrimination",
    "sexual",
    "violence_and_threats",
    "dangerous_and_criminal_content",
    "selfharm",
    "health",
    "financial",
    "law",
    "pii",
    "jailbreaking",
)


def google_error(status: int, state: str, message: str, *details: Mapping[str, Any]) -> Response:
    """Make an error as Google's APIs do."""
    error: dict[str, Any] = {"code": status, "message": message, "status": state}
    return json_response({"error": {**error, "details": list(details)} if details else error}, status=status)


def _refuse(message: str) -> Response:
    return google_error(400, "INVALID_ARGUMENT", message)


def analyze_comment(body: Any, *, score: float | None = None) -> Response:
    """Answer comments:analyze; `score` takes the place of the computed one for every attribute."""
    comment = body.get("comment") if isinstance(body, dict) else None
    text = comment.get("text") if isinstance(comment, dict) else None
    if not isinstance(text, str) or not text.strip():
        return _refuse("Comment must be non-empty.")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_COMMENT_BYTES:
        return _refuse("Comment text too long.")
    wanted = body.get("requestedAttributes")
    if not isinstance(wanted, dict) or not wanted:
        return _refuse("No requested attributes.")
    languages = body.get("languages") or ["en"]
    for attribute in wanted:
        if attribute not in ATTRIBUTES:
            return _refuse(f"Unknown requested attribute: {attribute}")
        if unserved := [language for language in languages if language not in ATTRIBUTES[attribute]]:
            return _refuse(f"Attribute {attribute} does not support request languages: {','.join(unserved)}")
    scores = {name: _attribute(name, text, score) for name in wanted}
    answer = {"attributeScores": scores, "languages": languages, "detectedLanguages": ["en"]}
    return json_response({**answer, **({"clientToken": body["clientToken"]} if "clientToken" in body else {})})


def _attribute(name: str, text: str, score: float | None) -> dict[str, Any]:
    is_counted = name in ("TOXICITY", "INSULT", "PROFANITY", "ATTACK_ON_COMMENTER")
    computed = score_rudeness(text, attribute=name) if is_counted else round(0.2 * compute_share(name, text), 6)
    found = {"value": computed if score is None else score, "type": "PROBABILITY"}
    return {"spanScores": [{"begin": 0, "end": len(text), "score": found}], "summaryScore": found}


def moderate_openai(model: str, body: Any) -> Response:
    """Answer /moderations; a model called mistral-... answers in Mistral's categories and without `flagged`."""
    asked = body.get("input")
    texts = _inputs(asked)
    if texts is None:
        message = "Missing required parameter: 'input'." if asked is None else "'input' is of the wrong type."
        error = {"message": message, "type": "invalid_request_error", "param": "input", "code": None}
        return json_response({"error": error}, status=400)
    is_mistral = model.startswith("mistral")
    judge = _judge_mistral if is_mistral else _judge_openai
    named = model or "omni-moderation-latest"
    return json_response({"id": "modr-sandbox", "model": named, "results": [judge(text) for text in texts]})


def _inputs(asked: Any) -> list[str] | None:
    if isinstance(asked, str):
        return [asked]
    if not isinstance(asked, list) or not asked:
        return None
    if all(isinstance(text, str) for text in asked):
        return asked
    if all(isinstance(part, dict) for part in asked):
        return ["\n".join(str(part.get("text", "")) for part in asked)]
    return None


def _scores(categories: tuple[str, ...], text: str) -> dict[str, float]:
    """The first category is the one that rudeness falls under; the others stay low."""
    low = {name: round(0.05 * compute_share(name, text), 6) for name in categories[1:]}
    return {categories[0]: score_rudeness(text, attribute=categories[0]), **low}


def _judge_openai(text: str) -> dict[str, Any]:
    scores = _scores(OPENAI_CATEGORIES, text)
    types = {name: ["text"] for name in OPENAI_CATEGORIES}
    flags = {name: score >= 0.9 for name, score in scores.items()}
    return {
        "flagged": is_rude(text),
        "categories": flags,
        "category_scores": scores,
        "category_applied_input_types": types,
    }


def _judge_mistral(text: str) -> dict[str, Any]:
    scores = _scores(MISTRAL_CATEGORIES, text)
    return {"categories": {name: score >= 0.9 for name, score in scores.items()}, "category_scores": scores}


def match_each(text: str, labels: Iterable[str]) -> list[tuple[str, float]]:
    """Give a zero-shot model's opinion where labels do not compete: those that stand in the text are likely."""
    held = text.casefold()
    scores = [
        (label, round(0.9 + 0.09 * share if label.casefold() in held else 0.4 * share, 6))
        for label in labels
        for share in (compute_share(label, text),)
    ]
    return sorted(scores, key=lambda pair: pair[1], reverse=True)


_TOPIC = re.compile(r"^(\d+): (.+)$", re.MULTILINE)


def answer_question(model: str, texts: Sequence[str]) -> str | None:
    """Give what an obedient chat model answers to a question with a fixed form of answer; None where none is asked.

    `texts` are the messages. The form is what the first of several says: one word, a grade, or a line a topic.
    """
    rules, asked = texts[0].casefold(), texts[-1]
    if len(texts) < 2:
        return None
    if "one line for each topic" in rules:
        topics, _, text = asked.partition("\n\n")
        held = text.casefold()
        return "\n".join(
            f"{number}: {'yes' if label.casefold() in held else 'no'}" for number, label in _TOPIC.findall(topics)
        )
    if '"violation"' in rules:
        return '{"violation": 1}' if is_rude(asked) else '{"violation": 0}'
    if "one word: yes or no" in rules:
        return "Yes." if score_reply(model, asked) >= 0.5 else "No."
    return str(round(10 * score_reply(model, asked))) if "whole number from 0 to 10" in rules else None
