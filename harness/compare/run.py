"""Run each recognizer on each device in its own process, and read what it reports."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import ROOT, HarnessError, trees, world
from harness.compare.hearing.engines import ENGINES, Engine

# Completes the tiny checkpoint, and needs a tree on its path.
COMPLETE = "from harness.checkpoint import complete; print(complete())"
NO_WEIGHTS = "no weights"


@dataclass(frozen=True)
class Run:
    """The run of a recognizer on a device.

    Attributes:
        key: a key of `ENGINES`
        device: name of the device
        lines: what the worker reported; none if it did not run
        not_run: why it did not run; empty if it did
    """

    key: str
    device: str
    lines: tuple[Mapping[str, Any], ...] = ()
    not_run: str = ""

    @property
    def engine(self) -> Engine:
        return ENGINES[self.key]

    def heard(self, event: str) -> list[Mapping[str, Any]]:
        """List the lines of an event: "loaded", "clip" or "joined"."""
        return [line for line in self.lines if line["event"] == event]

    @property
    def failed(self) -> str:
        """Why it did not finish; empty if it did, or did not run."""
        last = self.lines[-1] if self.lines else {"event": "failed", "reason": "it reported nothing"}
        if self.not_run or last["event"] == "done":
            return ""
        return str(last.get("reason", f"it died after {last.get('id', 'loading')}"))


def weights(lfm: Path | None) -> dict[str, Path]:
    """Find or make the weights of each family.

    Args:
        lfm: folder of the real checkpoint, if there is one

    Raises:
        HarnessError: they are not available
    """
    from harness.compare.hearing.weights import base

    done = subprocess.run([sys.executable, "-c", COMPLETE], cwd=ROOT, env=_environment(1), stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise HarnessError("the tiny checkpoint could not be completed, for the reason above")
    found = {"whisper": base(), "tiny": Path(done.stdout.strip())}
    return found | ({"lfm": lfm} if lfm else {})


def run(folders: Mapping[str, Path], devices: Sequence[str], threads: int) -> Iterator[Run]:
    """Run every recognizer on every device, one after the other."""
    for device in devices:
        for key, engine in ENGINES.items():
            if engine.family not in folders:
                yield Run(key, device, not_run=NO_WEIGHTS)
            elif device not in engine.devices:
                yield Run(key, device, not_run=f"its package does not compute on {device}")
            else:
                print(f"{engine.name}, {engine.how}, on {device}", file=sys.stderr, flush=True)
                yield Run(key, device, tuple(_worker(key, folders[engine.family], device, threads)))


def _worker(key: str, folder: Path, device: str, threads: int) -> list[Mapping[str, Any]]:
    """Run a recognizer on everything, and read what it reported, even if it died."""
    with tempfile.TemporaryDirectory(prefix="liquid-audio-compare-") as temporary:
        out = Path(temporary, "told.jsonl")
        command = [sys.executable, "-m", "harness.compare.hearing.worker", key, str(folder), "--device", device]
        subprocess.run([*command, "--threads", str(threads), "--out", str(out)], cwd=ROOT, env=_environment(threads))
        return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] if out.is_file() else []


def _environment(threads: int) -> dict[str, str]:
    """Return a worker's variables: the patched tree and this repository on its path, and a number of threads."""
    path = os.pathsep.join([str(trees.resolve("patched").path), str(ROOT)])
    # Warnings of packages about their internals would hide what the user has to know.
    return world.environment(PYTHONPATH=path, OMP_NUM_THREADS=str(threads), PYTHONWARNINGS="ignore")
