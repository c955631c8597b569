"""`python -m harness.compare.hearing.worker`: run one recognizer, and write what it hears as lines of JSON.

Each line is written at once, so that nothing heard before is lost if the process dies.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Bytes of memory that a recognizer must leave to the host.
SPARE = 2 << 30
MEMORY = Path("/proc/meminfo")


def peak() -> int:
    """Return the peak memory of this process, in bytes.

    On Linux, this does not use `resource`, whose peak starts at that of the parent process.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        return _kilobytes(status, "VmHWM") * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def bound() -> None:
    """Make an allocation beyond what the host has left fail with an error. This works only on Linux."""
    if MEMORY.is_file():
        left = _kilobytes(MEMORY, "MemAvailable") * 1024 - SPARE
        taken = _kilobytes(Path("/proc/self/status"), "VmSize") * 1024
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (taken + max(0, left), hard))


def _kilobytes(file: Path, name: str) -> int:
    lines = file.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def on_device(device: str) -> int:
    """Return how many bytes of a device's memory are in use, on CUDA by all processes; 0 for the CPU."""
    import torch

    if device == "cuda":
        free, total = torch.cuda.mem_get_info()
        return total - free
    return torch.mps.driver_allocated_memory() if device == "mps" else 0


def hear(engine: str, folder: Path, device: str, threads: int, tell: Callable[..., None]) -> None:
    """Load a recognizer, warm it up, and run it on the recordings and the joined files.

    Args:
        engine: a key of `ENGINES`
        folder: its weights
        device: where to load it
        threads: how many it uses
        tell: called with each result as soon as it is known
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
