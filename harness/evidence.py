"""Evidence from hosts that CI does not reach: what a lane found there, as a small JSON to commit.

A lane that does not run shows it with its date and host; it never counts as a pass of this run, and it is stale as soon
as anything differs that its verdict hangs on. Standard library alone, for `harness.gate`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from harness import PATCHES, ROOT, HarnessError, world

FOLDER = ROOT / "fixtures" / "evidence"

# The stacks that an environment may be, the first of which goes without saying, and what it is that is none of them.
STACKS, OWN = ("pinned", "latest", "floor", "xla"), "own"

# What every record of a verdict has, and of which type.
FIELDS: dict[str, type] = {
    "lane": str,
    "date": str,
    "holds": bool,
    "counts": dict,
    "same bits": int,
    "bugs": list,
    "host": dict,
    "packages": dict,
    "release": dict,
    "trees": dict,
    "series": list,
    "series sha256": str,
    "digest": str,
    "seconds": dict,
}


# What a record may have as well.
OPTIONAL = ("stack", "lock sha256")


def read_record(file: Path) -> dict[str, Any]:
    """Read a verdict.json or an evidence file.

    Raises:
        HarnessError: it is no JSON, or lacks what a verdict has to say
    """
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        wrong = next(_lacks(record), "")
    except ValueError as error:
        wrong = str(error)
    if wrong:
        raise HarnessError(f"{file} is no record of a verdict, {wrong}: remove it or make it anew")
    return dict(record)


def _lacks(record: Any) -> Iterator[str]:
    """Find what keeps JSON from being a record."""
    if not isinstance(record, dict):
        yield "it holds no object"
        return
    for name, kind in FIELDS.items():
        if not isinstance(record.get(name), kind):
            yield f"{name!r} is missing or no {kind.__name__}"
    for name in ("system", "machine", "device"):
        if not isinstance(record["host"].get(name), str):
            yield f"{name!r} of its host is missing or no str"
    date.fromisoformat(record["date"])
    # What holds was counted, and says nothing against itself.
    if record["holds"] and not record["counts"].get("fail→pass"):
        yield "it holds and counts no test that fails as published and passes patched"
    if record["holds"] and record.get("problems"):
        yield "it holds and names problems"
    if record["holds"] and set(record["counts"]) - {"fail→pass", "pass→pass"}:
        yield "it holds and counts tests that do not pass patched"
    if record["holds"] and any(
        not shown or _number(shown) != bug["fixed"] for bug in record["bugs"] for shown in [bug["shown"]]
    ):
        yield "it holds and has a bug that is not shown or not fixed"


def named(what: str, stack: str | None) -> str:
    """Give what a lane leaves the name of its stack, unless that goes without saying."""
    return what if stack in (None, STACKS[0], what) else f"{what}-{stack}"


def lane_of(record: Mapping[str, Any]) -> str:
    """Say which lane a record is of, by the name of the folder where that leaves it."""
    real = "--checkpoint" in record.get("options", ())
    return named(f"real-{record['lane']}" if real else str(record["lane"]), record.get("stack"))


def _number(shown: Any) -> int:
    """Count tests, which a verdict lists and evidence counts."""
    return shown if isinstance(shown, int) else len(shown)


def write(verdict: Path, folder: Path = FOLDER) -> Path:
    """Write the evidence of a lane to `<lane>-<host>.json`, over what a host of the same kind gave before.

    Args:
        verdict: the lane's verdict.json
        folder: where committed evidence is

    Returns:
        the file
    """
    record = {name: value for name, value in read_record(verdict).items() if name in (*FIELDS, *OPTIONAL)}
    record["bugs"] = [{"id": bug["id"], "shown": len(bug["shown"]), "fixed": bug["fixed"]} for bug in record["bugs"]]
    host = record["host"]
    words = re.findall("[a-z0-9]+", f"{record['lane']} {host['system']} {host['machine']} {host['device']}".lower())
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{'-'.join(words)}.json"
    file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def cite(not_run: Mapping[str, str], folder: Path = FOLDER, patches: Path = PATCHES) -> dict[str, str]:
    """Add what committed evidence says of each lane to the reason for which it did not run.

    Raises:
        HarnessError: a file of the folder is no record of a verdict
    """
    records = sorted((read_record(file) for file in folder.glob("*.json")), key=lambda record: str(record["date"]))
    return {
        lane: "; ".join([reason, *(_sentence(record, patches) for record in records if record["lane"] == lane)])
        for lane, reason in not_run.items()
    }


def _sentence(record: Mapping[str, Any], patches: Path) -> str:
    host = record["host"]
    kind = f"committed evidence, {world.STALE}" if world.is_stale(record, patches) else "committed evidence"
    held = "held" if record["holds"] else "did not hold"
    return f"{kind}: {held} on {record['date']} on {host['device']}, {host['system']} {host['machine']}"
