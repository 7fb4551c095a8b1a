"""How a verb of `hotshotctl` finds the daemon's files: it reads them itself, as whoever typed it."""

from __future__ import annotations

import os
from pathlib import Path

from hotshotd.config.loaded import Loaded
from hotshotd.config.loader import find_main_config, load_all


def load_files(config: Path | None, *, check_secrets: bool) -> Loaded:
    """Read the main file, that of `--config` or the one that a daemon would take, and every bot's.

    Raises:
        ConfigError: If there is no main file.
    """
    return load_all(config or find_main_config(os.environ), environ=os.environ, check_secrets=check_secrets)
