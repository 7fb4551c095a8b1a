"""Moderation on this machine, with what is installed: detoxify, or alt-profanity-check. Nothing is sent anywhere.

Both are loaded with the first text that is judged, in the bot's own process. Memory for each bot: detoxify about 1 GB
(torch and a model), alt-profanity-check 5 MB (only its numbers stay; scikit-learn is gone after a second). For several
bots with a large model, run one server with toxic-bert and use moderator `hf` with a backend of your own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import hotshotd
from hotshotd.config.extras import ENGLISH_ONLY, NO_LOCAL_MODEL, find_local_package, is_english, knows_languages
from hotshotd.errors import ConfigError, InferenceNonsense, InferenceUnavailable
from hotshotd.inference.base import Judgement
from hotshotd.inference.hf import read_number
from hotshotd.inference.lexicon import Lexicon, load_lexicon
from hotshotd.inference.moderation import Thresholds, judge_scores, pass_empty, read_scores, split_text

#: Pieces in which texts are looked at, in bytes: a sentence, for one word in a long text weighs nothing; what a
#: model of 512 tokens sees at once.
SENTENCE_BYTES = 300
WINDOW_BYTES = 1_400

#: How long the light model may take to load, in seconds: about one on a PC, ten on a small board.
LOAD_SECONDS = 60.0

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|\n+")

#: Models of detoxify that know English only, the better first, and the one for other languages.
_ENGLISH_MODELS = ("unbiased", "original", "unbiased-small", "original-small")
_WORLD_MODEL = "multilingual"


class LocalModel(Protocol):
    """Something in this process that gives each attribute of a text a score."""

    def score(self, text: str) -> Mapping[str, float]: ...


@dataclass(slots=True)
class LocalModerator:
    """Refuses a text when a counted attribute reaches its threshold. Thread-safe, sends nothing, costs no characters.

    `load` makes the model when the first text comes. Where that fails there is no verdict, and the next text tries
    again.
    """

    thresholds: Thresholds
    load: Callable[[], LocalModel] = field(repr=False)
    name: str = "local"
    _model: LocalModel | None = field(default=None, repr=False)
    _failure: InferenceUnavailable | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def judge(self, text: str) -> Judgement:
        """Judge a text. Blocks for loading at first, then for the arithmetic: milliseconds, or a second with torch.

        Raises:
            InferenceUnavailable: The model can't be loaded; the message says what to do.
            InferenceNonsense: The model gave no scores.
        """
        if not text.strip():
            return pass_empty(self.name)
        known = self._failure
        with self._lock:
            # One text at a time: torch uses all cores for one, and its models are not made for more.
            if self._model is None:
                self._model = self._load(known)
            scores = read_scores(dict(self._model.score(text)), where="the local model")
        return judge_scores(scores, thresholds=self.thresholds, moderator=self.name)

    def _load(self, known: InferenceUnavailable | None) -> LocalModel:
        if self._failure is not None and self._failure is not known:
            # It failed while this text waited: another try right after would only make the next one wait longer.
            raise InferenceUnavailable(str(self._failure))
        try:
            return self.load()
        except InferenceUnavailable as exc:
            self._failure = exc
            raise


def make_local_moderator(thresholds: Thresholds, languages: Sequence[str] | None) -> LocalModerator:
    """Make the moderator of what is installed. Loads nothing yet.

    Raises:
        ConfigError: If nothing is, or what is can't judge these languages.
    """
    package = find_local_package()
    if package is None:
        raise ConfigError(NO_LOCAL_MODEL)
    if not knows_languages(package, languages or ()):
        raise ConfigError(ENGLISH_ONLY)
    if package == "detoxify":
        only_english = all(map(is_english, languages or ()))
        return LocalModerator(thresholds, load=lambda: load_detoxify(only_english=only_english))
    return LocalModerator(thresholds, load=load_light)


# --- alt-profanity-check ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LightModel:
    """The words of alt-profanity-check, sentence by sentence: the worst counts, as `toxicity`."""

    lexicon: Lexicon

    def score(self, text: str) -> Mapping[str, float]:
        return {"toxicity": max(map(self.lexicon.score, split_sentences(text)), default=0.0)}


def load_light() -> LightModel:
    """Read the model's numbers through a process of their own, without this one's secrets.

    Raises:
        InferenceUnavailable: If they are not to be had.
    """
    # Not in this process: the package would keep 100 MB in each bot, and threads.
    command = [sys.executable, "-m", "hotshotd.inference.distill"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LOAD_SECONDS,
            check=True,
            env=_make_environment(),
        )
        return LightModel(load_lexicon(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as exc:
        raise InferenceUnavailable(
            f"moderator local can't load alt-profanity-check ({_describe(exc)}): "
            "pip install --force-reinstall 'hotshotd[local-light]'"
        ) from exc


def _make_environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    folders = [str(Path(hotshotd.__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, folders)),
        "PYTHONSAFEPATH": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


def _describe(exc: Exception) -> str:
    if isinstance(exc, subprocess.CalledProcessError):
        lines = exc.stderr.decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:200] if lines else f"exit code {exc.returncode}"
    if isinstance(exc, subprocess.TimeoutExpired):
        return f"not done within {exc.timeout:g} s"
    return f"{type(exc).__name__}: {exc}"[:200]


def split_sentences(text: str) -> Iterator[str]:
    """Cut a text into its sentences, and long ones into pieces."""
    for sentence in _SENTENCE_END.split(text):
        yield from split_text(sentence, max_bytes=SENTENCE_BYTES)


# --- detoxify --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DetoxifyModel:
    """A model of detoxify; of a long text the worst piece counts."""

    model: Any = field(repr=False)

    def score(self, text: str) -> Mapping[str, float]:
        worst: dict[str, float] = {}
        for piece in split_text(text, max_bytes=WINDOW_BYTES):
            table = self.model.predict(piece)
            if not isinstance(table, dict) or not table:
                raise InferenceNonsense("detoxify gave no scores")
            for name, value in table.items():
                score = read_number(float(value), what=f"score for {name}", where="detoxify")
                worst[name] = max(score, worst.get(name, 0.0))
        return worst


def load_detoxify(*, only_english: bool) -> DetoxifyModel:
    """Load a model of detoxify that was downloaded before, from the disk alone.

    Raises:
        InferenceUnavailable: If none is there; the message says how to download one.
    """
    # Before the import: a bot's process fetches nothing by itself.
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    wanted = (*_ENGLISH_MODELS, _WORLD_MODEL) if only_english else (_WORLD_MODEL,)
    try:
        import torch
        from detoxify import Detoxify
        from detoxify.detoxify import MODEL_URLS

        folder = Path(torch.hub.get_dir()) / "checkpoints"
        kind = next((name for name in wanted if (folder / _name_file(MODEL_URLS, name)).is_file()), None)
        if kind is not None:
            return DetoxifyModel(Detoxify(kind))
    except Exception as exc:
        # Whatever torch, transformers or a damaged file raise: there is no verdict.
        raise InferenceUnavailable(
            f"moderator local can't load detoxify ({_describe(exc)}); {_advise(wanted)}"
        ) from exc
    raise InferenceUnavailable(f"moderator local finds no model of detoxify in {folder}; {_advise(wanted)}")


def _name_file(urls: Mapping[str, str], name: str) -> str:
    return urls.get(name, "/absent").rpartition("/")[2] or "absent"


def _advise(wanted: Sequence[str]) -> str:
    return (
        "download one once, as the daemon's user and with its TORCH_HOME and HF_HOME: "
        f'python -c "from detoxify import Detoxify; Detoxify({wanted[0]!r})"'
    )
