"""YAML files: what is read, and what is refused without crash or wait."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hotshotd.config import document, files
from hotshotd.config.document import load_document


@pytest.fixture(params=["libyaml", "python"])
def loader(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with both parsers: libyaml is not on every machine."""
    chosen = getattr(yaml, "CSafeLoader", yaml.SafeLoader) if request.param == "libyaml" else yaml.SafeLoader
    monkeypatch.setattr(document, "_LOADER", chosen)
    return str(request.param)


def read(tmp_path: Path, text: str | bytes) -> document.Document:
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    return load_document(path)


@pytest.mark.usefixtures("loader")
def test_load_document__reads_words_as_they_were_written(tmp_path: Path) -> None:
    """No sexagesimal numbers, no octal, no dates, no yes and no; decimal numbers and true/false are."""
    text = "a: [01:00, 09:00, 007, no, on, 2026-11-24, 1_000, 30_000, 1e3, 1.5, -2, true, null, ~, 0x1F, .inf, 1e999]"
    loaded = read(tmp_path, text)
    assert loaded.tree is not None
    assert loaded.tree.data["a"] == [
        *("01:00", "09:00", "007", "no", "on", "2026-11-24", 1000, 30000, 1000.0, 1.5, -2),
        *(True, None, None, "0x1F", ".inf", "1e999"),
    ]


def test_load_document__quotes_make_text(tmp_path: Path) -> None:
    """A quoted scalar and !!str are text whatever they look like."""
    loaded = read(tmp_path, "a: ['1', \"true\", !!str 5, '']")
    assert loaded.tree is not None
    assert loaded.tree.data == {"a": ["1", "true", "5", ""]}


def test_load_document__keeps_the_line_of_every_key(tmp_path: Path) -> None:
    """A key's line is where the key stands; an entry's line is its own; a long value does not move it."""
    loaded = read(tmp_path, "# c\na: >-\n  long\n  text\nb:\n  c: 1\n  d:\n    - x\n    - {e: 1}\n")
    assert loaded.tree is not None
    lines = {key: place.line for key, place in loaded.tree.places.items()}
    expected = {("a",): 2, ("b",): 5, ("b", "c"): 6, ("b", "d", 0): 8, ("b", "d", 1, "e"): 9}
    assert expected.items() <= lines.items()


def test_load_document__takes_a_byte_order_mark_and_a_harmless_alias(tmp_path: Path) -> None:
    """Editors leave marks, and people share lists."""
    loaded = read(tmp_path, b"\xef\xbb\xbfa: &x [1, 2]\nb: *x\n")
    assert loaded.tree is not None
    assert loaded.tree.data == {"a": [1, 2], "b": [1, 2]}


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "is empty"),
        ("# only this\n", 1, "is empty"),
        ("---\n", 1, "is empty"),
        ("- a\n- b\n", 1, "must be a mapping"),
        ("\njust text\n", 2, "must be a mapping"),
        ("a: 1\nb: [1, 2\nc: 3\n", 3, "is not YAML"),
        ("a: 1\n\tb: 2\n", 2, "is not YAML"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: 1\nb: *nobody\n", 2, "anchor"),
        ("a: &x [*x]\n", 1, "anchor"),
        ("a: 1\n<<: {b: 1}\n", 2, "merge key"),
        ("a: 1\nb: !!python/object/apply:os.system [id]\n", 2, "tag"),
        ("a: 1\nb: !!binary aGk=\n", 2, "tag"),
        ("a: !mine x\n", 1, "tag"),
        ("a: !!set {b}\n", 1, "tag"),
        ("a: !!int b\n", 1, "tag"),
        ('a: 1\nb: "\\0"\n', 2, "no text may hold"),
        ("a: 1\nb: x\x00y\n", 2, "U+0000"),
        ("a: 1\nb: x\x1by\n", 2, "U+001B"),
        (b"a: 1\nb: \xff\n", 2, "is not UTF-8"),
        ("a: 1\n".encode("utf-16"), 1, "is not UTF-8"),
        ("a: " + "[" * 5000, 1, "nested deeper"),
        ("a: " + "{b: " * 900 + "}" * 900, 1, "nested deeper"),
        ("".join(f"{' ' * n}a:\n" for n in range(60)), 33, "nested deeper"),
        (LAUGHS, 1, "once aliases are read"),
        (f"a: &x {'[' * 30}{']' * 30}\nb: [[[[*x]]]]\n", 1, "once aliases are read"),
        ("a: [" + "1," * 60_000 + "]", 1, "more than 50000 values"),
        ("a: 1\n" + "#" * 1024 * 1024, 1, "is larger than 1024 KiB"),
    ],
)
def test_load_document__refuses_with_a_line(tmp_path: Path, text: str | bytes, line: int, message: str) -> None:
    """Each hazard of YAML is one fault with its line, never a crash, in bounded time."""
    started = time.perf_counter()
    loaded = read(tmp_path, text)
    assert loaded.tree is None
    assert [(fault.line, message in fault.message) for fault in loaded.faults] == [(line, True)], loaded.faults
    assert time.perf_counter() - started < 20


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(
    "text", ['a: "\\U00110000"', 'a: "\\ud800"', "%YAML 9.9\n---\na: b", "a: 'x", "a: @b", "? [a]\n: b", "a: `x"]
)
def test_load_document__odd_yaml_is_a_fault(tmp_path: Path, text: str) -> None:
    """Escapes out of range, unknown versions, open quotes, reserved characters, keys that are lists."""
    assert read(tmp_path, text).faults


@pytest.mark.parametrize(
    "secret",
    [
        "*hunter22",
        "!hunter22",
        "!hunter!22",
        "!hunter22!x",
        "%hunter22",
        "@hunter22",
        "'hunter22",
        "[hunter22",
        "hunter22: x",
    ],
)
@pytest.mark.usefixtures("loader")
def test_load_document__does_not_print_what_it_can_not_read(tmp_path: Path, secret: str) -> None:
    """A password without its quotes often is a syntax error; the message must not hold it."""
    faults = read(tmp_path, f"reddit:\n  password: {secret}\n  x: y\n").faults
    assert faults
    assert "hunter22" not in " ".join(map(str, faults))


def test_load_document__keys_twice_and_keys_that_are_no_text(tmp_path: Path) -> None:
    """Both are faults at their own line, and the rest is still read."""
    loaded = read(tmp_path, "a: 1\nb: 2\na: 3\n5: x\nnull: y\ntrue: z\nc:\n  d: 1\n  d: 2\n")
    found = [(fault.line, fault.key, fault.message.split(":")[0]) for fault in loaded.faults]
    not_text = "has a key that is not text"
    twice = [(3, "a", "is written twice"), (9, "c.d", "is written twice")]
    assert sorted(found) == sorted([*twice, *((line, "", not_text) for line in (4, 5, 6))])
    assert loaded.tree is not None
    assert loaded.tree.data["a"] == 1


def test_load_document__never_waits_for_what_is_no_file(tmp_path: Path) -> None:
    """A pipe, a device, a folder, a missing file and a dangling link are faults at once."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "link.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "device.yaml").symlink_to("/dev/zero")
    (tmp_path / "self.yaml").symlink_to(tmp_path / "self.yaml")
    told = {
        name: str(load_document(tmp_path / f"{name}.yaml").faults[0])
        for name in ("pipe", "folder", "link", "device", "self", "none")
    }
    assert "not a regular file" in told["pipe"]
    assert "is a directory" in told["folder"]
    assert "link to a file that does not exist" in told["link"]
    assert "not a regular file" in told["device"]
    assert "can't be read" in told["self"]
    assert told["none"].endswith("none.yaml:1: (file): does not exist")


@pytest.fixture
def nobody() -> Iterator[None]:
    """Be a user who may not read everything, where we are root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_load_document__says_when_it_may_not_read(nobody: None) -> None:
    """An unreadable file is one fault with the remedy."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.yaml"
        path.write_text("a: 1\n")
        path.chmod(0)
        assert "may not be read by this user" in load_document(path).faults[0].message


def test_fault__is_one_line_whatever_the_file_holds(tmp_path: Path) -> None:
    """Keys with line breaks and escape codes can't forge lines or colour terminals."""
    loaded = read(tmp_path, '"a\\nb\\e[31m": 1\n"a\\nb\\e[31m": 2\n')
    assert str(loaded.faults[0]).isprintable()


def test_read_small_file__does_not_wait_for_a_pipe_put_there_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look before opening is a courtesy to devices; the open file is what is judged, and opening never waits."""
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(files, "require_regular", lambda path: None)
    with pytest.raises(files.Unreadable, match="not a regular file"):
        files.read_small_file(tmp_path / "pipe", limit_bytes=10)
