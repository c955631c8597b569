"""Compare each form of audio that patched takes with the canonical one: how long a call takes, and what it copies.

The canonical form is a float32 tensor of shape (1, samples), which 1.3.0 takes too. This process must import patched.
"""

import gc
import logging
import time
from array import array
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness.table import Table

RATE, SECONDS, ROUNDS = 16_000, 10, 15
SHAPES = {"(n,)": "1d", "(1, n)": "row", "(n, 1)": "column", "(2, n)": "channels", "(n, 2)": "frames"}
FLOATS = ("float32", "float64", "float16", "bfloat16")
PCM = ("int16", "int32", "int8", "uint8")


@dataclass(frozen=True)
class Form:
    """Audio in one form.

    Attributes:
        held: the container, with its dtype
        shape: a key of `SHAPES`
        audio: what `add_audio` gets
        values: how many samples it holds, over all channels
    """

    held: str
    shape: str
    audio: Any
    values: int


@dataclass(frozen=True)
class Copied:
    """What converting audio to the canonical form allocates.

    Attributes:
        shared: whether the result is the caller's own memory
        buffers: new arrays and tensors that hold a value for each sample
        size: bytes of all that is allocated
    """

    shared: bool
    buffers: int
    size: int


class _Made(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects the sizes of the storages that torch allocates."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sizes: list[int] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known = {_place(leaf) for leaf in tree_leaves((args, kwargs))}
        out = function(*args, **(kwargs or {}))
        made = {_place(leaf): leaf.untyped_storage().nbytes() for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)}
        self.sizes += [size for place, size in made.items() if place not in known]
        return out


def _place(value: object) -> int | None:
    return value.untyped_storage().data_ptr() if isinstance(value, torch.Tensor) else None


def copied(form: Form, to_mono: Callable[[Any], torch.Tensor]) -> Copied:
    """Count what `to_mono` allocates for a form: torch's tensors one by one, and NumPy's arrays together.

    NumPy's arrays are all alive when the last one is made, so that their peak is their sum.
    """
    import tracemalloc

    to_mono(form.audio)  # the first call of a kind allocates what is not a copy
    with _Made() as made:
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        mono = to_mono(form.audio)
        by_numpy = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
    # Less than half a byte a value is not an array of samples, but what Python itself holds.
    by_numpy = by_numpy if by_numpy * 2 > form.values else 0
    buffers = (by_numpy > 0) + (by_numpy > 6 * form.values) + sum(size * 2 > form.values for size in made.sizes)
    return Copied(_shares(form.audio, mono), buffers, by_numpy + sum(made.sizes))


def _shares(audio: Any, mono: torch.Tensor) -> bool:
    if isinstance(audio, torch.Tensor):
        return _place(audio) == _place(mono)
    return not isinstance(audio, list | tuple) and np.shares_memory(np.asarray(audio), mono.numpy())


def forms(seconds: float = SECONDS) -> list[Form]:
    """Make the same noise in every form, the canonical one first."""
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, int(RATE * seconds)).astype(np.float32)
    found = [Form("torch float32", "(1, n)", torch.from_numpy(wave.copy())[None], wave.size)]
    for dtype in (*FLOATS, *PCM):
        for shape, kind in SHAPES.items():
            samples = _arrange(wave, kind)
            tensor = _as_tensor(samples, dtype)
            if (dtype, kind) != ("float32", "row"):
                found.append(Form(f"torch {dtype}", shape, tensor, samples.size))
            if dtype != "bfloat16":
                found.append(Form(f"NumPy {dtype}", shape, tensor.numpy(), samples.size))
    pcm = np.round(wave * 32767).astype(np.int16)
    found += [
        Form("NumPy big-endian int16", "(n,)", pcm.astype(">i2"), wave.size),
        Form("NumPy float32, every other sample", "(n,)", np.repeat(wave, 2)[::2], wave.size),
        Form("array.array of int16", "(n,)", array("h", pcm.tolist()), wave.size),
        Form("array.array of float64", "(n,)", array("d", wave.tolist()), wave.size),
        Form("list of floats", "(n,)", wave.tolist(), wave.size),
        Form("tuple of floats", "(n,)", tuple(wave.tolist()), wave.size),
    ]
    return found


def _arrange(wave: np.ndarray, kind: str) -> np.ndarray:
    """Put samples into a shape."""
    both = np.stack([wave, wave * 0.5])
    shaped = {"1d": wave, "row": wave[None], "column": wave[:, None], "channels": both, "frames": both.T}[kind]
    return np.ascontiguousarray(shaped)


def _as_tensor(samples: np.ndarray, dtype: str) -> torch.Tensor:
    """Convert samples to a dtype, integers at full scale."""
    if dtype in FLOATS:
        return torch.from_numpy(samples).to(getattr(torch, dtype)).clone()
    known = np.iinfo(dtype)
    middle = (known.max + known.min + 1) // 2
    return torch.from_numpy(np.round(samples.astype(np.float64) * (known.max - middle) + middle).astype(dtype))


def seconds_of(processor: Any, found: list[Form], rounds: int) -> list[float]:
    """Return for each form the median ratio of its time to that of the first form, the canonical one, in the call before."""
    from liquid_audio import ChatState

    def call(form: Form) -> float:
        chat = ChatState(processor)
        start = time.process_time()
        chat.add_audio(form.audio, RATE)
        return time.process_time() - start

    ratios: list[list[float]] = [[] for _ in found]
    for n in track(range(-2, rounds), "forms of audio", transient=True):
        gc.collect()
        for form, known in zip(found, ratios, strict=True):
            beside = call(found[0])
            ratio = call(form) / beside
            if n >= 0:
                known.append(ratio)
    return [median(known) for known in ratios]


def table(found: list[Form], ratios: list[float], copies: list[Copied], rounds: int) -> Table:
    """Draw times and copies by form: a row for each container, a column for each shape."""
    rows: dict[str, dict[str, str]] = {}
    for form, ratio, copy in zip(found, ratios, copies, strict=True):
        bytes_each = copy.size / form.values
        rows.setdefault(form.held, {})[form.shape] = f"{ratio:.2f}×, {bytes_each:.0f} B in {copy.buffers}"
    more = sorted({form.held for form, copy in zip(found, copies, strict=True) if copy.buffers > allowed(form)})
    note = (
        f"{SECONDS} s of audio at {RATE} Hz, {rounds} rounds. First the median ratio of the time of `add_audio` to that of the call "
        "before, with the canonical form, in processor time on one thread; then the bytes that `to_mono` allocates for each value, and "
        "in how many arrays or tensors. 0 B means the caller's own memory; if that is float64, upstream's preprocessor casts it, as in "
        "1.3.0. For two channels, the mix is a further buffer of half the values. "
    )
    note += f"More than one copy and the mix: {', '.join(more)}; NumPy reads a list as float64 first." if more else "No form takes more than one copy and the mix."
    return Table("Each form of audio", ("held as", *SHAPES), [[held, *_cells(cells)] for held, cells in rows.items()], note)


def allowed(form: Form) -> int:
    """Return how many buffers a form may take: a copy, and the mix where there is more than one channel."""
    return 2 if "2" in form.shape else 1


def _cells(cells: Mapping[str, str]) -> list[str]:
    return [cells.get(shape, "–") for shape in SHAPES]


def measure(rounds: int = ROUNDS) -> tuple[Table, list[dict[str, Any]]]:
    """Measure every form in this process, whose `liquid_audio` is patched.

    Returns:
        the table, and its figures
    """
    from liquid_audio import LFM2AudioProcessor
    from liquid_audio.audio import to_mono

    from harness.checkpoint import complete

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    # Upstream's preprocessor logs at each call with float64 that it takes float32.
    logging.disable(logging.WARNING)
    try:
        found = forms()
        copies = [copied(form, to_mono) for form in found]
        ratios = seconds_of(LFM2AudioProcessor.from_pretrained(complete(), device="cpu").eval(), found, rounds)
    finally:
        torch.set_num_threads(threads)
        logging.disable(logging.NOTSET)
    figures = [
        {"held": form.held, "shape": form.shape, "ratio": ratio, **asdict(copy), "values": form.values}
        for form, ratio, copy in zip(found, ratios, copies, strict=True)
    ]
    return table(found, ratios, copies, rounds), figures
