"""Say whether every lane of a CI run reported a verdict that holds. Standard library alone: it runs without a stack."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import PATCHES, HarnessError
from harness.evidence import read_record, series_sha256


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
        required: `<artifact>/<lane>` that must hold
        optional: those that are shown and need not
        jobs: what became of the jobs behind them, which must be "success"
        patches: the series that the reports must be about

    Returns:
        sentences, none if the gate opens
    """
    problems = [f"the job {name} ended as {result}" for name, result in (jobs or {}).items() if result != "success"]
    series = series_sha256(patches)
    print("| lane | verdict |\n|---|---|")
    for lane in required:
        good, words = _report(folder / lane / "verdict.json", series)
        print(f"| {lane} | {'✓' if good else '✗'} {words} |")
        if not good:
            problems.append(f"{lane}: {words}")
    for lane in optional:
        print(f"| {lane}, not required | {_report(folder / lane / 'verdict.json', series)[1]} |")
    # A lane that the list forgot would never be missed.
    found = {file.parent.relative_to(folder).as_posix() for file in folder.glob("*/*/verdict.json")}
    problems += [f"{lane}: reported, and not on the gate's list" for lane in sorted(found - {*required, *optional})]
    return problems


def _report(file: Path, series: str) -> tuple[bool, str]:
    """Say whether one report is there, about this series, and good; and in words."""
    if not file.is_file():
        return False, "did not report"
    try:
        record = read_record(file)
    except HarnessError as error:
        return False, str(error)
    if record["series sha256"] != series:
        return False, "is about another series of patches"
    counts = ", ".join(f"{n} {kind}" for kind, n in sorted(record["counts"].items()))
    return record["holds"], f"{'holds' if record['holds'] else 'does not hold'}: {counts or 'no test'}"
