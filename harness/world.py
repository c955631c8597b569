"""The closed world of a run: the shell variables that reach it, and the digest of every file that a verdict depends on.

It needs only the standard library, because `harness drift` runs without a stack.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from harness import PATCHES, ROOT

# Variables that say where programs and libraries are, and which devices and compiler to use. No others are passed on.
KEPT = frozenset(
    "PATH HOME USER LOGNAME TMPDIR TEMP TMP TERM COLUMNS CXX LD_LIBRARY_PATH DYLD_LIBRARY_PATH SYSTEMROOT".split()
)
KEPT_PREFIXES = ("CUDA_VISIBLE_", "NVIDIA_VISIBLE_", "ROCR_VISIBLE_", "HIP_VISIBLE_", "PJRT_DEVICE", "TPU_")
# Text is UTF-8, packages come only from the environment, and no hub is contacted.
FIXED = {"PYTHONUTF8": "1", "PYTHONNOUSERSITE": "1", "HF_HUB_OFFLINE": "1", "LC_ALL": "C.UTF-8"}
# Git without the user's settings, and without the repository that a hook or a rebase names.
NO_GIT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}

# pytest reads tox.ini, even if there is a pytest.ini beside it.
SETTINGS = ("-c", str(ROOT / "tox.ini"), "--rootdir", str(ROOT))

# The files of this repository that a verdict depends on. The patches and the lock of its stack are added to them.
SUITE = ("conftest.py", "tox.ini", "tests", "harness", "fixtures/clips", "fixtures/checkpoint")
# Files among them that no verdict depends on: tests of the harness, the other locks, the pull requests, mutants and alternatives.
APART = re.compile(
    r"harness/(.+/)?tests/|harness/(stacks|pull_requests)/|tests/(mutants\.toml|alternatives/[^/]+\.(patch|toml))$"
)
STALE = "stale: made from files that have changed since"


def environment(**more: str) -> dict[str, str]:
    """Return the environment variables of a run, with some more."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith(KEPT_PREFIXES)}
    return {**kept, **FIXED, **more}


def digest(stack: str | None = None, patches: Path = PATCHES, lock: str = "", root: Path = ROOT) -> str:
    """Hash every file that a verdict depends on.

    These are the suite, catalogue, census, harness, README's examples, clips, checkpoint, series and lock.

    Args:
        stack: its name, "pinned" if None
        patches: the series
        lock: SHA-256 of the stack's lock, if it is not the one in this repository
        root: the repository
    """
    total = hashlib.sha256(suite_sha256(root).encode())
    for patch in sorted(patches.rglob("*.patch")):
        total.update(f"{patch.relative_to(patches).as_posix()}\0{_sha256(patch)}\n".encode())
    total.update("\0".join(examples(root / "README.md")).encode())
    total.update((lock or lock_sha256(stack, root)).encode())
    return total.hexdigest()


@cache
def suite_sha256(root: Path = ROOT) -> str:
    """Hash the suite, catalogue, census, harness, clips and checkpoint, once."""
    total = hashlib.sha256()
    for file in _files(root):
        total.update(f"{file.relative_to(root).as_posix()}\0{_sha256(file)}\n".encode())
    return total.hexdigest()


def examples(readme: Path) -> list[str]:
    """Find the programs in README, which the suite runs. Its other text may report a verdict, so it is not hashed."""
    return re.findall(r"```python\n.+?```", readme.read_text(encoding="utf-8"), re.DOTALL) if readme.is_file() else []


def series_sha256(patches: Path = PATCHES) -> str:
    """Hash the patches and their names."""
    total = hashlib.sha256()
    for patch in sorted(patches.glob("*.patch")):
        total.update(f"{patch.name}\0{_sha256(patch)}\n".encode())
    return total.hexdigest()


def is_stale(record: Mapping[str, Any], patches: Path = PATCHES) -> bool:
    """Say whether a record was made from files that differ from these.

    The lock of `latest` is resolved again from time to time, so a record on `latest` is compared with the lock that it names.
    """
    stack = record.get("stack")
    lock = record.get("lock sha256", "") if stack == "latest" else ""
    return bool(record.get("digest") != digest(stack, patches, lock))


def lock_sha256(stack: str | None = None, root: Path = ROOT) -> str:
    """Hash the lock of a stack; empty if there is none."""
    file = root / "harness" / "stacks" / f"{stack or 'pinned'}.txt"
    return _sha256(file) if file.is_file() else ""


def _files(root: Path) -> Iterator[Path]:
    for name in SUITE:
        path = root / name
        yield from sorted(f for f in path.rglob("*") if _counts(f, root)) if path.is_dir() else [path]


def _counts(file: Path, root: Path) -> bool:
    """Say whether a file may affect the results of tests. Bytecode and documentation do not."""
    name = file.relative_to(root).as_posix()
    apart = "/__pycache__/" in name or name.endswith(".md") or APART.match(name)
    return not apart and file.is_file()


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
