"""What a picture shows, in one line: by Azure's Image Analysis, or by any chat model that sees.

The line comes from outside and goes into a prompt: it is cut, and cleaned of all that is no plain text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from hotshotd.errors import InferenceError, InferenceGone, InferenceNonsense
from hotshotd.inference.base import Endpoint, Picture, Prompt
from hotshotd.inference.chat import ChatWire
from hotshotd.inference.fetch import Fetcher
from hotshotd.inference.generation import HttpTextModel
from hotshotd.inference.http import SMALL_SECONDS, TEXT_SECONDS, Answer, Body, Call, ServiceSession, make_ask
from hotshotd.inference.parameters import Options
from hotshotd.inference.pictures import make_data_url
from hotshotd.inference.refusals import Problem

#: The longest caption, in characters.
MAX_CAPTION_CHARS = 300

#: What a chat model is asked; its characters are what a caption costs.
INSTRUCTION = "Describe this picture in one plain sentence. Answer with the sentence only."

#: Tokens for an answer of one sentence.
CAPTION_TOKENS = 100

#: Azure's header for the key.
AZURE_KEY_HEADER = "Ocp-Apim-Subscription-Key"

_QUOTES = {'"': '"', "“": "”", "'": "'", "\u2018": "\u2019", "«": "»", "„": "“"}


def clean_caption(text: str, *, where: str) -> str:
    """Give a caption as one line of at most `MAX_CAPTION_CHARS` visible characters.

    Raises:
        InferenceNonsense: If nothing is left.
    """
    plain = "".join(_clean_char(char) for char in text[: 20 * MAX_CAPTION_CHARS])
    line = _unquote(" ".join(plain.split()))
    if not any(char.isalnum() for char in line):
        raise InferenceNonsense(f"{where} gave a caption without a word")
    if len(line) <= MAX_CAPTION_CHARS:
        return line
    cut = line[:MAX_CAPTION_CHARS]
    return (cut.rpartition(" ")[0] or cut).rstrip()


def _clean_char(char: str) -> str:
    """Make line ends blanks, and drop control, format (zero-width, direction), private and broken characters."""
    if char.isspace():
        return " "
    return "" if unicodedata.category(char).startswith("C") else char


def _unquote(line: str) -> str:
    is_quoted = len(line) >= 2 and _QUOTES.get(line[0]) == line[-1]
    return line[1:-1].strip() if is_quoted else line


# --- Azure -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AzureVersion:
    """Where one version of Image Analysis is asked, and where its answer holds the caption."""

    path: str
    answer: tuple[str | int, ...]


AZURE_VERSIONS: dict[str, AzureVersion] = {
    "4.0": AzureVersion(
        path="computervision/imageanalysis:analyze"
        "?api-version=2024-02-01&features=caption&language=en&gender-neutral-caption=false",
        answer=("captionResult", "text"),
    ),
    "3.2": AzureVersion(
        path="vision/v3.2/describe?maxCandidates=1&language=en&model-version=latest",
        answer=("description", "captions", 0, "text"),
    ),
}


@dataclass(frozen=True, slots=True)
class AzureCaptioner:
    """Azure's Image Analysis. Thread-safe. `inline`: the picture is fetched here, and its bytes are sent."""

    endpoint: Endpoint
    session: ServiceSession = field(repr=False)
    version: AzureVersion = AZURE_VERSIONS["4.0"]
    inline: bool = False
    read_seconds: float = SMALL_SECONDS

    @property
    def name(self) -> str:
        return self.endpoint.name

    def describe(self, url: str) -> str:
        """Ask for a caption with one request, after a fetch where the picture travels inline.

        Raises:
            QuotaError: A request may not leave.
            InferenceError: There is no caption; `InferenceRejected` where it is for this picture's sake.
        """
        picture = _fetch(url, endpoint=self.endpoint, session=self.session) if self.inline else None
        call = Call(
            endpoint=self.endpoint,
            path=self.version.path,
            payload=None if picture else {"url": url},
            body=Body(picture.data, "application/octet-stream") if picture else None,
            ask=make_ask(self.endpoint, chars=0),
            read_seconds=self.read_seconds,
            sent_texts=(url,),
            key_header=AZURE_KEY_HEADER,
        )
        return self.session.send(call, parse=self._read, refine=_refine_azure, measure=len)

    def _read(self, answer: Answer) -> str:
        found = answer.json
        for step in self.version.answer:
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError):
                raise InferenceNonsense(f"{answer.where} answered without a caption; check `version`") from None
        if not isinstance(found, str):
            raise InferenceNonsense(f"{answer.where} answered with a caption that is no text")
        return clean_caption(found, where=answer.where)


def make_azure(endpoint: Endpoint, *, version: str | None, inline: bool, session: ServiceSession) -> AzureCaptioner:
    """Make the client of a version, which an address such as `.../vision/v3.2/describe` may name as well."""
    base, path = _split_azure_url(endpoint.url)
    named = "3.2" if "/vision/v3.2" in path else "4.0" if path else version or "4.0"
    own = Endpoint(name=endpoint.name, url=base, key=endpoint.key, metered=endpoint.metered, role=endpoint.role)
    return AzureCaptioner(endpoint=own, session=session, version=AZURE_VERSIONS[named], inline=inline)


def _split_azure_url(url: str) -> tuple[str, str]:
    starts = [url.find(mark) for mark in ("/vision/v3.2", "/computervision/imageanalysis")]
    start = max(starts)
    return (url, "") if start < 0 or not urlsplit(url).path else (url[:start], url[start:])


def _refine_azure(problem: Problem, error: InferenceError) -> InferenceError:
    if problem.status == 400 and problem.names("not supported in this region"):
        remedy = "it gives no captions in its region: set services.azure.version to 3.2"
        return InferenceGone(f"{error}; {remedy}", status=problem.status)
    return error


# --- chat models -----------------------------------------------------------------------------


class _SeeingWire(ChatWire):
    """A chat in which the one message has a picture."""

    def __init__(self, image_url: str) -> None:
        self._image_url = image_url

    def make_payload(self, prompt: Prompt, *, model: str, options: Options) -> dict[str, Any]:
        content = [
            {"type": "text", "text": prompt.text},
            {"type": "image_url", "image_url": {"url": self._image_url}},
        ]
        payload = super().make_payload(prompt, model=model, options=options)
        return {**payload, "messages": [{"role": "user", "content": content}]}


@dataclass(frozen=True, slots=True)
class ChatCaptioner:
    """A chat model that sees. Thread-safe. `inline`: the picture is fetched here, and travels as a `data:` address."""

    endpoint: Endpoint
    model: str
    session: ServiceSession = field(repr=False)
    inline: bool = False
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"max_tokens": CAPTION_TOKENS})
    read_seconds: float = TEXT_SECONDS

    @property
    def name(self) -> str:
        return f"{self.endpoint.name}:{self.model}"

    def describe(self, url: str) -> str:
        """Ask for a caption, with one request or two as `HttpTextModel` does.

        Raises:
            QuotaError: A request may not leave.
            InferenceError: There is no caption; `InferenceRejected` where it is for this picture's sake.
        """
        picture = _fetch(url, endpoint=self.endpoint, session=self.session) if self.inline else None
        model = HttpTextModel(
            wire=_SeeingWire(make_data_url(picture) if picture else url),
            endpoint=self.endpoint,
            model=self.model,
            session=self.session,
            parameters=self.parameters,
            read_seconds=self.read_seconds,
        )
        return clean_caption(model.generate(Prompt(INSTRUCTION)).texts[0], where=self.name)


def _fetch(url: str, *, endpoint: Endpoint, session: ServiceSession) -> Picture:
    return Fetcher(session=session, role=endpoint.role).fetch(url)
