"""Complete the tiny checkpoint that git holds: pad its audio detokenizer with zeros, and add random weights for Mimi.

The detokenizer has upstream's width, and uses a quarter of it. Mimi takes hundreds of megabytes, and nothing that the suite
asks of it depends on its values.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file

from harness import CACHE, ROOT, HarnessError

TINY = ROOT / "fixtures" / "checkpoint"
MIMI = "tokenizer-e351c8d8-checkpoint125.safetensors"
SEED = 20260101

# How many blocks the rows of a detokenizer's weight form, and how many of these are stored; one stands for all codebooks.
BLOCKS = {"emb.emb.weight": (8, 1), "in_proj.weight": (3, 3)}


def complete(source: Path = TINY, cache: Path = CACHE) -> Path:
    """Copy a checkpoint into the cache and add the weights that git does not hold, once.

    Needs `liquid_audio` on the path, which defines the shapes of the weights.

    Returns:
        a folder that `from_pretrained` loads
    """
    files = sorted(file for file in source.rglob("*") if file.is_file())
    key = hashlib.sha256(b"".join(file.read_bytes() for file in files) + Path(__file__).read_bytes()).hexdigest()[:12]
    target = cache / "checkpoints" / key
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.parent / ".lock"):
        if not target.is_dir():
            print("padding the audio detokenizer, and making random weights for Mimi", file=sys.stderr)
            partial = target.with_name(f"{key}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(source, partial)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(SEED)
                _fill_detokenizer(partial / "audio_detokenizer")
                _add_mimi(partial / MIMI)
            partial.rename(target)
    return target


def _fill_detokenizer(folder: Path) -> None:
    """Put zeros where upstream's shapes are larger than what is stored."""
    from liquid_audio import LFM2AudioDetokenizer
    from transformers import Lfm2Config

    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    config["layer_types"] = [layer.replace("sliding", "full") for layer in config["layer_types"]]
    stored = load_file(folder / "model.safetensors")
    weights = LFM2AudioDetokenizer(Lfm2Config(**config)).state_dict()
    for name, whole in weights.items():
        if name.startswith("istft."):
            continue  # the window, which is computed
        whole.zero_()
        if name in stored:
            blocks, kept = next((value for end, value in BLOCKS.items() if name.endswith(end)), (1, 1))
            part = stored.pop(name).float()
            part = part.view(kept, -1, *part.shape[1:])
            corner = tuple(slice(length) for length in part.shape[1:])
            whole.view(blocks, -1, *whole.shape[1:])[(slice(None), *corner)] = part
    if stored:
        raise HarnessError(f"the checkpoint's audio detokenizer has weights that upstream's lacks: {', '.join(stored)}")
    save_file(weights, folder / "model.safetensors")


def _add_mimi(file: Path) -> None:
    from liquid_audio.moshi.models.loaders import get_mimi

    # Some of its tensors share memory, which the format does not allow.
    save_file({name: tensor.clone() for name, tensor in get_mimi(None).state_dict().items()}, file)
