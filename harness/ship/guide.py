"""Follow «Add a bug» of tests/README.md to the letter, in a copy of this repository, so that the guide cannot rot."""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import ROOT, HarnessError, series, trees

GUIDE = ROOT / "tests" / "README.md"
# What git does not hold and no step changes: environments, trees and the checkpoint.
SHARED = (".nox", ".cache")
CHECKOUT = "liquid-audio"
FAILS = "# fails"
# Runs a command in a folder, and returns its exit status, or None if it was left out.
type Run = Callable[[list[str], Path], int | None]


@dataclass(frozen=True)
class Block:
    """A block of code of the guide.

    Attributes:
        language: "bash", whose lines are run; "diff", which is applied to the checkout; or that of a file that it is added to
        text: without its indentation
    """

    language: str
    text: str


def run(python: str) -> None:
    """Follow the guide in a temporary folder.

    Args:
        python: the Python to use as python3, which has nox

    Raises:
        HarnessError: a step does not do what the guide says
    """
    with tempfile.TemporaryDirectory() as folder:
        repository = copy(Path(folder) / "repository")
        for step in follow(repository, runner(python)):
            print(f"guide: {step}", flush=True)
    print("the guide leads from a bug to a verdict that holds")


def copy(target: Path) -> Path:
    """Copy the files that git has or would add, and link what is shared."""
    listed = series.git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "The copy"]):
        series.git(target, *command)
    for name in SHARED:
        if (ROOT / name).is_dir():
            (target / name).symlink_to(ROOT / name)
    return target


def blocks(text: str) -> list[Block]:
    """Find the blocks of code in the part of the guide that is about a new bug."""
    part = text.partition("## Add a bug")[2]
    found = re.findall(r"^( *)```(\w+)\n(.*?)^ *```$", part, re.MULTILINE | re.DOTALL)
    return [Block(language, re.sub(rf"^{indent}", "", code, flags=re.MULTILINE)) for indent, language, code in found]


def follow(repository: Path, execute: Run) -> Iterator[str]:
    """Do what each block says, and yield what was done.

    Raises:
        HarnessError: a command fails and the guide does not say so, or succeeds where the guide says that it fails
    """
    for block in blocks(GUIDE.read_text(encoding="utf-8")):
        if block.language == "diff":
            checkout, patch = repository.parent / CHECKOUT, repository.parent / "guide.diff"
            patch.write_text(block.text, encoding="utf-8")
            trees.apply(patch, checkout, strip=1)
            yield f"changed {checkout.name}"
        elif block.language == "bash":
            for line in block.text.splitlines():
                command = shlex.split(line, comments=True)
                ended = execute(command, repository)
                if ended is not None and (ended != 0) != line.endswith(FAILS):
                    raise HarnessError(f"tests/README.md says `{line}`, which ended with {ended}")
                yield line
        else:
            where, _, code = block.text.partition("\n")
            name = where.removeprefix("# at the end of ")
            if not (repository / name).is_file():
                raise HarnessError(f"tests/README.md says {where!r}, and there is no such file")
            with (repository / name).open("a", encoding="utf-8") as file:
                file.write(("\n\n" if block.language == "python" else "\n") + code)
            yield f"added to {name}"


def runner(python: str) -> Run:
    """Return a function that runs commands with `python` as python3, and with a neutral author for git."""

    def run(command: Sequence[str], repository: Path) -> int:
        chosen = [python, *command[1:]] if command[0] == "python3" else command
        return subprocess.run(chosen, cwd=repository, env={**os.environ, **series.NOBODY}).returncode

    return run


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `guide`."""
    parser.add_argument("python", help="a Python that has nox")
    parser.set_defaults(run=lambda options: run(options.python))
