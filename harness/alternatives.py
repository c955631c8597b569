"""Run the suite on the other fixes in circulation, and check that it rejects each for its stated reason.

`tests/alternatives/` has them as patches for the release, and `alternatives.toml` says what to expect of each.
"""

import argparse
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.progress import track

from harness import ROOT, HarnessError, devices, trees
from harness.catalogue import CATALOGUE, Bug, Catalogue, Reason, names, read_catalogue
from harness.report.terminal import in_a_line
from harness.results import Run
from harness.run import DEFAULT, start_suite
from harness.table import Table, publish

FOLDER = ROOT / "tests" / "alternatives"


@dataclass(frozen=True)
class Shown:
    """A failure that rejects an alternative: a test, named as in the catalogue, that fails on a lane for a reason."""

    lane: str
    test: str
    reason: Reason

    def find(self, run: Run) -> str:
        """Return the test that fails for this reason, with its message; empty if none does."""
        for test, result in run.results.items():
            failed = result.outcome == "failed" and self.reason.explains(result.type, result.message, result.place)
            if failed and names(self.test, test):
                return f"{self.lane}: {test.removeprefix('tests/')}: {in_a_line(result.type, result.message)}"
        return ""


@dataclass(frozen=True)
class Alternative:
    """Another fix.

    Attributes:
        patch: the name of its file
        title: what it does, in prose
        rejected: why it is rejected, in prose
        fixes: ids of the bugs that it fixes, by lane
        shown: the failures that reject it
    """

    patch: str
    title: str
    rejected: str
    fixes: Mapping[str, Sequence[str]]
    shown: Sequence[Shown]

    @property
    def tree(self) -> trees.Tree:
        """Return the release with the patch."""
        return trees.build(Path(self.patch).stem, [FOLDER / self.patch])


def read(folder: Path = FOLDER) -> list[Alternative]:
    """Read what is expected of each alternative.

    Raises:
        HarnessError: a patch has no description, or a description does not say what rejects its patch
    """
    entries = tomllib.loads((folder / "alternatives.toml").read_text(encoding="utf-8"))["alternative"]
    found = sorted(file.name for file in folder.glob("*.patch"))
    if sorted(entry["patch"] for entry in entries) != found:
        raise HarnessError(f"{folder.name}/alternatives.toml must describe exactly {', '.join(found)}")
    for entry in entries:
        if not (entry["rejected"] and entry["shown"]):
            raise HarnessError(f"{entry['patch']}: alternatives.toml gives no reason why the suite rejects it")
        entry["shown"] = [Shown(shown.pop("lane"), shown.pop("test"), Reason(**shown)) for shown in entry["shown"]]
    return [Alternative(**entry) for entry in entries]


def fixed(run: Run, bugs: Sequence[Bug], lane: str) -> list[str]:
    """List the bugs of a lane whose tests all pass."""
    own = Catalogue(tuple(bugs)).on(lane)
    shown = {bug.id: [r.outcome for test, r in run.results.items() if bug.shown_by(test)] for bug in own}
    return sorted(bug for bug, outcomes in shown.items() if set(outcomes) == {"passed"})


def broken(upstream: Run, run: Run) -> Iterator[str]:
    """Find the tests that pass on upstream, and fail or give different bits with an alternative."""
    for test, before in upstream.results.items():
        after = run.results[test]
        if before.outcome == "passed" and (after.outcome, after.digest) != (before.outcome, before.digest):
            words = in_a_line(after.type, after.message) if after.outcome != "passed" else "different bits"
            yield f"{test.removeprefix('tests/')} ({words})"


def problems(alternative: Alternative, runs: Mapping[str, Run], bugs: Sequence[Bug]) -> Iterator[str]:
    """Say where the runs of an alternative, by lane, differ from what is expected."""
    for lane, run in runs.items():
        found, expected = fixed(run, bugs, lane), sorted(alternative.fixes[lane])
        if found != expected:
            yield f"{alternative.patch}: fixes {', '.join(found) or 'no bug'} on {lane}, not {', '.join(expected) or 'none'}"
    for shown in alternative.shown:
        if not shown.find(runs[shown.lane]):
            reason = f"{shown.reason.type}: {shown.reason.message}"
            yield f"{alternative.patch}: {shown.test} does not fail on {shown.lane} with {reason}"


def run_on_lanes(tree: str) -> dict[str, Run]:
    """Run the suite on a tree, on both lanes at once.

    Raises:
        HarnessError: a run did not finish
    """
    with TemporaryDirectory() as folder:
        started = {lane: start_suite(tree, lane, Path(folder) / lane) for lane in DEFAULT}
        try:
            runs = {lane: each.finish()[0] for lane, each in started.items()}
        finally:
            for each in started.values():
                each.end()
    for lane, found in runs.items():
        if not found.finished:
            raise HarnessError(f"pytest did not finish on {tree}, {lane}: {found.last or 'it printed nothing'}")
    return runs


def run() -> bool:
    """Run the suite on every alternative, and write `out/alternatives.json` and `out/alternatives.md`.

    Returns:
        whether each fixes what is expected, and is rejected for its stated reason

    Raises:
        HarnessError: this host cannot use `sim`, an alternative does not apply, or a run did not finish
    """
    devices.refuse("sim", devices.lacks("sim"))
    bugs = read_catalogue(CATALOGUE).bugs
    upstream = run_on_lanes("upstream")
    rows, found = [], list[str]()
    for alternative in track(read(), "running the suite on the alternatives"):
        runs = run_on_lanes(str(alternative.tree.path))
        found += problems(alternative, runs, bugs)
        fixes = [f"{lane}: {', '.join(fixed(own, bugs, lane)) or 'none'}" for lane, own in runs.items()]
        breaks = [f"{lane}: {test}" for lane, own in runs.items() for test in broken(upstream[lane], own)]
        proof = [shown.find(runs[shown.lane]) for shown in alternative.shown]
        row = [alternative.title, "; ".join(fixes), "; ".join(breaks) or "nothing", alternative.rejected, "; ".join(proof)]
        rows.append(row)
    note = (
        "A bug is fixed if every test that shows it passes. A fix breaks a test that passes on upstream, and fails or gives "
    )
    note += "different bits with it. Nothing ran on CUDA, which upstream's defaults are for: what breaks there is unknown."
    columns = ("fix", "fixes", "breaks", "rejected because", "shown by")
    publish("alternatives", Table("The other fixes in circulation", columns, rows, note), problems=found)
    print(f"{len(rows)} alternatives, {f'{len(found)} problems' if found else 'each rejected for its stated reason'}")
    return not found


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `alternatives`."""
    parser.set_defaults(run=lambda options: run())
