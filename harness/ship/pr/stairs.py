"""The staircase: upstream's repository after each commit of the pull requests, and which of their tests pass there."""

import os
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from harness import HarnessError, series
from harness.run import environment, start
from harness.ship.pr.pulls import Pull


@dataclass(frozen=True)
class Step:
    """Upstream's repository after a commit.

    Attributes:
        patch: the last one applied, "" for the release
        tests: the outcome of each test, "passed" or another, in the order of the file
    """

    patch: str
    tests: dict[str, str]

    @property
    def green(self) -> set[str]:
        """The tests that pass."""
        return {test for test, outcome in self.tests.items() if outcome == "passed"}


def climb(pulls: Sequence[Pull], workers: int = 2) -> list[Step]:
    """Run all tests on the release and after each patch that changes the package, and print how many pass.

    Raises:
        HarnessError: a step lets none of the next tests pass, or others
    """
    tests = [pull.tests for pull in pulls]
    with series.checkout() as repository, tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        futures = []
        for n, patch in enumerate([None, *(patch for pull in pulls for patch in pull.code)]):
            if patch:
                series.am(repository, patch)
            step = Path(folder) / str(n)
            series.git(repository, "worktree", "add", "--quiet", "--detach", str(step))
            futures.append((patch.name if patch else "", pool.submit(_run, step, tests)))
        steps: list[Step] = []
        try:
            for name, future in futures:
                steps.append(Step(name, future.result()))
                print(f"{len(steps[-1].green):3} of {len(steps[-1].tests)} pass: {name or 'as published'}", flush=True)
        finally:
            pool.shutdown(cancel_futures=True)
    if wrong := next(problems(steps), None):
        raise HarnessError(f"the staircase of the pull requests is wrong: {wrong}")
    return steps


def alone(pull: Pull) -> bool:
    """Say whether a pull request applies to the release by itself, and its tests pass there."""
    try:
        with series.checkout() as repository:
            series.am(repository, *pull.code)
            return set(_run(repository, [pull.tests]).values()) == {"passed"}
    except HarnessError:  # it does not apply, or its tests import something that is not there
        return False


def _run(checkout: Path, tests: Sequence[Path]) -> dict[str, str]:
    """Run tests in a checkout, as upstream would on a host without a GPU."""
    log, files = checkout / "log.jsonl", [f"tests/{file.name}" for file in tests]
    (checkout / "tests").mkdir()
    for file, source in zip(files, tests, strict=True):
        (checkout / file).write_bytes(source.read_bytes())
    said, path = checkout / "said.txt", shlex.quote(str(checkout / "src"))
    options = ["-c", os.devnull, "--rootdir", str(checkout), "-o", f"pythonpath={path}"]
    run, _ = start([*options, "--report-log", str(log), *files], log, said, environment("cpu"), folder=checkout).finish()
    if not run.finished:
        raise HarnessError(f"pytest did not finish: {run.last}")
    return {test: result.outcome for test, result in run.results.items()}


def problems(steps: Sequence[Step]) -> Iterator[str]:
    """Find what is wrong with a staircase. Each commit must let one or more of the next tests pass, and no others."""
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
