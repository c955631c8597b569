"""Compare the suite's two runs, by bug.

The verdict of a lane holds if the tests that fail on upstream are exactly those that the catalogue names, each for a
catalogued reason; all of them pass on patched; no other test fails there; and no test is missing. Anything that prevents
the comparison (an empty run, a crashed worker, an error in set-up, an unlisted skip) is a problem too: a verdict that
cannot be reached does not hold.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.lane.results import Result, Run
from harness.verdict.catalogue import Bug, Catalogue, shows

NO_BUG = "the catalogue has no bug"


@dataclass(frozen=True)
class Shown:
    """A bug, as a lane showed it.

    Attributes:
        tests: ids that failed on upstream for the bug's reason
        fixed: how many of them pass on patched
    """

    bug: Bug
    tests: tuple[str, ...]
    fixed: int


@dataclass(frozen=True)
class Verdict:
    """The comparison of two runs.

    Attributes:
        lane: such as "cpu"
        counts: number of tests by their two outcomes, such as "fail→pass"
        shown: the lane's bugs, in the catalogue's order
        problems: one sentence each; empty if the verdict holds
        same_bits: how many tests passed on both trees and recorded the same digest
    """

    lane: str
    counts: Mapping[str, int]
    shown: tuple[Shown, ...]
    problems: tuple[str, ...] = field(default=())
    same_bits: int = 0

    @property
    def holds(self) -> bool:
        """Whether there are no problems."""
        return not self.problems


def judge(upstream: Run, patched: Run, catalogue: Catalogue, lane: str, stack: str | None = None) -> Verdict:
    """Compare the two runs of a lane. The stack matters for bugs that do not show on every stack."""
    bugs = catalogue.on(lane, stack)
    tests = sorted(upstream.collected | patched.collected | upstream.results.keys() | patched.results.keys())
    problems = [*_incomplete("upstream", upstream, catalogue), *_incomplete("patched", patched, catalogue)]
    if not (upstream.results and patched.results):
        return Verdict(lane, {}, (), tuple(problems))
    if not bugs:
        problems.append(f"{NO_BUG} for the lane {lane}: nothing would be proved")
    problems += [f"{test}: collected on one tree only" for test in sorted(upstream.collected ^ patched.collected)]

    came_back: dict[str, list[str]] = {}
    shown: dict[str, list[str]] = {bug.id: [] for bug in bugs}
    for test in tests:
        before, after = upstream.results.get(test), patched.results.get(test)
        if before is None or after is None:
            continue  # already reported as missing
        named = [bug for bug in bugs if bug.shown_by(test)]
        problems += _unexpected(test, before, after, named)
        if len(named) == 1:
            if shows(before, named[0]):
                shown[named[0].id].append(test)
            if after.outcome != "passed":
                came_back.setdefault(named[0].id, []).append(test)

    for bug in bugs:
        if bug.id in came_back:
            bad = came_back[bug.id]
            problems.append(
                f"{bug.id}: not fixed on patched, {len(bad)} of its tests do not pass, such as {bad[0]} ({bug.patch})"
            )
        # What a run that did not finish would have shown is unknown.
        if not shown[bug.id] and upstream.finished and patched.finished:
            problems.append(f"{bug.id}: no test shows this bug on upstream")

    counts = outcomes(upstream, patched)
    done = tuple(
        Shown(bug, tuple(shown[bug.id]), sum(patched.results[t].outcome == "passed" for t in shown[bug.id])) for bug in bugs
    )
    both = ((upstream.results.get(test), patched.results.get(test)) for test in tests)
    same_bits = sum(bool(before and after and before.digest and before.digest == after.digest) for before, after in both)
    return Verdict(lane, counts, done, tuple(problems), same_bits)


def outcomes(upstream: Run, patched: Run) -> dict[str, int]:
    """Count tests by their two outcomes, such as "fail→pass"."""
    tests = upstream.collected | patched.collected | upstream.results.keys() | patched.results.keys()
    return dict(Counter(f"{_word(upstream.results.get(t))}→{_word(patched.results.get(t))}" for t in sorted(tests)))


def _incomplete(name: str, run: Run, catalogue: Catalogue) -> Iterator[str]:
    """Find why a run cannot serve as evidence."""
    if not run.collected or not (run.results or run.begun):
        yield f"{name}: no test ran"
        return
    if not run.finished:
        where = f", and stopped in {', '.join(sorted(run.begun))}" if run.begun else ""
        yield f"{name}: pytest did not finish{where}: {len(run.collected - run.results.keys())} tests have no result"
        return
    failed = any(result.outcome in ("failed", "error") for result in run.results.values())
    if run.red is not None and run.red != failed:
        yield f"{name}: pytest's exit status says that {'a test' if run.red else 'no test'} failed, but its results differ"
    for test in sorted(run.collected - run.results.keys()):
        yield f"{name}: {test} was collected but has no result"
    for test in sorted(run.results.keys() - run.collected):
        yield f"{name}: {test} has a result but was not collected"
    for test, result in sorted(run.results.items()):
        if result.outcome == "error":
            yield f"{name}: {test} broke outside its body: {f'{result.type} {_line(result.message)}'.strip()}"
        if result.outcome == "skipped" and not any(re.search(skip, result.message) for skip in catalogue.skips):
            yield f"{name}: {test} is skipped for no listed reason: {_line(result.message)}"


def _unexpected(test: str, before: Result, after: Result, named: list[Bug]) -> Iterator[str]:
    """Find how one test differs from the catalogue."""
    if len(named) > 1:
        yield f"{test}: named by several bugs: {', '.join(bug.id for bug in named)}"
    elif named and before.outcome != "failed":
        yield f"{test}: {before.outcome} on upstream, should fail for {named[0].id}"
    elif named and not shows(before, named[0]):
        yield f"{test}: fails on upstream with {_came(before)}, which is not the reason for {named[0].id}"
    elif not named and before.outcome == "failed":
        yield f"{test}: fails on upstream for an unlisted reason, {_came(before)}"
    # A catalogued test that does not pass is reported once, under its bug.
    if not named and after.outcome == "failed":
        yield f"{test}: {before.outcome} on upstream, fails on patched with {after.type}: {_line(after.message)}"
    if before.outcome == after.outcome == "passed" and before.digest != after.digest:
        yield f"{test}: passes on both trees, with different bits"


def surprise(test: str, result: Result, bugs: Sequence[Bug], catalogue: Catalogue) -> str:
    """Say how one test of one run differs from the catalogue; empty if it does not.

    Args:
        test: its id
        bugs: the bugs that show on the tree; none on patched
    """
    named = [bug for bug in bugs if bug.shown_by(test)]
    if named:
        expected = len(named) == 1 and shows(result, named[0])
    else:
        listed = any(re.search(skip, result.message) for skip in catalogue.skips)
        expected = result.outcome == "passed" or (result.outcome == "skipped" and listed)
    if expected:
        return ""
    why = {"passed": "", "skipped": f": {_line(result.message)}"}.get(result.outcome, f" with {_came(result)}")
    return f"{result.outcome}{why}" + (f", should fail for {named[0].id}" if named else "")


def _word(result: Result | None) -> str:
    return {"passed": "pass", "failed": "fail", "skipped": "skip"}.get(result.outcome, result.outcome) if result else "missing"


def _came(result: Result) -> str:
    if not result.type:  # a worker of xdist died in the test
        return _line(result.message)
    return f"{result.type} from {result.place or 'the test itself'}: {_line(result.message)}"


def _line(message: str) -> str:
    """Shorten a message to one line."""
    line = " ".join(message.split())
    return line if len(line) <= 160 else f"{line[:157]}..."
