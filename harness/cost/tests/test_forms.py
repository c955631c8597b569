"""Each form of audio is the same audio, and its copies are counted."""

from array import array

import numpy as np
import pytest
import torch

from harness.cost.patches import forms


@pytest.fixture(scope="module")
def to_mono(liquid_audio):
    from liquid_audio.audio import to_mono

    return to_mono


@pytest.fixture(scope="module")
def found_forms():
    return forms.forms(1)


def test_the_canonical_form_is_first_and_each_is_there_once(found_forms):
    names = [(form.held, form.shape) for form in found_forms]
    assert names[0] == ("torch float32", "(1, n)") and len(names) == len(set(names))


def test_every_form_is_the_same_audio(found_forms, to_mono):
    wave = to_mono(found_forms[0].audio)
    for form in found_forms:
        mono = to_mono(form.audio)
        # The second of two channels is half as loud. Eight bits are coarse.
        expected = wave * (0.75 if "2" in form.shape else 1)
        torch.testing.assert_close(
            mono.float(), expected, rtol=0, atol=0.01, msg=lambda m, form=form: f"{form.held} {form.shape}: {m}"
        )


def test_floating_point_is_copied_once_at_the_most(found_forms, to_mono):
    more = {form.held for form in found_forms if forms.copied(form, to_mono).buffers > forms.allowed(form)}
    assert not [held for held in more if held.startswith(("torch float", "NumPy float"))]


@pytest.mark.parametrize(
    ("audio", "values", "shared", "buffers", "size"),
    [
        (torch.zeros(1, 16_000), 16_000, True, 0, 0),
        (torch.zeros(16_000), 16_000, True, 0, 0),
        (torch.zeros(1, 16_000).half(), 16_000, False, 1, 64_000),
        (np.zeros(16_000, np.int16), 16_000, False, 3, 32_000 + 2 * 64_000),
        (array("h", bytes(32_000)), 16_000, False, 3, 32_000 + 2 * 64_000),
        (torch.zeros(2, 16_000), 32_000, False, 1, 64_000),
        (np.zeros((16_000, 2), np.float64), 32_000, False, 2, 128_000 + 64_000),
        ([0.0] * 16_000, 16_000, False, 2, 128_000 + 64_000),
    ],
)
def test_copies_are_counted(audio, values, shared, buffers, size, to_mono):
    found = forms.copied(forms.Form("", "", audio, values), to_mono)
    assert (found.shared, found.buffers) == (shared, buffers)
    # Python itself holds some kilobytes.
    assert found.size == pytest.approx(size, abs=8_000)


def test_a_copy_too_many_is_seen_in_torch_and_in_numpy():
    form = forms.Form("", "(n,)", np.zeros(16_000, np.int16), 16_000)
    by_torch = forms.copied(form, lambda audio: torch.from_numpy(audio.astype(np.float32)).clone()[None].mul(2))
    assert by_torch.buffers == 3

    def twice(audio):
        wide = audio.astype(np.float64)
        return torch.from_numpy(wide.astype(np.float32))[None]

    assert forms.copied(form, twice).buffers == 2
