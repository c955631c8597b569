"""Evidence from hosts that CI does not reach: the verdict of a lane on such a host, as a small JSON file to commit.

A lane that does not run cites it with its date and host. It never counts as a pass of this run, and it is stale as soon as a
file changes that its verdict depends on.
"""

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from harness import OUT, PATCHES, ROOT, HarnessError, world
from harness.lane.stacks import named, own_stack
from harness.suite.catalogue import CATALOGUE, read_catalogue
from harness.verdict import census

FOLDER = ROOT / "fixtures" / "evidence"

# The fields of every record of a verdict, and their types.
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


# Fields that a record may also have.
OPTIONAL = ("stack", "lock sha256", "problems")


def read_record(file: Path) -> dict[str, Any]:
    """Read a verdict.json or an evidence file.

    Raises:
        HarnessError: the file is not JSON, or not the record of a verdict
    """
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        wrong = next(_lacks(record), "")
    except ValueError as error:
        wrong = str(error)
    except (AttributeError, KeyError, TypeError) as error:
        wrong = f"a part of it has the wrong form ({error!r})"
    if wrong:
        raise HarnessError(f"{file} is not the record of a verdict, {wrong}: delete it or create it again")
    return dict(record)


def _lacks(record: Any) -> Iterator[str]:
    """Find why JSON is not the record of a verdict."""
    if not isinstance(record, dict):
        yield "it is not a JSON object"
        return
    for name, kind in FIELDS.items():
        if not isinstance(record.get(name), kind):
            yield f"{name!r} is missing or not a {kind.__name__}"
    for name in ("system", "machine", "device"):
        if not isinstance(record["host"].get(name), str):
            yield f"{name!r} of its host is missing or not a str"
    date.fromisoformat(record["date"])
    # A verdict that holds has counts, and nothing contradicts it.
    if record["holds"] and not record["counts"].get("fail→pass"):
        yield "it holds but counts no test that fails as published and passes patched"
    if record["holds"] and record.get("problems"):
        yield "it holds but names problems"
    if record["holds"] and set(record["counts"]) - {"fail→pass", "pass→pass"}:
        yield "it holds but counts tests that do not pass patched"
    if record["holds"] and any(
        not shown or _number(shown) != bug["fixed"] for bug in record["bugs"] for shown in [bug["shown"]]
    ):
        yield "it holds but has a bug that is not shown or not fixed"
    if record["holds"] and record["counts"].get("fail→pass") != _all_shown(record["bugs"]):
        yield "it holds but its bugs are not shown by as many tests as it counts"
    if record["same bits"] > record["counts"].get("pass→pass", 0):
        yield "it counts more tests with the same bits than pass on both packages"


def lane_of(record: Mapping[str, Any]) -> str:
    """Return the lane of a record, which is the name of its folder in `out/`."""
    real = "--checkpoint" in record.get("options", ())
    return named(f"real-{record['lane']}" if real else str(record["lane"]), record.get("stack"))


def invented(record: Mapping[str, Any]) -> str:
    """Say how a record that claims to hold contradicts the catalogue or the census; empty if it does not."""
    device, lane = record["lane"], lane_of(record)
    bugs = [b.id for b in read_catalogue(CATALOGUE).bugs if device in b.lanes and record.get("stack") not in b.not_on]
    if record["holds"] and sorted(bug["id"] for bug in record["bugs"]) != sorted(bugs):
        return "does not name the bugs of the catalogue"
    counted = record["counts"] == census.totals(lane, device) and record["same bits"] == census.same_bits(lane, device)
    if record["holds"] and not lane.startswith("real-") and not counted:
        return "does not count the tests of the census"
    return ""


def _number(shown: Any) -> int:
    """Return a number of tests. A verdict lists the tests, and evidence only counts them."""
    return shown if isinstance(shown, int) else len(shown)


def _all_shown(bugs: Sequence[Mapping[str, Any]]) -> int:
    """Count the tests of all bugs, which are all the tests that fail as published."""
    listed = {test for bug in bugs if not isinstance(bug["shown"], int) for test in bug["shown"]}
    return len(listed) + sum(bug["shown"] for bug in bugs if isinstance(bug["shown"], int))


def write(verdict: Path, folder: Path = FOLDER) -> Path:
    """Write the evidence of a lane to `<lane>-<stack>-<host>.json`. It replaces earlier evidence from a host of the same kind.

    Args:
        verdict: the lane's verdict.json
        folder: the folder of committed evidence

    Returns:
        the file that was written
    """
    record = {name: value for name, value in read_record(verdict).items() if name in (*FIELDS, *OPTIONAL)}
    record["bugs"] = [{"id": bug["id"], "shown": len(bug["shown"]), "fixed": bug["fixed"]} for bug in record["bugs"]]
    host = record["host"]
    words = re.findall(
        "[a-z0-9]+", f"{record['lane']} {record.get('stack', '')} {host['system']} {host['machine']} {host['device']}".lower()
    )
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{'-'.join(words)}.json"
    file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def cite(not_run: Mapping[str, str], folder: Path = FOLDER, patches: Path = PATCHES) -> dict[str, str]:
    """Add committed evidence for each lane to the reason why it did not run.

    Raises:
        HarnessError: a file of the folder is not the record of a verdict
    """
    records = sorted((read_record(file) for file in folder.glob("*.json")), key=lambda record: str(record["date"]))
    return {
        lane: "; ".join([reason, *(_sentence(record, patches) for record in records if record["lane"] == lane)])
        for lane, reason in not_run.items()
    }


def _sentence(record: Mapping[str, Any], patches: Path) -> str:
    host = record["host"]
    kind = "committed evidence"
    if wrong := world.STALE if world.is_stale(record, patches) else invented(record):
        kind += f", {'which ' * (wrong != world.STALE)}{wrong}"
    held = "held" if record["holds"] else "did not hold"
    where = f"{host['device']}, {host['system']} {host['machine']}, with the stack {record.get('stack') or 'own'}"
    return f"{kind}: {held} on {record['date']} on {where}"


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `evidence`."""
    parser.add_argument("--device", required=True, help="the lane")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> bool:
    from harness.verdict.lane import run_lanes  # imports this module

    holds = run_lanes([options.device])
    print(f"wrote {write(OUT / named(options.device, own_stack()) / 'verdict.json').relative_to(ROOT)}: commit it")
    return holds
