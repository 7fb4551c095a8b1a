"""What `--check` says about pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hotshotd.config.picturing import check_pictures, find_idle_pictures
from hotshotd.config.schema import BACKEND_PRESETS, SERVICE_PRESETS
from hotshotd.config.values import Blame


def ask(rule: Callable[[Any], Iterator[Blame]], **sections: Any) -> list[str]:
    """Give what a rule blames in a bot's keys, each as `key.path: what is wrong`."""
    data = {"backends": BACKEND_PRESETS, "services": SERVICE_PRESETS, **sections}
    return [f"{'.'.join(map(str, path))}: {why}" for path, why in rule(data)]


SHARE = {"link_share": 0.25}
CHAT = {"caption": "chat", "caption_backend": "groq", "caption_model": "qwen"}


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({}, []),
        ({"images": None, "post": None}, []),
        ({"images": {"caption": "none"}, "post": {"link_share": 0.0}}, []),
        ({"images": CHAT}, []),
        ({"images": {"caption": "chat"}}, ["images.caption_backend: caption", "images.caption_model: caption"]),
        ({"images": {**CHAT, "caption_model": None}}, ["images.caption_model: caption chat needs"]),
        ({"images": {**CHAT, "caption_backend": "hf"}}, ["images.caption_backend: has api hf, but caption chat"]),
        ({"images": {**CHAT, "caption_backend": "nobody"}}, []),
        ({"images": {"caption": "azure"}}, ["images.caption: azure needs services.azure.url"]),
        ({"images": {"caption": "azure"}, "services": {"azure": {"url": "https://mine.example"}}}, []),
        ({"post": SHARE}, ["post.link_share: link_share needs images.generate_model"]),
        ({"post": SHARE, "images": {"generate_model": "org/flux"}}, []),
        ({"post": SHARE, "images": {"generate_backend": "groq"}}, ["post.link_share: link_share needs"]),
        ({"post": SHARE, "images": {"generate_backend": "horde"}}, []),
        ({"post": {"link_share": "much"}, "images": "no"}, []),
    ],
)  # fmt: skip
def test_check_pictures__blames_what_no_server_can_do(sections: dict[str, Any], told: list[str]) -> None:
    """Each wish needs its server and its model; the fault stands at the key to be written or mended."""
    found = ask(check_pictures, **sections)
    assert len(found) == len(told)
    assert all(line.startswith(start) for line, start in zip(found, told, strict=True))


def test_pillow__missing_is_a_warning_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bot goes on without it, and the operator learns which command brings it."""
    assert ask(find_idle_pictures, images={"upscale": "pillow"}) == []
    monkeypatch.setattr("hotshotd.config.extras.find_spec", lambda _: None)
    (told,) = ask(find_idle_pictures, images={"upscale": "pillow"})
    assert told == "images.upscale: has no effect: Pillow is not installed: run `pip install 'hotshotd[images]'`"
    assert ask(find_idle_pictures, images={"upscale": "deepai"}) == []


@pytest.mark.parametrize(
    ("backend", "inline", "count"), [("ollama", None, 1), ("ollama", False, 0), ("ollama", True, 0), ("groq", None, 0)]
)
def test_captions__a_server_here_may_not_reach_the_picture(backend: str, inline: bool | None, count: int) -> None:
    """Where it is not said how pictures travel to a server on this machine, a warning names the key."""
    images = {**CHAT, "caption_backend": backend, "caption_inline": inline}
    told = ask(find_idle_pictures, images=images)
    assert [line.partition(":")[0] for line in told] == ["images.caption"] * count


def test_load_all__tells_both(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules are part of the check: a fault keeps the bot from running, a warning does not."""
    monkeypatch.setattr("hotshotd.config.extras.find_spec", lambda _: None)
    folder.write_bot(folder.good_bot + "images: {upscale: pillow}\n", name="warned.yaml")
    folder.write_bot(folder.good_bot.replace("Keeper", "Other") + "images: {caption: chat}\n", name="wrong.yaml")
    loaded = folder.load()
    assert [bot.name for bot in loaded.bots] == ["warned"]
    assert [line.split(": ")[1] for line in folder.tell(loaded)] == ["images.caption_backend", "images.caption_model"]
    assert "images.upscale" in [warning.key for warning in loaded.warnings]
