import pytest
import torch

CODES = torch.arange(8 * 4).reshape(1, 8, 4)

pytestmark = pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")


def device_of(module):
    (device,) = {tensor.device.type for tensor in [*module.parameters(), *module.buffers()]}
    return device


def test_decode_gives_audio_on_the_processors_device(processor):
    assert processor.decode(CODES).device.type == "cpu"


def test_decode_moves_codes_to_the_processors_device(processor):
    arrived = []
    embedding = processor.to("meta").audio_detokenizer.emb
    embedding.register_forward_pre_hook(lambda _, codes: arrived.append(codes[0].device.type))
    with pytest.raises(RuntimeError, match="meta"):  # the inverse STFT checks its window, and there are no values
        processor.decode(CODES)
    assert arrived == ["meta"]


@pytest.mark.parametrize("part", ["audio_detokenizer", "mimi"])
def test_a_loaded_part_moves_with_its_processor(processor, part):
    module = getattr(processor, part)
    processor.to("meta")
    assert device_of(module) == "meta"


def test_mimi_loads_on_a_device_unknown_to_safetensors(processor):
    assert device_of(processor.to("meta").mimi) == "meta"
