"""The results of a run's tests, read from pytest's own log while it is written or afterwards."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """The result of one test.

    Attributes:
        outcome: "passed", "failed", "skipped", or "error" if it failed outside its own body
        type: name of the exception's type
        message: the exception's message, or the reason for the skip
        where: file and line that raised
        place: innermost function of the package under test, as `file.py:function`, if the exception went through it
        digest: the SHA-256 of its output that the test recorded, compared between the trees
        transcript: the words that the test recorded, right or wrong; None if it recorded none
        words: whether the transcript has the spoken words, if the test records that separately
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
        """Say how the test understood audio: "right", "features" if only the words are right, "wrong" words, or "refused"."""
        if self.outcome != "failed":
            return "right" if self.outcome == "passed" else self.outcome
        return "refused" if self.transcript is None else "features" if self.words else "wrong"


@dataclass(frozen=True)
class Run:
    """A run of the suite on one tree.

    Attributes:
        results: the results, by test id
        collected: ids of the tests that should have run
        finished: False if pytest did not finish
        red: whether pytest's exit status says that tests failed; None if unknown
        begun: ids of tests that started and did not finish
    """

    results: Mapping[str, Result]
    collected: frozenset[str]
    finished: bool = True
    red: bool | None = None
    begun: frozenset[str] = frozenset()


class Reading:
    """Reads the files of pytest-reportlog and `--collected`, even while they grow. A cut-off file means an unfinished run."""

    def __init__(self, log: Path, collected: Path) -> None:
        self._log, self._collected = log, collected
        self._read = 0
        self.results: dict[str, Result] = {}
        self._begun: set[str] = set()
        self._finished = False
        self._cut = False
        self._red: bool | None = None

    def more(self, *, ended: bool = False) -> list[str]:
        """Read what was written since the last call, and return the ids of the tests that finished.

        Args:
            ended: whether pytest has exited, so that the last line is complete
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
        except ValueError:  # a full disk cut it off, so the run did not finish
            self._cut = True
            return []

    def _add(self, report: Mapping[str, Any]) -> Iterator[str]:
        match report["$report_type"]:
            case "TestReport" | "SubtestReport" | "SubTestReport":
                id = report["nodeid"]
                self.results[id] = _merge(self.results.get(id), report)
                (self._begun.add if (report["when"], report["outcome"]) == ("setup", "passed") else self._begun.discard)(id)
                # xdist reports a worker that died as a failure in a separate phase.
                if report["when"] in ("teardown", "???"):
                    yield id
            case "CollectReport" if report["outcome"] == "failed":
                self.results[report["nodeid"]] = Result("error", "CollectError", str(report["longrepr"]))
                yield report["nodeid"]
            case "SessionFinish":
                # 0 and 1 mean that the suite ran, green or red. Any other status is an interruption, an error or an empty run.
                self._finished, self._red = report["exitstatus"] in (0, 1), report["exitstatus"] == 1

    @property
    def run(self) -> Run:
        """The run, as far as it is known."""
        try:
            ids = json.loads(self._collected.read_text(encoding="utf-8")) if self._collected.is_file() else []
        except ValueError:
            ids, self._cut = [], True
        # If the process died in a test, only its setup is known to have passed.
        known = {id: result for id, result in self.results.items() if id not in self._begun}
        return Run(known, frozenset(ids), self._finished and not self._cut, self._red, frozenset(self._begun))


def read_run(log: Path, collected: Path) -> Run:
    """Read the files that pytest-reportlog and conftest's `--collected` wrote."""
    reading = Reading(log, collected)
    reading.more(ended=True)
    return reading.run


def _merge(known: Result | None, report: Mapping[str, Any]) -> Result:
    """Merge one phase of a test into its result, and keep the worst outcome."""
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


def placeless(words: str) -> str:
    """Remove the addresses of objects, which differ from run to run."""
    return re.sub(r"(?<=\b0x)[0-9a-f]{6,}", "…", words)
