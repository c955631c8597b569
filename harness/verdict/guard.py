"""Break the series on purpose, once for each patch: `tests/broken.patch`. The tests of `tests/broken.toml` must notice."""

import tomllib
from collections.abc import Iterator, Mapping

from harness import ROOT, HarnessError
from harness.lane.results import Run
from harness.package import trees

MISTAKES, NOTICED = ROOT / "tests" / "broken.patch", ROOT / "tests" / "broken.toml"


def read() -> dict[str, str]:
    """Read the ids of the tests, by patch.

    Raises:
        HarnessError: a patch of the series has none
    """
    tests = {patch: f"tests/{test}" for patch, test in tomllib.loads(NOTICED.read_text(encoding="utf-8")).items()}
    for patch in trees.series():
        if patch.stem.partition("-")[2] not in tests:
            raise HarnessError(
                f"{NOTICED.name} names no test that notices a mistake in {patch.name}: add one to {MISTAKES.name}"
            )
    return tests


def build() -> trees.Tree:
    """Build the tree with the mistakes."""
    return trees.build("broken", [*trees.series(), MISTAKES])


def problems(tests: Mapping[str, str], run: Run) -> Iterator[str]:
    """Name the tests that do not notice the mistake in their patch."""
    for patch, test in tests.items():
        outcome = run.results[test].outcome if test in run.results else "missing"
        if outcome != "failed":
            yield f"broken on purpose in {patch}: {test} should fail, and it {'passes' if outcome == 'passed' else f'is {outcome}'}"
