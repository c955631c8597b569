"""Break the series on purpose, once for each patch: `tests/broken.patch`. The tests of `tests/broken.toml` must notice."""

import tomllib
from collections.abc import Iterator, Mapping

from harness import ROOT, HarnessError, trees
from harness.results import Result, Run

MISTAKES, NOTICED = ROOT / "tests" / "broken.patch", ROOT / "tests" / "broken.toml"


def read() -> dict[str, tuple[str, str]]:
    """Read the id of a test, and the type of the exception that it must fail with, by patch.

    Raises:
        HarnessError: the file is malformed, or a patch of the series has none
    """
    try:
        listed = tomllib.loads(NOTICED.read_text(encoding="utf-8"))
        tests = {patch: (f"tests/{test}", kind) for patch, (test, kind) in listed.items()}
    except (TypeError, ValueError) as error:
        raise HarnessError(f"{NOTICED.name} cannot be read: {error}") from None
    for patch in trees.series():
        if patch.stem.partition("-")[2] not in tests:
            raise HarnessError(
                f"{NOTICED.name} names no test that notices a mistake in {patch.name}: add one to {MISTAKES.name}"
            )
    return tests


def build() -> trees.Tree:
    """Build the tree with the mistakes."""
    return trees.build("broken", [*trees.series(), MISTAKES])


def problems(tests: Mapping[str, tuple[str, str]], run: Run) -> Iterator[str]:
    """Name the tests that do not notice the mistake in their patch."""
    for patch, (test, kind) in tests.items():
        result = run.results.get(test, Result("missing"))
        if (result.outcome, result.type) != ("failed", kind):
            came = f"is {result.outcome} {result.type}".strip()
            yield f"broken on purpose in {patch}: {test} should fail with {kind}, and it {came}"
