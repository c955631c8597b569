"""Importable copies of liquid-audio: as published, with the series applied, or somebody's checkout.

A published tree comes from a wheel that is pinned by SHA-256. It is built in a temporary folder and then renamed, so a tree is
either complete or not there.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from harness import CACHE, PATCHES, HarnessError, world
from harness.wheels import RELEASE, Release, fetch, sha256, unpack

PACKAGE = "liquid_audio"


@dataclass(frozen=True)
class Tree:
    """A folder that holds the package `liquid_audio`.

    Attributes:
        name: "upstream", "patched", or the path that was asked for
        path: what goes on `sys.path`
        digest: SHA-256 over the package's files and their names
    """

    name: str
    path: Path
    digest: str


def series(patches: Path = PATCHES) -> list[Path]:
    """List the patches in the order in which they apply."""
    found = sorted(patches.glob("*.patch"))
    if not found:
        raise HarnessError(f"no patches in {patches}: restore them with `git checkout -- patches`")
    return found


def resolve(name: str, *, cache: Path = CACHE, patches: Path = PATCHES, release: Release = RELEASE) -> Tree:
    """Find the tree that `--tree` names, building it if it is a published one.

    Args:
        name: "upstream", "patched", or the path of a folder that holds `liquid_audio`, such as a checkout's `src`
        cache: where downloads and built trees are kept
        patches: the folder of the series
        release: what to build from

    Raises:
        HarnessError: the wheel is not available or not the pinned one, or a patch does not apply
    """
    if name == "upstream":
        return build(name, [], release, cache)
    if name == "patched":
        return build(name, series(patches), release, cache)
    path = Path(name).resolve()
    if not (path / PACKAGE / "__init__.py").is_file():
        raise HarnessError(
            f"--tree {name}: expected upstream, patched, or a folder that holds {PACKAGE}/, such as a checkout's src/"
        )
    return Tree(name, path, digest(path / PACKAGE))


def digest(package: Path) -> str:
    """Hash the files of a package and their names, without bytecode."""
    total = hashlib.sha256()
    for file in sorted(p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        total.update(f"{file.relative_to(package).as_posix()}\0{sha256(file)}\n".encode())
    return total.hexdigest()


def build(name: str, patches: Sequence[Path], release: Release = RELEASE, cache: Path = CACHE) -> Tree:
    """Build a release with some patches applied, or reuse a tree that was built from the same and has not changed since.

    Raises:
        HarnessError: the wheel is not available or not the pinned one, or a patch does not apply
    """
    trees = cache / "trees"
    trees.mkdir(parents=True, exist_ok=True)
    with FileLock(trees / ".lock"):
        for left in trees.glob("*.partial"):
            print(f"removing {left.name}, a tree that an earlier run left half-built", file=sys.stderr)
            shutil.rmtree(left)

        target = trees / f"{name}-{release.version}-{_key(release, patches)}"
        record = target / "tree.json"
        if record.is_file():
            known = _recorded(record)
            if digest(target / PACKAGE) == known:
                return Tree(name, target, known)
            print(f"rebuilding {target.name}, which was changed after it was built", file=sys.stderr)
            shutil.rmtree(target)

        wheel = fetch(release, cache)
        partial = target.with_name(f"{target.name}.partial")
        try:
            unpack(wheel, partial)
            for patch in patches:
                apply(patch, partial)
            found = digest(partial / PACKAGE)
            (partial / "tree.json").write_text(json.dumps({"digest": found}))
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return Tree(name, target, found)


def _recorded(record: Path) -> str:
    """Read the digest of a tree; empty if the file was cut off."""
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["digest"])
    except (KeyError, TypeError, ValueError):
        return ""


def _key(release: Release, patches: Iterable[Path]) -> str:
    total = hashlib.sha256(release.sha256.encode())
    for patch in patches:
        total.update(patch.read_bytes())
    return total.hexdigest()[:12]


def apply(patch: Path, tree: Path, strip: int = 2) -> None:
    """Apply one patch strictly: its line numbers may differ, but not its context.

    Args:
        patch: the file
        tree: where to apply it
        strip: how many leading folders to strip from the patch's paths

    Raises:
        HarnessError: it does not apply
    """
    complaint = git_apply(patch, tree, strip=strip)
    # git can exit with 0 although it found nothing to patch.
    if complaint or (complaint := git_apply(patch, tree, "--check", "--reverse", strip=strip)):
        raise HarnessError(f"{patch.name} does not apply: {complaint}")


def git_apply(patch: Path, tree: Path, *options: str, strip: int = 2) -> str:
    """Apply all of a patch strictly or none of it: its line numbers may differ, but not its context.

    Returns:
        git's first complaint; empty if there is none
    """
    # A tree lies inside this repository, which git must not patch instead. The host's settings are left out because they
    # could make git ignore white space.
    env = world.environment(**world.NO_GIT, GIT_CEILING_DIRECTORIES=str(tree.parent))
    command = ["git", "apply", f"-p{strip}", *options, str(patch.resolve())]
    done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True)
    errors = (line.removeprefix("error: ") for line in done.stderr.splitlines() if line.startswith("error: "))
    return next(errors, done.stderr.strip() or "git failed") if done.returncode else ""


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `tree`."""
    parser.add_argument("name", help="upstream or patched")
    parser.set_defaults(run=lambda options: print(resolve(options.name).path))
