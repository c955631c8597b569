"""Evidence from hosts that CI does not reach: what a lane found there, as a small JSON to commit.

A lane that does not run shows it with its date and host; it never counts as a pass of this run, and it is stale as soon
as the series differs from the one that it was made from. Standard library alone, for `harness.gate`.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from harness import PATCHES, ROOT, HarnessError

FOLDER = ROOT / "fixtures" / "evidence"

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
    "seconds": dict,
}


def series_sha256(patches: Path = PATCHES) -> str:
    """Hash the patches and their names."""
    total = hashlib.sha256()
    for patch in sorted(patches.glob("*.patch")):
        total.update(f"{patch.name}\0{hashlib.sha256(patch.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


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


def write(verdict: Path, folder: Path = FOLDER) -> Path:
    """Write the evidence of a lane to `<lane>-<host>.json`, over what a host of the same kind gave before.

    Args:
        verdict: the lane's verdict.json
        folder: where committed evidence is

    Returns:
        the file
    """
    record = {name: value for name, value in read_record(verdict).items() if name in FIELDS}
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
    now = series_sha256(patches)
    records = sorted((read_record(file) for file in folder.glob("*.json")), key=lambda record: str(record["date"]))
    return {
        lane: "; ".join([reason, *(_sentence(record, now) for record in records if record["lane"] == lane)])
        for lane, reason in not_run.items()
    }


def _sentence(record: Mapping[str, Any], now: str) -> str:
    host = record["host"]
    kind = "committed evidence" if record["series sha256"] == now else "stale evidence, for another series of patches"
    held = "held" if record["holds"] else "did not hold"
    return f"{kind}: {held} on {record['date']} on {host['device']}, {host['system']} {host['machine']}"
