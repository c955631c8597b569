"""What the patches cost input that 1.3.0 takes: `add_audio` on both trees, side by side in one process.

Times differ between hosts and hours, so a run gives ratios of calls made one after the other, and no test hangs on them.
"""

import gc
import importlib
import sys
import time
from collections.abc import Callable
from statistics import median, quantiles

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from harness import trees
from harness.checkpoint import complete

ROUNDS = 400


def run() -> None:
    """Print how long patched takes for each length of audio, as a ratio to upstream."""
    torch.set_num_threads(1)
    upstream, patched, again = (_adder(name) for name in ("upstream", "patched", "upstream"))
    table = Table("audio at 16 kHz", "upstream", "patched to upstream", "upstream to upstream, loaded twice")
    for seconds in (1, 10, 60):
        wave = torch.randn(1, 16_000 * seconds) * 0.1
        times = _times((upstream, patched, again), wave, max(20, ROUNDS // seconds))
        table.add_row(
            f"{seconds} s", f"{median(times[0]) * 1e3:.2f} ms", _ratio(times[1], times[0]), _ratio(times[2], times[0])
        )
    Console().print(table)


def _adder(name: str) -> Callable[[torch.Tensor], None]:
    """Load a tree, beside those that are loaded already, and return what adds audio to a new chat of its own."""
    for module in [m for m in sys.modules if m.partition(".")[0] == trees.PACKAGE]:
        del sys.modules[module]
    sys.path.insert(0, str(trees.resolve(name).path))
    package = importlib.import_module(trees.PACKAGE)
    del sys.path[0]
    processor = package.LFM2AudioProcessor.from_pretrained(complete(), device="cpu").eval()

    def add(wave: torch.Tensor) -> None:
        package.ChatState(processor).add_audio(wave, 16_000)

    return add


def _times(adders: tuple[Callable[[torch.Tensor], None], ...], wave: torch.Tensor, rounds: int) -> list[list[float]]:
    """Time each in turn, the first one of a round changing, with the collection of garbage between."""
    times: list[list[float]] = [[] for _ in adders]
    for n in track(range(-5, rounds), f"{wave.shape[1] // 16_000} s of audio", transient=True):
        gc.collect(0)
        for k in range(len(adders)):
            which = (n + k) % len(adders)
            start = time.perf_counter()
            adders[which](wave)
            if n >= 0:
                times[which].append(time.perf_counter() - start)
    return times


def _ratio(times: list[float], base: list[float]) -> str:
    """Give the median of the rounds' ratios, and the middle half of them."""
    low, middle, high = quantiles((t / b for t, b in zip(times, base, strict=True)), n=4)
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"
