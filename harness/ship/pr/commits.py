"""The pull requests as commits for `git am`: their patches, with the sender as author, and a commit that adds the tests."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from harness import HarnessError, series
from harness.ship.pr.pulls import TOOLS, Pull


def export(folder: Path, pulls: Sequence[Pull], author: str, upstream: Path | None = None) -> list[str]:
    """Write each pull request into its own folder, and check that `git am` takes them one after the other.

    Args:
        folder: where their folders go
        pulls: the pull requests in order
        author: author of every commit, "Name <address>"
        upstream: a checkout of upstream's repository; without one, patches of files outside the wheel are not tried

    Returns:
        git's summary of what each changes in the package

    Raises:
        HarnessError: upstream's linters complain about the tests, or a patch does not apply
    """
    stats = []
    with series.checkout(upstream) as repository:
        for pull in pulls:
            target = folder / pull.folder
            target.mkdir()
            before = series.git(repository, "rev-parse", "HEAD").strip()
            for patch in pull.patches:
                _send(patch, target / patch.name, author)
                if upstream or patch.parent.name != "checkout":
                    series.am(repository, target / patch.name)
            stats.append(series.git(repository, "diff", "--stat", before, "--", "src").rstrip())
            number = int(pull.patches[-1].name[:4]) + 1
            if pull is pulls[0]:
                _send(TOOLS, target / f"{number:04d}-{TOOLS.name}", author)
                if upstream:
                    series.am(repository, target / f"{number:04d}-{TOOLS.name}")
                number += 1
            _commit_tests(repository, pull, author)
            options = ("--output-directory", str(target), "--start-number", str(number), "HEAD~1")
            series.git(repository, *series.EXPORT, *options)
        series.git(repository, "reset", "--quiet", "--hard", "release")
        for pull in pulls:
            series.am(repository, *_written(folder / pull.folder, pull, upstream is not None))
    return stats


def _send(patch: Path, target: Path, author: str) -> None:
    """Copy a patch, with another author."""
    text = patch.read_text(encoding="utf-8")
    target.write_text(re.sub(r"(?<=^From: ).+", lambda _: author, text, count=1, flags=re.MULTILINE), encoding="utf-8")


def _commit_tests(repository: Path, pull: Pull, author: str) -> None:
    """Commit the tests of a pull request with the date of the commit before, so that the same tests give the same bytes."""
    file = repository / "tests" / pull.tests.name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(pull.tests.read_bytes())
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "tests"], cwd=repository, capture_output=True, text=True
        )
        if done.returncode:
            raise HarnessError(f"upstream's ruff complains about {pull.tests.name}: {done.stdout.strip().splitlines()[0]}")
    date = series.git(repository, "log", "-1", "--format=%aI").strip()
    series.git(repository, "add", "tests")
    series.git(repository, "commit", "--quiet", "--author", author, "--date", date, "--message", pull.commit)


def _written(folder: Path, pull: Pull, whole: bool) -> list[Path]:
    """List the written patches of a pull request in the order of `git am`, without files outside the wheel unless `whole`."""
    outside = {patch.name for patch in pull.patches if patch.parent.name == "checkout"}
    found = sorted(folder.glob("*.patch"))
    return [patch for patch in found if whole or not (patch.name in outside or patch.name.endswith(TOOLS.name))]
