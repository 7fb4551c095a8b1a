"""Make the package's folder of Python libraries, for one architecture and several versions of Python.

Wheels that are the same everywhere come from a folder; of the others, one for each Python is fetched. Compiled modules
carry the version in their name, so that all lie side by side, and one package serves several releases of Debian.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email import message_from_string
from email.message import Message
from pathlib import Path, PurePosixPath

from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name

#: Debian's names of processors, and those of wheels.
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}

#: The C library's oldest version that a wheel may be made for: all that Debian 12 (2.36) can load.
_PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_24", "manylinux_2_28", "manylinux_2_34")

#: Shared libraries that a compiled module may need, and the packages that have them.
_C_LIBRARY = "libc.so.6 libm.so.6 libpthread.so.0 libdl.so.2 librt.so.1 ld-linux-x86-64.so.2 ld-linux-aarch64.so.1"
_LIBRARIES = {**dict.fromkeys(_C_LIBRARY.split(), "libc6"), "libgcc_s.so.1": "libgcc-s1"}

#: What the system's own packages have, kept up to date there: time zones, and the certificate authorities.
_SYSTEMS_OWN = {"tzdata"}
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


class BundleError(Exception):
    """The libraries can't be put together; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel file, with what its name says (PEP 427)."""

    path: Path
    name: str
    version: str
    is_pure: bool

    @classmethod
    def parse(cls, path: Path) -> Wheel:
        name, version, *_rest = path.name.split("-")
        return cls(path, str(canonicalize_name(name)), version, path.name.endswith("-none-any.whl"))


def main(argv: Sequence[str]) -> int:
    options = _parse(argv)
    wheels = [Wheel.parse(path) for path in sorted(options.native.glob("*.whl"))]
    wheels = [wheel for wheel in wheels if wheel.name not in _SYSTEMS_OWN]
    try:
        chosen = [wheel for wheel in wheels if wheel.is_pure]
        for python in options.python:
            compiled = [wheel for wheel in wheels if not wheel.is_pure]
            chosen += _fetch(compiled, options, python=python)
        for wheel in chosen:
            unpack(wheel.path, options.target)
        found = {name: _read_metadata(folder) for name, folder in _find_distributions(options.target)}
        for python in options.python:
            check_complete(found, python=python, machine=MACHINES[options.arch])
        _use_systems_certificates(options.target)
        needs = find_needs(sorted(options.target.rglob("*.so")), arch=options.arch)
    except BundleError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    options.substvars.write_text(f"hotshotd:Depends={', '.join([*_need_python(options.python), *needs])}\n")
    with options.copyright.open("a") as file:
        file.write(describe_licences(found))
    return 0


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--native", type=Path, required=True, help="a folder of wheels made on this machine")
    parser.add_argument("--cache", type=Path, required=True, help="where fetched wheels are put")
    parser.add_argument("--wheels", type=Path, help="take wheels from here alone, without a network")
    parser.add_argument("--arch", choices=sorted(MACHINES), required=True)
    parser.add_argument("--python", type=lambda text: text.split(","), required=True, help="3.11,3.12")
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--substvars", type=Path, required=True)
    parser.add_argument("--copyright", type=Path, required=True)
    return parser.parse_args(argv)


def _fetch(wheels: Sequence[Wheel], options: argparse.Namespace, *, python: str) -> list[Wheel]:
    """Download the same versions as compiled for another Python or processor."""
    folder: Path = options.cache / f"{options.arch}-{python}"
    folder.mkdir(parents=True, exist_ok=True)
    machine = MACHINES[options.arch]
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        folder,
    ]
    command += ["--implementation=cp", f"--python-version={python}"]
    command += [f"--platform={platform}_{machine}" for platform in _PLATFORMS]
    command += ["--no-index", "--find-links", options.wheels] if options.wheels else []
    wanted = [f"{wheel.name}=={wheel.version}" for wheel in wheels]
    if wanted and subprocess.run([*command, *wanted], stdout=sys.stderr, check=False).returncode != 0:
        raise BundleError(
            f"no wheels for Python {python} on {options.arch}; see above. Build for fewer: --python, --arch"
        )
    return [Wheel.parse(path) for path in sorted(folder.glob("*.whl"))]


def unpack(wheel: Path, target: Path) -> None:
    """Put a wheel's modules and metadata into `target`; its programs and headers are not needed."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            place = _place(PurePosixPath(member.filename))
            if place is None or member.is_dir():
                continue
            path = target / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(member))


def _place(member: PurePosixPath) -> PurePosixPath | None:
    top, *rest = member.parts
    if top.endswith(".data"):
        return PurePosixPath(*rest[1:]) if rest[0] in ("purelib", "platlib") else None
    # RECORD would name files that are not there, or in other versions.
    return None if top.endswith(".dist-info") and rest == ["RECORD"] else member


def _find_distributions(target: Path) -> Iterator[tuple[str, Path]]:
    for folder in sorted(target.glob("*.dist-info")):
        yield str(canonicalize_name(folder.name.partition("-")[0])), folder


def _read_metadata(folder: Path) -> Message:
    return message_from_string((folder / "METADATA").read_text(encoding="utf-8"))


def check_complete(found: dict[str, Message], *, python: str, machine: str) -> None:
    """Find a library that is needed there and was not here: pip looks at the Python that runs it.

    Raises:
        BundleError: With the first that is missing or too old.
    """
    there = {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": machine, "extra": ""}
    for name, metadata in found.items():
        for text in metadata.get_all("Requires-Dist", []):
            need = Requirement(text)
            if need.name in _SYSTEMS_OWN or (need.marker and not need.marker.evaluate(there)):
                continue
            have = found.get(str(canonicalize_name(need.name)))
            if have is None or not need.specifier.contains(have["Version"], prereleases=True):
                raise BundleError(f"{name} needs {need} on Python {python}, and it is not among the libraries here")


def _use_systems_certificates(target: Path) -> None:
    bundle = target / "certifi" / "cacert.pem"
    if bundle.exists():
        bundle.unlink()
        bundle.symlink_to(CERTIFICATES)


def find_needs(modules: Sequence[Path], *, arch: str) -> list[str]:
    """Give the packages whose shared libraries compiled modules need, the C library with its least version.

    Raises:
        BundleError: If one is made for another processor, or needs what no package is known to have.
    """
    needs: set[str] = set()
    newest = (2, 17)
    for module in modules:
        text = subprocess.run(
            ["readelf", "-W", "-h", "-d", "-V", module], capture_output=True, text=True, check=True
        ).stdout
        machine = {"amd64": "X86-64", "arm64": "AArch64"}[arch]
        if not re.search(rf"Machine:.*{machine}", text):
            raise BundleError(f"{module} is not made for {arch}")
        libraries = set(re.findall(r"\(NEEDED\).*\[(.+?)\]", text))
        if unknown := libraries - set(_LIBRARIES):
            raise BundleError(f"{module} needs {', '.join(sorted(unknown))}, which hotshotd's package does not have")
        needs |= {_LIBRARIES[library] for library in libraries}
        newest = max(newest, *((int(a), int(b)) for a, b in re.findall(r"Name: GLIBC_(\d+)\.(\d+)", text)), (0, 0))
    return [f"{need} (>= {newest[0]}.{newest[1]})" if need == "libc6" else need for need in sorted(needs)]


def _need_python(versions: Sequence[str]) -> list[str]:
    # Without a gap, says scripts/build-deb: a package could not name one.
    minors = [int(version.partition(".")[2]) for version in versions]
    return [f"python3 (>= 3.{min(minors)})", f"python3 (<< 3.{max(minors) + 1})"]


def describe_licences(found: dict[str, Message]) -> str:
    """Give a paragraph for each library, in the form of Debian's copyright files."""
    return "\n".join(_describe(name, metadata) for name, metadata in sorted(found.items()) if name != "hotshotd")


def _describe(name: str, metadata: Message) -> str:
    stem = name.replace("-", "[-_.]")
    holder = metadata["Author"] or metadata["Author-email"] or metadata["Maintainer-email"] or f"the authors of {name}"
    says = metadata["License-Expression"] or _read_classifiers(metadata) or str(metadata["License"]).splitlines()[0]
    note = textwrap.fill(
        f"{metadata['Name']} {metadata['Version']}: {metadata['Summary']}. It says of its licence: {says}."
        f" The text is in its *.dist-info folder.",
        width=76, initial_indent=" ", subsequent_indent=" ",
    )  # fmt: skip
    word = f"{name}-licence"
    return (
        f"Files: usr/lib/hotshotd/site-packages/{stem}*\nCopyright: {' '.join(holder.split())}\n"
        f"License: {word}\n{note}\n"
    )


def _read_classifiers(metadata: Message) -> str:
    lines = [line for line in metadata.get_all("Classifier", []) if line.startswith("License ::")]
    return ", ".join(line.rpartition(" :: ")[2] for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
