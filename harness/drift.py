"""Say what has changed outside since this repository was written: whether each patch still fits, and which locks have aged.

The series is tried on the newest release or on a checkout, which is read but never imported or run. The locks are compared with
the newest releases of what the suite depends on. This needs only the packages that come with nox.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement

from harness import CACHE, PATCHES, ROOT, HarnessError, series, trees, wheels

LOCKS = ROOT / "harness" / "stacks"
# The stacks that are meant to be current. The others hold old versions on purpose.
CURRENT = ("pinned", "latest")


def run(checkout: Path | None = None) -> bool:
    """Try the series on a checkout or on the newest release, compare the locks with the newest releases, and print Markdown.

    Args:
        checkout: a checkout of upstream's repository; the locks are left out, so that no network is needed

    Returns:
        whether every patch applies; an aged lock is no failure

    Raises:
        HarnessError: there is no network, or the checkout does not hold the package
    """
    patches = [*series.whole(PATCHES), *series.outside(PATCHES)]
    with tempfile.TemporaryDirectory() as folder:
        if checkout:
            name, tree = str(checkout), _package_folder(checkout)
            files = {file: checkout / file for patch in patches for file in beside(patch)}
            texts = {file: path.read_text(encoding="utf-8") for file, path in files.items() if path.is_file()}
        else:
            version = newest("liquid-audio")
            name, tree = f"liquid-audio {version}", _release(version, Path(folder))
            readme = series.published_readme(tree)
            texts = {"README.md": readme} if readme else {}
        print(f"## The series on {name}\n", flush=True)
        found = examine(tree, patches, texts)
    for patch, words in found.items():
        print(f"- `{patch}` {words}.")
    if not checkout:
        print("\n## The locks\n", flush=True)
        aged = [words for stack in CURRENT for words in outdated(stack)]
        print("\n".join(f"- {words}." for words in aged) or "Each direct dependency is locked to its newest release.")
    return all(words == "applies" or words.startswith("was not tried") for words in found.values())


def examine(tree: Path, patches: Sequence[Path], texts: Mapping[str, str]) -> dict[str, str]:
    """Try the patches in order on a copy of a tree and of files beside it, each on top of the earlier ones that apply."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(tree / trees.PACKAGE, copy / "src" / trees.PACKAGE, symlinks=True)
        for file, text in texts.items():
            (copy / file).parent.mkdir(exist_ok=True)
            (copy / file).write_text(text, encoding="utf-8")
        for patch in patches:
            missing = [file for file in beside(patch) if file not in texts]
            # Try the reverse first: where the context occurs twice, git could add lines that are in already once more.
            if missing:
                found[patch.name] = f"was not tried: there is no {missing[0]}"
            elif not trees.git_apply(patch, copy, "--check", "--reverse", strip=1):
                found[patch.name] = "is in already: drop it"
            elif complaint := trees.git_apply(patch, copy, strip=1):
                found[patch.name] = f"conflicts: {complaint}: rebase it, or drop it"
            else:
                found[patch.name] = "applies"
    return found


def beside(patch: Path) -> list[str]:
    """List the files outside the package that a patch changes."""
    changed = re.findall(r"^\+\+\+ b/(\S+)$", patch.read_text(encoding="utf-8"), re.MULTILINE)
    return [file for file in changed if not file.startswith("src/")]


def outdated(stack: str, folder: Path = LOCKS) -> Iterator[str]:
    """Name the direct dependencies of a stack whose newest release is not the locked one, and what holds it back."""
    lines = (folder / f"{stack}.in").read_text(encoding="utf-8").splitlines()
    lock = (folder / f"{stack}.txt").read_text(encoding="utf-8")
    for asked in (Requirement(line) for line in lines if re.match(r"\w", line)):
        print(f"asking pip for the releases of {asked.name}", file=sys.stderr)
        locked = re.findall(rf"^{re.escape(asked.name)}==([^\s;]+)", lock, re.MULTILINE)
        if (found := newest(asked.name)) not in locked:
            why = "resolve the lock again" if asked.specifier.contains(found) else f"{stack}.in says `{asked}`"
            yield f"`{stack}.txt` has {asked.name} {' and '.join(locked)}, and {found} is out: {why}"


@cache
def newest(name: str) -> str:
    """Ask pip for the newest final release of a package, for any Python.

    Raises:
        HarnessError: pip cannot tell
    """
    command = [sys.executable, "-m", "pip", "--retries", "1", "index", "versions", "--ignore-requires-python", name]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"^Available versions: ([^,\s]+)", done.stdout, re.MULTILINE)
    if done.returncode or not found:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise HarnessError(f"cannot ask pip for the releases of {name}, which needs pip and a network: {reason}")
    return found[1]


def _package_folder(checkout: Path) -> Path:
    """Find the folder that holds the package in a checkout of upstream's repository."""
    for folder in (checkout / "src", checkout):
        if (folder / trees.PACKAGE / "__init__.py").is_file():
            return folder
    raise HarnessError(f"--checkout {checkout}: expected a folder that holds src/{trees.PACKAGE}/ or {trees.PACKAGE}/")


def _release(version: str, folder: Path) -> Path:
    """Unpack a release: the known one as it is pinned, any other into a folder."""
    if version == wheels.RELEASE.version:
        return trees.resolve("upstream", cache=CACHE).path
    wheels.unpack(wheels.download(version, folder), folder / "tree")
    return folder / "tree"


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `drift`."""
    parser.add_argument("--checkout", type=Path, help="a folder that holds src/liquid_audio/ or liquid_audio/")
    parser.set_defaults(run=lambda options: run(options.checkout))
