"""What a figure hangs on beside the files: host, packages, threads, date."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import psutil
import torch

from harness import HarnessError, world
from harness.lane import devices

PACKAGES = ("torch", "torchaudio", "transformers", "accelerate", "safetensors", "numpy", "scipy")
GB = 1e9


def facts(device: str = "cpu", threads: int = 1) -> dict[str, Any]:
    """Return what `publish` adds to the JSON of a measurement.

    Args:
        device: that computed
        threads: with which torch computed on the CPU
    """
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "lock sha256": world.lock_sha256(),
        "host": {
            "system": platform.system(),
            "machine": platform.machine(),
            "device": devices.describe(device),
            "cores": os.cpu_count(),
            "memory GB": round(psutil.virtual_memory().total / GB, 1),
            "python": platform.python_version(),
            "load": [round(load, 2) for load in os.getloadavg()],
        },
        "packages": {name: version(name) for name in PACKAGES},
        "threads": threads,
    }


def sentence(known: dict[str, Any]) -> str:
    """Say on what and when, for the note of a table."""
    host = known["host"]
    where = f"{host['device']}, {host['cores']} cores, {host['system']} {host['machine']}"
    return f"{known['date']}, {where}, torch {known['packages']['torch']} with {known['threads']} threads, load {host['load'][0]}."


def threads() -> int:
    """Return with how many threads torch computes here unless told otherwise."""
    return torch.get_num_threads()


def require_memory(needed: float, what: str, available: float | None = None) -> None:
    """Refuse what this host has no room for, before it swaps or kills something.

    Args:
        needed: bytes
        what: is to be done
        available: bytes, those that this host says are

    Raises:
        HarnessError: there is less
    """
    there = psutil.virtual_memory().available if available is None else available
    if there < needed:
        raise HarnessError(f"{what} takes {needed / GB:.0f} GB of memory, and {there / GB:.0f} GB are free: close something")
