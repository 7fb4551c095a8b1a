"""Packages that an optional feature needs: whether they are here, and how to get them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

#: What moderator `local` can use, the better one first: package, and the extra that brings it.
LOCAL_PACKAGES: tuple[tuple[str, str], ...] = (("detoxify", "local"), ("profanity_check", "local-light"))

NO_LOCAL_MODEL = (
    "moderator local needs a package: pip install 'hotshotd[local-light]' (English; 300 MB on disk, 5 MB of memory a "
    "bot; crude), or pip install 'hotshotd[local]' (detoxify with torch: some GB on disk, about 1 GB of memory a bot)"
)

NO_PROMETHEUS = "metrics need the package prometheus-client: run `pip install 'hotshotd[metrics]'`"

ENGLISH_ONLY = "what moderator local uses here knows English only: pip install 'hotshotd[local]' instead"


def is_installed(package: str) -> bool:
    """Tell whether a package can be imported, without importing it."""
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def find_local_package() -> str | None:
    """Give the package that moderator `local` uses here; None where there is none."""
    return next((package for package, _ in LOCAL_PACKAGES if is_installed(package)), None)


def knows_languages(package: str, languages: Iterable[str]) -> bool:
    """Tell whether moderator `local` with this package can judge texts in these languages."""
    return package == "detoxify" or all(is_english(language) for language in languages)


def is_english(language: str) -> bool:
    """Tell whether a language tag (`en`, `en-GB`) is English."""
    return language.casefold().partition("-")[0] == "en"
