"""The staircase: upstream's repository after each commit of the series, and which tests of the pull request pass there."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from harness import PATCHES, HarnessError, world
from harness.lane.results import read_run
from harness.package import series, trees, wheels

TESTS = Path(__file__).with_name("test_any_device.py")
TITLE = "Test processor, model and audio on any device"
MESSAGE = f"""{TITLE}

They fail on {wheels.RELEASE.version} where there is no CUDA. Each commit of the series lets a few
more of them pass, in the order in which they stand. They take seconds on a
CPU, and need pytest and nothing else that the package does not.
"""


@dataclass(frozen=True)
class Step:
    """Upstream's repository after a commit.

    Attributes:
        patch: the last one applied, "" for the release
        tests: what became of each test, "passed" or otherwise, in the order of the file
    """

    patch: str
    tests: dict[str, str]

    @property
    def green(self) -> set[str]:
        """Give the tests that pass."""
        return {test for test, outcome in self.tests.items() if outcome == "passed"}


def climb(patches: Path = PATCHES, workers: int = 2) -> list[Step]:
    """Run the tests on the release and after each patch, and print what each lets pass.

    Raises:
        HarnessError: a step does not let the next tests of the file pass, and no others
    """
    with series.checkout() as repository, tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        futures = []
        for n, patch in enumerate([None, *trees.series(patches)]):
            if patch:
                series.am(repository, patch)
            step = Path(folder) / str(n)
            series.git(repository, "worktree", "add", "--quiet", "--detach", str(step))
            futures.append((patch.name if patch else "", pool.submit(_run, step)))
        steps: list[Step] = []
        try:
            for name, future in futures:
                steps.append(Step(name, future.result()))
                print(f"{len(steps[-1].green):3} of {len(steps[-1].tests)} pass: {name or 'as published'}", flush=True)
        finally:
            pool.shutdown(cancel_futures=True)
    if wrong := next(problems(steps), None):
        raise HarnessError(f"the staircase of {TESTS.name} is wrong: {wrong}")
    return steps


def _run(checkout: Path) -> dict[str, str]:
    """Run the tests in a checkout, as upstream would, where no GPU is."""
    file, log = checkout / "tests" / TESTS.name, checkout / "log.jsonl"
    file.parent.mkdir()
    file.write_bytes(TESTS.read_bytes())
    env = world.environment(CUDA_VISIBLE_DEVICES="", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTHONPATH="src")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "pytest_reportlog.plugin",
        "--report-log",
        str(log),
    ]
    done = subprocess.run(
        [*command, "-c", os.devnull, "--rootdir", str(checkout), "tests"],
        cwd=checkout,
        env=env,
        capture_output=True,
        text=True,
    )
    run = read_run(log, log.with_suffix(".none"))
    if not run.finished:
        raise HarnessError(f"pytest did not come to its end: {(done.stdout + done.stderr).strip().splitlines()[-1]}")
    return {test: result.outcome for test, result in run.results.items()}


def problems(steps: Sequence[Step]) -> Iterator[str]:
    """Find what is wrong with a staircase: each commit lets the next tests pass, one or more, and no others."""
    tests = list(steps[0].tests)
    before = 0
    for step in steps:
        name = step.patch or "the release"
        if list(step.tests) != tests:
            yield f"after {name} other tests ran than on the release"
        for test, outcome in step.tests.items():
            if outcome not in ("passed", "failed"):
                yield f"after {name} {test} ended as {outcome}"
        now = len(step.green)
        if step.green != set(tests[:now]):
            yield f"after {name} {next(test for test in tests if test not in step.green)} fails, and a later test passes"
        if step.patch and now <= before:
            yield f"{name} lets no further test pass"
        if not step.patch and now:
            yield f"{tests[0]} passes on the release"
        before = now
    if before < len(tests):
        yield f"{tests[before]} fails after the whole series"


def turned(steps: Sequence[Step]) -> dict[str, list[str]]:
    """List the tests that each patch lets pass."""
    return {now.patch: [test for test in now.tests if test in now.green - was.green] for was, now in pairwise(steps)}


def export(folder: Path, author: str, patches: Path = PATCHES, upstream: Path | None = None) -> str:
    """Write the series and the tests as commits for `git am`, and check that they apply to a fresh checkout.

    Args:
        folder: where the patches go
        author: of every commit, "Name <address>"
        patches: the series
        upstream: a checkout of upstream's repository, without which what only that has is not tried

    Returns:
        git's summary of what the series changes, the tests aside

    Raises:
        HarnessError: the tests are not as upstream's linters want them, or a patch does not apply
    """
    with series.checkout(upstream) as repository:
        whole, outside = series.whole(patches), series.outside(patches)
        for patch in [*whole, *outside]:
            sent = re.sub(r"(?<=^From: ).+", lambda _: author, patch.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE)
            (folder / patch.name).write_text(sent, encoding="utf-8")
            if upstream or patch not in outside:
                series.am(repository, folder / patch.name)
        stat = series.git(repository, "diff", "--stat", "release")
        file = repository / "tests" / TESTS.name
        file.parent.mkdir()
        file.write_bytes(TESTS.read_bytes())
        for command in (["check"], ["format", "--check"]):
            done = subprocess.run(
                [sys.executable, "-m", "ruff", *command, "--no-cache", "tests"], cwd=repository, capture_output=True, text=True
            )
            if done.returncode:
                raise HarnessError(f"{TESTS.name} is not as upstream's ruff wants it: {done.stdout.strip().splitlines()[0]}")
        date = series.git(repository, "log", "-1", "--format=%aI").strip()
        series.git(repository, "add", "tests")
        series.git(repository, "commit", "--quiet", "--author", author, "--date", date, "--message", MESSAGE)
        number = str(len(whole) + len(outside) + 1)
        target = ("--output-directory", str(folder), "--start-number", number, "HEAD~1")
        series.git(repository, *series.EXPORT, *target)
        series.git(repository, "reset", "--quiet", "--hard", "release")
        for patch in sorted(folder.glob("*.patch")):
            if upstream or patch.name not in {left.name for left in outside}:
                series.am(repository, patch)
    return stat
