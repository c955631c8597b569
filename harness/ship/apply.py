"""Patch the liquid-audio that is installed in an environment, in place, or undo it.

The installed package must be, byte for byte, the published one or the patched one, so that nobody's edits are lost. Afterwards
it is what pip would have installed from the other wheel. All files are staged beside the package first. Four renames then put
them in place, which Ctrl-C cannot interrupt. If a run stops among them nevertheless, the next run finishes or undoes it.
"""

import argparse
import csv
import json
import shutil
import signal
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from harness import CACHE, HarnessError, trees, wheels
from harness.ship.wheel import build

STAGING = ".liquid_audio.partial"
PACKAGE = f"{trees.PACKAGE}/"
AGAIN = f"run `pip install --force-reinstall --no-deps liquid-audio=={wheels.RELEASE.version}` there first"

PROBE = """\
import importlib.metadata as metadata, json
try:
    found = metadata.distribution("liquid-audio")
    print(json.dumps([found.version, str(found.locate_file("")), found.read_text("direct_url.json") or "{}"]))
except metadata.PackageNotFoundError:
    print("null")
"""


@dataclass(frozen=True)
class Wheel:
    """The contents of a wheel.

    Attributes:
        version: version of the distribution
        package: contents of the package's files, by path
        info: contents of the files of its .dist-info, by path inside it
    """

    version: str
    package: Mapping[str, bytes]
    info: Mapping[str, bytes]

    @property
    def info_name(self) -> str:
        """Name of the folder that holds its metadata."""
        return f"{trees.PACKAGE}-{self.version}.dist-info"


def apply(environment: Path, *, undo: bool = False) -> str:
    """Replace the published package with the patched one, or the other way round.

    Args:
        environment: the folder of a virtual environment, or a Python
        undo: go back to the published package

    Returns:
        a sentence that says what was done

    Raises:
        HarnessError: liquid-audio is not installed there, is not a known package, or cannot be replaced
    """
    _, site = _find(environment)
    try:
        with FileLock(lock(site), timeout=0):
            return _apply(environment, undo)
    except Timeout:
        raise HarnessError(f"another run is changing liquid-audio in {site}: wait for it") from None
    except OSError as error:
        raise HarnessError(f"cannot replace liquid-audio in {site}: {error}; fix that, and run it again") from None


def lock(site: Path) -> Path:
    """Return the lock for changes of what is installed there. It is beside the packages, so that all runs use the same one."""
    return site.resolve().parent / ".liquid-audio.lock"


def _apply(environment: Path, undo: bool) -> str:
    """Check what is installed, and replace it. The caller holds the lock."""
    version, site = _find(environment)
    published, patched = _read(wheels.fetch(wheels.RELEASE, CACHE)), _read(build())
    target = published if undo else patched
    if version not in (published.version, patched.version):
        raise HarnessError(
            f"liquid-audio {version} is installed in {site}, but only {wheels.RELEASE.version} is patched in place: {AGAIN}"
        )
    installed = _contents(site)
    if installed and installed not in (published.package, patched.package):
        expected = (patched if version == patched.version else published).package
        file = min(f for f in installed.keys() | expected.keys() if installed.get(f) != expected.get(f))
        raise HarnessError(f"{site / file} is not as in liquid-audio {version}, and edits are kept: {AGAIN}")
    done = f"{'as published' if undo else 'patched'}: liquid-audio {target.version} in {site}"
    shutil.rmtree(site / STAGING, ignore_errors=True)  # left by an earlier run, and made again below
    if installed == target.package and [info.name for info in _infos(site)] == [target.info_name]:
        return f"already {done}"
    _replace(site, target, {*published.info, *patched.info, "direct_url.json"})
    return done


def _find(environment: Path) -> tuple[str, Path]:
    """Ask an environment's Python which liquid-audio it has, and where."""
    inside = (environment / "bin" / "python", environment / "Scripts" / "python.exe", environment)
    python = next((path for path in inside if path.is_file()), environment)
    try:
        # Without the variables and the folder of the caller, where another package could be found first.
        done = subprocess.run([python.absolute(), "-EP", "-c", PROBE], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        raise HarnessError(f"{environment}: expected the folder of a virtual environment, or a Python 3.12 or later") from None
    if found is None:
        raise HarnessError(f"liquid-audio is not installed in {environment}: install it there first")
    version, site, origin = found
    url = json.loads(origin)
    if url.get("dir_info", {}).get("editable") or not (Path(site) / f"{trees.PACKAGE}-{version}.dist-info").is_dir():
        where = url.get("url", site)
        raise HarnessError(f"liquid-audio in {environment} is an editable install of {where}: use `git am` in that checkout")
    return version, Path(site)


def _read(wheel: Path) -> Wheel:
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    package = {name: data for name, data in files.items() if name.startswith(PACKAGE)}
    info = {name.partition("/")[2]: data for name, data in files.items() if name not in package}
    return Wheel(wheel.name.split("-")[1], package, info)


def _contents(site: Path) -> dict[str, bytes]:
    """Read the installed package without bytecode; empty if it is absent."""
    files = (file for file in (site / trees.PACKAGE).rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {file.relative_to(site).as_posix(): file.read_bytes() for file in files}


def _infos(site: Path) -> list[Path]:
    return sorted(site.glob(f"{trees.PACKAGE}-*.dist-info"))


def _replace(site: Path, target: Wheel, ours: set[str]) -> None:
    """Stage a wheel's files, and replace what is installed with them.

    Args:
        site: where packages are installed
        target: the wheel to install
        ours: files of a .dist-info that come from a wheel, or say from which; the others are the installer's, and stay
    """
    staging, info = site / STAGING, _infos(site)[0]
    new, old = staging / "new", staging / "old"
    try:
        old.mkdir(parents=True)
        for name, data in {**target.package, **{f"{target.info_name}/{name}": d for name, d in target.info.items()}}.items():
            file = new / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        for file in (file for file in info.iterdir() if file.is_file() and file.name not in ours):
            shutil.copy(file, new / target.info_name)
        with (new / target.info_name / "RECORD").open("a", encoding="utf-8", newline="") as record:
            csv.writer(record, lineterminator="\n").writerows(_others(info, target, ours))
        with _uninterrupted():
            # In this order, so that the interpreter finds a .dist-info at any time.
            if (site / trees.PACKAGE).exists():
                (site / trees.PACKAGE).rename(old / trees.PACKAGE)
            (new / trees.PACKAGE).rename(site / trees.PACKAGE)
            if not (site / target.info_name).exists():
                (new / target.info_name).rename(site / target.info_name)
            for other in _infos(site):
                if other.name != target.info_name:
                    other.rename(old / other.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _others(info: Path, target: Wheel, ours: set[str]) -> Iterator[list[str]]:
    """Yield what the installer recorded besides the files of a wheel and bytecode: its own notes, and scripts."""
    with (info / "RECORD").open(encoding="utf-8", newline="") as record:
        for path, *rest in csv.reader(record):
            folder, _, name = path.partition("/")
            if folder == info.name and name not in ours:
                yield [f"{target.info_name}/{name}", *rest]
            elif folder not in (trees.PACKAGE, info.name):
                yield [path, *rest]


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C for the few renames."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `apply`."""
    parser.add_argument("environment", type=Path, help="the folder of a virtual environment, or a Python")
    parser.add_argument("--undo", action="store_true", help="go back to the published package")
    parser.set_defaults(run=lambda options: print(apply(options.environment, undo=options.undo)))
