"""What the patches cost where 1.3.0 works too: `python -m harness benchmark`. With `--full`, what a model of full size costs.

Each round starts one process for each tree. The processes take turns at each case, so that a change in the host's speed
affects both. Times are processor time on one thread, which does not pass while another process runs.
"""

import argparse
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from statistics import median
from timeit import Timer
from typing import Any

import numpy as np
import torch
from rich.progress import track
from scipy import stats

from harness import OUT, HarnessError, fullsize, trees, worker
from harness.checkpoint import complete
from harness.speech import clips
from harness.table import Table, publish

# With fewer rounds, a bootstrap cannot reach its confidence: five values lie on one side of the median in 2 of 2**5 cases.
ROUNDS, FEWEST = 10, 6
TURNS, TURN_SECONDS = 10, 0.1
# "No slower" means that the interval of the ratio ends at 1.02 at most.
CONFIDENCE, MOST = 0.95, 1.02

# For each case, a value for each round: the times of the turns, by tree.
type Measured = Mapping[str, Sequence[Mapping[str, Sequence[float]]]]


@cache
def _load(part: str) -> Any:
    import liquid_audio

    return getattr(liquid_audio, part).from_pretrained(complete(), device="cpu").eval()


def _loading(part: str) -> Timer:
    import liquid_audio

    cls, folder = getattr(liquid_audio, part), complete()
    return Timer(lambda: cls.from_pretrained(folder, device="cpu"), timer=time.process_time)


def _add_audio(seconds: int, dtype: torch.dtype = torch.float32, sampling_rate: int = 16_000) -> Timer:
    from liquid_audio import ChatState

    generator = torch.Generator().manual_seed(0)
    waveform = (torch.randn(1, sampling_rate * seconds, generator=generator) * 0.1).to(dtype)
    chat: Any = None

    def new_chat() -> None:
        nonlocal chat
        chat = ChatState(_load("LFM2AudioProcessor"))

    return Timer(lambda: chat.add_audio(waveform, sampling_rate), new_chat, time.process_time)


def _generate(method: str) -> Timer:
    from liquid_audio import ChatState

    model, clip = _load("LFM2AudioModel"), clips()[0]
    chat = ChatState(_load("LFM2AudioProcessor"))
    chat.add_text("<|im_start|>system\nPerform ASR.<|im_end|>\n<|im_start|>user\n")
    chat.add_audio(clip.mono(), clip.sampling_rate)
    chat.add_text("<|im_end|>\n<|im_start|>assistant\n")
    return Timer(lambda: deque(getattr(model, method)(**chat, max_new_tokens=16), maxlen=0), timer=time.process_time)


# The forms of audio are those that 1.3.0 understands.
CASES: Mapping[str, Callable[[], Timer]] = {
    "load the processor": partial(_loading, "LFM2AudioProcessor"),
    "load the model": partial(_loading, "LFM2AudioModel"),
    "`add_audio`, 1 s, float32": partial(_add_audio, 1),
    "`add_audio`, 10 s, float32": partial(_add_audio, 10),
    "`add_audio`, 10 s, float64": partial(_add_audio, 10, torch.float64),
    "`add_audio`, 10 s, float16": partial(_add_audio, 10, torch.float16),
    "`add_audio`, 10 s, bfloat16": partial(_add_audio, 10, torch.bfloat16),
    "`add_audio`, 10 s, float32 at 44.1 kHz": partial(_add_audio, 10, sampling_rate=44_100),
    "`generate_sequential`, up to 16 tokens": partial(_generate, "generate_sequential"),
    "`generate_interleaved`, up to 16 steps": partial(_generate, "generate_interleaved"),
}


@cache
def _prepared(case: str) -> tuple[Timer, int]:
    """Prepare a case in this process, and return how many calls make up a turn."""
    timer = CASES[case]()
    timer.repeat(1, 1)  # the first call does what is done once
    return timer, max(1, round(TURN_SECONDS / timer.repeat(1, 1)[0]))


def take_turn(case: str) -> float:
    """Make several calls in this process, and return the median of their times."""
    timer, calls = _prepared(case)
    return median(timer.repeat(calls, 1))


def measure(paths: Mapping[str, Path], cases: Collection[str], rounds: int) -> Measured:
    """Time cases in processes that take turns.

    Args:
        paths: the folder of each tree, by name
        cases: keys of `CASES`
        rounds: how often to start a process for each tree
    """
    found: dict[str, list[dict[str, list[float]]]] = {case: [] for case in cases}
    names = list(paths)
    for n in track(range(rounds), f"{rounds} rounds", transient=True):
        with ExitStack() as stack:
            workers = {name: stack.enter_context(worker.start()) for name in names}
            for entered in [workers[name].submit(worker.enter, paths[name], threads=1) for name in names]:
                entered.result()
            for case in cases:
                turns: dict[str, list[float]] = {name: [] for name in names}
                for turn in range(TURNS):
                    first = (n + turn) % len(names)
                    for name in names[first:] + names[:first]:
                        turns[name].append(workers[name].submit(take_turn, case).result())
                found[case].append(turns)
    return found


@dataclass(frozen=True)
class Interval:
    """A median and its confidence interval."""

    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.3f} ({self.low:.3f} to {self.high:.3f})"

    @property
    def judgement(self) -> str:
        """Say whether a ratio with this interval means slower."""
        if self.low > MOST:
            return "slower"
        return "no slower" if self.high <= MOST else "too wide to tell"


def interval(values: Sequence[float]) -> Interval:
    """Bootstrap the median of independent values."""
    drawn = stats.bootstrap(
        (np.asarray(values),), np.median, confidence_level=CONFIDENCE, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return Interval(float(np.median(values)), float(drawn.low), float(drawn.high))


def compare(rounds: Sequence[Mapping[str, Sequence[float]]], name: str) -> Interval:
    """Return the ratio of a tree's time to upstream's.

    Each turn is compared with the one beside it. The turns of one process resemble each other, because they share a memory
    layout, so each round counts as one value.
    """
    return interval([median(a / b for a, b in zip(turns[name], turns["upstream"], strict=True)) for turns in rounds])


def report(measured: Measured, out: Path = OUT) -> bool:
    """Write `benchmark.json` and `benchmark.md`, and return whether patched is nowhere slower beyond chance."""
    ratios = {case: compare(rounds, "patched") for case, rounds in measured.items()}
    times = {case: median(median(turns["upstream"]) for turns in rounds) for case, rounds in measured.items()}
    rows = [[case, f"{times[case] * 1e3:.3g} ms", str(ratio), ratio.judgement] for case, ratio in ratios.items()]
    rounds = len(next(iter(measured.values())))
    note = (
        f"Processor time on one thread, with the tiny checkpoint and audio at 16 kHz unless another rate is given. In each of {rounds} "
        f"rounds, a process of each tree takes {TURNS} turns at each case. Medians, with {CONFIDENCE:.0%} intervals bootstrapped "
        f'over the rounds. "No slower" means that the interval ends at {MOST} at most, "slower" that it begins above. '
    )
    slower = [f"{case} is slower: {ratio}" for case, ratio in ratios.items() if ratio.judgement == "slower"]
    columns = ("what", "upstream", "patched / upstream", "patched is")
    drawn = Table("What the patches cost", columns, rows, note + worker.describe_host("cpu", 1))
    publish("benchmark", drawn, problems=slower, out=out, measured=measured)
    return not slower


def run(options: argparse.Namespace) -> bool:
    """Measure both trees, or a model of full size."""
    if options.full:
        return fullsize.run(options.device or "cpu")
    if options.device:
        raise HarnessError("--device goes with --full: the comparison counts processor time")
    if options.rounds < FEWEST:
        raise HarnessError(f"--rounds {options.rounds}: an interval of {CONFIDENCE:.0%} needs {FEWEST} or more")
    paths = {name: trees.resolve(name).path for name in ("upstream", "patched")}
    return report(measure(paths, CASES, options.rounds))


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `benchmark`."""
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often to start both processes (default: {ROUNDS})")
    parser.add_argument("--full", action="store_true", help="measure a model of 1.5 B random parameters instead")
    parser.add_argument("--device", help="with --full: where to compute, such as cuda or mps (default: cpu)")
    parser.set_defaults(run=run)
