"""The model speaking instead of the character."""

# ruff: noqa: RUF001 - letters of other scripts are the point
from __future__ import annotations

import re

import pytest

from hotshotd.brain.ai_voice import parse_phrases
from hotshotd.brain.clean import CleanRules, Fault, clean_reply, clean_title

RULES = CleanRules()


@pytest.mark.parametrize(
    "raw",
    [
        "As an AI language model, I have no cat.",
        "Honestly, as a large\nlanguage model I can't say.",
        "As an AI, I don't sleep.",
        "I'm just an AI assistant, friend.",
        "I am ChatGPT, nice to meet you.",
        "I was trained by OpenAI.",
        "I’m sorry, but I can’t assist with that request.",
        "I'm sorry, but I can't continue this roleplay.",
        "I apologize, but I cannot provide that.",
        "Sorry, I can't help with that.",
        "My apologies, but as a friendly bot, I cannot generate that.",
        "I'm unable to provide that content.",
        "I cannot generate that kind of content.",
        "I'm not comfortable writing that kind of content.",
        "I must respectfully decline to answer.",
        "That goes against my guidelines.",
        "My knowledge cutoff is 2023.",
        "I don't have personal opinions, as an AI would say.",
        "The system prompt says no.",
        "Als KI-Sprachmodell habe ich keine Meinung.",
        "Ich bin nur ein Sprachmodell.",
        "Es tut mir leid, aber dabei kann ich nicht helfen.",
        "En tant que modèle de langage, je ne sais pas.",
        "En tant qu'IA, je ne dors pas.",
        "Je suis désolé, mais je ne peux pas répondre.",
        "Como modelo de lenguaje, no tengo opinión.",
        "Lo siento, pero no puedo ayudar con eso.",
        "Como um modelo de linguagem, não sei.",
        "Desculpe, mas não posso ajudar com isso.",
        "In quanto modello linguistico, non so.",
        "Mi dispiace, ma non posso aiutarti.",
        "Als AI-taalmodel heb ik geen mening.",
        "Som en AI-språkmodell vet jag inte.",
        "Jako model językowy nie wiem.",
        "Bir yapay zeka dil modeli olarak bilmiyorum.",
        "Как языковая модель, я не имею мнения.",
        "Извините, но я не могу помочь с этим.",
        "作为一个AI语言模型，我不能。",
        "作為一個人工智慧，我不行。",
        "很抱歉，我无法提供。",
        "AI言語モデルとして、意見はありません。",
        "申し訳ありませんが、お手伝いできません。",
        "AI 언어 모델로서 말할 수 없습니다.",
        "كنموذج لغوي لا أعرف.",
        "एक एआई भाषा मॉडल के रूप में मैं नहीं जानता।",
    ],
)
def test_clean__refuses_the_models_own_voice(raw: str) -> None:
    """A disclaimer or a refusal is no answer, in whatever language and with whatever apostrophe."""
    assert clean_reply(raw, RULES).refused == Fault.SPEAKS_AS_AI
    assert clean_title(raw, RULES).refused == Fault.SPEAKS_AS_AI


@pytest.mark.parametrize(
    "raw",
    [
        "I'm sorry, but I can't stand cats.",
        "I'm sorry, I can't help loving him.",
        "I am sorry. I can't help you move on Saturday.",
        "I can't help with the dishes.",
        "I'm just a robot, beep boop.",
        "I am an AI and I will rule you all.",
        "AI is overrated, and so are language models.",
        "My boss uses ChatGPT for everything.",
        "Claude is my uncle.",
        "I'm Claude from Lyon.",
        "He is as an aide should be.",
        "I must decline the cake.",
        "It goes against my grain.",
        "I can't write, I never learned it.",
        "Es tut mir leid, aber ich kann nicht kommen.",
        "Als kleines Kind war ich oft dort.",
        "Je suis désolé, mais je ne peux pas venir.",
        "Como un niño, lloré.",
        "Lo siento, pero no puedo ir.",
        "作为老师，我很高兴。",
        "抱歉，我迟到了。",
        "すみません、遅れました。",
        "죄송하지만 늦었어요.",
        "Извините, я опоздал.",
    ],
)
def test_clean__lets_characters_speak(raw: str) -> None:
    """People are sorry too, and robots may be characters."""
    assert clean_reply(raw, RULES).text == raw


def test_parse_phrases__fills_in_the_placeholders() -> None:
    """A space is any white space, an apostrophe either one; remarks and sections are for readers."""
    (phrase,) = parse_phrases("# remark\n\n[en]\n{cannot} go\n")
    assert all(re.fullmatch(phrase, text) for text in ("i can't go", "i can\u2019t\ngo", "i'm unable  to go"))
    assert not re.fullmatch(phrase, "i can go")
