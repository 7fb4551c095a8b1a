"""Moderation on this machine: the arithmetic of the light model, its loading, and detoxify from the disk."""

from __future__ import annotations

import io
import math
import sys
import threading
import types
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hotshotd.config import extras
from hotshotd.errors import ConfigError, InferenceError, InferenceNonsense, InferenceUnavailable
from hotshotd.inference import local
from hotshotd.inference.distill import PROBES, write_model
from hotshotd.inference.lexicon import Lexicon, load_lexicon
from hotshotd.inference.local import LocalModerator, load_detoxify, load_light, make_local_moderator, split_sentences
from hotshotd.inference.moderation import make_thresholds

WORDS = {"duck": 0, "idiot": 1, "lovely": 2, "stupid": 3, "hate": 4}
IDF = [1.0, 2.0, 1.5, 2.0, 3.0]
WEIGHTS = ([-1.0, 3.0, -2.0, 2.5, 1.0], [-0.5, 2.0, -1.0, 3.0, 0.5])


def score_by_hand(text: str) -> float:
    """Do what scikit-learn does, in the plainest way."""
    tokens = [word.strip(".,;!?\"'") for word in text.lower().replace("'", " ").split()]
    vector = [tokens.count(word) * IDF[number] for word, number in WORDS.items()]
    norm = math.sqrt(sum(value * value for value in vector)) or 1.0
    distances = [sum(a * b for a, b in zip(vector, row, strict=True)) / norm - 0.5 for row in WEIGHTS]
    return sum(1 / (1 + math.exp(-2.0 * distance + 0.25)) for distance in distances) / 2


def distill(score: Any = score_by_hand) -> bytes:
    """Print a small model with the shape of scikit-learn's."""
    vectorizer = types.SimpleNamespace(vocabulary_=WORDS, idf_=IDF)
    folds = [
        types.SimpleNamespace(
            estimator=types.SimpleNamespace(coef_=[row], intercept_=[-0.5]),
            calibrators=[types.SimpleNamespace(a_=-2.0, b_=0.25)],
        )
        for row in WEIGHTS
    ]
    out = io.BytesIO()
    write_model(
        out,
        words=vectorizer,
        model=types.SimpleNamespace(calibrated_classifiers_=folds),
        score=lambda texts: [score(text) for text in texts],
    )
    return out.getvalue()


@pytest.mark.parametrize("text", ["", "duck", "You stupid, STUPID idiot!", "lovely duck duck", "words unknown", "a"])
def test_lexicon__scores_as_the_package_does(text: str) -> None:
    """The arithmetic is that of tf-idf, a line for each fold, and their mean."""
    assert load_lexicon(distill()).score(text) == pytest.approx(score_by_hand(text), abs=1e-12)


def test_load_lexicon__checks_itself_against_the_package() -> None:
    """A package whose model works otherwise is refused, not used wrongly."""
    with pytest.raises(ValueError, match="not those of the package"):
        load_lexicon(distill(score=lambda text: score_by_hand(text) + (0.001 if text == PROBES[1] else 0)))


@pytest.mark.parametrize("cut", [0, 10, -8, -1])
def test_load_lexicon__refuses_a_cut_model(cut: int) -> None:
    """Half a model has no words that are wrong."""
    data = distill()
    with pytest.raises(ValueError, match="cut|Expecting|Unterminated"):
        load_lexicon(data[:cut])


def test_local__one_bad_sentence_in_a_long_text_counts() -> None:
    """Words around it do not hide it."""
    judge = LocalModerator(make_thresholds(0.9), load=lambda: local.LightModel(load_lexicon(distill())))
    long_text = "What a lovely duck. " * 400 + "You stupid idiot! " + "Lovely duck. " * 400
    assert not judge.judge(long_text).ok
    assert judge.judge("What a lovely duck. " * 400).ok
    assert judge.judge(" \n").ok


def test_split_sentences__loses_no_word() -> None:
    """Sentences, lines and pieces of what has no end."""
    text = "One. Two! Three?\nFour " + "x" * 700
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())
    assert all(len(piece.encode()) <= local.SENTENCE_BYTES for piece in split_sentences(text))


@dataclass
class Loader:
    """Loads a model at the second try, and counts."""

    scores: Mapping[str, Any]
    failures: int = 0
    tries: int = field(default=0)

    def __call__(self) -> Loader:
        self.tries += 1
        if self.tries <= self.failures:
            raise InferenceUnavailable("not now")
        return self

    def score(self, text: str) -> Mapping[str, Any]:
        return self.scores


def test_local__loads_once_and_after_a_failure_again() -> None:
    """Without a model there is no verdict; the next text tries anew, and from then on it stays."""
    loader = Loader({"toxicity": 0.1}, failures=1)
    judge = LocalModerator(make_thresholds(0.9), load=loader)
    with pytest.raises(InferenceUnavailable):
        judge.judge("hi")
    assert judge.judge("hi").ok
    assert judge.judge("hi").ok
    assert loader.tries == 2


class WatchedLock:
    """A lock that says when somebody comes for it."""

    def __init__(self) -> None:
        self.came = threading.Semaphore(0)
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self.came.release()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_local__texts_that_waited_for_a_failure_share_it() -> None:
    """Three texts at once are one try, or the last would wait for three; a later text tries again."""
    gate, lock = threading.Event(), WatchedLock()
    tries: list[int] = []

    def load() -> NoReturn:
        tries.append(1)
        assert gate.wait(10)
        raise InferenceUnavailable("not now")

    judge = LocalModerator(make_thresholds(0.9), load=load, _lock=lock)  # type: ignore[arg-type]

    def ask() -> str:
        with pytest.raises(InferenceUnavailable) as caught:
            judge.judge("hi")
        return str(caught.value)

    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask) for _ in range(3)]
        for _ in asked:
            assert lock.came.acquire(timeout=10)
        gate.set()
        assert [future.result(10) for future in asked] == ["not now"] * 3
    assert len(tries) == 1
    assert ask() == "not now"
    assert len(tries) == 2


@pytest.mark.parametrize("scores", [{}, {"toxicity": math.nan}, {"toxicity": 1.5}, {"toxicity": None}])
def test_local__nonsense_never_passes(scores: dict[str, Any]) -> None:
    """A model without a sound score gives no verdict."""
    with pytest.raises(InferenceNonsense):
        LocalModerator(make_thresholds(0.9), load=Loader(scores)).judge("hi")


# --- what is installed ---


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder of packages that are the only ones of their names."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    installed = extras.is_installed
    monkeypatch.setattr(extras, "is_installed", lambda name: (tmp_path / name).exists() and installed(name))
    return tmp_path


def write_package(folder: Path, name: str, **modules: str) -> None:
    (folder / name).mkdir()
    for module, text in {"__init__": "", **modules}.items():
        (folder / name / f"{module}.py").write_text(text)


#: A package with the shape of alt-profanity-check, whose model is that of the tests above.
PROFANITY_CHECK = """
import math, os, types
WORDS = {words}
IDF = {idf}
assert "HOTSHOT_SECRET" not in os.environ
vectorizer = types.SimpleNamespace(vocabulary_=WORDS, idf_=IDF)
def _fold(row):
    return types.SimpleNamespace(
        estimator=types.SimpleNamespace(coef_=[row], intercept_=[-0.5]),
        calibrators=[types.SimpleNamespace(a_=-2.0, b_=0.25)],
    )
model = types.SimpleNamespace(calibrated_classifiers_=[_fold(row) for row in {weights}])
def predict_prob(texts):
    scores = {scores}
    return [scores[text] for text in texts]
"""


def test_load_light__reads_the_package_in_another_process(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is never imported here, and sees none of this process's secrets."""
    scores = {text: score_by_hand(text) for text in PROBES}
    code = PROFANITY_CHECK.format(words=WORDS, idf=IDF, weights=WEIGHTS, scores=scores)
    write_package(packages, "profanity_check", profanity_check=code)
    monkeypatch.setenv("HOTSHOT_SECRET", "hunter2")
    judge = make_local_moderator(make_thresholds(0.9), ["en-GB"])
    assert judge.judge("You stupid idiot!").why == f"toxicity {score_by_hand('stupid idiot'):.2f}"
    assert "profanity_check" not in sys.modules


@pytest.mark.parametrize(
    ("code", "why"), [("1 / 0", "ZeroDivisionError"), ("vectorizer = model = predict_prob = None", "AttributeError")]
)
def test_load_light__says_why_it_can_not(packages: Path, code: str, why: str) -> None:
    """A broken or unknown package is no verdict, and the message says what to do."""
    write_package(packages, "profanity_check", profanity_check=code)
    with pytest.raises(InferenceUnavailable, match=rf"{why}.*pip install --force-reinstall 'hotshotd\[local-light\]'"):
        load_light()


def test_load_light__the_real_package_scores_as_we_do() -> None:
    """Against scikit-learn itself, where it is installed."""
    package = pytest.importorskip("profanity_check", reason="the extra local-light is not installed")
    lexicon: Lexicon = load_light().lexicon
    for text in ("You are an idiot", "What a lovely duck", "I hate this, shut up", "", "x y z"):
        assert lexicon.score(text) == pytest.approx(float(package.predict_prob([text])[0]), abs=1e-9)


def test_make_local_moderator__wants_a_package(packages: Path) -> None:
    """Nothing installed is a fault with the command that mends it."""
    with pytest.raises(ConfigError, match=r"pip install 'hotshotd\[local-light\]'"):
        make_local_moderator(make_thresholds(0.9), None)


def test_make_local_moderator__the_light_one_knows_english_only(packages: Path) -> None:
    """It would pass anything in another language."""
    write_package(packages, "profanity_check")
    with pytest.raises(ConfigError, match="English only"):
        make_local_moderator(make_thresholds(0.9), ["en", "de"])


#: A package with the shape of detoxify; torch says where downloads are kept.
DETOXIFY = """
import os
MODEL_URLS = {"unbiased": "https://x/a.ckpt", "unbiased-small": "https://x/b.ckpt", "multilingual": "https://x/c.ckpt"}
assert os.environ["HF_HUB_OFFLINE"] == "1"
class Detoxify:
    def __init__(self, kind):
        self.kind = kind
    def predict(self, text):
        assert len(text.encode()) <= 1400
        return {"toxicity": 0.97 if "goose" in text else 0.02, "threat": 0.01, self.kind: 0.0}
"""


@pytest.fixture
def detoxify(packages: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install a detoxify, and give the folder of its downloads."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "0")
    downloads = packages / "hub" / "checkpoints"
    downloads.mkdir(parents=True)
    write_package(packages, "torch", hub=f"def get_dir(): return {str(packages / 'hub')!r}")
    (packages / "torch" / "__init__.py").write_text("from torch import hub")
    write_package(packages, "detoxify", detoxify=DETOXIFY)
    (packages / "detoxify" / "__init__.py").write_text("from detoxify.detoxify import Detoxify")
    for name in ("torch", "torch.hub", "detoxify", "detoxify.detoxify"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield downloads
    for name in ("torch", "torch.hub", "detoxify", "detoxify.detoxify"):
        sys.modules.pop(name, None)


def test_detoxify__takes_the_model_that_is_there_and_fetches_none(detoxify: Path) -> None:
    """The small English one was downloaded: it is used, and judges a long text in pieces."""
    (detoxify / "b.ckpt").touch()
    judge = make_local_moderator(make_thresholds({"TOXICITY": 0.9}), ["en"])
    verdict = judge.judge("a duck " * 900 + "a goose")
    assert (verdict.ok, verdict.why) == (False, "toxicity 0.97")
    assert "unbiased-small" in verdict.scores
    assert judge.judge("a duck " * 900).ok


def test_detoxify__says_how_to_download_a_model(detoxify: Path) -> None:
    """Other languages need the multilingual model; the English one on the disk does not do."""
    (detoxify / "a.ckpt").touch()
    with pytest.raises(InferenceError, match=r"""python -c .*Detoxify\('multilingual'\)"""):
        load_detoxify(only_english=False)
