"""Make a repository with the series as commits, to add one there without a checkout of upstream's repository."""

import argparse
import shutil
from pathlib import Path

from harness import PATCHES, HarnessError
from harness.series import am, checkout, git, whole


def make(target: Path, patches: Path = PATCHES) -> None:
    """Make a repository of the release, with the series as commits, but without the patches of files outside the wheel.

    Raises:
        HarnessError: the folder exists already, or a patch does not apply
    """
    if target.exists():
        raise HarnessError(f"{target} exists already: name a new folder")
    with checkout() as repository:
        am(repository, *whole(patches))
        git(repository, "tag", "--delete", "release")
        shutil.copytree(repository, target)


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `checkout`."""
    parser.add_argument("folder", type=Path, help="a folder that does not exist yet")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    make(options.folder)
    print(f"made {options.folder}: add a commit there, and run `nox -s export -- {options.folder}`")
