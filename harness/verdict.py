"""Compare the suite's two runs, by bug.

The verdict of a lane holds when the tests that fail on upstream are exactly those that the catalogue names, each for
the catalogued reason; every one of them passes on patched; no other test fails there; and no case went missing.
Anything that keeps the comparison from being made (an empty run, a crashed worker, an error in set-up, an unlisted
skip) is a problem too: a verdict that could not be reached does not hold.
"""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import ROOT, HarnessError

CATALOGUE = ROOT / "tests" / "bugs.toml"


@dataclass(frozen=True)
class Reason:
    """Why a test fails on upstream: an exception that comes from the package, or what the test itself found.

    Attributes:
        type: name of the exception's type
        message: a regular expression that its message matches
        at: innermost functions of the package, as `file.py:function`, of which one is where it comes from
        judged: what the test compared, where no function of the package raised
    """

    type: str
    message: str
    at: tuple[str, ...] = ()
    judged: str = ""

    def explains(self, result: "Result") -> bool:
        """Say whether a test failed like this."""
        placed = result.place in self.at if result.place else bool(self.judged)
        return placed and result.type == self.type and re.search(self.message, result.message, re.DOTALL) is not None


# What an entry of the catalogue says of the release: only the first is a bug in a maintainer's sense.
KINDS = {"wrong": "bug", "refuses": "refusal", "lacks": "gap"}


def by_kind(kinds: Iterable[str]) -> str:
    """Count entries of the catalogue by their kind."""
    counts = Counter(kinds)
    return ", ".join(f"{n} {word}{'s' * (n != 1)}" for kind, word in KINDS.items() if (n := counts[kind]))


@dataclass(frozen=True)
class Bug:
    """One behaviour of the published release that the series changes.

    Attributes:
        id: never reused
        title: what goes wrong, for people
        threads: where it was reported
        kind: a key of KINDS
        patch: file name of the patch that fixes it
        lanes: the lanes that it shows on
        not_on: stacks on which it does not show there
        reasons: the exceptions that upstream gives, any one of them
        tests: ids of the tests that show it, from the file's name on, where * stands for anything
    """

    id: str
    kind: str
    title: str
    patch: str
    lanes: tuple[str, ...]
    reasons: tuple[Reason, ...]
    tests: tuple[str, ...]
    threads: tuple[str, ...] = ()
    not_on: tuple[str, ...] = ()

    def shown_by(self, test: str) -> bool:
        """Say whether a test is one of those that show this bug."""
        return any(names(glob, test) for glob in self.tests)


def names(glob: str, test: str) -> bool:
    """Say whether an entry of the catalogue, in which * stands for anything, names a test."""
    return re.fullmatch(re.escape(glob).replace(r"\*", ".*"), test.removeprefix("tests/")) is not None


@dataclass(frozen=True)
class Catalogue:
    """The known bugs, and the reasons for which a test may be skipped."""

    bugs: tuple[Bug, ...]
    skips: tuple[str, ...] = ()

    def on(self, lane: str, stack: str | None = None) -> list[Bug]:
        """Choose the bugs that show on a lane, on a stack if it has a name."""
        return [bug for bug in self.bugs if lane in bug.lanes and stack not in bug.not_on]


@dataclass(frozen=True)
class Result:
    """What one test did.

    Attributes:
        outcome: "passed", "failed", "skipped", or "error" outside the test's own body
        type: name of the exception's type
        message: of the exception, or the reason of the skip
        where: file and line that raised
        place: innermost function of the package under test, as `file.py:function`, if the exception went through it
        digest: SHA-256 that the test recorded of its output, compared between the trees
        transcript: what it recorded of the words that came out, right or wrong; None if it came to none
        words: whether those were the spoken ones, where the test says so apart from what it asserts
        seconds: how long the three phases took
    """

    outcome: str
    type: str = ""
    message: str = ""
    where: str = ""
    digest: str = ""
    transcript: str | None = None
    seconds: float = 0.0
    place: str = ""
    words: bool | None = None

    @property
    def heard(self) -> str:
        """Say what became of audio: "right", "features" where the words are right alone, "wrong" words, or "refused"."""
        if self.outcome != "failed":
            return "right" if self.outcome == "passed" else self.outcome
        return "refused" if self.transcript is None else "features" if self.words else "wrong"


@dataclass(frozen=True)
class Run:
    """The suite on one tree.

    Attributes:
        results: by test id
        collected: ids that should have run
        finished: False if pytest did not come to its end
        red: whether pytest's exit status says that tests failed; None if that is not known
    """

    results: Mapping[str, Result]
    collected: frozenset[str]
    finished: bool = True
    red: bool | None = None


@dataclass(frozen=True)
class Shown:
    """A bug as this lane showed it.

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
        counts: tests by what became of them, such as "fail→pass"
        shown: the lane's bugs, in the catalogue's order
        problems: sentences, none if the verdict holds
        same_bits: how many tests passed on both and recorded the same digest
    """

    lane: str
    counts: Mapping[str, int]
    shown: tuple[Shown, ...]
    problems: tuple[str, ...] = field(default=())
    same_bits: int = 0

    @property
    def holds(self) -> bool:
        """Say whether the proof stands."""
        return not self.problems


def read_catalogue(path: Path) -> Catalogue:
    """Read the bug catalogue.

    Raises:
        HarnessError: an id stands twice, or an entry lacks what makes it checkable
    """
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    bugs = []
    for entry in data["bug"]:
        reasons = tuple(Reason(**{**reason, "at": tuple(reason.get("at", ()))}) for reason in entry.pop("reasons"))
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
        bugs.append(Bug(reasons=reasons, **fields))
    for id, n in Counter(bug.id for bug in bugs).items():
        if n > 1:
            raise HarnessError(f"{path.name} has the id {id} twice: ids are never reused")
    for bug in bugs:
        if not (bug.reasons and bug.tests and bug.lanes):
            raise HarnessError(f"{path.name}: {bug.id} needs reasons, tests and lanes")
        if any(bool(reason.at) == bool(reason.judged) for reason in bug.reasons):
            raise HarnessError(
                f"{path.name}: each reason of {bug.id} says either where in the package it comes from (at) or what "
                "the test compared (judged)"
            )
        if bug.kind not in KINDS:
            raise HarnessError(f"{path.name}: {bug.id} is of kind {bug.kind!r}, expected one of {', '.join(KINDS)}")
    return Catalogue(tuple(bugs), tuple(data.get("skips", ())))


class Reading:
    """What pytest-reportlog and conftest's `--collected` write, read while they do; what is cut off did not finish."""

    def __init__(self, log: Path, collected: Path) -> None:
        self._log, self._collected = log, collected
        self._read = 0
        self.results: dict[str, Result] = {}
        self._finished = False
        self._cut = False
        self._red: bool | None = None

    def more(self, *, ended: bool = False) -> list[str]:
        """Read what was written since, and return the ids of the tests that came to their end.

        Args:
            ended: nothing more is written, so that the last line is whole too
        """
        if not self._log.is_file():
            return []
        with self._log.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        whole = new if ended else new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        try:
            return [id for line in whole.decode(errors="replace").splitlines() for id in self._add(json.loads(line))]
        except ValueError:  # it was cut off, by a full disk: that is no end
            self._cut = True
            return []

    def _add(self, report: Mapping[str, Any]) -> Iterator[str]:
        match report["$report_type"]:
            case "TestReport" | "SubtestReport" | "SubTestReport":
                id = report["nodeid"]
                self.results[id] = _merge(self.results.get(id), report)
                # xdist reports a worker that died as a failure in a phase of its own.
                if report["when"] in ("teardown", "???"):
                    yield id
            case "CollectReport" if report["outcome"] == "failed":
                self.results[report["nodeid"]] = Result("error", "CollectError", str(report["longrepr"]))
                yield report["nodeid"]
            case "SessionFinish":
                # 0 and 1 are a suite that ran, green or red; the rest is interrupted, broken, misused or empty.
                self._finished, self._red = report["exitstatus"] in (0, 1), report["exitstatus"] == 1

    @property
    def run(self) -> Run:
        """What is known so far."""
        try:
            ids = json.loads(self._collected.read_text(encoding="utf-8")) if self._collected.is_file() else []
        except ValueError:
            ids, self._cut = [], True
        return Run(self.results, frozenset(ids), self._finished and not self._cut, self._red)


def read_run(log: Path, collected: Path) -> Run:
    """Read what pytest-reportlog and conftest's `--collected` wrote."""
    reading = Reading(log, collected)
    reading.more(ended=True)
    return reading.run


def _merge(known: Result | None, report: Mapping[str, Any]) -> Result:
    """Add one phase of a test to what is known of it; the worst outcome stays."""
    properties = dict(report["user_properties"])
    transcript = properties.get("transcript")
    seconds = report["duration"] + (known.seconds if known else 0.0)
    if report["outcome"] == "passed":
        if known and known.outcome != "passed":
            return known
        return Result("passed", digest=properties.get("digest", ""), transcript=transcript, seconds=seconds)
    exception = properties.get("exception", {"type": "", "message": str(report["longrepr"]), "where": ""})
    if report["outcome"] == "skipped":
        return Result("skipped", message=exception["message"], where=exception["where"], seconds=seconds)
    outcome = "failed" if report["when"] == "call" else "error"
    return Result(
        outcome,
        exception["type"],
        exception["message"],
        exception["where"],
        transcript=transcript,
        seconds=seconds,
        place=exception.get("place", ""),
        words=properties.get("words"),
    )


def judge(upstream: Run, patched: Run, catalogue: Catalogue, lane: str, stack: str | None = None) -> Verdict:
    """Compare the two runs of a lane, on a stack if it has a name."""
    bugs = catalogue.on(lane, stack)
    tests = sorted(upstream.collected | patched.collected | upstream.results.keys() | patched.results.keys())
    problems = [*_incomplete("upstream", upstream, catalogue), *_incomplete("patched", patched, catalogue)]
    if not (upstream.results and patched.results):
        return Verdict(lane, {}, (), tuple(problems))
    if not bugs:
        problems.append(f"the catalogue has no bug for the lane {lane}: nothing would be proved")
    problems += [f"{test}: collected on one tree only" for test in sorted(upstream.collected ^ patched.collected)]

    came_back: dict[str, list[str]] = {}
    shown: dict[str, list[str]] = {bug.id: [] for bug in bugs}
    for test in tests:
        before, after = upstream.results.get(test), patched.results.get(test)
        if before is None or after is None:
            continue  # named as missing already
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
        if not shown[bug.id]:
            problems.append(f"{bug.id}: no test shows this bug on upstream")

    counts = outcomes(upstream, patched)
    done = tuple(
        Shown(bug, tuple(shown[bug.id]), sum(patched.results[t].outcome == "passed" for t in shown[bug.id])) for bug in bugs
    )
    both = ((upstream.results.get(test), patched.results.get(test)) for test in tests)
    same_bits = sum(bool(before and after and before.digest and before.digest == after.digest) for before, after in both)
    return Verdict(lane, counts, done, tuple(problems), same_bits)


def outcomes(upstream: Run, patched: Run) -> dict[str, int]:
    """Count tests by what became of them, such as "fail→pass"."""
    tests = upstream.collected | patched.collected | upstream.results.keys() | patched.results.keys()
    return dict(Counter(f"{_word(upstream.results.get(t))}→{_word(patched.results.get(t))}" for t in sorted(tests)))


def _incomplete(name: str, run: Run, catalogue: Catalogue) -> Iterator[str]:
    """Find what keeps a run from being evidence at all."""
    if not run.collected or not run.results:
        yield f"{name}: no test ran"
        return
    if not run.finished:
        yield f"{name}: pytest did not come to its end"
    failed = any(result.outcome in ("failed", "error") for result in run.results.values())
    if run.red is not None and run.red != failed:
        yield f"{name}: pytest's exit status says that {'a test' if run.red else 'no test'} failed, and its results say otherwise"
    for test in sorted(run.collected - run.results.keys()):
        yield f"{name}: {test} was collected and has no result"
    for test in sorted(run.results.keys() - run.collected):
        yield f"{name}: {test} has a result and was not collected"
    for test, result in sorted(run.results.items()):
        if result.outcome == "error":
            yield f"{name}: {test} broke outside its body: {result.type} {_line(result.message)}"
        if result.outcome == "skipped" and not any(re.search(skip, result.message) for skip in catalogue.skips):
            yield f"{name}: {test} is skipped for no listed reason: {_line(result.message)}"


def _unexpected(test: str, before: Result, after: Result, named: list[Bug]) -> Iterator[str]:
    """Find what one test did that the catalogue does not say."""
    if len(named) > 1:
        yield f"{test}: named by several bugs: {', '.join(bug.id for bug in named)}"
    elif named and before.outcome != "failed":
        yield f"{test}: {before.outcome} on upstream, should fail for {named[0].id}"
    elif named and not shows(before, named[0]):
        yield f"{test}: fails on upstream with {_came(before)}, which is not the reason of {named[0].id}"
    elif not named and before.outcome == "failed":
        yield f"{test}: fails on upstream for an unlisted reason, {_came(before)}"
    # A catalogued test that does not pass is reported once, under its bug.
    if not named and after.outcome == "failed":
        yield f"{test}: {before.outcome} on upstream, fails on patched with {after.type}: {_line(after.message)}"
    if before.outcome == after.outcome == "passed" and before.digest != after.digest:
        yield f"{test}: passes on both trees, with different bits"


def surprise(test: str, result: Result, bugs: Sequence[Bug], catalogue: Catalogue) -> str:
    """Say what a test of one run did that the catalogue does not say; empty if it is as expected.

    Args:
        test: its id
        bugs: those that show on the tree; none on patched
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


def shows(result: Result, bug: Bug) -> bool:
    """Say whether a test failed for a catalogued reason of a bug."""
    return result.outcome == "failed" and any(reason.explains(result) for reason in bug.reasons)


def _word(result: Result | None) -> str:
    return {"passed": "pass", "failed": "fail", "skipped": "skip"}.get(result.outcome, result.outcome) if result else "missing"


def _came(result: Result) -> str:
    return f"{result.type} from {result.place or 'the test itself'}: {_line(result.message)}"


def _line(message: str) -> str:
    """Shorten a message to one line."""
    line = " ".join(message.split())
    return line if len(line) <= 160 else f"{line[:157]}..."
