"""Run the suite on a tree and a device: pytest, in a process of its own, which leaves its log in a folder.

On Linux these processes are forked from one that has imported torch and transformers, which takes most of the time of a start.
The frameworks of macOS and the drivers of GPUs do not survive a fork, so there each process starts afresh.
"""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing import forkserver, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from signal import SIGKILL
from threading import Lock
from typing import Any

from harness import ROOT, world
from harness.results import Run, read_run

DEFAULT = ("cpu", "sim")
FORKED = (*DEFAULT, "xla")
SELECTED = {"xla": ("-m", "core")}
# The plugins that a run loads. Any other that is installed stays out.
PLUGINS = ("xdist.plugin", "pytest_socket", "pytest_reportlog.plugin", "_hypothesis_pytestplugin")
# What the process that is forked imports, once: what the suite and the package import. The package differs from run to run.
PRELOAD = ["torch", "torchaudio", "transformers.models.lfm2.modeling_lfm2", "einops", "librosa.filters", "scipy.io.wavfile"]
PRELOAD += ["sentencepiece", "soundfile", "hypothesis.strategies", *PLUGINS]
# pytest cannot rewrite the asserts of plugins that are imported already. Theirs need no rewriting.
IMPORTED_BEFORE = ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning")
# At import, torch and transformers look for CUDA. With this variable they ask NVML: what initialises CUDA cannot be forked. Each
# process computes on one thread.
BEFORE_IMPORT = {"CUDA_VISIBLE_DEVICES": "", "PYTORCH_NVML_BASED_CUDA_CHECK": "1", "OMP_NUM_THREADS": "1"}
SERVER = Lock()
# This output is read only if pytest does not finish.
QUIET = ("--quiet", "--tb=no", "--no-summary")


@dataclass(frozen=True)
class Started:
    """A run of the suite that has started.

    Attributes:
        process: pytest
        log: the file that pytest-reportlog writes
        said: the file with pytest's output; None if it shares this process's output
        begun: when it started, by the monotonic clock
    """

    process: BaseProcess
    log: Path
    said: Path | None
    begun: float

    def finish(self, limit: float | None = None) -> tuple[Run, float]:
        """Wait until it ends, and return it with its duration in seconds. After `limit` seconds it is killed."""
        self.process.join(limit)
        self.end()
        return read_run(self.log, self.said), time.monotonic() - self.begun

    def end(self) -> None:
        """Kill it if it still runs, with its workers."""
        if self.process.is_alive() and self.process.pid:
            with suppress(ProcessLookupError):  # it has not begun
                os.killpg(self.process.pid, SIGKILL)
            self.process.kill()
        self.process.join()


def start_suite(
    tree: str,
    device: str,
    folder: Path,
    *options: str,
    tests: Sequence[str] = ("tests",),
    workers: int = 0,
    verbose: bool = False,
    variables: dict[str, str] | None = None,
) -> Started:
    """Start the suite on one tree.

    Args:
        tree: "upstream", "patched", or a folder that holds the package
        device: where it computes
        folder: where to write its log, `<name of the tree>.jsonl`
        options: further options for pytest
        tests: files, folders or ids of tests
        workers: the number of processes that share the tests; with 0, one process runs them itself
        verbose: show pytest's own output; otherwise it goes to `<name>.txt`
        variables: its environment, if it is not that of the device
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(tree).name
    log, said = folder / f"{name}.jsonl", None if verbose else folder / f"{name}.txt"
    log.unlink(missing_ok=True)
    arguments = ["--tree", tree, "--device", device, "--report-log", str(log), *SELECTED.get(device, ()), *options, *tests]
    arguments += ["--numprocesses", str(workers), *(() if verbose else QUIET)]
    return start([*world.SETTINGS, *arguments], log, said, variables or environment(device), device in FORKED)


def start(
    arguments: Sequence[str],
    log: Path,
    said: Path | None,
    variables: dict[str, str],
    forked: bool = True,
    folder: Path = ROOT,
) -> Started:
    """Start pytest in a folder, with some arguments. For the rest see `Started`."""
    context: Any = get_context("spawn")
    if forked and sys.platform == "linux":
        context = get_context("forkserver")
        with SERVER:
            _import_once()
    plugins = [word for name in PLUGINS for word in ("-p", name)]
    arguments = [*plugins, *IMPORTED_BEFORE, "-o", f"cache_dir={log.parent / 'cache'}", *arguments]
    process = context.Process(target=_pytest, args=(arguments, variables, said, folder))
    process.start()
    return Started(process, log, said, time.monotonic())


@cache
def _import_once() -> None:
    """Start the process that is forked, with the variables of a run: libraries read them when they are imported."""
    kept = dict(os.environ)
    variables = world.environment() | BEFORE_IMPORT
    os.environ.clear()
    os.environ.update(variables)
    try:
        forkserver.set_forkserver_preload(PRELOAD)
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _pytest(arguments: list[str], variables: dict[str, str], said: Path | None, folder: Path) -> None:
    """Become pytest, in a process group of its own, which its workers share."""
    os.setpgrp()
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    if said:
        output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
    import pytest

    sys.exit(pytest.main(arguments))


def run_suite(tree: str, device: str, folder: Path, *options: str, **how: Any) -> tuple[Run, float]:
    """Run the suite on one tree: start it as `start_suite` does, and wait until it ends."""
    started = start_suite(tree, device, folder, *options, **how)
    try:
        return started.finish()
    finally:
        started.end()


def environment(device: str) -> dict[str, str]:
    """Return the variables of a run. For cpu, sim and xla they hide GPUs, which would change what "auto" chooses."""
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if device in FORKED else {}
    with SERVER:  # the variables of this process are not its own while that one starts
        return world.environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", **hidden)


def at_once(device: str) -> int:
    """Return how many runs a device allows at once: a GPU has one memory, and a TPU serves one process at a time."""
    from harness import devices  # imports torch, for which the tests need not wait

    bears_two = device in FORKED and not (device == "xla" and devices.describe(device).startswith("TPU"))
    return 2 if bears_two and processors() > 1 else 1


def most_workers(device: str) -> int:
    """Return how many processes may share a device's tests. On a GPU each takes about 3 GB, its context included."""
    if device in FORKED:
        return processors()
    import torch

    unified = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2  # the memory of a Mac, half of it for the rest
    memory = torch.cuda.get_device_properties(device).total_memory if device.startswith("cuda") else unified
    return max(1, min(4, processors(), int(memory // 3e9)))


def processors() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
