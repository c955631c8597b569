"""`python -m harness.compare.hearing.worker`: one recognizer in a process of its own, with what it heard as lines of JSON.

A line is written as soon as it is known: what was heard before a process died is not lost.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What a recognizer may not take from the rest of the host, in bytes.
SPARE = 2 << 30
MEMORY = Path("/proc/meminfo")


def peak() -> int:
    """Return the most memory that this process had at once, in bytes.

    On Linux not by `resource`, which begins with what the process that started this one had.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        return _kilobytes(status, "VmHWM") * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def bound() -> None:
    """Let an allocation fail, in words, that is larger than what the host has left. Linux alone can."""
    if MEMORY.is_file():
        left = _kilobytes(MEMORY, "MemAvailable") * 1024 - SPARE
        taken = _kilobytes(Path("/proc/self/status"), "VmSize") * 1024
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (taken + max(0, left), hard))


def _kilobytes(file: Path, name: str) -> int:
    lines = file.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def on_device(device: str) -> int:
    """Return how many bytes of a device's memory are taken, by all processes; 0 for the CPU."""
    import torch

    if device == "cuda":
        free, total = torch.cuda.mem_get_info()
        return total - free
    return torch.mps.driver_allocated_memory() if device == "mps" else 0


def hear(engine: str, folder: Path, device: str, threads: int, tell: Callable[..., None]) -> None:
    """Load a recognizer, warm it up, and let it hear the recordings and the joined files.

    Args:
        engine: a key of `ENGINES`
        folder: its weights
        device: where to
        threads: how many
        tell: takes what is known, as soon as it is
    """
    import torch

    from harness.compare.hearing import sound
    from harness.compare.hearing.engines import ENGINES

    chosen, before = ENGINES[engine], on_device(device)
    spoken = sound.human()
    torch.set_num_threads(threads)
    bare, start = peak(), time.perf_counter()
    recognize = chosen.load(folder, device, threads)
    loaded = time.perf_counter()
    torch.set_num_threads(threads)
    recognize(spoken[0].wave)
    tell(event="loaded", bare=bare, load=loaded - start, warm_up=time.perf_counter() - loaded)

    most = 0

    def listen(to: sound.Spoken, event: str) -> None:
        nonlocal most
        start, begin = time.perf_counter(), time.process_time()
        text = recognize(to.wave)
        seconds, cpu = time.perf_counter() - start, time.process_time() - begin
        most = max(most, on_device(device) - before)
        times = {"seconds": seconds, "cpu": cpu, "audio": to.seconds}
        tell(event=event, id=to.id, spoken=to.text, text=text, peak=peak(), on_device=most, **times)

    for clip in spoken:
        listen(clip, "clip")
    if device == "cpu":
        bound()
    for seconds in chosen.seconds:
        listen(sound.joined(seconds), "joined")


def reason(error: Exception) -> str:
    """Say in a sentence why a recognizer failed."""
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return f"not enough memory on this host: {str(error).rpartition('] ')[2] or 'it asked for more'}"
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or ['without a message'])[0]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with options.out.open("w", encoding="utf-8") as file:

        def tell(**known: Any) -> None:
            print(json.dumps(known), file=file, flush=True)

        try:
            hear(options.engine, options.folder, options.device, options.threads, tell)
        except Exception as error:
            tell(event="failed", reason=reason(error))
            print(f"{options.engine}: {reason(error)}", file=sys.stderr)
            return 1
        tell(event="done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
