"""The device by default: seconds on a CPU, with random weights, no network or accelerator

The tests are in the order of their commits.
"""

import json
import runpy

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from liquid_audio import LFM2AudioModel, LFM2AudioProcessor
from liquid_audio.moshi.models import loaders
from liquid_audio.moshi.utils.compile import no_compile

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


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny checkpoint with random weights for upstream's classes: a few megabytes, for `from_pretrained` only"""
    path = tmp_path_factory.mktemp("checkpoint")
    sizes = {"_seanet_kwargs": SEANET, "_quantizer_kwargs": QUANTIZER, "_transformer_kwargs": TRANSFORMER}
    with pytest.MonkeyPatch.context() as patch:
        for name, kwargs in sizes.items():
            patch.setattr(loaders, name, getattr(loaders, name) | kwargs)
        (path / "config.json").write_text(json.dumps(CONFIG))
        # The model keeps its initial weights
        save_file({"none": torch.empty(0)}, path / "model.safetensors", {"format": "pt"})
        tokenizer = Tokenizer(models.WordLevel({"<|unk|>": 0, "<|startoftext|>": 1, "hello": 2}, "<|unk|>"))
        PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(path)
        mimi = {name: tensor.clone() for name, tensor in loaders.get_mimi(None).state_dict().items()}
        save_file(mimi, path / "tokenizer-e351c8d8-checkpoint125.safetensors")
        yield path


def device_of(module):
    (device,) = {tensor.device.type for tensor in [*module.parameters(), *module.buffers()]}
    return device


def test_processor_and_model_choose_the_same_device(checkpoint):
    processor, model = LFM2AudioProcessor.from_pretrained(checkpoint), LFM2AudioModel.from_pretrained(checkpoint)
    assert device_of(model) == processor.device.type


def test_the_demo_loads_on_one_device(checkpoint, monkeypatch):
    for module in ("processor", "model.lfm2_audio"):
        monkeypatch.setattr(f"liquid_audio.{module}.get_model_dir", lambda repo_id, revision: checkpoint)
    with no_compile():
        demo = runpy.run_module("liquid_audio.demo.model")
    assert device_of(demo["mimi"]) == device_of(demo["lfm2_audio"]) == demo["proc"].device.type


@pytest.mark.parametrize("part", [LFM2AudioProcessor, LFM2AudioModel])
def test_str_folder_loads(checkpoint, part):
    part.from_pretrained(str(checkpoint), device="cpu")
