"""A tiny checkpoint with random weights: tests take seconds on a CPU, without network, weights or accelerator

They show devices, shapes and errors, and hear nothing. Where there is a second device, it is torch's meta device, which holds
shapes but no values.
"""

import json

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models
from transformers import Lfm2Config, PreTrainedTokenizerFast

from liquid_audio import LFM2AudioDetokenizer, LFM2AudioModel, LFM2AudioProcessor
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
# fmt: on


class Mimi(torch.nn.Linear):
    """A stand-in for Mimi, which has 385 MB of weights"""

    def __init__(self, filename=None, device="cpu"):
        super().__init__(1, 1, device=device)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint")
    (path / "config.json").write_text(json.dumps(CONFIG))
    save_file({"none": torch.empty(0)}, path / "model.safetensors", {"format": "pt"})  # the model keeps its initial weights
    tokenizer = Tokenizer(models.WordLevel({"<|unk|>": 0, "<|startoftext|>": 1, "hello": 2}, "<|unk|>"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(path)
    save_file(Mimi().state_dict(), path / "tokenizer-e351c8d8-checkpoint125.safetensors")
    config = Lfm2Config(**{**LFM, "hidden_size": 512})
    config.save_pretrained(path / "audio_detokenizer")
    save_file(LFM2AudioDetokenizer(config).state_dict(), path / "audio_detokenizer" / "model.safetensors")
    return path


@pytest.fixture
def processor(checkpoint, monkeypatch):
    monkeypatch.setattr(loaders, "get_mimi", Mimi)
    return LFM2AudioProcessor.from_pretrained(checkpoint, device="cpu").eval()


@pytest.fixture
def model(checkpoint):
    return LFM2AudioModel.from_pretrained(checkpoint, device="cpu").eval()
