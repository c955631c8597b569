"""A checkpoint of the size of LFM2.5-Audio-1.5B with random weights, made here: nothing is downloaded.

Its sizes are those of the published model: LFM2-1.2B, a FastConformer of 17 layers, and a depthformer of six. Its speech is
noise, but its cost does not depend on the values.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from filelock import FileLock

from harness import CACHE, HarnessError
from harness.checkpoint import TINY
from harness.cost.facts import GB, require_memory

# For the weights in bfloat16, and some more while they are made and written.
ROOM = 4 * GB
C, A = "conv", "full_attention"
LAYERS = [C, C, A, C, C, A, C, C, A, C, A, C, A, C, A, C]


def configuration() -> dict[str, Any]:
    """Return the config.json: that of the tiny checkpoint, with the sizes of the published model."""
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


def build(cache: Path = CACHE) -> Path:
    """Write the checkpoint into the cache as bfloat16, once. Needs `liquid_audio` on the path.

    Returns:
        a folder that `from_pretrained` loads

    Raises:
        HarnessError: memory or disk space is short
    """
    text = json.dumps(configuration(), indent=2) + "\n"
    target = cache / "full" / hashlib.sha256(text.encode() + Path(__file__).read_bytes()).hexdigest()[:12]
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.parent / ".lock"):
        if not target.is_dir():
            require_memory(ROOM, "making a checkpoint of 1.5 B parameters")
            if (free := shutil.disk_usage(cache).free) < ROOM:
                raise HarnessError(f"the checkpoint needs 3 GB in {cache.name}/, but {free / GB:.1f} GB are free: make room")
            partial = target.with_name(f"{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            _write_weights(partial)
            for file in TINY.glob("tokenizer*.json"):
                shutil.copy(file, partial)
            (partial / "config.json").write_text(text, encoding="utf-8")
            partial.rename(target)
    return target


def settings() -> Any:
    """Return the configuration as upstream's model takes it."""
    from liquid_audio.model.conformer.encoder import ConformerEncoderConfig
    from liquid_audio.model.lfm2_audio import DepthformerConfig, LFM2AudioConfig
    from transformers import Lfm2Config

    known = configuration()
    return LFM2AudioConfig(
        lfm=Lfm2Config(**known.pop("lfm")),
        encoder=ConformerEncoderConfig(**known.pop("encoder")),
        depthformer=DepthformerConfig(**known.pop("depthformer")),
        **known,
    )


def _write_weights(folder: Path) -> None:
    """Write the weights that the model's own initialisation draws."""
    import torch
    from liquid_audio import LFM2AudioModel
    from safetensors.torch import save_file

    torch.manual_seed(0)
    kept = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        model = LFM2AudioModel(settings())
    finally:
        torch.set_default_dtype(kept)
    # Weights that are tied to an embedding share its memory, which the format does not allow.
    weights = {name: value.contiguous() for name, value in model.state_dict().items() if not name.endswith("to_logits.weight")}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
