"""Any array gives `ChatState.add_audio` the mel of the same audio in canonical form, or an error that names what is wrong.

A `Form` says how audio is held. `held` makes it. `mono` computes its audio in float64, independently of the package. `FLAWS`
says how a flawed form is rejected. hypothesis draws the same forms in every run. To draw more:

pytest tests/test_properties.py --hypothesis-profile many
"""

import contextlib
import hashlib
import pickle
import tempfile
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.expect import refused
from harness.speech import digest

# Nine voices that differ in pitch and loudness, in bursts on digital silence, so that the mel shows how loud they are.
TIME, VOICE = np.arange(20_000) / 16_000, np.arange(9)[:, None]
BURSTS = (np.sin(2 * np.pi * 20 * TIME + VOICE).clip(0.1) - 0.1) ** 2 / (1 + VOICE % 3)
NOISE = np.random.default_rng(20260101).normal(0, 0.03, (len(VOICE), len(TIME)))
VOICES = BURSTS * (np.sin(2 * np.pi * (150 + 70 * VOICE) * TIME) + NOISE).clip(-1, 1)

PCM = ("int16", "int32", "int8", "uint8")
HALVES = ("float16", "bfloat16")
RATES = (16_000, 8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000, 1_000)
NUMBERS = (int, float, np.int32, np.int64, np.uint32, np.float32, np.float64)


@dataclass(frozen=True)
class Form:
    """How audio is held.

    Attributes:
        container: a key of `LAYOUTS`
        layout: the memory layout of its samples
        dtype: the name of their type
        shape: "first" for (channels, samples), "last" for (samples, channels), "flat" for (samples,)
        flaw: what is wrong with it, a key of `FLAWS`; empty for audio that must be accepted
    """

    container: str = "torch"
    layout: str = "plain"
    dtype: str = "float32"
    shape: str = "first"
    channels: int = 1
    samples: int = 1_600
    rate: Any = 16_000
    flaw: str = ""


SHAPE = r"\(samples,\) or up to 8 channels on either axis, got "
FLAWS = {
    "0-D": (ValueError, SHAPE + r"\(\): "),
    "3-D": (ValueError, SHAPE + r"\(1, \d+, \d+\): "),
    "channels": (ValueError, SHAPE + r"\(\d+, \d+\): "),
    "short": (ValueError, r"at least 20ms, got \d+ samples at [\d.]+Hz: "),
    "dtype": (TypeError, r"floating point samples in \[-1, 1\] or PCM of 8, 16 or 32 bits, got torch\."),
    "masked": (TypeError, "samples as a tensor, an array or a flat list, then their rate, got MaskedArray: "),
    "several": (TypeError, "samples as a tensor, an array or a flat list, then their rate, got (list|tuple): "),
}


def on_disk(wave: np.ndarray) -> np.ndarray:
    """Put samples into a file and map it, unless they are empty or objects."""
    if not wave.size or wave.dtype.hasobject:
        return wave
    with tempfile.TemporaryFile() as file:
        mapped = np.memmap(file, wave.dtype, mode="w+", shape=wave.shape)
    mapped[...] = wave
    return mapped


def read_only(wave: np.ndarray) -> np.ndarray:
    wave = wave.copy()
    wave.flags.writeable = False
    return wave


def unaligned(wave: np.ndarray) -> np.ndarray:
    """Make samples a field of a record, after a single byte."""
    records = np.zeros(wave.shape, [("mark", "i1"), ("wave", wave.dtype)])
    records["wave"] = wave
    return records["wave"]


def with_gradient(wave: torch.Tensor) -> torch.Tensor:
    return wave.requires_grad_(wave.is_floating_point() or wave.is_complex())


LAYOUTS: dict[str, dict[str, Callable]] = {
    "torch": {
        "plain": torch.clone,
        "Fortran": lambda wave: wave.T.contiguous().T,
        "strided": lambda wave: wave.repeat_interleave(3, -1)[:, ::3],
        "requires_grad": with_gradient,
        "moved": torch.clone,
    },
    "numpy": {
        "plain": np.copy,
        "Fortran": np.asfortranarray,
        "strided": lambda wave: np.repeat(wave, 3, -1)[:, ::3],
        "reversed": lambda wave: wave[:, ::-1].copy()[:, ::-1],
        "swapped": lambda wave: wave.astype(wave.dtype.newbyteorder()),
        "read-only": read_only,
        "unaligned": unaligned,
        "memmap": on_disk,
    },
    "list": {"plain": np.ndarray.tolist, "tuple": lambda wave: tuple(wave.tolist()), "scalars": list},
    "array": {"plain": lambda wave: array(wave.dtype.char, wave.tobytes())},
}
DTYPES = {
    "torch": ("float32", "float64", *HALVES, *PCM),
    "numpy": ("float32", "float64", "float16", "longdouble", *PCM),
    "list": ("float64", "float32", "float16"),
    "array": ("float32", "float64", *PCM),
}
WRONG_DTYPES = {
    "torch": ("bool", "int64", "uint16", "uint64", "complex64", "complex128"),
    "numpy": ("bool", "int64", "uint16", "uint64", "complex64", "complex128"),
    "list": ("bool", "int64", "complex64"),
    "array": ("int64", "uint64"),
}


@st.composite
def forms(draw: Callable, container: str, flaws: tuple[str, ...] = ("",), dtypes: tuple[str, ...] = ()) -> Form:
    """Draw how audio is held. The simplest value comes first, because examples shrink to it."""
    flaw = draw(st.sampled_from(flaws))
    layout = draw(st.sampled_from(list(LAYOUTS[container])))
    dtype = draw(st.sampled_from(WRONG_DTYPES[container] if flaw == "dtype" else dtypes or DTYPES[container]))
    one = container == "array" or (container == "list" and flaw != "several")
    shape = "flat" if one else draw(st.sampled_from(("first", "last", "flat")))
    if shape == "flat" and flaw in ("0-D", "3-D", "channels", "several"):
        shape = "last"
    channels = 1 if shape == "flat" else draw(st.integers(1, 8))
    hertz = draw(st.just(16_000) | st.sampled_from(RATES))  # half of the forms are not resampled
    least = 319 * hertz // 16_000 + 1
    samples = draw(st.integers(0, hertz // 12)) + max(least, channels + 1)  # the samples are the longer axis
    match flaw:
        case "channels":
            channels = 9
        case "short":
            samples = draw(st.sampled_from((0, 1, least - 1)) | st.integers(0, least - 1))
    rate = draw(st.sampled_from(NUMBERS))(hertz)
    return Form(container, layout, dtype, shape, channels, samples, rate, flaw)


def stored(form: Form) -> Any:
    """Return the samples of a form, as a NumPy array, or as a tensor if they are bfloat16."""
    wave = VOICES[: form.channels, : form.samples].copy()
    if form.dtype in PCM:
        limits = np.iinfo(form.dtype)
        scaled = np.round(wave * 2 ** (limits.bits - 1)) + (limits.min == 0) * 2 ** (limits.bits - 1)
        return scaled.clip(limits.min, limits.max).astype(form.dtype)
    if form.flaw == "dtype":
        return np.abs(wave * 100).astype("int64").astype(form.dtype)
    if form.dtype == "bfloat16":
        return torch.from_numpy(wave).bfloat16()
    with np.errstate(over="ignore"):
        return wave.astype(form.dtype)


def mono(form: Form) -> np.ndarray:
    """Return the audio of a form: the mean of its channels, with full scale at one."""
    wave = stored(form)
    wave = wave.double().numpy() if isinstance(wave, torch.Tensor) else wave.astype("float64")
    if form.dtype in PCM:
        limits = np.iinfo(form.dtype)
        wave = (wave - (limits.min + limits.max + 1) // 2) / 2 ** (limits.bits - 1)
    return wave.mean(0)


def held(form: Form, device: torch.device) -> Any:
    """Make the object that a caller passes."""
    wave = stored(form)
    if form.container == "torch" and not isinstance(wave, torch.Tensor):
        wave = torch.from_numpy(wave)
    lay = LAYOUTS[form.container][form.layout]
    if form.container in ("list", "array"):
        return lay(shaped(form, wave))
    wave = shaped(form, lay(wave))
    if form.layout == "moved" and form.dtype in ("float32", *HALVES, "uint8", "int16", "int32", "bool"):
        wave = wave.to(device)
    return np.ma.masked_array(wave, mask=False) if form.flaw == "masked" else wave


def shaped(form: Form, wave: Any) -> Any:
    """Give (channels, samples) the shape of a form, without a copy."""
    match form.flaw or form.shape:
        case "0-D":
            return wave[0, 0, ...]
        case "3-D":
            return wave[None]
    return {"first": wave, "last": wave.T, "flat": wave[0]}[form.shape]


def tolerance(form: Form) -> float:
    """Return how far the mel may be from the canonical one because of rounding."""
    if form.dtype == "longdouble" or (form.container, form.dtype, form.channels) == ("torch", "float64", 1):
        return 1e-2  # rounded to float32 at a different point
    return 1e-3 if form.channels > 1 else 1e-5


def mel(processor: Any, wave: Any, rate: Any) -> torch.Tensor:
    """Return the features of audio in a new chat."""
    from liquid_audio import ChatState

    chat = ChatState(processor, dtype=torch.float32)
    chat.add_audio(wave, rate)
    return chat.audio_in.cpu()


def canonical(processor: Any, form: Form) -> torch.Tensor:
    """Return the features of the same audio as a float32 tensor of shape (1, samples)."""
    return mel(processor, torch.from_numpy(mono(form).astype("float32"))[None], int(form.rate))


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the mean difference of two mels; infinite if their shapes differ or they contain NaN."""
    if found.shape != expected.shape:
        return float("inf")
    return (found - expected).abs().mean().nan_to_num(float("inf")).item()


IMPOSSIBLE = {
    "torch": ("masked", "several"),
    "numpy": ("several",),
    "list": ("0-D", "3-D", "channels", "masked"),
    "array": ("0-D", "3-D", "channels", "masked", "several"),
}

# Tried first, so that the result of 1.3.0 depends neither on the seed nor on the version of hypothesis.
FIRST = {
    "torch": Form(samples=319, flaw="short"),
    "numpy": Form("numpy"),
    "list": Form("list", dtype="float64", shape="flat"),
    "array": Form("array", shape="flat"),
}


def content(wave: Any) -> str:
    """Hash everything that a caller could find changed."""
    if isinstance(wave, torch.Tensor):
        return digest(wave.detach().reshape(-1))
    return hashlib.sha256(wave.tobytes() if hasattr(wave, "tobytes") else pickle.dumps(wave)).hexdigest()


@pytest.mark.parametrize("container", LAYOUTS)
def test_audio_gives_canonical_mel_or_descriptive_error(processor, device, container):
    flaws = tuple(flaw for flaw in FLAWS if flaw not in IMPOSSIBLE[container])

    @example(FIRST[container])
    @given(forms(container, ("",) * len(flaws) + flaws))
    def holds(form):
        if form.flaw:
            kind, words = FLAWS[form.flaw]
            with refused(kind, rf"\Aexpected ({words}).*\Z"):
                mel(processor, held(form, device), form.rate)
        else:
            found = mel(processor, held(form, device), form.rate)
            assert distance(found, canonical(processor, form)) <= tolerance(form)

    holds()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(Form(layout="moved"), True)
@given(st.one_of(forms("torch", dtypes=("float32",)), *(forms(name, ("", "short")) for name in LAYOUTS)), st.booleans())
def test_add_audio_does_not_modify_input_in_training(fresh, device, form, training):
    wave = held(form, device)
    before = content(wave)
    fresh.to(device).audio.train(training)
    with contextlib.suppress(TypeError, ValueError):
        mel(fresh, wave, form.rate)
    assert content(wave) == before
