"""The suite on each lane, and a representative sample of it."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace

from rich.progress import track

from harness import HarnessError
from harness.catalogue import CATALOGUE, Bug, names, read_catalogue
from harness.results import Run
from harness.worth.trial import Trials, red

LANES = ("cpu", "sim")
WORKERS = max(2, os.cpu_count() or 2)
# Seconds. A slower test starts Python, and runs only on the first lane.
SLOW = 3.0


@dataclass(frozen=True)
class Suite:
    """The suite on a lane.

    Attributes:
        bugs: the bugs that show on the lane
        tests: the ids of all tests
        sample: the ids of the tests that run first
    """

    lane: str
    bugs: tuple[Bug, ...]
    tests: tuple[str, ...]
    sample: tuple[str, ...]

    def of(self, patch: str, tests: Iterable[str]) -> list[str]:
        """Choose the tests of a patch's bugs."""
        bugs = [bug for bug in self.bugs if bug.patch == patch]
        return [test for test in tests if any(bug.shown_by(test) for bug in bugs)]


def prepare(trials: Trials, pool: ThreadPoolExecutor, whole: int = 4) -> tuple[list[Suite], dict[str, Run]]:
    """Collect the suite on each lane, and run its sample with the whole series applied; `whole` is that of `sample`.

    Raises:
        HarnessError: a test is red even with the whole series, so it says nothing about other trees
    """
    suites = each(pool, lambda lane: _collect(trials, lane, whole), LANES, "collecting")
    runs = each(pool, lambda suite: trials.run("patched", suite.lane, suite.sample), suites, "running the sample")
    for suite, run in zip(suites, runs, strict=True):
        if found := red(run):
            raise HarnessError(f"{found[0]} is red on the patched package, on {suite.lane}: {found[1]}")
    slow = {test.replace(LANES[0], "") for test, result in runs[0].results.items() if result.seconds > SLOW}
    green = {LANES[0]: runs[0]}
    for n, (suite, run) in enumerate(zip(suites[1:], runs[1:], strict=True), 1):
        kept = [test for test in suite.sample if test.replace(suite.lane, "") not in slow]
        suites[n] = replace(suite, sample=tuple(kept))
        green[suite.lane] = Run({test: run.results[test] for test in kept})
    return suites, green


def _collect(trials: Trials, lane: str, whole: int) -> Suite:
    tests = trials.collect("patched", lane)
    bugs = tuple(bug for bug in read_catalogue(CATALOGUE).bugs if lane in bug.lanes)
    return Suite(lane, bugs, tuple(tests), tuple(sample(tests, bugs, whole)))


def sample(tests: Iterable[str], bugs: Sequence[Bug], whole: int = 4) -> list[str]:
    """Choose representative tests: all that have few parametrisations, and the first and last parametrisation of the others.

    Args:
        tests: their ids
        bugs: the catalogue; the parametrisations of a test are counted for each of its entries separately
        whole: the number of parametrisations up to which all stay
    """
    groups: dict[tuple[str, str, str], list[str]] = {}
    for test in sorted(tests):
        entry = next(((bug.id, glob) for bug in bugs for glob in bug.tests if names(glob, test)), ("", ""))
        groups.setdefault((*entry, test.partition("[")[0]), []).append(test)
    return [test for group in groups.values() for test in (group if len(group) <= whole else (group[0], group[-1]))]


def each[T, R](pool: ThreadPoolExecutor, work: Callable[[T], R], items: Sequence[T], words: str) -> list[R]:
    """Process each item and show the progress. The results are in the order of the items."""
    futures = [pool.submit(work, item) for item in items]
    for future in track(as_completed(futures), words, total=len(futures)):
        future.result()
    return [future.result() for future in futures]
