"""The published release that the series is for, and its wheel, pinned by its SHA-256."""

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from harness import HarnessError


@dataclass(frozen=True)
class Release:
    """A published liquid-audio.

    Attributes:
        version: as published
        sha256: of its wheel
    """

    version: str
    sha256: str

    @property
    def wheel(self) -> str:
        """File name of the wheel."""
        return f"liquid_audio-{self.version}-py3-none-any.whl"


RELEASE = Release("1.3.0", "ffa7c2dec3fd908b7ed322c2a68d7efd1ee2d28e7c6f0de0cae0f94bac1820e7")


def fetch(release: Release, cache: Path) -> Path:
    """Download the wheel of a release with pip, unless it is here, and verify it.

    Raises:
        HarnessError: there is no such download, or its SHA-256 is not the pinned one
    """
    wheel = cache / "wheels" / release.wheel
    if not wheel.is_file():
        print(f"fetching {release.wheel}", file=sys.stderr)
        download(release.version, wheel.parent)
    found = sha256(wheel)
    if found != release.sha256:
        wheel.unlink()
        raise HarnessError(
            f"{release.wheel} has SHA-256 {found}, not the pinned {release.sha256}: it was removed, run again to download it"
        )
    return wheel


def download(version: str, folder: Path) -> Path:
    """Download the wheel of a version with pip, which neither builds nor runs it.

    Raises:
        HarnessError: there is no such download
    """
    options = ("--quiet", "--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--dest", str(folder))
    command = [sys.executable, "-m", "pip", "download", *options, f"liquid-audio=={version}"]
    done = subprocess.run(command, capture_output=True, text=True)
    wheel = folder / Release(version, "").wheel
    if done.returncode or not wheel.is_file():
        reason = (done.stderr.strip().splitlines() or ["pip saved another file"])[-1]
        raise HarnessError(f"cannot download liquid-audio {version}: {reason}")
    return wheel


def unpack(wheel: Path, target: Path) -> None:
    """Extract a wheel into a folder. zipfile lets no file land elsewhere."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)


def sha256(file: Path) -> str:
    """Hash a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
