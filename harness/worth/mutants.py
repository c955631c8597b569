"""Run the mutants of the series. A test kills each one, or `tests/mutants.toml` lists it with the reason why none does.

`harness.worth.mutate` proposes them, in an environment with cosmic-ray. Most of the listed mutants change nothing. For the
others the reason says what they change.
"""

import argparse
import json
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import ROOT, HarnessError, devices, series, trees
from harness.results import Run
from harness.table import Table, publish
from harness.worth.necessity import costs, without
from harness.worth.sample import SLOW, WORKERS, Suite, each, prepare
from harness.worth.trial import Trials, red

LISTED = ROOT / "tests" / "mutants.toml"
LEAST = 400
WHOLE = 20  # a test with up to this many parametrisations runs in full
KILLERS = 16  # tests that run first
QUICK = 1.0  # seconds that such a test may take at most
NO_END = "pytest, which does not finish"
# The tests of a file, `tests/test_<name>.py`, which run first.
FIRST = {
    "audio.py": ("audio_input", "properties", "callers", "types"),
    "processor.py": ("audio_input", "lazy_parts", "moves", "device", "signatures"),
    "utils.py": ("device", "folder"),
    "model/lfm2_audio.py": ("attention", "moves", "device", "signatures", "answers", "finetuning"),
    "model/conformer/processor.py": ("moves", "audio_input"),
    "demo/chat.py": ("examples",),
    "demo/model.py": ("examples",),
    "detokenizer.py": ("lazy_parts", "speaking"),
    "moshi/models/compression.py": ("lazy_parts",),
}


@dataclass(frozen=True)
class Mutant:
    """A file of the patched package with one mistake.

    Attributes:
        file: its path in the package
        line: the number of the mutated line
        operator: the kind of mistake
        becomes: the mutated line, or what it lacks, or what moved where
        text: the whole mutated file
    """

    file: str
    line: int
    operator: str
    becomes: str
    text: str

    @property
    def key(self) -> tuple[str, str]:
        """Return the identity of the mutant, which does not change if its line moves."""
        return self.file, self.becomes


@dataclass(frozen=True)
class Fate:
    """The fate of a mutant: the test that killed it, with its message, or the reason why none does."""

    mutant: Mutant
    lane: str = ""
    test: str = ""
    says: str = ""
    reason: str = ""


def read_listed(file: Path = LISTED) -> dict[tuple[str, str], str]:
    """Read the mutants that no test kills, each with the reason."""
    entries = tomllib.loads(file.read_text(encoding="utf-8")).get("mutant", []) if file.is_file() else []
    return {(entry["file"], line): entry["reason"] for entry in entries for line in entry["becomes"]}


class Hunt:
    """Puts mutants into the package and runs the tests."""

    def __init__(self, trials: Trials, suites: Sequence[Suite], green: Mapping[str, Run], scratch: Path) -> None:
        self.trials, self.suites, self.scratch = trials, suites, scratch
        self.green = {suite.lane: compared(green[suite.lane], suite) for suite in suites}
        self.patched = trees.resolve("patched").path
        self.said = series.lint(self.patched)
        self.costs = {lane: costs(run) for lane, run in green.items()}
        # Tests that have killed mutants of a file on a lane are likely to kill others.
        self.killers: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)

    def __call__(self, mutant: Mutant) -> Fate:
        """Run the tests, and upstream's mypy, until one kills the mutant."""
        with TemporaryDirectory(dir=self.scratch) as folder:
            tree = without(self.patched, f"{trees.PACKAGE}/{mutant.file}", mutant.text, Path(folder))
            for lane, tests in self.stages(mutant.file):
                if tests is None:
                    if errors := [line for line in series.lint(tree) - self.said if ": error: " in line]:
                        return Fate(mutant, "", "mypy", errors[0])
                elif tests and (found := self.red(str(tree), lane, tests)):
                    if self.costs[lane].get(f"tests/{found[0]}", QUICK) < QUICK:
                        self.killers[lane, mutant.file][f"tests/{found[0]}"] += 1
                    return Fate(mutant, lane, *found)
        return Fate(mutant)

    def red(self, tree: str, lane: str, tests: list[str]) -> tuple[str, str] | None:
        """Find a test that the mutant turns red, rather than the host or the test itself.

        Raises:
            HarnessError: the test is red on the patched package too
        """
        found = self.ask(tree, lane, tests)
        if found and found[0] == NO_END:
            self.must_pass(lane, tests)
            return self.ask(tree, lane, tests)  # one failure proves nothing: the host may have run out of memory or time
        if found and f"tests/{found[0]}" not in self.green[lane].results:
            self.must_pass(lane, [f"tests/{found[0]}"])
        return found

    def ask(self, tree: str, lane: str, tests: list[str]) -> tuple[str, str] | None:
        """Run tests on a tree until one turns red."""
        try:
            return red(self.trials.run(tree, lane, tests, "--maxfail", "1"), self.green[lane])
        except HarnessError as error:  # the mutant cannot be imported, or it hangs
            return NO_END, str(error).rpartition(": ")[2]

    def must_pass(self, lane: str, tests: list[str]) -> None:
        """Check that tests pass on the patched package, because otherwise they cannot kill a mutant.

        Raises:
            HarnessError: one of them does not pass
        """
        if found := self.ask("patched", lane, tests):
            raise HarnessError(f"{found[0]} is red on the patched package too, on {lane}: {found[1]}")

    def stages(self, file: str) -> Iterator[tuple[str, list[str] | None]]:
        """Yield tests in stages, the most telling for their cost first; None, once, for mypy."""
        first, second = self.suites
        for suite in self.suites:
            yield suite.lane, [test for test, _ in self.killers[suite.lane, file].most_common(KILLERS)]
        yield first.lane, self.quick(first, file)
        yield first.lane, None
        yield second.lane, self.quick(second, file)
        yield first.lane, [test for test in first.tests if _near(test, file) and test not in first.sample]
        for suite in self.suites:
            quick = set(self.quick(suite, file))
            yield (
                suite.lane,
                sorted((test for test in suite.sample if test not in quick), key=self.costs[suite.lane].__getitem__),
            )

    def quick(self, suite: Suite, file: str) -> list[str]:
        """Choose the tests of the sample that concern a file and start no Python, the fastest first."""
        cost = self.costs[suite.lane]
        return sorted((test for test in suite.sample if _near(test, file) and cost[test] < SLOW), key=cost.__getitem__)


def compared(green: Run, suite: Suite) -> Run:
    """Drop the digests of tests that fail as published, which a verdict cannot compare."""
    named = {test for test in green.results if any(bug.shown_by(test) for bug in suite.bugs)}
    return replace(green, results={t: replace(r, digest="") if t in named else r for t, r in green.results.items()})


def _near(test: str, file: str) -> bool:
    return Path(test.partition("::")[0]).stem.removeprefix("test_") in FIRST.get(file, ())


def run(proposed: Path) -> bool:
    """Hunt every mutant, and write `out/mutants.json` and `out/mutants.md`.

    Args:
        proposed: the output of `harness.worth.mutate`

    Returns:
        whether every mutant was killed or is listed, and every listed one was proposed

    Raises:
        HarnessError: this host lacks the stand-in accelerator, or there are too few mutants
    """
    start = time.monotonic()
    devices.refuse("sim", devices.lacks("sim"))
    found: list[dict[str, Any]] = json.loads(proposed.read_text(encoding="utf-8"))
    mutants = [Mutant(**entry) for entry in found]
    if len(mutants) < LEAST:
        raise HarnessError(f"{proposed.name} has {len(mutants)} mutants, expected {LEAST} or more: run `nox -s mutants`")
    listed = read_listed()
    with ThreadPoolExecutor(WORKERS) as pool, TemporaryDirectory() as scratch, Trials() as trials:
        hunt = Hunt(trials, *prepare(trials, pool, WHOLE), Path(scratch))
        hunted = [mutant for mutant in mutants if mutant.key not in listed]
        fates = each(pool, hunt, hunted, f"hunting {len(hunted)} mutants")
    fates += [Fate(mutant, reason=listed[mutant.key]) for mutant in mutants if mutant.key in listed]
    problems = [
        f"{f.mutant.file}:{f.mutant.line}: no test kills `{f.mutant.becomes}` ({f.mutant.operator})"
        for f in fates
        if not (f.test or f.reason)
    ]
    gone = sorted(listed.keys() - {mutant.key for mutant in mutants})
    problems += [f"tests/mutants.toml lists `{line}` of {file}, which is no longer proposed" for file, line in gone]
    seconds = round(time.monotonic() - start)
    publish("mutants", killers(fates), table(fates), problems=problems, seconds=seconds)
    print(f"{len(mutants)} mutants, {sum(bool(f.test) for f in fates)} killed, {len(problems)} problems; {seconds} s")
    return not problems


def killers(fates: Sequence[Fate]) -> Table:
    """Make the table of how many mutants of each file were killed."""
    rows = []
    for file in sorted({fate.mutant.file for fate in fates}):
        own = [fate for fate in fates if fate.mutant.file == file]
        killed = Counter(fate.test.partition("[")[0] for fate in own if fate.test)
        first = ", ".join(f"{test} {n}" for test, n in killed.most_common(3))
        rows.append([file, str(len(own)), str(killed.total()), str(sum(bool(fate.reason) for fate in own)), first])
    note = "A mutant is the patched package with a mistake in one changed line. The first test that fails or gives different "
    note += "bits kills it, or upstream's mypy does."
    return Table("Mutants: what the tests notice", ("file", "mutants", "killed", "listed", "most often by"), rows, note)


def table(fates: Sequence[Fate]) -> Table:
    """Make the table of all mutants."""
    rows = [
        [
            f"{f.mutant.file}:{f.mutant.line}",
            f.mutant.operator,
            f.mutant.becomes,
            f.test or f.reason or "nothing",
            f.says or "",
        ]
        for f in sorted(fates, key=lambda fate: (fate.mutant.file, fate.mutant.line))
    ]
    return Table("Mutants: each", ("line", "mistake", "becomes", "killed by, or why not", "message"), rows)


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `mutants`."""
    parser.add_argument("proposed", type=Path, help="file with the output of `python -m harness.worth.mutate`")
    parser.set_defaults(run=lambda options: run(options.proposed))
