"""The results of a run's tests, read from pytest's own log."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """The result of one test.

    Attributes:
        outcome: "passed", "failed" or "skipped"
        type: name of the exception's type
        message: the exception's message, or the reason for the skip
        where: file and line that raised
        place: innermost function of the package under test, as `file.py:function`, if the exception went through it
        bug: the bug that the test failed for, as it should
        digest: the SHA-256 of its output that the test recorded, compared between the trees
        transcript: the words that the test recorded, right or wrong; None if it recorded none
        words: whether the transcript has the spoken words, if the test records that separately
        seconds: how long the three phases took
    """

    outcome: str
    type: str = ""
    message: str = ""
    where: str = ""
    place: str = ""
    bug: str = ""
    digest: str = ""
    transcript: str | None = None
    words: bool | None = None
    seconds: float = 0.0

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
        status: pytest's exit status: 0 if every result is as expected, 1 if not; None if it did not finish
        last: the last line that it printed, if it did not finish
    """

    results: Mapping[str, Result]
    status: int | None = 0
    last: str = ""

    @property
    def finished(self) -> bool:
        """Whether the tests ran to their end, green or red. Any other status is an interruption, an error or an empty run."""
        return self.status in (0, 1)


def read_run(log: Path, said: Path | None = None) -> Run:
    """Read the log that pytest-reportlog wrote. A log that is cut off is that of a run that did not finish."""
    results: dict[str, Result] = {}
    status = None
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else ():
        try:
            report = json.loads(line)
        except ValueError:
            status = None
            break
        match report["$report_type"]:
            case "TestReport":
                results[report["nodeid"]] = _merge(results.get(report["nodeid"]), report)
            case "CollectReport" if report["outcome"] == "failed":
                results[report["nodeid"]] = Result("failed", "CollectError", str(report["longrepr"]))
            case "SessionFinish":
                status = report["exitstatus"]
    finished = Run(results, status).finished
    lines = said.read_text(encoding="utf-8", errors="replace").split("\n") if said and said.is_file() and not finished else ()
    return Run(results, status, next((line for line in reversed(lines) if line.strip()), ""))


def _merge(known: Result | None, report: Mapping[str, Any]) -> Result:
    """Merge one phase of a test into its result, and keep the worst outcome."""
    properties = dict(report["user_properties"])
    seconds = report["duration"] + (known.seconds if known else 0.0)
    said = {name: properties[name] for name in ("transcript", "words") if name in properties}
    if report["outcome"] == "passed":
        if known and known.outcome != "passed":
            return known
        return Result("passed", digest=properties.get("digest", ""), seconds=seconds, **said)
    exception = properties.get("exception", {"type": "", "message": str(report["longrepr"]), "where": ""})
    bug = report.get("wasxfail", "")
    outcome = "skipped" if report["outcome"] == "skipped" and not bug else "failed"
    return Result(outcome, **exception, bug=bug, seconds=seconds, **said)


def placeless(words: str) -> str:
    """Remove the addresses of objects, which differ from run to run."""
    return re.sub(r"(?<=\b0x)[0-9a-f]{6,}", "…", words)
