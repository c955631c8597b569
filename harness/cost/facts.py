"""What a figure depends on besides the files: host, packages, threads, date."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import psutil
import torch

from harness import HarnessError, devices, world

PACKAGES = ("torch", "torchaudio", "transformers", "accelerate", "safetensors", "numpy", "scipy")
GB = 1e9


def facts(device: str = "cpu", threads: int = 1) -> dict[str, Any]:
    """Return what `publish` adds to the JSON of a measurement.

    Args:
        device: the one that computed
        threads: how many torch used on the CPU
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
    """Say where and when something was measured, for the note of a table."""
    host = known["host"]
    where = f"{host['device']}, {host['cores']} cores, {host['system']} {host['machine']}"
    return f"{known['date']}, {where}, torch {known['packages']['torch']} with {known['threads']} threads, load {host['load'][0]}."


def threads() -> int:
    """Return how many threads torch uses here by default."""
    return torch.get_num_threads()


def require_memory(needed: float, what: str, available: float | None = None) -> None:
    """Raise if this host lacks memory for a task, before it swaps or kills a process.

    Args:
        needed: bytes that the task needs
        what: the task, for the message
        available: bytes, by default what this host reports

    Raises:
        HarnessError: less is available
    """
    there = psutil.virtual_memory().available if available is None else available
    if there < needed:
        raise HarnessError(f"{what} needs {needed / GB:.0f} GB of memory, but {there / GB:.0f} GB are free: close something")
