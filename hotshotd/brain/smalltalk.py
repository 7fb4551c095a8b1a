"""What a model says around the text that it was asked for: an introduction, a closing remark. Both are taken off."""

from __future__ import annotations

import re

from hotshotd.brain.publishable import CleanRules

_WORK = (
    "(?:reply|response|comment|answer|post|title|message|version|draft|rewrite|continuation|take|antwort|kommentar|"
    "beitrag|réponse|commentaire|respuesta|comentario|resposta|comentário|risposta|commento)"
)
_EAGER = (
    r"(?:(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok|got it|understood|no problem|alright|"
    r"natürlich|klar|gerne|bien sûr|certo|certamente|claro|por supuesto)(?:[!.,:]+| -)\s*)"
)
_HERE_IS = (
    r"(?:here(?:['\u2019]s| is| are)|this is|below is|hier (?:ist|kommt)|voici|aquí (?:está|tienes|va)|"
    r"aqui (?:está|vai)|ecco)"
)
_MARKS = r"[\s*_#>\"\u201c]*"
#: "Sure! Here's a reply in character:", "Reply:". The colon is what tells them from an answer.
_INTRODUCTION = re.compile(
    rf"\A{_MARKS}{_EAGER}?{_HERE_IS} (?:[^\s:.!?]+ ){{0,6}}?{_WORK}\b[^:.!?\n]{{0,80}}:[*_]*\s*"
    rf"|\A{_MARKS}(?:my |your |bot )?(?:reply|response|in[- ]character(?: reply| response)?|generated (?:reply|text))"
    r"[*_]*:[*_]*\s*"
    # The role's name, where a server's template lost its marks.
    r"|\A\s*assistant\s*\n+"
    rf"|\A{_EAGER}i(?:['\u2019]ll| will|['\u2019]d be happy to) (?:write|answer|reply|respond|stay)\b[^\n]*"
    r"\b(?:character|reply|response|comment|prompt)\b[^\n]*\n+",
    re.IGNORECASE,
)
_OFFER = (
    r"(?:please )?(?:let me know|feel free to (?:ask|let me know)|would you like me)\b[^\n]*"
    r"\b(?:change|changes|adjust|adjusted|revise|rewrite|edit|tweak|another (?:reply|response|version|take)|"
    r"different (?:reply|response|version|take|tone)|modif\w+|shorter|longer|regenerate)\b"
)
_EXPLANATION = (
    r"(?:note|disclaimer|hinweis|nota|remarque)\b[*_]*\s*:[^\n]*"
    r"\b(?:in character|this (?:reply|response|comment|post)|the (?:reply|response|prompt|persona)|as an ai|"
    r"instructions)\b"
    r"|(?:this|the above) (?:reply|response|comment|answer)\b[^\n]*\b(?:character|prompt|persona|tone|backstory)\b"
    r"|(?:word|character) count\b"
)
_REMARK = re.compile(rf"[\s*_(\[\-]*(?:{_OFFER}|{_EXPLANATION})", re.IGNORECASE)
_RULE = re.compile(r"(?:-{3,}|\*{3,}|_{3,})")


def drop_introduction(text: str, _: CleanRules) -> str:
    """Take off what announces the text."""
    return _INTRODUCTION.sub("", text, count=1)


def drop_remarks(text: str, _: CleanRules) -> str:
    """Take off last paragraphs in which the model offers to do better, or explains what it wrote."""
    paragraphs = text.split("\n\n")
    if len(paragraphs) < 2 or not _REMARK.match(paragraphs[-1]):
        return text
    while len(paragraphs) > 1 and (_REMARK.match(paragraphs[-1]) or _RULE.fullmatch(paragraphs[-1].strip())):
        paragraphs.pop()
    return "\n\n".join(paragraphs)
