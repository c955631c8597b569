"""A process that imports one tree of `liquid_audio`, and then does what it is asked."""

import logging
import multiprocessing
import os
import platform
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import torch

from harness import devices, world


def start() -> ProcessPoolExecutor:
    """Start a process. Submit `enter` to it first."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def enter(tree: Path, device: str = "cpu", threads: int | None = None) -> None:
    """Import `liquid_audio` from a tree, in this process.

    Args:
        tree: the folder that holds the package
        device: the one that will compute; unless it is CUDA, CUDA is hidden
        threads: how many threads torch uses, its own choice if None
    """
    os.environ.update(world.FIXED)
    if not device.startswith("cuda"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if threads:
        torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    sys.path.insert(0, str(tree))
    import liquid_audio

    assert Path(liquid_audio.__file__).is_relative_to(tree), f"{liquid_audio.__file__} is not in {tree}"


def describe_host(device: str, threads: int) -> str:
    """Say where and when something was measured, for the note of a table."""
    return (
        f"{datetime.now(UTC).date()}, {devices.describe(device)}, {os.cpu_count()} cores, {platform.system()} "
        f"{platform.machine()}, torch {torch.__version__} with {threads} threads."
    )
