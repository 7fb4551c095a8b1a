"""People who speak to the bots all the time: most of what they write must be answered."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from itertools import islice

from chaoslib.cast import HOME, PLAZA, BotSpec
from hotshotd.sandbox.forum import Forum, Refusal

#: Seconds between two things that people write, unless a run says otherwise.
PACE_SECONDS = 0.6

_PEOPLE = tuple(f"person{number:02d}" for number in range(40))
_WORDS = (
    "pond", "goose", "lamp", "bread", "museum", "velcro", "stairs", "oven", "reed", "fog", "letter", "bicycle",
    "teapot", "ladder", "moon", "spoon",
)  # fmt: skip
_RUDE = "Shut up, you stupid idiot."
_FORBIDDEN = "Buy my crypto."


class Crowd:
    """Writes until `stop`, in a thread of its own. What is drawn depends on the seed and on what stands there."""

    def __init__(
        self, forum: Forum, cast: Sequence[BotSpec], chance: random.Random, *, pace_seconds: float = PACE_SECONDS
    ) -> None:
        self._pace_seconds = pace_seconds
        self._forum = forum
        self._cast = tuple(cast)
        self._posters = tuple(bot for bot in cast if "post:" in bot.text)
        self._chance = chance
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._live, name="crowd", daemon=True)
        self._quitters = 0
        for name in _PEOPLE:
            forum.add_account(name)
        self._acts: tuple[tuple[int, Callable[[], None]], ...] = (
            (52, self._comment_on_post),
            (26, self._mention),
            (8, self._post),
            (8, self._follow_up),
            (4, self._remark),
            (2, self._quit),
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let the one who is writing finish."""
        self._stopping.set()
        self._thread.join()

    def _live(self) -> None:
        weights = [weight for weight, _ in self._acts]
        while not self._stopping.wait(self._pace_seconds):
            ((_, act),) = self._chance.choices(self._acts, weights)
            try:
                act()
            except Refusal:
                continue

    # --- what they do -----------------------------------------------------------------------------

    def _comment_on_post(self) -> None:
        bot = self._chance.choice(self._posters) if self._posters else self._chance.choice(self._cast)
        posts = list(islice(self._forum.submissions(author=bot.name), 4))
        if not posts:
            self._mention()
            return
        self._forum.comment(self._who(), self._chance.choice(posts).fullname, self._say())

    def _mention(self) -> None:
        bot = self._chance.choice(self._cast)
        self._forum.comment(
            self._who(), self._find_place_to_speak(bot.homes[0]), f"{self._say()} What does u/{bot.name} think of it?"
        )

    def _post(self) -> None:
        place = self._chance.choice((HOME, PLAZA, PLAZA))
        self._forum.submit(self._who(), place, f"About a {self._word()} and a {self._word()}", self._say())

    def _follow_up(self) -> None:
        bot = self._chance.choice(self._cast)
        comments = [comment for comment in islice(self._forum.comments(author=bot.name), 6) if comment.level < 5]
        if comments:
            self._forum.comment(self._who(), self._chance.choice(comments).fullname, self._say())

    def _remark(self) -> None:
        posts = list(islice(self._forum.submissions(subreddit=PLAZA), 3))
        if posts:
            self._forum.comment(self._who(), self._chance.choice(posts).fullname, self._say())

    def _quit(self) -> None:
        """Somebody asks to be left alone, and speaks to the bot once more."""
        self._quitters += 1
        name = f"quitter{self._quitters}"
        bot = self._chance.choice(self._posters or self._cast)
        posts = list(islice(self._forum.submissions(author=bot.name), 1))
        if posts:
            self._forum.comment(name, posts[0].fullname, "Stop.")
            self._forum.comment(name, posts[0].fullname, self._say())

    # --- what they say ----------------------------------------------------------------------------

    def _find_place_to_speak(self, place: str) -> str:
        mine = [post for post in islice(self._forum.submissions(subreddit=place), 40) if post.author in _PEOPLE]
        if not mine or self._chance.random() < 0.2:
            return self._forum.submit(self._who(), place, f"Has anybody seen my {self._word()}?", self._say()).fullname
        return self._chance.choice(mine[:5]).fullname

    def _who(self) -> str:
        return self._chance.choice(_PEOPLE)

    def _word(self) -> str:
        return self._chance.choice(_WORDS)

    def _say(self) -> str:
        text = f"I saw a {self._word()} on a {self._word()} today. Why is the {self._word()} so quiet?"
        luck = self._chance.random()
        return f"{text} {_RUDE}" if luck < 0.05 else f"{text} {_FORBIDDEN}" if luck < 0.07 else text
