"""Make `prompt_trace.jsonl.gz`: 60 invented threads of 500 things, always the same ones. Usage: make_trace.py [FILE]

It is a place where bots are welcome: nearly half of those who write are models that stop after 250 tokens, so their
texts are longer (medians of 700 characters for a post, 280 for a comment) than people's (450, 120); all have a long
tail. One post in five is a link without a text. Talk mostly goes on below the newest word. Nobody's words are in it:
sentences are put together from lists.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

TRACE = Path(__file__).with_name("prompt_trace.jsonl.gz")
SEED = 1
THREADS = 60
ITEMS = 500
DEEPEST = 12
BOT = "LighthouseBot"

PEOPLE = ("oak_and_iron", "nine_teapots", "Quietly-Loud", "mossbeard", "tinroof7")
MODELS = ("poet_gpt2", "grumpy-bot", "recipe_bot_9000", "AutoModerator")
OPENERS = (
    "Honestly,",
    "I think",
    "Well,",
    "To be fair,",
    "Nobody told me that",
    "My uncle says",
    "Back then",
    "Somehow",
)
SUBJECTS = (
    *("the old pump", "a wet dog", "my neighbour's boat", "this recipe", "the night train", "every second lamp"),
    *("the committee", "a borrowed ladder", "the whole village", "my left boot", "the radio", "that blue door"),
)
VERBS = (
    *("makes a noise like", "was never the same as", "reminds me of", "costs more than", "ended up under", "smells of"),
    *("belongs next to", "gets on well with", "was painted over by", "is older than", "waits for", "argues with"),
)
TAILS = (
    *(
        "",
        "",
        "these days",
        "when it rains",
        "for no good reason",
        "and I have the photos",
        "if you ask the right person",
    ),
    *("since the flood", "which explains a lot", "but only on Tuesdays", "so I went home", "and that was that"),
)
ENDS = (".", ".", ".", "!", "?", "...")


@dataclass(frozen=True, slots=True)
class Row:
    """One thing of the trace. `parent` is None for a post; `level` is 0 for a post, 1 for a top-level comment."""

    ref: str
    parent: str | None = None
    level: int = 0
    author: str | None = None
    title: str = ""
    text: str = ""
    link: str | None = None
    mention: bool = False


def make_trace() -> list[Row]:
    """Give the trace, every parent before its answers."""
    chance = random.Random(SEED)
    posts = [_make_post(chance, number) for number in range(THREADS)]
    threads = [[post] for post in posts]
    for number in range(ITEMS - THREADS):
        # A few threads get most of the talk.
        thread = threads[int(THREADS * chance.random() ** 2)]
        thread.append(_make_comment(chance, number, thread))
    return [row for thread in threads for row in thread]


def _make_post(chance: random.Random, number: int) -> Row:
    is_link = chance.random() < 0.2
    author = BOT if number % 5 == 3 else chance.choice(PEOPLE + MODELS)
    text = "" if is_link else _say(chance, median=450 if author in PEOPLE else 700, longest=4000)
    link = f"https://pictures.example/{number}" if is_link else None
    return Row(f"t3_{number:03}", None, 0, author, _sentence(chance)[:120], text, link)


def _make_comment(chance: random.Random, number: int, thread: list[Row]) -> Row:
    draw = chance.random()
    # To the newest, to the post, or to anything: how talk goes.
    parent = thread[-1] if draw < 0.7 else thread[0] if draw < 0.85 else chance.choice(thread)
    if parent.level >= DEEPEST:
        parent = thread[0]
    author = _choose_author(chance, parent)
    text = _say(chance, median=120 if author in PEOPLE else 280, longest=2000)
    mention = chance.random() < 0.03
    if author is None:
        text = "[deleted]"
    elif chance.random() < 0.03:
        text = f"{text} You nazi."
    elif mention:
        text = f"u/{BOT} {text}"
    return Row(f"t1_{number:03}", parent.ref, parent.level + 1, author, "", text, None, mention and author is not None)


def _choose_author(chance: random.Random, parent: Row) -> str | None:
    if chance.random() < 0.03:
        return None
    return BOT if parent.author != BOT and chance.random() < 0.15 else chance.choice(PEOPLE + MODELS)


def _say(chance: random.Random, *, median: int, longest: int) -> str:
    wanted = min(longest, int(median * chance.lognormvariate(0, 0.9)))
    sentences: list[str] = []
    while not sentences or sum(map(len, sentences)) < wanted - 40:
        sentences.append(_sentence(chance))
    paragraphs = (" ".join(sentences[at : at + 6]) for at in range(0, len(sentences), 6))
    return "\n\n".join(paragraphs)


def _sentence(chance: random.Random) -> str:
    if chance.random() < 0.15:
        return chance.choice(("No way.", "Same here!", "Why though?", "That tracks.", "Source?", "Fair enough."))
    subject = chance.choice(SUBJECTS)
    start = f"{chance.choice(OPENERS)} {subject}" if chance.random() < 0.4 else subject[0].upper() + subject[1:]
    words = (start, chance.choice(VERBS), chance.choice(SUBJECTS), chance.choice(TAILS))
    return " ".join(word for word in words if word) + chance.choice(ENDS)


def render_trace(rows: list[Row]) -> str:
    """Give the trace as it is written: one JSON object a line, without what is empty."""
    facts = ({name: value for name, value in asdict(row).items() if value} for row in rows)
    return "".join(json.dumps(fact, ensure_ascii=False) + "\n" for fact in facts)


def load_trace(path: Path = TRACE) -> Iterator[Row]:
    """Read a trace."""
    for line in gzip.decompress(path.read_bytes()).decode("utf-8").splitlines():
        yield Row(**json.loads(line))


def main() -> int:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TRACE
    # No time in the file: the same trace is the same bytes.
    target.write_bytes(gzip.compress(render_trace(make_trace()).encode("utf-8"), mtime=0))
    print(f"{target}: {ITEMS} things in {THREADS} threads, {target.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
