"""Evidence: the verdict of a device on a host that CI does not reach, as a small JSON file in `fixtures/evidence/`, to commit.

Where the device is missing, a verdict cites the file with its date, host and stack. It never counts as a pass, and it is stale
as soon as a file changes that its verdict depends on.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import PATCHES, ROOT, HarnessError, census, world
from harness.stacks import named

FOLDER = ROOT / "fixtures" / "evidence"
# The fields of a verdict that are kept. Its options may name a folder of the host.
FIELDS = (
    *("holds", "lane", "stack", "date", "problems", "counts", "same bits", "bugs", "host", "packages", "seconds"),
    *("release", "trees", "digest", "lock sha256"),
)


def read_record(file: Path) -> dict[str, Any]:
    """Read a verdict.json or an evidence file.

    Raises:
        HarnessError: it is not JSON, or lacks a field
    """
    try:
        record = dict(json.loads(file.read_text(encoding="utf-8")))
        lacking = ", ".join(name for name in FIELDS if name not in record)
    except (TypeError, ValueError) as error:
        raise HarnessError(f"{file} is not the record of a verdict, {error}: delete it or create it again") from None
    if lacking:
        raise HarnessError(f"{file} is not the record of a verdict, it lacks {lacking}: delete it or create it again")
    return record


def lane_of(record: Mapping[str, Any]) -> str:
    """Return the lane of a record, which is the name of its folder in `out/`."""
    real = "--checkpoint" in record.get("options", ())
    return named(f"real-{record['lane']}" if real else str(record["lane"]), record["stack"])


def write(verdict: Path, folder: Path = FOLDER) -> Path:
    """Write the evidence of a lane to `<device>-<stack>-<host>.json`, in place of earlier evidence from such a host."""
    record = {name: value for name, value in read_record(verdict).items() if name in FIELDS}
    record["bugs"] = [{"id": bug["id"], "shown": len(bug["shown"]), "fixed": bug["fixed"]} for bug in record["bugs"]]
    host = record["host"]
    words = f"{record['lane']} {record['stack']} {host['system']} {host['machine']} {host['device']}"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{'-'.join(re.findall('[a-z0-9]+', words.lower()))}.json"
    file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def cite(not_run: Mapping[str, str], folder: Path = FOLDER, patches: Path = PATCHES) -> dict[str, str]:
    """Add committed evidence for each device to the reason why it did not run.

    Raises:
        HarnessError: a file of the folder is not the record of a verdict
    """
    records = sorted(map(read_record, folder.glob("*.json")), key=lambda record: str(record["date"]))
    return {
        name: "; ".join([reason, *(_sentence(record, patches) for record in records if record["lane"] == name)])
        for name, reason in not_run.items()
    }


def is_counted(record: Mapping[str, Any]) -> bool:
    """Say whether a record has the counts of the census; on a device without one, as many tests as `sim`, and no problem."""
    if known := census.totals(record["lane"], lane_of(record)):
        return {**record["counts"], "bits": record["same bits"]} == known
    total = sum(census.totals("sim", "sim").get(kind, 0) for kind in ("fail→pass", "pass→pass"))
    return not record["problems"] and sum(record["counts"].values()) == total


def _sentence(record: Mapping[str, Any], patches: Path) -> str:
    host, kind = record["host"], "committed evidence"
    if world.is_stale(record, patches):
        kind += f", {world.STALE}"
    elif record["holds"] and {**record["counts"], "bits": record["same bits"]} != census.totals(
        record["lane"], lane_of(record)
    ):
        kind += ", which does not count the tests of the census"
    held = "held" if record["holds"] else "did not hold"
    where = f"{host['device']}, {host['system']} {host['machine']}, with the stack {record['stack']}"
    return f"{kind}: {held} on {record['date']} on {where}"
