"""What a whole bot does in a real daemon besides answering: pictures, captions, manners, pace, an old file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import PLACE, World, wait_until

PICTURES = """\
images:
  generate_backend: openai
  generate_model: painter
  caption: azure
"""

OLD = """\
bot_username: duck
bot_subreddit: pond
bot_backstory: I am a duck.
reddit_pass_var: BOT_PASSWORD
reddit_ID_var: BOT_ID
reddit_secret_var: BOT_SECRET
HF_key_var: HF_TOKEN
Google_API_key_var: OPENAI_API_KEY
azure_token_var: NOT_SET
deepai_api_key_var: NOT_SET_EITHER
post_frequency: 0
linkpost_share: 0.0
post_textgen_model: old-gpt2
post_textgen_parameters: {max_new_tokens: 250}
post_flair:
reply_textgen_model: old-gpt-j
reply_textgen_parameters: {max_new_tokens: 250}
force_top_reply: true
followup_only: true
linkpost_only: false
reply_chance: 0.1
trigger_words: [who]
trigger_boost: 0.1
min_reply_score: 0.5
max_levels: 6
character_budget: 30000
negative_keywords:
toxicity_threshold: 0.9
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as world:
        yield world


def test_delete_below__takes_back_what_people_vote_down(world: World) -> None:
    """An own comment at the limit goes; one above it stays."""
    text = world.add_bot("duck")
    world.bot_file("duck").write_text(text.replace("  chance: 1.0", "  chance: 0.0\n  delete_below: -3"))
    post = world.forum.submit("ann", PLACE, "Ponds")
    hated, liked = (world.forum.comment("duck", post.fullname, words) for words in ("Quack you.", "Quack."))
    world.forum.vote(hated.fullname, -4)
    daemon = world.start()
    gone = daemon.wait_event("comment.deleted", thing=hated.fullname)
    assert gone["score"] == -3
    wait_until(lambda: world.forum.thing(hated.fullname).deleted, what="the deletion")  # type: ignore[union-attr]
    assert not world.forum.thing(liked.fullname).deleted  # type: ignore[union-attr]


def test_pictures__are_posted_and_described(world: World) -> None:
    """A picture of the title goes up to Reddit itself; a stranger's picture stands in the prompt with its caption."""
    post = "post: {schedule: {every: 1h}, backend: openai, model: duck-posts, format: plain, link_share: 1.0}"
    world.write_main(f"services: {{azure: {{url: {world.services.azure_url}, key_env: OPENAI_API_KEY}}}}\n")
    main = world.config.read_text().replace(
        f"services: {{perspective: {{url: {world.services.perspective_url}}}}}\n", ""
    )
    world.config.write_text(main)
    world.services.script("duck-posts", ["Title: The pond at noon"])
    world.services.script("duck-chat", ["A fine hat, but the water is finer."] * 3)
    world.add_bot("duck", post=post, more=PICTURES)
    daemon = world.start()
    daemon.wait_event("post.done", outcome="published")
    (made,) = world.forum.submissions(author="duck")
    assert (made.title, made.is_picture) == ("The pond at noon", True)
    assert len(world.reddit.uploads) == 1
    shown = world.forum.submit("ann", PLACE, "Look", "", url="https://i.example/hat.png", is_picture=True)
    daemon.wait_event("item.done", thing=shown.fullname, outcome="replied")
    assert len(world.services.azure.log.requests()) == 1
    prompts = [request.body.decode() for request in world.services.openai.log.requests("/v1/chat/completions")]
    assert any("a picture: " in prompt for prompt in prompts)


def test_pace__keeps_what_is_for_people_from_strangers(world: World) -> None:
    """More than two thirds of an even bot's budget at once: not for a stranger's post, whatever the hour."""
    text = world.add_bot("duck", budget=900)
    world.bot_file("duck").write_text(f"pace: even\n{text}")
    daemon = world.start()
    seen = world.forum.submit("ann", PLACE, "Ponds", "They are deep, and wet. " * 25)
    end = daemon.wait_event("item.done", thing=seen.fullname)
    assert (end["outcome"], end["reason"]) == ("skipped", "pace")
    world.bot_file("duck").write_text(text)
    assert world.ctl("reload").returncode == 0
    # The new worker reads it again: young enough, and not answered.
    daemon.wait_event("item.done", thing=seen.fullname, outcome="replied")


def test_old_file__of_hotshotbot_runs_with_one_notice(world: World) -> None:
    """Dropped in unchanged: it loads, says what has ended and how to mend it, and answers on the operator's server."""
    world.forum.add_account("duck", "quack")
    world.bot_file("duck").write_text(OLD)
    world.services.script("old-gpt-j", [" It is deep enough for a duck."])
    post = world.forum.submit("duck", PLACE, "Ask me")
    asked = world.forum.comment("ann", post.fullname, "How deep is the pond?")
    daemon = world.start()
    end = daemon.wait_event("item.done", thing=asked.fullname)
    assert (end["outcome"], end["reason"]) == ("replied", "top_level")
    notices = [entry for entry in daemon.events if "HotShotBot" in str(entry.get("error", ""))]
    assert len(notices) == 1
