"""The audio detokenizer and Mimi, built on first use, are on their processor's device and give the CPU's waveform.

If the CPU is under test, torch's meta device is the second device. It holds shapes but no values, and safetensors cannot
address it. That is enough to see that parts are built and moved.
"""

import inspect

import liquid_audio
import pytest
import torch
from safetensors.torch import load_file

from harness.speech import digest

CODES = torch.arange(8 * 4).reshape(1, 8, 4) * 61 % 2048
SAMPLES = 4 * 1920
PARTS = ["mimi", "audio_detokenizer"]

pytestmark = pytest.mark.core
no_values = pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter:UserWarning")


def devices_of(module):
    """Return the device types of a module's parameters and buffers."""
    return {tensor.device.type for tensor in [*module.parameters(), *module.buffers()]}


@pytest.mark.parametrize("codes_on", ["cpu", "device"])
def test_decode_returns_waveform_on_processor_device(processor, device, record_property, codes_on):
    wave = processor.decode(CODES.to(device if codes_on == "device" else "cpu"))
    record_property("digest", digest(wave))
    assert wave.shape == (1, SAMPLES)
    assert wave.device.type == device.type
    assert wave.isfinite().all()
    assert wave.abs().max() > 0
    assert not wave.requires_grad


@pytest.mark.parametrize("part", PARTS)
def test_lazy_module_has_checkpoint_weights(processor, part):
    file = {"audio_detokenizer": f"{processor.detokenizer_path}/model.safetensors", "mimi": processor.mimi_weights_path}[part]
    held, weights = getattr(processor, part).state_dict(), load_file(file)
    assert [name for name, weight in weights.items() if not held[name].cpu().equal(weight)] == []


@pytest.mark.host
@pytest.mark.parametrize(
    ("part", "path", "words"),
    [
        ("mimi", "mimi_weights_path", "Mimi weights, use LFM2AudioProcessor.decode instead"),
        ("audio_detokenizer", "detokenizer_weights_path", "LFM based audio detokenizer, use LFM2AudioProcessor.mimi instead"),
    ],
    ids=PARTS,
)
def test_missing_weights_raise_attribute_error(fresh, part, path, words):
    fresh.mimi_weights_path = fresh.detokenizer_path = None
    for name, error in ("a name", f"model a name does not provide {words}"), (None, f"expected `{path}` to be specified"):
        fresh.name = name
        with pytest.raises(AttributeError, match=f"^{error}"):
            getattr(fresh, part)


@pytest.mark.parametrize("code", [-1, 2048])
def test_codes_out_of_range_raise_runtime_error(processor, code):
    with pytest.raises(RuntimeError, match=r"^expected audio codes in range"):
        processor.decode(torch.full((1, 8, 1), code))


@pytest.mark.host
def test_decode_docstring_states_devices():
    said = inspect.getdoc(liquid_audio.LFM2AudioProcessor.decode)
    assert [words for words in ("tensor on any device", "tensor on the device of") if words not in said] == []


@pytest.mark.accelerator
def test_decode_matches_cpu_after_processor_to(fresh, device):
    expected = fresh.decode(CODES)
    torch.testing.assert_close(fresh.to(device).decode(CODES).cpu(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.accelerator
@pytest.mark.parametrize("codes_on", ["cpu", "device"])
def test_decode_follows_moved_audio_detokenizer(fresh, device, codes_on):
    expected = fresh.decode(CODES)
    fresh.audio_detokenizer.to(device)
    wave = fresh.decode(CODES.to(device if codes_on == "device" else "cpu"))
    assert wave.device.type == device.type
    torch.testing.assert_close(wave.cpu(), expected, rtol=1e-3, atol=1e-4)


def test_audio_detokenizer_is_built_on_processor_device(processor, device):
    assert devices_of(processor.audio_detokenizer) == {device.type}


@no_values
def test_audio_detokenizer_is_built_where_processor_was_moved(fresh, elsewhere):
    assert devices_of(fresh.to(elsewhere).audio_detokenizer) == {elsewhere.type}


@no_values
def test_audio_detokenizer_moves_codes_to_its_device(fresh, elsewhere):
    def stop(module, codes):
        raise StopIteration(codes[0].device.type)  # a device without values decodes nothing

    fresh.to(elsewhere).audio_detokenizer.emb.register_forward_pre_hook(stop)
    with pytest.raises(StopIteration, match=f"^{elsewhere.type}$"):
        fresh.decode(CODES)


@no_values
def test_mimi_moves_codes_to_its_device(fresh, elsewhere):
    mimi, arrived = fresh.mimi.to(elsewhere), []
    mimi.quantizer.decode = lambda codes: arrived.append(codes.device.type)
    mimi.decode_latent(CODES)
    assert arrived == [elsewhere.type]


def test_loaded_audio_detokenizer_follows_processor_to(fresh, elsewhere):
    assert devices_of(fresh.audio_detokenizer) == {"cpu"}
    fresh.to(elsewhere)
    assert devices_of(fresh.audio_detokenizer) == {elsewhere.type}


def test_mimi_decodes_on_processor_device(processor, device, record_property):
    assert devices_of(processor.mimi) == {device.type}
    with torch.no_grad():
        wave = processor.mimi.decode(CODES.to(device))
    record_property("digest", digest(wave))
    assert wave.shape == (1, 1, SAMPLES)
    assert wave.isfinite().all()


@pytest.mark.accelerator
@pytest.mark.parametrize("codes_on", ["cpu", "device"])
def test_mimi_matches_cpu_after_processor_to(fresh, device, codes_on):
    with torch.no_grad():
        expected = fresh.mimi.decode(CODES)
        wave = fresh.to(device).mimi.decode(CODES.to(device if codes_on == "device" else "cpu"))
    assert wave.device.type == device.type
    torch.testing.assert_close(wave.cpu(), expected, rtol=1e-3, atol=1e-4)


@no_values
def test_mimi_loads_on_device_unknown_to_safetensors(fresh, elsewhere):
    assert devices_of(fresh.to(elsewhere).mimi) == {elsewhere.type}


@torch.no_grad()
def test_streaming_mimi_survives_processor_to(fresh, elsewhere):
    mimi = fresh.mimi.eval()
    frames = CODES.split(1, 2)
    with mimi.streaming(1):
        expected = [mimi.decode(frame) for frame in frames]
    with mimi.streaming(1):
        decoded = [mimi.decode(frames[0])]
        fresh.to(elsewhere)
        decoded += [mimi.decode(frame) for frame in frames[1:]]
    torch.testing.assert_close(torch.cat(decoded, 2), torch.cat(expected, 2), rtol=0, atol=0)


def test_loaded_mimi_follows_processor_to(fresh, elsewhere):
    assert devices_of(fresh.mimi) == {"cpu"}
    fresh.to(elsewhere)
    assert devices_of(fresh.mimi) == {elsewhere.type}


def test_processor_subclass_without_lazy_modules_moves(fresh, elsewhere):
    class Bare(liquid_audio.LFM2AudioProcessor):
        def __init__(self, audio_processor):
            self.audio_processor = audio_processor

    assert Bare(fresh.audio).to(elsewhere).device.type == elsewhere.type


def test_to_dtype_keeps_device_and_loaded_modules(fresh):
    mimi = fresh.mimi
    assert fresh.to(dtype=torch.float64) is fresh
    assert fresh.device.type == "cpu"
    assert fresh.mimi is mimi
    assert next(mimi.parameters()).dtype == torch.float32
