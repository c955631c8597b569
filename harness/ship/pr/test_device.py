"""The device that processor and model are given: seconds on a CPU, with random weights, no network or accelerator

torch's meta device is the second device: it holds shapes but no values. The tests are in the order of their commits.
"""

import json
from functools import partial

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models
from transformers import Lfm2Config, PreTrainedTokenizerFast

from liquid_audio import ChatState, LFM2AudioDetokenizer, LFM2AudioModel, LFM2AudioProcessor, detokenizer
from liquid_audio.moshi.models import loaders

# fmt: off
LFM = dict(
    hidden_size=32, intermediate_size=32, num_hidden_layers=1, layer_types=["full_attention"], num_attention_heads=2,
    num_key_value_heads=1, vocab_size=256, block_auto_adjust_ff_dim=False)
CONFIG = dict(
    architectures=["Lfm2AudioForConditionalGeneration"], codebooks=8, tie_audio_embeddings=True, semantic_codebook_factor=100,
    codebook_weight="log", interleaved_n_text=6, interleaved_n_audio=12, lfm=LFM, depthformer=dict(layers=1, dim=64, tie=True),
    preprocessor=dict(
        sample_rate=16_000, normalize="per_feature", window_size=0.025, window_stride=0.01, window="hann", features=128,
        n_fft=512, log=True, frame_splicing=1, dither=1e-5, pad_to=0, pad_value=0.0),
    encoder=dict(
        feat_in=128, feat_out=-1, n_layers=1, d_model=32, subsampling="dw_striding", subsampling_factor=8,
        subsampling_conv_channels=8, causal_downsampling=False, reduction=None, reduction_position=None, reduction_factor=1,
        ff_expansion_factor=2, self_attention_model="rel_pos", n_heads=2, att_context_size=[-1, -1], xscaling=False,
        untie_biases=True, pos_emb_max_len=500, conv_kernel_size=9, conv_norm_type="batch_norm", conv_context_size=None,
        dropout=0.0, dropout_pre_encoder=0.0, dropout_emb=0.0, dropout_att=0.0))
# A Mimi of 2 MB, instead of 385 MB
SEANET = dict(dimension=32, n_filters=2)
QUANTIZER = dict(dimension=16, n_q=8, input_dimension=32, output_dimension=32)
TRANSFORMER = dict(d_model=32, num_heads=2, num_layers=1, dim_feedforward=32, input_dimension=32, output_dimensions=[32])
# fmt: on

CODES = torch.arange(8 * 4).reshape(1, 8, 4)

pytestmark = pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny checkpoint with random weights for upstream's classes: a few megabytes, for `from_pretrained` only"""
    path = tmp_path_factory.mktemp("checkpoint")
    sizes = {"_seanet_kwargs": SEANET, "_quantizer_kwargs": QUANTIZER, "_transformer_kwargs": TRANSFORMER}
    with pytest.MonkeyPatch.context() as patch:
        for name, kwargs in sizes.items():
            patch.setattr(loaders, name, getattr(loaders, name) | kwargs)
        patch.setattr(detokenizer, "FusedEmbedding", partial(detokenizer.FusedEmbedding, vocab_size=64))
        (path / "config.json").write_text(json.dumps(CONFIG))
        # The model keeps its initial weights
        save_file({"none": torch.empty(0)}, path / "model.safetensors", {"format": "pt"})
        tokenizer = Tokenizer(models.WordLevel({"<|unk|>": 0, "<|startoftext|>": 1, "hello": 2}, "<|unk|>"))
        PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(path)
        mimi = {name: tensor.clone() for name, tensor in loaders.get_mimi(None).state_dict().items()}
        save_file(mimi, path / "tokenizer-e351c8d8-checkpoint125.safetensors")
        config = Lfm2Config(**{**LFM, "hidden_size": 512})
        config.save_pretrained(path / "audio_detokenizer")
        save_file(LFM2AudioDetokenizer(config).state_dict(), path / "audio_detokenizer" / "model.safetensors")
        yield path


@pytest.fixture
def processor(checkpoint):
    return LFM2AudioProcessor.from_pretrained(checkpoint, device="cpu").eval()


@pytest.fixture
def model(checkpoint):
    return LFM2AudioModel.from_pretrained(checkpoint, device="cpu").eval()


def device_of(module):
    (device,) = {tensor.device.type for tensor in [*module.parameters(), *module.buffers()]}
    return device


def test_decode_gives_audio_on_the_processors_device(processor):
    assert processor.decode(CODES).device.type == "cpu"


def test_decode_moves_codes_to_the_processors_device(processor):
    arrived = []
    processor.to("meta").audio_detokenizer.emb.forward = lambda codes: arrived.append(codes.device.type)
    with pytest.raises(AttributeError, match="NoneType"):  # no embedding comes back
        processor.decode(CODES)
    assert arrived == ["meta"]


@pytest.mark.parametrize("part", ["audio_detokenizer", "mimi"])
def test_a_loaded_part_moves_with_its_processor(processor, part):
    module = getattr(processor, part)
    processor.to("meta")
    assert device_of(module) == "meta"


def test_mimi_loads_on_device_unknown_to_safetensors(processor):
    assert device_of(processor.to("meta").mimi) == "meta"


def test_additions_stay_on_the_chat_device(processor):
    chat = ChatState(processor)
    processor.to("meta")
    chat.add_text("hello")
    assert {tensor.device.type for tensor in chat.values()} == {"cpu"}


class Elsewhere:
    """A tensor that can be used only after it has moved"""

    def __init__(self, tensor):
        self.to = tensor.to


def test_the_model_takes_inputs_from_any_device(model, processor):
    inputs = {name: Elsewhere(tensor) for name, tensor in ChatState(processor).items()}
    assert next(model.generate_sequential(**inputs)).device.type == "cpu"
