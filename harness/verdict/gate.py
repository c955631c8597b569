"""Check that every lane of a CI run reported a verdict that holds. Needs only the standard library, and so no stack."""

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import PATCHES, HarnessError
from harness.verdict.evidence import invented, lane_of, read_record
from harness.world import STALE, is_stale


def check(
    folder: Path,
    required: Sequence[str],
    optional: Sequence[str] = (),
    jobs: Mapping[str, str] | None = None,
    patches: Path = PATCHES,
) -> list[str]:
    """Print the lanes as a Markdown table, and list what is missing from the proof.

    Args:
        folder: the downloaded reports, `<artifact>/<lane>/verdict.json`
        required: lanes that must hold, as `<artifact>/<lane>`
        optional: lanes that are shown but need not hold
        jobs: results of the jobs behind them, which must be "success"
        patches: the series that the reports must be about

    Returns:
        one sentence for each problem; empty if the gate opens
    """
    problems = [f"the job {name} ended as {result}" for name, result in (jobs or {}).items() if result != "success"]
    print("| lane | verdict |\n|---|---|")
    for lane in required:
        good, words = _report(folder, lane, patches)
        print(f"| {lane} | {'✓' if good else '✗'} {words} |")
        if not good:
            problems.append(f"{lane}: {words}")
    for lane in optional:
        print(f"| {lane}, not required | {_report(folder, lane, patches)[1]} |")
    # A lane that is missing from the list could vanish unnoticed.
    found = {file.parent.relative_to(folder).as_posix() for file in folder.glob("*/*/verdict.json")}
    problems += [f"{lane}: reported, but not on the gate's list" for lane in sorted(found - {*required, *optional})]
    return problems


def _report(folder: Path, lane: str, patches: Path) -> tuple[bool, str]:
    """Say whether a report exists, belongs to its lane and these files, and holds; and explain why."""
    file = folder / lane / "verdict.json"
    if not file.is_file():
        return False, "did not report"
    try:
        record = read_record(file)
    except HarnessError as error:
        return False, str(error)
    if is_stale(record, patches):
        return False, STALE
    if wrong := next(_misplaced(lane, record), ""):
        return False, f"is the record of another lane: {wrong}"
    if wrong := invented(record):
        return False, wrong
    counts = ", ".join(f"{n} {kind}" for kind, n in sorted(record["counts"].items()))
    return record["holds"], f"{'holds' if record['holds'] else 'does not hold'}: {counts or 'no test'}"


def _misplaced(lane: str, record: Mapping[str, Any]) -> Iterator[str]:
    """Compare a record with the name of its folder, `<session>-<runner>-py<version>/<device>[-<stack>]`."""
    artifact, _, name = lane.partition("/")
    if name != (own := lane_of(record)):
        yield f"it is for {own}"
    match = re.fullmatch(r"(?P<session>[^-]+)-(?P<runner>.+)-py(?P<python>[\d.]+)", artifact)
    if match and not str(record["host"].get("python", "")).startswith(f"{match['python']}."):
        yield f"it ran on Python {record['host'].get('python')}"
    systems = {"macos": "Darwin", "ubuntu": "Linux"}
    if match and record["host"]["system"] != systems.get(
        system := match["runner"].partition("-")[0], record["host"]["system"]
    ):
        yield f"it ran on {record['host']['system']}, not {system}"
    if match and ("arm" in match["runner"] or "macos" in match["runner"]) != (
        record["host"]["machine"] in ("aarch64", "arm64")
    ):
        yield f"it ran on {record['host']['machine']}"


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `gate`."""
    parser.add_argument("folder", type=Path, help="the reports, <artifact>/<lane>/verdict.json")
    parser.add_argument(
        "--require", nargs="+", required=True, metavar="LANE", help="lanes that must hold, as <artifact>/<lane>"
    )
    parser.add_argument("--optional", nargs="*", default=[], metavar="LANE", help="lanes that are shown but need not hold")
    parser.add_argument("--jobs", type=json.loads, default={}, help='results of the jobs: {"lint": {"result": "success"}}')
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> bool:
    jobs = {name: job["result"] for name, job in options.jobs.items()}
    problems = check(options.folder, options.require, options.optional, jobs)
    print("", *(f"- {problem}" for problem in problems), sep="\n")
    print("**The gate is closed.**" if problems else "**Every lane reported a verdict that holds.**")
    return not problems
