"""The audio detokenizer and Mimi, built when first used, are where their processor is.

torch's meta device holds shapes and no values. Every host has it, and safetensors cannot address it: a second device
on which to see that parts are built and moved.
"""

import pytest
import torch

from harness.speech import digest

CODES = torch.arange(8 * 4).reshape(1, 8, 4) * 61 % 2048
SAMPLES = 4 * 1920

no_values = pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter:UserWarning")


class ArrivedError(Exception):
    """Codes came to the audio detokenizer; it says on which device."""


@pytest.fixture
def fresh(liquid_audio, checkpoint):
    """A processor of the test's own, which it may move."""
    return liquid_audio.LFM2AudioProcessor.from_pretrained(checkpoint, device="cpu")


def devices_of(module):
    """Return the device types of everything that a module holds."""
    return {tensor.device.type for tensor in [*module.parameters(), *module.buffers()]}


def test_decode_gives_a_waveform_on_the_processors_device(processor, device):
    wave = processor.decode(CODES.to(device))
    assert wave.shape == (1, SAMPLES)
    assert wave.device.type == device.type
    assert wave.isfinite().all()
    assert wave.abs().max() > 0


def test_the_audio_detokenizer_is_built_on_the_processors_device(processor, device):
    assert devices_of(processor.audio_detokenizer) == {device.type}


@no_values
def test_the_audio_detokenizer_is_built_where_its_processor_was_moved(fresh):
    assert devices_of(fresh.to("meta").audio_detokenizer) == {"meta"}


@no_values
def test_decode_hands_codes_to_the_audio_detokenizer_on_its_device(fresh):
    def arrive(module, arguments):
        raise ArrivedError(arguments[0].device.type)  # a device without values decodes nothing

    fresh.to("meta").audio_detokenizer.register_forward_pre_hook(arrive)
    with pytest.raises(ArrivedError, match=r"^meta$"):
        fresh.decode(CODES)


def test_a_loaded_audio_detokenizer_follows_its_processor(fresh):
    assert devices_of(fresh.audio_detokenizer) == {"cpu"}
    fresh.to("meta")
    assert devices_of(fresh.audio_detokenizer) == {"meta"}


def test_mimi_decodes_on_the_processors_device(processor, device, record_property):
    assert devices_of(processor.mimi) == {device.type}
    with torch.no_grad():
        wave = processor.mimi.decode(CODES.to(device))
    record_property("digest", digest(wave))
    assert wave.shape == (1, 1, SAMPLES)
    assert wave.isfinite().all()


@no_values
def test_mimi_loads_on_a_device_that_safetensors_cannot_address(fresh):
    assert devices_of(fresh.to("meta").mimi) == {"meta"}


def test_a_loaded_mimi_follows_its_processor(fresh):
    assert devices_of(fresh.mimi) == {"cpu"}
    fresh.to("meta")
    assert devices_of(fresh.mimi) == {"meta"}


def test_a_change_of_dtype_leaves_device_and_lazy_parts_alone(fresh):
    mimi = fresh.mimi
    assert fresh.to(dtype=torch.float64) is fresh
    assert fresh.device.type == "cpu"
    assert fresh.mimi is mimi
    assert next(mimi.parameters()).dtype == torch.float32
