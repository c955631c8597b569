"""Patch the liquid-audio that is installed in an environment, or put the published one back.

pip replaces one wheel by the other. An installed package that was edited, or that comes from a checkout, is left alone.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from harness import CACHE, HarnessError
from harness.wheel import VERSION, build
from harness.wheels import RELEASE, fetch

# It runs in the environment, and prints the version, the folder, the origin and the edited files of the package. RECORD
# contains the hash of each file as it was installed.
PROBE = """\
import base64, hashlib, importlib.metadata as metadata, json

def digest(file):
    return base64.urlsafe_b64encode(hashlib.new(file.hash.mode, file.read_binary()).digest()).decode().rstrip("=")

try:
    found = metadata.distribution("liquid-audio")
    files = [file for file in found.files or () if file.parts[0] == "liquid_audio" and file.hash and file.locate().is_file()]
    edited = [str(file.locate()) for file in files if digest(file) != file.hash.value]
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    print(json.dumps([found.version, str(found.locate_file("")), origin, edited]))
except metadata.PackageNotFoundError:
    print("null")
"""


def apply(environment: Path, *, undo: bool = False) -> str:
    """Install the patched package over the published one, or the other way round.

    Args:
        environment: the folder of a virtual environment, or a Python
        undo: go back to the published package

    Returns:
        a sentence that says what was done

    Raises:
        HarnessError: liquid-audio is not installed there, is another version, was edited, or cannot be replaced
    """
    python = next(
        (file for file in (environment / "bin" / "python", environment / "Scripts" / "python.exe") if file.is_file()),
        environment,
    )
    _, site = _check(python)
    try:
        with FileLock(lock(site), timeout=0):
            version, _ = _check(python)  # another run may have changed it
            target = RELEASE.version if undo else VERSION
            done = f"{'as published' if undo else 'patched'}: liquid-audio {target} in {site}"
            if version == target:
                return f"already {done}"
            _install(python, target, undo)
            return done
    except Timeout:
        raise HarnessError(f"another run is changing liquid-audio in {site}: wait for it") from None


def lock(site: Path) -> Path:
    """Return the lock for changes of what is installed in a folder. It is beside that folder, so that all runs use it."""
    return site.resolve().parent / ".liquid-audio.lock"


def _check(python: Path) -> tuple[str, Path]:
    """Find the version that is installed, and where. Raises HarnessError if it must not be replaced."""
    try:
        # Without the variables and the folder of the caller, where another package could be found first.
        done = subprocess.run([python.absolute(), "-EP", "-c", PROBE], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        raise HarnessError(f"{python}: expected the folder of a virtual environment, or a Python 3.12 or later") from None
    if found is None:
        raise HarnessError(f"liquid-audio is not installed for {python}: install it first")
    version, site, origin, edited = found
    again = f"run `pip install --force-reinstall --no-deps liquid-audio=={RELEASE.version}` there first"
    if origin and "archive_info" not in origin:
        raise HarnessError(f"liquid-audio in {site} comes from {origin['url']}: use `git am` in that checkout")
    if version != RELEASE.version and not version.startswith(f"{RELEASE.version}+anydevice."):
        raise HarnessError(
            f"liquid-audio {version} is installed in {site}, but the patches are for {RELEASE.version}: {again}"
        )
    if edited:
        raise HarnessError(f"{edited[0]} was edited, and edits are kept: save them, then {again}")
    return version, Path(site)


def _install(python: Path, version: str, undo: bool) -> None:
    """Have pip replace the package, without dependencies or an index."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = fetch(RELEASE, CACHE) if undo else build(Path(folder))
        pip = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "--python", str(python)]
        options = ("--no-index", "--find-links", str(wheel.parent), "--no-deps", "--force-reinstall")
        with _uninterrupted():
            command = [*pip, "install", *options, f"liquid-audio=={version}"]
            done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        errors = (line for line in done.stderr.splitlines() if line.lower().startswith("error"))
        raise HarnessError(f"pip cannot replace liquid-audio: {next(errors, done.stderr.strip())}")


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C, also in pip, for the second in which the package is replaced."""
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
