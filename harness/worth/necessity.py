"""Show that every part of the series is needed: without any one piece of it, a test turns red."""

import argparse
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import devices, series, trees
from harness.results import Run
from harness.table import Table, publish
from harness.worth.pieces import Piece, carry, cut
from harness.worth.sample import SLOW, WORKERS, Suite, each, prepare
from harness.worth.trial import Trials, red

# A lane, the ids of tests, and a run to compare bits with.
type Stage = tuple[str, list[str], Run | None]

PIECES = """\
A piece is a hunk of a patch, a run of changed lines in it, or a statement that it adds. Each was taken out of the whole \
series, or of the patches up to its own if a later one rewrote its lines. A piece is needed if a test or upstream's mypy \
fails without it. Comments and docstrings that no test notices count as words, not as unneeded."""


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


def run() -> bool:
    """Find what needs each piece, and write `out/necessity.json` and `out/necessity.md`.

    Returns:
        whether every piece is needed

    Raises:
        HarnessError: this host lacks the stand-in accelerator, or a run did not finish
    """
    start = time.monotonic()
    devices.refuse("sim", devices.lacks("sim"))
    patches = trees.series()
    with TemporaryDirectory() as scratch, ThreadPoolExecutor(WORKERS) as pool, Trials() as trials:
        suites, green = prepare(trials, pool)
        examiner = Examiner(trials, suites, green, Path(scratch))
        pieces = [piece for n, patch in enumerate(patches, 1) for piece in cut(patch, trees.resolve(f"first-{n}").path)]
        findings = each(pool, examiner.examine, pieces, "taking pieces out")
    wrong = list(not_needed(findings))
    seconds = round(time.monotonic() - start)
    publish("necessity", necessity(findings), problems=wrong, seconds=seconds)
    words = "each of them needed" if not wrong else f"{len(wrong)} problems"
    print(f"{len(findings)} pieces, {words}; {seconds} s")
    return not wrong


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `necessity`."""
    parser.set_defaults(run=lambda options: run())
