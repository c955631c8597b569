"""Which devices this host really has: a device counts when it computes, not when torch reports it."""

import platform
import subprocess
import sys
from pathlib import Path

import torch

from harness import CACHE, HarnessError, sim

# Devices that a lane can be asked for, with what to say where there is no such thing.
NEEDS = {"cuda": "an NVIDIA or AMD GPU with its driver", "mps": "macOS on Apple silicon"}


def lacks(name: str) -> str | None:
    """Say what this host lacks to compute on a device: None if it allocates, multiplies and agrees with the CPU."""
    try:
        if name == "sim":
            sim.load(CACHE / "sim", strict=True)
        left = torch.arange(64.0).reshape(8, 8)
        found = (left.to(name) @ left.to(name)).cpu()
        if torch.allclose(found, left @ left):
            return None
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        if name == "sim":
            return str(error)
    return f"needs {NEEDS.get(name.split(':')[0], 'a device that torch knows')}"


def usable(name: str) -> bool:
    """Say whether this host computes on a device."""
    return lacks(name) is None


def require(name: str) -> torch.device:
    """Return a device that was asked for.

    Raises:
        HarnessError: this host cannot compute on it
    """
    if reason := lacks(name):
        raise HarnessError(f"--device {name}: this {sys.platform} host cannot compute on it: {reason}")
    return torch.device(name)


def preferred() -> torch.device:
    """Return the device that "auto" comes to: cuda, mps, or what else torch reports, the first if it computes, else cpu."""
    if torch.cuda.is_available():
        first = torch.device("cuda")
    elif torch.backends.mps.is_available():
        first = torch.device("mps")
    else:
        first = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    return first if usable(str(first)) else torch.device("cpu")


def describe(name: str) -> str:
    """Return the model of a GPU, or of the processor for every other device."""
    if name.startswith("cuda"):
        return torch.cuda.get_device_name(name)
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8").splitlines() if cpu.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(models), platform.machine())
