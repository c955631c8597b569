"""Whether a model of 1.5 B parameters runs on a host: seconds for each second of audio, and gigabytes, by dtype.

The checkpoint has the sizes of LFM2.5-Audio-1.5B and random weights. It is made here, nothing is downloaded. What it says is
noise, but its cost does not depend on the values.
"""

import contextlib
import hashlib
import io
import itertools
import json
import math
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from filelock import FileLock

from harness import CACHE, OUT, HarnessError, devices, trees, worker
from harness.checkpoint import TINY
from harness.table import Table, publish

GB = 1e9
# What a run needs in memory, by dtype: the file, the weights, and what encoding 30 s of audio takes besides.
NEEDED = {"bfloat16": 8 * GB, "float32": 12 * GB}
# Speech of 150 words a minute, in tokens of three quarters of a word.
TOKENS_PER_SECOND = 150 / 60 * 4 / 3
FRAMES_PER_SECOND = 12.5
C, A = "conv", "full_attention"
LAYERS = [C, C, A, C, C, A, C, C, A, C, A, C, A, C, A, C]


def published_sizes() -> dict[str, Any]:
    """Return a config.json: that of the tiny checkpoint, with the sizes of the published model."""
    tiny: dict[str, Any] = json.loads((TINY / "config.json").read_text(encoding="utf-8"))
    encoder = {
        "n_layers": 17,
        "d_model": 512,
        "subsampling_conv_channels": 256,
        "ff_expansion_factor": 4,
        "n_heads": 8,
        "conv_kernel_size": 9,
    }
    lfm = {
        "vocab_size": 65_536,
        "hidden_size": 2048,
        "intermediate_size": 12_288,
        "block_auto_adjust_ff_dim": True,  # to two thirds
        "num_hidden_layers": len(LAYERS),
        "layer_types": LAYERS,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 128_000,
    }
    depthformer = {"layers": 6, "dim": 1024, "tie": True}
    return {**tiny, "encoder": tiny["encoder"] | encoder, "lfm": tiny["lfm"] | lfm, "depthformer": depthformer}


def settings(config: Mapping[str, Any]) -> Any:
    """Return a config.json as upstream's model takes it."""
    from liquid_audio.model.conformer.encoder import ConformerEncoderConfig
    from liquid_audio.model.lfm2_audio import DepthformerConfig, LFM2AudioConfig
    from transformers import Lfm2Config

    parts = {
        "lfm": Lfm2Config(**config["lfm"]),
        "encoder": ConformerEncoderConfig(**config["encoder"]),
        "depthformer": DepthformerConfig(**config["depthformer"]),
    }
    return LFM2AudioConfig(**{**config, **parts})


def build(config: Mapping[str, Any], target: Path) -> None:
    """Write a checkpoint with random weights in bfloat16, once. Needs `liquid_audio` on the path."""
    from liquid_audio import LFM2AudioModel
    from safetensors.torch import save_file

    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.parent / ".lock"), tempfile.TemporaryDirectory(dir=target.parent) as folder:
        if target.is_dir():
            return
        torch.manual_seed(0)
        torch.set_default_dtype(torch.bfloat16)
        weights = LFM2AudioModel(settings(config)).state_dict()
        torch.set_default_dtype(torch.float32)
        # Weights that are tied to an embedding share its memory, which the format does not allow.
        weights = {name: value.contiguous() for name, value in weights.items() if not name.endswith("to_logits.weight")}
        partial_target = Path(folder) / target.name
        partial_target.mkdir()
        save_file(weights, partial_target / "model.safetensors", metadata={"format": "pt"})
        for file in TINY.glob("tokenizer*.json"):
            shutil.copy(file, partial_target)
        (partial_target / "config.json").write_text(json.dumps(config), encoding="utf-8")
        partial_target.rename(target)


class Target(NamedTuple):
    """What a process loads, and where."""

    folder: Path
    dtype: str
    device: str


@cache
def _load(part: str, target: Target) -> Any:
    import liquid_audio

    dtype = {"dtype": getattr(torch, target.dtype)} if part == "LFM2AudioModel" else {}
    return getattr(liquid_audio, part).from_pretrained(target.folder, device=target.device, **dtype).eval()


def _seconds(call: Callable[[], object], device: str) -> float:
    """Return how long a call takes, until the device has finished."""
    start = time.perf_counter()
    call()
    if not device.startswith("cpu"):
        torch.accelerator.synchronize()
    return time.perf_counter() - start


def load(target: Target) -> float:
    """Return how long it takes to load the model and the processor."""
    return _seconds(lambda: [_load(part, target) for part in ("LFM2AudioModel", "LFM2AudioProcessor")], target.device)


def _chat(target: Target, seconds: int) -> Any:
    from liquid_audio import ChatState

    chat = ChatState(_load("LFM2AudioProcessor", target), dtype=getattr(torch, target.dtype))
    chat.add_text("<|im_start|>system\nPerform ASR.<|im_end|>\n<|im_start|>user\n")
    chat.add_audio(torch.randn(1, 16_000 * seconds, generator=torch.Generator().manual_seed(0)) * 0.1, 16_000)
    chat.add_text("<|im_end|>\n<|im_start|>assistant\n")
    return chat


def _take(tokens: Iterator[torch.Tensor], number: int) -> list[torch.Tensor]:
    made = list(itertools.islice(tokens, number))
    assert len(made) == number, f"generation stopped after {len(made)} of {number} tokens"
    return made


def transcribe(target: Target, seconds: int) -> float:
    """Return the time for each second of audio, from its samples to as many tokens as speech has."""
    model, number = _load("LFM2AudioModel", target), math.ceil(seconds * TOKENS_PER_SECOND)

    def once() -> None:
        _take(model.generate_sequential(**_chat(target, seconds), max_new_tokens=number), number)

    # The first time does what is done once, such as reading the weights from the file.
    return min(_seconds(once, target.device) for _ in range(2)) / seconds


def speak(target: Target) -> float:
    """Return the time for each second of the model's speech, in the second half of an answer in text and audio."""
    model = _load("LFM2AudioModel", target)
    half = model.conf.interleaved_n_text + model.conf.interleaved_n_audio
    tokens = model.generate_interleaved(**_chat(target, 10), max_new_tokens=2 * half)
    _take(tokens, half)
    made: list[torch.Tensor] = []
    took = _seconds(lambda: made.extend(_take(tokens, half)), target.device)
    return took / sum(token.numel() > 1 for token in made) * FRAMES_PER_SECOND


def peak_memory(target: Target) -> float:
    """Return the most gigabytes so far: those of the GPU's allocator, or of this process."""
    if target.device.startswith("cuda"):
        return float(torch.cuda.max_memory_reserved(target.device)) / GB
    if target.device.startswith("mps"):
        return float(torch.mps.driver_allocated_memory()) / GB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / GB


# What is measured, in this order, each with its unit.
STAGES: Mapping[str, tuple[Callable[[Target], float], str]] = {
    "load": (load, "s"),
    "memory to load": (peak_memory, "GB"),
    "transcribe 10 s, for each second": (partial(transcribe, seconds=10), "s"),
    "transcribe 30 s, for each second": (partial(transcribe, seconds=30), "s"),
    "speak, for each second": (speak, "s"),
    "memory in all": (peak_memory, "GB"),
}


def measure(tree: Path, target: Target) -> Iterator[tuple[str, str]]:
    """Yield each stage and what it gave, as soon as it is there, from a new process."""
    with worker.start() as process:
        process.submit(worker.enter, tree, target.device).result()
        for stage, (function, unit) in STAGES.items():
            yield stage, f"{process.submit(function, target).result():.2f} {unit}"


def _require_memory(dtype: str, needed: float) -> None:
    """Raise if this host lacks memory for a dtype, before it swaps or kills a process."""
    if (free := psutil.virtual_memory().available) < needed:
        raise HarnessError(f"{dtype} needs {needed / GB:.0f} GB of memory, but {free / GB:.0f} GB are free: close something")


def run(
    device: str,
    config: Mapping[str, Any] | None = None,
    needed: Mapping[str, float] = NEEDED,
    cache_folder: Path = CACHE,
    out: Path = OUT,
) -> bool:
    """Measure each dtype, write `benchmark-full.json` and `.md` after each stage, and return whether all were measured.

    Args:
        device: where to compute
        config: the sizes, by default those of the published model
        needed: the bytes of memory that each dtype needs
        cache_folder: where the checkpoint is kept
        out: the folder to write to

    Raises:
        HarnessError: this host cannot compute on the device, or lacks memory for every dtype
    """
    devices.refuse(device, devices.lacks(device))
    _require_memory(*min(needed.items(), key=lambda item: item[1]))
    tree = trees.resolve("patched").path
    config = config or published_sizes()
    folder = cache_folder / "full" / hashlib.sha256(json.dumps(config).encode()).hexdigest()[:12]
    if not folder.is_dir():
        print("making the checkpoint", file=sys.stderr)
        with worker.start() as process:
            process.submit(worker.enter, tree).result()
            process.submit(build, config, folder).result()
    found: dict[str, dict[str, str]] = {dtype: {} for dtype in needed}
    problems = []
    host = worker.describe_host(device, torch.get_num_threads())
    for dtype in needed:
        try:
            _require_memory(dtype, needed[dtype])
            for stage, given in measure(tree, Target(folder, dtype, device)):
                found[dtype][stage] = given
                print(f"{dtype}: {stage}: {given}", file=sys.stderr)
                with contextlib.redirect_stdout(io.StringIO()):
                    publish("benchmark-full", _table(found, host), problems=["not finished"], out=out)
        except (AssertionError, HarnessError, RuntimeError) as error:  # such as out of memory, or a process that was killed
            problems.append(f"{dtype}: {(str(error).splitlines() or [type(error).__name__])[0]}")
    publish("benchmark-full", _table(found, host), problems=problems, out=out)
    print(f"The checkpoint, 3 GB in {folder.parent}, can be deleted.")
    return not problems


def _table(found: Mapping[str, Mapping[str, str]], host: str) -> Table:
    rows = [[stage, *(known.get(stage, "not run") for known in found.values())] for stage in STAGES]
    note = (
        f"The patched package with random weights in the sizes of LFM2.5-Audio-1.5B, on noise. A transcript has "
        f"{TOKENS_PER_SECOND:.1f} tokens for each second of audio, which is 150 words a minute. Speech is measured without "
        "the time before the first token and without decoding to a waveform. Memory is the peak so far of the process, with the mapped file, or on a GPU what "
        "its allocator holds. "
    )
    return Table("A model of full size", ("what", *found), rows, note + host)
