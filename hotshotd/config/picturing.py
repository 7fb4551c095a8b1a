"""Rules about pictures: which server can describe, make or enlarge them, and with what model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hotshotd.config.extras import is_installed
from hotshotd.config.values import Blame

Data = Mapping[str, Any]

NO_SEEING_MODEL = "caption chat needs caption_backend and caption_model (a chat model that sees)"
NO_AZURE = "azure needs services.azure.url: the address of your own resource in place of https://NAME.cognitiveservices.azure.com"
NO_PAINTER = "link_share needs images.generate_model: the model of images.generate_backend that makes the pictures"
NO_PILLOW = "Pillow is not installed: run `pip install 'hotshotd[images]'`"
BEHIND_A_WALL = (
    "a server on this machine may not be able to fetch pictures (Ollama never does): "
    "if captions fail, set images.caption_inline to true"
)


def has_pillow() -> bool:
    """Tell whether Pillow is installed, without loading it."""
    return is_installed("PIL")


def check_pictures(data: Data) -> Iterator[Blame]:
    """Blame captions without a server or model, and a share of pictures that nobody makes."""
    images = _section(data, "images")
    if images.get("caption") == "chat":
        yield from _check_seeing(data, images)
    if images.get("caption") == "azure" and "//NAME." in str(_server(data, "services", "azure").get("url")):
        yield ("images", "caption"), NO_AZURE
    share = _section(data, "post").get("link_share")
    api = _server(data, "backends", images.get("generate_backend") or "hf").get("api")
    if _is_some(share) and not images.get("generate_model") and api in ("hf", "chat"):
        yield ("post", "link_share"), NO_PAINTER


def _check_seeing(data: Data, images: Data) -> Iterator[Blame]:
    for key in ("caption_backend", "caption_model"):
        if not images.get(key):
            yield ("images", key), NO_SEEING_MODEL
    api = _server(data, "backends", images.get("caption_backend")).get("api")
    if isinstance(api, str) and api != "chat":
        yield ("images", "caption_backend"), f"has api {api}, but caption chat needs a backend with api chat"


def find_idle_pictures(data: Data) -> Iterator[Blame]:
    """Give what is written about pictures and will not work, or perhaps not, on this machine."""
    images = _section(data, "images")
    if images.get("upscale") == "pillow" and not has_pillow():
        yield ("images", "upscale"), f"has no effect: {NO_PILLOW}"
    url = _server(data, "backends", images.get("caption_backend")).get("url")
    is_local = isinstance(url, str) and url.startswith(("http://127.", "http://localhost", "http://[::1]"))
    if images.get("caption") == "chat" and is_local and images.get("caption_inline") is None:
        yield ("images", "caption"), BEHIND_A_WALL


def _is_some(share: object) -> bool:
    return isinstance(share, int | float) and share > 0


def _section(data: Data, key: str) -> Data:
    section = data.get(key)
    return section if isinstance(section, dict) else {}


def _server(data: Data, kind: str, name: object) -> Data:
    server = _section(data, kind).get(name) if isinstance(name, str) else None
    return server if isinstance(server, dict) else {}
