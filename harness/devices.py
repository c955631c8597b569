"""Which devices this host really has: a device counts when it computes, not when torch reports it."""

import sys

import torch

from harness import HarnessError

# Devices that a lane can be asked for, with what to say where there is no such thing.
NEEDS = {"cuda": "an NVIDIA or AMD GPU with its driver", "mps": "macOS on Apple silicon"}


def usable(name: str) -> bool:
    """Say whether a device allocates, multiplies and agrees with the CPU."""
    try:
        left = torch.arange(64.0).reshape(8, 8)
        found = (left.to(name) @ left.to(name)).cpu()
    except (AssertionError, NotImplementedError, RuntimeError):
        return False
    return torch.allclose(found, left @ left)


def require(name: str) -> torch.device:
    """Return a device that was asked for.

    Raises:
        HarnessError: this host cannot compute on it
    """
    if not usable(name):
        needs = NEEDS.get(name.split(":")[0], "a device that torch knows")
        raise HarnessError(f"--device {name}: this {sys.platform} host cannot compute on it, which needs {needs}")
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
