"""Make a checkout for whoever has none of upstream's repository, to add a commit to the series there."""

import argparse
import shutil
from pathlib import Path

from harness import PATCHES, HarnessError
from harness.package.series import am, checkout, git, whole


def make(target: Path, patches: Path = PATCHES) -> None:
    """Make a repository for whoever has none of upstream's: the release, and the series as commits, without what no wheel has.

    Raises:
        HarnessError: the folder is there already, or a patch does not apply
    """
    if target.exists():
        raise HarnessError(f"{target} is there already: name a folder that is not")
    with checkout() as repository:
        for patch in whole(patches):
            am(repository, patch)
        git(repository, "tag", "--delete", "release")
        shutil.copytree(repository, target)


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `checkout`."""
    parser.add_argument("folder", type=Path, help="where, a folder that is not there yet")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    make(options.folder)
    print(f"made {options.folder}: add a commit there, and run `nox -s export -- {options.folder}`")
