"""Run the mutants of the patched package. A test kills each one, or `tests/mutants.toml` says why none does.

`harness.mutate` proposes them, in an environment with cosmic-ray. Each is the patched package with one mistake, or without one
piece of the series. A mutant is killed by a test that fails or gives different bits, or by upstream's mypy.
"""

import argparse
import json
import shutil
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import NamedTuple, Self

from rich.progress import track

from harness import OUT, ROOT, HarnessError, devices, series, trees, world
from harness.catalogue import CATALOGUE, read_catalogue
from harness.report.terminal import in_a_line
from harness.results import Run
from harness.run import DEFAULT, Started, processors, start_suite
from harness.table import Table, publish

LISTED = ROOT / "tests" / "mutants.toml"
FEWEST = 400
# The tests that run first take at most these seconds each. Of those that killed other mutants of a file, so many run before them.
QUICK, KILLERS = 1.0, 16


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


class Fate(NamedTuple):
    """What killed a mutant, a test with its lane or mypy, and its message. Both are empty if the mutant survived."""

    killer: str = ""
    message: str = ""


class Runs:
    """The runs of the suite that are in progress. They end with the context, as after Ctrl-C."""

    def __init__(self) -> None:
        self._started: list[Started] = []
        self._lock = Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._closed = True
            for started in self._started:
                started.end()

    def __call__(self, tree: str, lane: str, tests: Sequence[str], *options: str, limit: float | None = None) -> Run:
        """Run tests on a tree, for at most some seconds."""
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # a killed run may still write
            with self._lock:
                if self._closed:
                    raise HarnessError("interrupted")
                started = start_suite(tree, lane, Path(folder), *options, tests=tests)
                self._started.append(started)
            run, _ = started.finish(limit)
            with self._lock:
                self._started.remove(started)
            return run


class Suite:
    """The suite on some lanes, which is green on the patched package and is then run on its mutants."""

    def __init__(self, runs: Runs, lanes: Sequence[str] = DEFAULT, tests: Sequence[str] = ("tests",)) -> None:
        self.runs = runs
        self.patched = trees.resolve("patched").path
        self.complaints = series.lint(self.patched)
        self.green = {lane: self._green(lane, tests) for lane in track(lanes, "running the suite on the patched package")}
        # A test that has killed a mutant of a file is likely to kill others.
        self.killers: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.sample = {lane: sample(green) for lane, green in self.green.items()}

    def _green(self, lane: str, tests: Sequence[str]) -> Run:
        """Run the suite on the patched package, and drop the digests of tests that a verdict cannot compare.

        Raises:
            HarnessError: it is not green, so it says nothing about mutants
        """
        run = self.runs("patched", lane, tests)
        if run.status != 0:
            test, message = difference(run, Run({})) or ("pytest", run.last)
            raise HarnessError(f"{test} is red on the patched package, on {lane}: {message}: run `nox -s verdict` first")
        bugs = read_catalogue(CATALOGUE).bugs
        named = {test for test in run.results if any(bug.shown_by(test) for bug in bugs)}
        return Run({test: replace(r, digest="") if test in named else r for test, r in run.results.items()})

    def fate(self, mutant: Mutant) -> Fate:
        """Find what kills a mutant."""
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            tree, stem = Path(folder) / "tree", Path(mutant.file).stem
            ignored = shutil.ignore_patterns(f"{stem}.*.pyc")  # bytecode of the file without the mistake
            shutil.copytree(self.patched / trees.PACKAGE, tree / trees.PACKAGE, ignore=ignored)
            (tree / trees.PACKAGE / mutant.file).write_text(mutant.text, encoding="utf-8")
            fate = next(filter(None, self._checks(tree, mutant.file)), Fate())
        self.killers[mutant.file][fate.killer] += 1
        return fate

    def _checks(self, tree: Path, file: str) -> Iterator[Fate | None]:
        """Run everything that may kill a mutant, the quick tests first."""
        known = [killer for killer, _ in self.killers[file].most_common(KILLERS)]
        for lane, tests in self.sample.items():
            quick = sorted(tests, key=lambda test: known.index(key) if (key := f"{lane}: {test}") in known else KILLERS)
            yield self._run(tree, lane, quick)
        errors = [said for said in series.lint(tree) - self.complaints if ": error: " in said]
        yield Fate("mypy", errors[0]) if errors else None
        for lane, green in self.green.items():
            yield self._run(tree, lane, [test for test in green.results if test not in self.sample[lane]])

    def _run(self, tree: Path, lane: str, tests: Sequence[str]) -> Fate | None:
        """Run tests on a mutant until one kills it."""
        if not tests:  # pytest would run all of them
            return None
        limit = 300 + 10 * sum(self.green[lane].results[test].seconds for test in tests)
        for _ in range(2):  # one run that does not finish proves nothing: the host may have run out of memory
            run = self.runs(str(tree), lane, tests, "--maxfail", "1", limit=limit)
            if found := difference(run, self.green[lane]):
                return Fate(f"{lane}: {found[0]}", found[1])
            if run.finished:
                return None
        return Fate(f"{lane}: pytest, which does not finish", run.last or f"killed after {limit:.0f} s")


def sample(green: Run) -> list[str]:
    """Choose the first and the last parametrisation of each quick test, the quickest first."""
    functions: defaultdict[str, list[str]] = defaultdict(list)
    for test in green.results:
        functions[test.partition("[")[0]].append(test)
    # The first test of a function also pays for what they share.
    seconds = {name: max(green.results[test].seconds for test in tests) for name, tests in functions.items()}
    quick = sorted((name for name in functions if seconds[name] < QUICK), key=seconds.__getitem__)
    return [test for name in quick for test in dict.fromkeys((functions[name][0], functions[name][-1]))]


def difference(run: Run, green: Run) -> tuple[str, str] | None:
    """Find a test that does not pass, or gives bits other than in the green run, and its message."""
    for test, result in run.results.items():
        before = green.results.get(test)
        if result.outcome != (before.outcome if before else "passed"):
            return test, in_a_line(result.type, result.message)
        if before and before.digest and before.digest != result.digest:
            return test, "passes, with different bits"
    return None


def read_listed(file: Path = LISTED) -> dict[tuple[str, str], str]:
    """Read the mutants that no test kills, each with the reason."""
    entries = tomllib.loads(file.read_text(encoding="utf-8"))["mutant"]
    return {(entry["file"], becomes): entry["reason"] for entry in entries for becomes in entry["becomes"]}


def read_known(log: Path, digest: str) -> dict[tuple[str, str], Fate]:
    """Read the fates that an interrupted run found with the same files. Begin the log anew if the files have changed."""
    lines = [json.loads(entry) for entry in log.read_text(encoding="utf-8").splitlines()] if log.is_file() else []
    if lines[:1] != [digest]:
        log.parent.mkdir(exist_ok=True)
        log.write_text(json.dumps(digest) + "\n", encoding="utf-8")
    return {(file, becomes): Fate(*fate) for file, becomes, *fate in lines[1:]} if lines[:1] == [digest] else {}


def run(proposed: Path) -> bool:
    """Find what kills each mutant, and write `out/mutants.json` and `out/mutants.md`.

    Each fate is added to `out/mutants.jsonl` at once, so that an interrupted run can be continued.

    Args:
        proposed: the output of `harness.mutate`

    Returns:
        whether exactly the listed mutants survived

    Raises:
        HarnessError: this host cannot use `sim`, there are too few mutants, or the patched package is not green
    """
    start = time.monotonic()
    devices.refuse("sim", devices.lacks("sim"))
    mutants = [Mutant(**entry) for entry in json.loads(proposed.read_text(encoding="utf-8"))]
    if len(mutants) < FEWEST:
        raise HarnessError(f"{proposed.name} has {len(mutants)} mutants, expected {FEWEST} or more: run `nox -s mutants`")
    log = OUT / "mutants.jsonl"
    fates = read_known(log, world.digest())
    with ThreadPoolExecutor(processors()) as pool, Runs() as runs:
        suite = Suite(runs)
        tasks = {pool.submit(suite.fate, mutant): mutant for mutant in mutants if mutant.key not in fates}
        for task in track(as_completed(tasks), f"running {len(tasks)} mutants", total=len(tasks)):
            fates[tasks[task].key] = task.result()
            with log.open("a", encoding="utf-8") as opened:
                opened.write(json.dumps([*tasks[task].key, *task.result()]) + "\n")
    pairs, listed = [(mutant, fates[mutant.key]) for mutant in mutants], read_listed()
    found, killed = list(problems(pairs, listed)), sum(bool(fate.killer) for _, fate in pairs)
    publish("mutants", table(pairs, listed), problems=found, seconds=round(time.monotonic() - start))
    log.unlink()
    print(f"{len(mutants)} mutants, {killed} killed, {len(found)} problems")
    return not found


def problems(fates: Sequence[tuple[Mutant, Fate]], listed: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """Say where the survivors differ from the list."""
    for mutant, (killer, _) in fates:
        if not killer and mutant.key not in listed:
            yield f"{mutant.file}:{mutant.line}: no test kills `{mutant.becomes}` ({mutant.operator})"
        if killer and mutant.key in listed:
            yield f"tests/mutants.toml lists `{mutant.becomes}` of {mutant.file}, which is killed by {killer}"
    for file, becomes in sorted(listed.keys() - {mutant.key for mutant, _ in fates}):
        yield f"tests/mutants.toml lists `{becomes}` of {file}, which is no longer proposed"


def table(fates: Sequence[tuple[Mutant, Fate]], listed: Mapping[tuple[str, str], str]) -> Table:
    """Make the table of all mutants."""
    rows = [
        [
            f"{mutant.file}:{mutant.line}",
            mutant.operator,
            mutant.becomes,
            killer or "nothing",
            message or listed.get(mutant.key, ""),
        ]
        for mutant, (killer, message) in sorted(fates, key=lambda pair: (pair[0].file, pair[0].line))
    ]
    note = "A mutant is the patched package with a mistake in one line, or without one piece of the series."
    return Table(
        "Mutants: what the tests notice", ("line", "mistake", "becomes", "killed by", "message, or why not"), rows, note
    )


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `mutants`."""
    parser.add_argument("proposed", type=Path, help="file with the output of `python -m harness.mutate`")
    parser.set_defaults(run=lambda options: run(options.proposed))
