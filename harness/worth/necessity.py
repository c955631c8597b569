"""Show that every part of the series is needed, and that each patch does what it says and no more.

Necessity: without any one piece of the series, a test turns red. The staircase: after each patch, its bugs are gone, those of
later patches show as they do on upstream, and nothing else has changed.
"""

import argparse
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.lane import devices
from harness.lane.results import Run
from harness.package import series, trees
from harness.table import Table, publish
from harness.verdict.catalogue import Catalogue
from harness.verdict.judge import NO_BUG, judge
from harness.worth.pieces import Piece, carry, cut
from harness.worth.sample import SLOW, WORKERS, Suite, each, prepare
from harness.worth.trial import Trials, red

# A lane, the ids of tests, and a run to compare bits with.
type Stage = tuple[str, list[str], Run | None]

PIECES = """\
A piece is a hunk of a patch, a run of changed lines in it, or a statement that it adds. Each was taken out of the whole \
series, or of the patches up to its own if a later one rewrote its lines. A piece is needed if a test or upstream's mypy \
fails without it. Comments and docstrings that no test notices count as words, not as unneeded."""
STEPS = """\
The tests are a sample, with only the first and last case of a test that has many. Tests that start Python run only on the \
CPU. A step holds if the bugs of its patches are fixed, the tests of later ones fail for their own reasons, and all other \
results are those of the whole series."""


@dataclass(frozen=True)
class Finding:
    """Whether a piece is needed, and by what.

    Attributes:
        where: the tree that it was taken out of, "the series" or "the first N" patches
        by: "test", "mypy", "words" for comments and docstrings, which nothing notices, or "nothing"
        lane: the lane on which a test turned red
        proof: the id of that test
        says: the message of that test, or of mypy
    """

    piece: Piece
    where: str
    by: str
    lane: str = ""
    proof: str = ""
    says: str = ""


def stairs(suite: Suite, runs: Sequence[Run]) -> tuple[list[list[str]], list[str]]:
    """Compare the runs after 0, 1, 2 and more patches with the last, which is that of the whole series.

    Returns:
        the rows of the staircase, and one sentence for each problem
    """
    rows: list[list[str]] = []
    problems: list[str] = []
    names = ["upstream", *(patch.name for patch in trees.series())]
    for step, run in enumerate(runs[:-1]):
        applied = names[: step + 1]
        later = tuple(bug for bug in suite.bugs if bug.patch not in applied and any(map(bug.shown_by, suite.sample)))
        verdict = judge(run, runs[-1], Catalogue(later), suite.lane)
        # After the last patch that concerns a lane, no bug is left to show on it.
        wrong = [problem for problem in verdict.problems if later or not problem.startswith(NO_BUG)]
        fixed = sum(len(suite.of(name, suite.sample)) for name in applied)
        failing = sum(len(shown.tests) for shown in verdict.shown)
        same = verdict.counts.get("pass→pass", 0) - fixed
        holds = "no" if wrong else "yes"
        rows.append([names[step], suite.lane, str(fixed), str(failing), str(same), str(verdict.same_bits), holds])
        problems += [f"after {names[step]}, on {suite.lane}: {problem}" for problem in wrong]
    return rows, problems


class Examiner:
    """Takes pieces out of the series, and finds a test that then fails."""

    def __init__(self, trials: Trials, suites: Sequence[Suite], green: Mapping[str, Run], scratch: Path) -> None:
        self.trials, self.suites, self.green, self.scratch = trials, suites, green, scratch
        self.patched = trees.resolve("patched").path
        self.patches = [patch.name for patch in trees.series()]
        self.costs = {lane: costs(run) for lane, run in green.items()}

    def examine(self, piece: Piece) -> Finding:
        """Take out one piece, and say what needs it."""
        step = self.patches.index(piece.patch) + 1
        own = trees.resolve(f"first-{step}").path
        carried = carry(piece, own, self.patched)
        base, text = (own, piece.text) if carried is None else (self.patched, carried)
        where = f"the first {step}" if carried is None else "the series"
        with TemporaryDirectory(dir=self.scratch) as folder:
            tree = without(base, piece.file, text, Path(folder))
            if found := self.red(tree, self.quick(piece)):
                return Finding(piece, where, "test", *found)
            if piece.words:
                return Finding(piece, where, "words")
            # Only mypy shows that the piece is needed: ruff just reports a name that is no longer used.
            errors = [line for line in series.lint(tree) - series.lint(base) if ": error: " in line]
            if errors:
                return Finding(piece, where, "mypy", says=errors[0])
            found = self.red(tree, self.thorough(piece))
            return Finding(piece, where, "test", *found) if found else Finding(piece, where, "nothing")

    def red(self, tree: Path, stages: Iterable[Stage]) -> tuple[str, str, str] | None:
        """Run tests until one turns red, and return its lane, its id, and what it says."""
        for lane, tests, green in stages:
            if tests and (found := red(self.trials.run(str(tree), lane, tests, "--maxfail", "1"), green)):
                return lane, *found
        return None

    def quick(self, piece: Piece) -> Iterator[Stage]:
        """Yield the sampled tests of the patch's bugs, the quick ones first; for words, without those that start Python."""
        for suite in self.suites[:1] if piece.words else self.suites:
            cost = self.costs[suite.lane]
            tests = [test for test in suite.of(piece.patch, suite.sample) if not piece.words or cost[test] < SLOW]
            yield suite.lane, sorted(tests, key=cost.__getitem__), None

    def thorough(self, piece: Piece) -> Iterator[Stage]:
        """Yield the other tests of the patch's bugs, and then the sample of all other tests."""
        for suite in self.suites:
            yield suite.lane, suite.of(piece.patch, [test for test in suite.tests if test not in suite.sample]), None
        for suite in self.suites:
            named = set(suite.of(piece.patch, suite.sample))
            yield suite.lane, [test for test in suite.sample if test not in named], self.green[suite.lane]


def costs(run: Run) -> dict[str, float]:
    """Return how long each test takes at most. The first test of a function in a run also pays for what they share."""
    slowest: dict[str, float] = {}
    for test, result in run.results.items():
        function = test.partition("[")[0]
        slowest[function] = max(slowest.get(function, 0.0), result.seconds)
    return {test: slowest[test.partition("[")[0]] for test in run.results}


def without(base: Path, file: str, text: str, folder: Path) -> Path:
    """Copy a tree with a different text for one file; without the file if the text is empty."""
    tree = folder / "tree"
    shutil.copytree(base / trees.PACKAGE, tree / trees.PACKAGE)
    changed = tree / file
    changed.unlink()
    for stale in (changed.parent / "__pycache__").glob(f"{changed.stem}.*"):
        stale.unlink()
    if text:
        changed.write_text(text, encoding="utf-8")
    return tree


def not_needed(findings: Iterable[Finding]) -> Iterator[str]:
    """List the pieces that the series does not need."""
    for finding in findings:
        piece, needed = finding.piece, finding.by in ("test", "mypy")
        if not needed and (finding.by == "nothing" or piece.kind == "hunk"):
            yield f"{piece.patch}: nothing needs the {piece.kind} at {piece.file}:{piece.line}, `{piece.head}`"


def necessity(findings: Sequence[Finding]) -> Table:
    """Make the table of what fails without each piece."""
    rows = [
        [
            f.piece.patch[:4],
            _place(f.piece),
            f.piece.kind,
            f.piece.head,
            f.where,
            f.by,
            f"{f.lane}: {f.proof}" * bool(f.proof),
            f.says,
        ]
        for f in findings
    ]
    counts = Counter(f.by for f in findings)
    sums = f"{len(findings)} pieces, by what needs them: {', '.join(f'{n} {by}' for by, n in counts.most_common())}."
    columns = ("patch", "place", "piece", "line", "taken out of", "needed by", "test", "message")
    return Table("Necessity: what fails without each piece of the series", columns, rows, f"{sums} {PIECES}")


def _place(piece: Piece) -> str:
    return f"{piece.file.removeprefix(f'{trees.PACKAGE}/')}:{piece.line}"


def staircase(rows: Sequence[Sequence[str]]) -> Table:
    """Make the table of the steps."""
    held = f"{sum(row[-1] == 'yes' for row in rows)} of {len(rows)} steps hold."
    columns = ("after", "lane", "fixed", "failing for their reason", "unaffected", "bit for bit", "holds")
    return Table("The staircase: the suite after each patch", columns, rows, f"{held} {STEPS}")


def run() -> bool:
    """Show both, and write `out/necessity.json` and `out/necessity.md`.

    Returns:
        whether every piece is needed and every step holds

    Raises:
        HarnessError: this host lacks the stand-in accelerator, or a run did not finish
    """
    start = time.monotonic()
    devices.refuse("sim", devices.lacks("sim"))
    patches = trees.series()
    steps = [f"first-{n}" for n in range(len(patches))]
    with TemporaryDirectory() as scratch, ThreadPoolExecutor(WORKERS) as pool, Trials() as trials:
        suites, green = prepare(trials, pool)
        tasks = [(suite, step) for suite in suites for step in steps]
        done = each(pool, lambda task: trials.run(task[1], task[0].lane, task[0].sample), tasks, "climbing the staircase")
        runs = {s.lane: [*done[n * len(steps) : (n + 1) * len(steps)], green[s.lane]] for n, s in enumerate(suites)}
        steps_of = [stairs(suite, runs[suite.lane]) for suite in suites]
        rows = [row for rows, _ in steps_of for row in rows]
        problems = [problem for _, problems in steps_of for problem in problems]
        examiner = Examiner(trials, suites, green, Path(scratch))
        pieces = [piece for n, patch in enumerate(patches, 1) for piece in cut(patch, trees.resolve(f"first-{n}").path)]
        findings = each(pool, examiner.examine, pieces, "taking pieces out")
    wrong = [*problems, *not_needed(findings)]
    seconds = round(time.monotonic() - start)
    publish("necessity", necessity(findings), staircase(rows), problems=wrong, seconds=seconds)
    words = "and each step does what its patch says" if not wrong else f"{len(wrong)} problems"
    print(f"{len(findings)} pieces, {words}; {seconds} s")
    return not wrong


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `necessity`."""
    parser.set_defaults(run=lambda options: run())
