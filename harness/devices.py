"""The devices that this host can compute on, whatever torch reports."""

import os
import platform
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import torch

from harness import CACHE, ROOT, HarnessError, sim

# The devices that a lane can request, and what each needs.
NEEDS = {
    "cuda": "an NVIDIA or AMD GPU with its driver",
    "mps": "macOS on Apple silicon",
    "xla": "torch_xla: run `nox -s xla`",
}


def lacks(name: str) -> str | None:
    """Say what this host lacks to compute on a device: None if it allocates, multiplies and agrees with the CPU."""
    if _is_xla(name) and find_spec("torch_xla"):
        # Check in a process that ends afterwards, because a TPU serves one process at a time.
        program = f"from harness import devices; devices.require({name!r})"
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
        return (done.stderr.splitlines() or ["torch_xla died"])[-1] if done.returncode else None
    return _lacks_here(name)


def _is_xla(name: str) -> bool:
    return name.split(":")[0] == "xla"


def _load_torch_xla() -> None:
    """Register xla with torch. It computes on PJRT_DEVICE if set, else on a TPU (untested), else on the CPU."""
    # Each operation is compiled for each shape. The default cache is too small, so many would be compiled again.
    os.environ.setdefault("XLA_COMPILATION_CACHE_SIZE", "65536")
    import torch_xla

    # In lazy mode, the default, every generation step is compiled again, which takes minutes.
    torch_xla.experimental.eager_mode(True)


def _lacks_here(name: str) -> str | None:
    """Say what this process lacks to compute on a device."""
    try:
        if name == "sim":
            sim.load(CACHE / "sim", strict=True)
        if _is_xla(name) and find_spec("torch_xla"):
            _load_torch_xla()
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
    """Return a device for this process to compute on.

    Raises:
        HarnessError: this host cannot compute on it
    """
    refuse(name, _lacks_here(name))
    return torch.device(name)


def refuse(name: str, reason: str | None) -> None:
    """Raise a HarnessError if there is a reason why this host cannot compute on a device."""
    if reason:
        raise HarnessError(f"--device {name}: this {sys.platform} host cannot compute on it: {reason}")


def describe(name: str) -> str:
    """Return the model of a GPU, or of the processor for any other device. For xla, prepend the device that it computes on."""
    if _is_xla(name):
        from torch_xla import runtime

        return f"{runtime.device_type()}, {describe('cpu')}"
    if name.startswith("cuda"):
        return torch.cuda.get_device_name(name)
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8").splitlines() if cpu.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(models), platform.machine())
