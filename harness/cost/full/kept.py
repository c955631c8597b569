"""Figures from other hosts, committed to fixtures/evidence/cost/, for the tables of this one."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import HarnessError, world
from harness.evidence import FOLDER

COST = FOLDER / "cost"


def write(name: str, device: str, record: Mapping[str, Any], folder: Path = COST) -> Path:
    """Write a record, and replace that of a host of the same kind.

    Args:
        name: name of the measurement
        device: the one that computed
        record: host, date and figures
        folder: where the records are

    Returns:
        the file
    """
    host = record["host"]
    words = re.findall("[a-z0-9]+", f"{name} {device} {host['system']} {host['machine']} {host['device']}".lower())
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{'-'.join(words)}.json"
    file.write_text(json.dumps({**record, "digest": world.digest()}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def read(name: str, folder: Path = COST) -> list[dict[str, Any]]:
    """Read the records of other hosts, the oldest first.

    Raises:
        HarnessError: a file is not such a record
    """
    found = []
    for file in folder.glob(f"{name}-*.json"):
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            found.append(
                {**record, "date": str(record["date"]), "measured": dict(record["measured"]), "host": dict(record["host"])}
            )
        except (KeyError, TypeError, ValueError) as error:
            raise HarnessError(f"{file.name} is not a record of a measurement ({error}): remove it or measure again") from None
    return sorted(found, key=lambda record: str(record["date"]))


def label(record: Mapping[str, Any]) -> str:
    """Name a host for a column. A record that was kept with other files than these is called stale."""
    words = f"{record['host']['device']}, {record['date']}"
    return (
        f"{words}, kept, {world.STALE}"
        if "digest" in record and world.is_stale(record)
        else f"{words}, kept"
        if "digest" in record
        else words
    )
