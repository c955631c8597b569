"""The tiny checkpoint, completed: what git holds of it, plus random weights for the audio detokenizer and Mimi.

Both decode audio codes and are hundreds of megabytes; nothing that the suite asks of them depends on their values.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors.torch import save_file

from harness import CACHE, ROOT

TINY = ROOT / "fixtures" / "checkpoint"
MIMI = "tokenizer-e351c8d8-checkpoint125.safetensors"
SEED = 20260101

# The real one has these sizes, in the words of llama.cpp, and wider feed-forward layers.
DETOKENIZER: dict[str, Any] = {
    "model_type": "lfm2",
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 8,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "layer_types": ["conv", "sliding_attention"] * 4,
    "sliding_window": 30,
    "block_auto_adjust_ff_dim": False,
    "vocab_size": 16,
}


def complete(source: Path = TINY, cache: Path = CACHE) -> Path:
    """Copy a checkpoint into the cache and add the weights that git does not hold, once.

    Needs `liquid_audio` on the path: the shapes of the weights are its own.

    Returns:
        a folder that `from_pretrained` loads
    """
    files = sorted(source.iterdir())
    key = hashlib.sha256(b"".join(file.read_bytes() for file in files) + Path(__file__).read_bytes()).hexdigest()[:12]
    target = cache / "checkpoints" / key
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.parent / ".lock"):
        if not target.is_dir():
            print("making random weights for the audio detokenizer and Mimi", file=sys.stderr)
            partial = target.with_name(f"{key}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(source, partial)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(SEED)
                _add_detokenizer(partial / "audio_detokenizer")
                _add_mimi(partial / MIMI)
            partial.rename(target)
    return target


def _add_detokenizer(folder: Path) -> None:
    from liquid_audio import LFM2AudioDetokenizer
    from transformers import Lfm2Config

    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(DETOKENIZER, indent=2))
    layers = [layer.replace("sliding", "full") for layer in DETOKENIZER["layer_types"]]
    detokenizer = LFM2AudioDetokenizer(Lfm2Config(**{**DETOKENIZER, "layer_types": layers}))
    save_file(detokenizer.state_dict(), folder / "model.safetensors")


def _add_mimi(file: Path) -> None:
    from liquid_audio.moshi.models.loaders import get_mimi

    # Some of its tensors share memory, which the format does not allow.
    save_file({name: tensor.clone() for name, tensor in get_mimi(None).state_dict().items()}, file)
