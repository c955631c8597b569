"""The limits of a host, measured: its matrix products, and its memory bandwidth."""

import time
from collections.abc import Callable

import torch

SIDE, BYTES, ROUNDS = 3072, 2**30, 5


def operations(dtype: torch.dtype, device: str, side: int = SIDE) -> float:
    """Return how many floating point operations a second a product of large square matrices reaches."""
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / _best(lambda: left @ right, device)


def bandwidth(device: str, size: int = BYTES) -> float:
    """Return the most bytes a second that memory moves: for a sum over a block, or for a copy, which reads and writes."""
    block = torch.zeros(size // 4, device=device)
    other = torch.empty_like(block)
    return max(size / _best(block.sum, device), 2 * size / _best(lambda: other.copy_(block), device))


def _best(call: Callable[[], object], device: str) -> float:
    """Return the shortest time of several calls."""
    return min(timed(call, device) for _ in range(ROUNDS))


def timed(call: Callable[[], object], device: str) -> float:
    """Return how many seconds a call takes, until the device has finished."""
    wait(device)
    start = time.perf_counter()
    call()
    wait(device)
    return time.perf_counter() - start


def wait(device: str) -> None:
    """Wait until a device has finished its work."""
    if not device.startswith("cpu"):
        torch.accelerator.synchronize()
