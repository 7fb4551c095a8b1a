"""Figures for Prometheus: what is shown, and where: on a port, in a file for node_exporter, or both.

prometheus-client writes the text; it is imported only where metrics are on. Everything happens in the supervisor's
loop, without a thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hotshotd.config.schema import MetricsSection
from hotshotd.log import get_logger
from hotshotd.loop import Loop, Timer
from hotshotd.supervisor.figures import Lives, Shown
from hotshotd.supervisor.scrape import Give, ScrapeServer, bind_tcp
from hotshotd.supervisor.supervisor import Supervisor

_log = get_logger()

#: Seconds the quota process has for fresh figures before the last known ones are shown.
FIGURES_SECONDS = 0.5
#: Seconds that a page is shown again instead of being made anew: making it takes the loop's time.
PAGE_SECONDS = 1.0
#: Seconds between two writes of the textfile.
TEXTFILE_SECONDS = 15.0
#: Seconds before a port that is taken is tried again.
RETRY_SECONDS = 30.0
#: The textfile is for another user's process, whatever our umask.
TEXTFILE_MODE = 0o644


class Metrics:
    """Serves and writes the figures as the main file says. No method raises or waits for the network."""

    def __init__(self, loop: Loop, supervisor: Supervisor) -> None:
        self._loop = loop
        self._supervisor = supervisor
        self._lives = Lives()
        self._settings = MetricsSection()
        self._server: ScrapeServer | None = None
        self._timers: dict[str, Timer] = {}
        self._page = b""
        self._made_at: float | None = None
        self._trouble: dict[str, str] = {}

    def follow(self) -> None:
        """Take over the settings of now; what has not changed is left alone."""
        old, new = self._settings, self._supervisor.main.metrics
        self._settings = new
        if (old.port, old.address) != (new.port, new.address):
            self._close_server()
            self._open_server()
        if old.textfile != new.textfile:
            self._drop_textfile(old.textfile)
            self._write_textfile()

    def close(self) -> None:
        """Stop, and leave no file behind that would go on to tell of bots that do not run."""
        self._close_server()
        self._drop_textfile(self._settings.textfile)

    # -- the page ------------------------------------------------------------------------------

    def give_page(self, give: Give) -> None:
        """Hand the page to `give`, now or when the quota process has told its figures."""
        now = self._loop.clock.monotonic()
        if self._made_at is not None and now - self._made_at < PAGE_SECONDS:
            give(self._page)
        else:
            self._supervisor.quota.refresh(lambda: give(self._make_page()), seconds=FIGURES_SECONDS)

    def _make_page(self) -> bytes:
        # Here, so that a daemon without metrics does without the library.
        from hotshotd.supervisor.exposition import write_page

        now = self._loop.clock.monotonic()
        if self._made_at is None or now - self._made_at >= PAGE_SECONDS:
            quota = self._supervisor.quota
            self._lives.take(quota.snapshot.get("timings", ()), life=quota.pid)
            self._page = write_page(Shown.of(self._supervisor, self._lives))
            self._made_at = now
        return self._page

    # -- the port ------------------------------------------------------------------------------

    def _open_server(self) -> None:
        port, address = self._settings.port, self._settings.address
        if port is None:
            return
        try:
            listener = bind_tcp(address, port)
        except (OSError, ValueError) as exc:
            self._note_trouble(
                "port", f"{address} port {port} can't be used ({exc}); set another metrics.port or .address"
            )
            self._set("open", RETRY_SECONDS, self._open_server)
            return
        self._server = ScrapeServer(self._loop, listener, self.give_page)
        self._trouble.pop("port", None)
        _log.info("metrics.opened", address=address, port=port)

    def _close_server(self) -> None:
        self._cancel("open")
        if self._server is not None:
            self._server.close()
            self._server = None

    # -- the file ------------------------------------------------------------------------------

    def _write_textfile(self) -> None:
        path = self._settings.textfile
        if path is not None:
            self._set("write", TEXTFILE_SECONDS, self._write_textfile)
            self.give_page(partial(self._replace_textfile, path))

    def _replace_textfile(self, path: Path, page: bytes) -> None:
        if path != self._settings.textfile:
            # A reload came in between.
            return
        # Not *.prom, which node_exporter would read half-written.
        fresh = path.with_name(f".{path.name}.new")
        try:
            fresh.write_bytes(page)
            os.chmod(fresh, TEXTFILE_MODE)
            os.replace(fresh, path)
        except OSError as exc:
            self._note_trouble(
                "textfile",
                f"{path} can't be written ({exc.strerror}); make its folder one that the daemon's user may write to",
            )
        else:
            self._trouble.pop("textfile", None)

    def _drop_textfile(self, path: Path | None) -> None:
        self._cancel("write")
        if path is not None:
            try:
                path.unlink(missing_ok=True)
            except OSError as exc:
                _log.warning("metrics.not_removed", path=str(path), error=str(exc.strerror))

    # -- inside --------------------------------------------------------------------------------

    def _note_trouble(self, key: str, message: str) -> None:
        if message != self._trouble.get(key):
            # Once, not every 15 s.
            self._trouble[key] = message
            _log.error("metrics.failed", error=message)

    def _set(self, name: str, seconds: float, callback: Callable[[], None]) -> None:
        self._cancel(name)
        self._timers[name] = self._loop.call_later(seconds, callback)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer:
            timer.cancel()
