"""Copying the processor, choosing flash-attention and loading data: seconds on a CPU, with random weights and no network

The tests are in the order of their commits.
"""

import copy
import json
import pickle

import pytest
import torch
from safetensors.torch import save_file
from transformers import Lfm2Model

from liquid_audio import LFM2AudioModel
from liquid_audio.model.conformer.processor import AudioToMelSpectrogramPreprocessor
from liquid_audio.trainer import Trainer

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

RATE = 16_000
WAVE, LENGTH = torch.linspace(0, 800, RATE).sin()[None], torch.tensor([RATE])


@pytest.fixture
def checkpoint(tmp_path):
    """A tiny checkpoint of upstream's model, which keeps its initial weights"""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    save_file({"none": torch.empty(0)}, tmp_path / "model.safetensors", {"format": "pt"})
    return tmp_path


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))], ids=["deepcopy", "pickle"])
def test_a_copy_computes_by_itself(copied):
    processor = AudioToMelSpectrogramPreprocessor(**CONFIG["preprocessor"]).eval()
    (expected, _), other = processor(WAVE, LENGTH), copied(processor)
    processor.featurizer.fb.zero_()
    assert other(WAVE, LENGTH)[0].equal(expected)


def test_flash_attention_is_for_cuda_in_half_precision(checkpoint, monkeypatch):
    chosen = []
    monkeypatch.setattr("liquid_audio.model.lfm2_audio.module_exists", lambda name: True)
    monkeypatch.setattr(Lfm2Model, "set_attn_implementation", lambda self, name: chosen.append(name))
    LFM2AudioModel.from_pretrained(checkpoint, device="cpu")
    monkeypatch.setattr(Lfm2Model, "device", torch.device("cuda"))
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        LFM2AudioModel.from_pretrained(checkpoint, device="cpu", dtype=dtype)
    assert chosen == ["sdpa", "sdpa", "flash_attention_2", "flash_attention_2"]


def test_training_asks_for_no_pinned_memory(checkpoint, monkeypatch):
    monkeypatch.setenv("ACCELERATE_TORCH_DEVICE", "cpu")
    trainer = Trainer(checkpoint, train_data=[0], val_data=[0])
    assert [loader.base_dataloader.pin_memory for loader in (trainer.train_loader, trainer.val_loader)] == [False, False]
