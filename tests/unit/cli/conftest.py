"""A daemon's answers without a daemon: a socket that gives each command the reply that a test wants."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]


class Stub:
    """Listens like a daemon, and answers everything in one way until told otherwise."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests: list[Json] = []
        self.answer: Callable[[Json], Json] = lambda _request: {"ok": True, "data": {}}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(16)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def give(self, data: Json) -> None:
        """Answer with these data from now on."""
        self.answer = lambda _request: {"ok": True, "data": data}

    def close(self) -> None:
        # Wakes the thread; closing alone does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer:
                request = json.loads(peer.recv(65536))
                self.requests.append(request)
                peer.sendall(json.dumps({"id": 1, **self.answer(request)}).encode() + b"\n")


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Stub]:
    """A socket at tmp_path/stub."""
    made = Stub(tmp_path / "stub")
    yield made
    made.close()
