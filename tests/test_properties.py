"""Any audio gives `ChatState.add_audio` the mel of the same audio in canonical form, or an error that names what is wrong.

A `Form` says how audio is held. `held` makes it. `mono` computes its audio in float64, independently of the package. `FLAWS`
says how a flawed form is rejected. hypothesis draws the same forms in every run. To draw more:

pytest tests/test_properties.py --hypothesis-profile many
"""

import contextlib
import pickle
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.speech import digest, mel

# Nine voices that differ in pitch and loudness, in bursts on digital silence, so that the mel shows how loud they are.
TIME, VOICE = np.arange(20_000) / 16_000, np.arange(9)[:, None]
BURSTS = (np.sin(2 * np.pi * 20 * TIME + VOICE).clip(0.1) - 0.1) ** 2 / (1 + VOICE % 3)
NOISE = np.random.default_rng(20260101).normal(0, 0.03, (len(VOICE), len(TIME)))
VOICES = BURSTS * (np.sin(2 * np.pi * (150 + 70 * VOICE) * TIME) + NOISE).clip(-1, 1)

PCM = ("int16", "int32", "int8", "uint8")
RATES = (16_000, 8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000, 1_000)

SHAPE = r"\(samples,\) or up to 8 channels on either axis, got "
HELD = "samples as a tensor, an array or a flat list, then their rate, got "
# What is wrong with a form, how it is rejected, and the containers that can hold it.
FLAWS = {
    "0-D": (ValueError, SHAPE + r"\(\): ", ("torch", "numpy")),
    "3-D": (ValueError, SHAPE + r"\(1, \d+, \d+\): ", ("torch", "numpy")),
    "channels": (ValueError, SHAPE + r"\(\d+, \d+\): ", ("torch", "numpy")),
    "short": (ValueError, r"at least 20ms, got \d+ samples at \d+Hz: ", ("torch", "numpy", "list", "array")),
    "dtype": (TypeError, r"floating point samples .+, got torch\.", ("torch", "numpy", "list", "array")),
    "masked": (TypeError, HELD + "MaskedArray: ", ("numpy",)),
    "several": (TypeError, HELD + "(list|tuple): ", ("list",)),
}
DTYPES = {
    "torch": ("float32", "float64", "float16", "bfloat16", *PCM),
    "numpy": ("float32", "float64", "float16", "longdouble", *PCM),
    "list": ("float64", "float32", "float16"),
    "array": ("float32", "float64", *PCM),
}
NO_FULL_SCALE = {
    **dict.fromkeys(("torch", "numpy"), ("bool", "int64", "uint16", "uint64", "complex64", "complex128")),
    "list": ("bool", "int64", "complex64"),
    "array": ("int64", "uint64"),
}


def unaligned(wave: np.ndarray) -> np.ndarray:
    """Make samples a field of a record, after a single byte."""
    records = np.zeros(wave.shape, [("mark", "i1"), ("wave", wave.dtype)])
    records["wave"] = wave
    return records["wave"]


# The memory layouts of (channels, samples), or of the samples of what has no channels.
LAYOUTS: dict[str, dict[str, Callable]] = {
    "torch": {
        "plain": torch.clone,
        "Fortran": lambda wave: wave.T.contiguous().T,
        "strided": lambda wave: wave.repeat_interleave(3, -1)[:, ::3],
        "requires_grad": lambda wave: wave.requires_grad_(wave.is_floating_point() or wave.is_complex()),
        "moved": torch.clone,
    },
    "numpy": {
        "plain": np.copy,
        "Fortran": np.asfortranarray,
        "strided": lambda wave: np.repeat(wave, 3, -1)[:, ::3],
        "reversed": lambda wave: wave[:, ::-1].copy()[:, ::-1],
        "swapped": lambda wave: wave.astype(wave.dtype.newbyteorder()),
        "unaligned": unaligned,
    },
    "list": {"plain": np.ndarray.tolist, "tuple": lambda wave: tuple(wave.tolist()), "scalars": list},
    "array": {"plain": lambda wave: array(wave.dtype.char, wave.tobytes())},
}


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
    rate: int = 16_000
    flaw: str = ""


@st.composite
def forms(draw: Callable, container: str, flaws: tuple[str, ...] = ("",), dtypes: tuple[str, ...] = ()) -> Form:
    """Draw how audio is held. The simplest value comes first, because examples shrink to it."""
    flaw = draw(st.sampled_from(flaws))
    layout = draw(st.sampled_from(list(LAYOUTS[container])))
    dtype = draw(st.sampled_from(NO_FULL_SCALE[container] if flaw == "dtype" else dtypes or DTYPES[container]))
    shape = draw(st.sampled_from(("first", "last", "flat")))
    if container in ("list", "array"):
        shape = "last" if flaw == "several" else "flat"
    elif shape == "flat" and flaw in ("0-D", "3-D", "channels"):
        shape = "last"
    channels = 9 if flaw == "channels" else 1 if shape == "flat" else draw(st.integers(1, 8))
    hertz = draw(st.just(16_000) | st.sampled_from(RATES))  # half of the forms are not resampled
    least = 319 * hertz // 16_000 + 1
    if flaw == "short":
        samples = draw(st.sampled_from((0, 1, least - 1)) | st.integers(0, least - 1))
    else:
        samples = draw(st.integers(0, hertz // 12)) + max(least, channels + 1)  # the samples are the longer axis
    return Form(container, layout, dtype, shape, channels, samples, hertz, flaw)


def stored(form: Form) -> Any:
    """Return the samples of a form, as a NumPy array, or as a tensor if they are bfloat16."""
    wave = VOICES[: form.channels, : form.samples].copy()
    if form.dtype in PCM:
        limits = np.iinfo(form.dtype)
        scaled = np.round(wave * 2 ** (limits.bits - 1)) + (limits.min == 0) * 2 ** (limits.bits - 1)
        return scaled.clip(limits.min, limits.max).astype(form.dtype)
    if form.flaw == "dtype":
        return np.abs(wave * 100).astype("int64").astype(form.dtype)
    return torch.from_numpy(wave).bfloat16() if form.dtype == "bfloat16" else wave.astype(form.dtype)


def mono(form: Form) -> np.ndarray:
    """Return the audio of a form: the mean of its channels, with full scale at one."""
    wave = stored(form)
    wave = wave.double().numpy() if isinstance(wave, torch.Tensor) else wave.astype("float64")
    if form.dtype in PCM:
        limits = np.iinfo(form.dtype)
        wave = (wave - (limits.min + limits.max + 1) // 2) / 2 ** (limits.bits - 1)
    return wave.mean(0)


def shaped(form: Form, wave: Any) -> Any:
    """Give (channels, samples) the shape of a form, without a copy."""
    match form.flaw or form.shape:
        case "0-D":
            return wave[0, 0, ...]
        case "3-D":
            return wave[None]
    return {"first": wave, "last": wave.T, "flat": wave[0]}[form.shape]


def held(form: Form, device: torch.device) -> Any:
    """Make the object that a caller passes."""
    wave = stored(form)
    if form.container == "torch" and not isinstance(wave, torch.Tensor):
        wave = torch.from_numpy(wave)
    lay = LAYOUTS[form.container][form.layout]
    if form.container in ("list", "array"):
        return lay(shaped(form, wave))
    wave = shaped(form, lay(wave))
    if form.layout == "moved" and form.dtype in ("float32", "float16", "bfloat16", "uint8", "int16", "int32", "bool"):
        wave = wave.to(device)
    return np.ma.masked_array(wave, mask=False) if form.flaw == "masked" else wave


# Tried first, so that the result of 1.3.0 depends neither on the seed nor on the version of hypothesis.
FIRST = {
    "torch": Form(samples=319, flaw="short"),
    "numpy": Form("numpy"),
    "list": Form("list", dtype="float64", shape="flat"),
    "array": Form("array", shape="flat"),
}


@pytest.mark.parametrize("container", LAYOUTS)
def test_audio_gives_canonical_mel_or_descriptive_error(processor, device, container):
    flaws = tuple(flaw for flaw, (_, _, containers) in FLAWS.items() if container in containers)

    @example(FIRST[container])
    @given(forms(container, ("",) * len(flaws) + flaws))
    def holds(form):
        if form.flaw:
            kind, words, _ = FLAWS[form.flaw]
            with pytest.raises(kind, match=rf"\Aexpected ({words}).*\Z"):
                mel(processor, held(form, device), form.rate)
            return
        found = mel(processor, held(form, device), form.rate)
        expected = mel(processor, torch.from_numpy(mono(form).astype("float32"))[None], form.rate)
        assert found.shape == expected.shape
        # In float64 and long double, the samples are rounded to float32 at another point.
        late = form.dtype == "longdouble" or (container, form.dtype, form.channels) == ("torch", "float64", 1)
        assert (found - expected).abs().mean() <= (1e-2 if late else 1e-3 if form.channels > 1 else 1e-5)

    holds()


def content(wave: Any) -> str | bytes:
    """Return everything that a caller could find changed."""
    return digest(wave.detach()) if isinstance(wave, torch.Tensor) else pickle.dumps(wave)


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
