"""Processor, model and audio on any device: seconds on a CPU, with random weights, no network and no accelerator

torch's meta device is the second device: it holds shapes and no values. The tests stand in the order of their commits.
"""

import copy
import io
import json
import pickle
import runpy
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models
from transformers import Lfm2Config, PreTrainedTokenizerFast

from liquid_audio import ChatState, LFM2AudioDetokenizer, LFM2AudioModel, LFM2AudioProcessor
from liquid_audio.data.mapper import LFM2AudioChatMapper
from liquid_audio.data.types import AudioSegment, ChatMessage
from liquid_audio.model.conformer.utils import avoid_float16_autocast_context
from liquid_audio.moshi.models.loaders import get_mimi
from liquid_audio.moshi.utils.compile import no_compile
from liquid_audio.trainer import Trainer
from liquid_audio.utils import get_model_dir

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

CODES = torch.arange(8 * 4).reshape(1, 8, 4)
RATE = 48_000
PCM = (np.sin(np.linspace(0, 800, RATE // 2)) * 20_000).astype(np.int16)
WAVE = torch.from_numpy(PCM / np.float32(2**15))[None]

pytestmark = pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")


@pytest.fixture(scope="module")
def checkpoint():
    with TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "config.json").write_text(json.dumps(CONFIG))
        # The model keeps its initial weights
        save_file({"none": torch.empty(0)}, path / "model.safetensors", {"format": "pt"})
        vocabulary = {"<|unk|>": 0, "<|startoftext|>": 1, "hello": 2}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, "<|unk|>"))
        PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(path)
        mimi = {name: tensor.clone() for name, tensor in get_mimi(None).state_dict().items()}
        save_file(mimi, path / "tokenizer-e351c8d8-checkpoint125.safetensors")
        detokenizer = Lfm2Config(**{**LFM, "hidden_size": 512})
        detokenizer.save_pretrained(path / "audio_detokenizer")
        save_file(LFM2AudioDetokenizer(detokenizer).state_dict(), path / "audio_detokenizer" / "model.safetensors")
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


def mel(processor, wave):
    chat = ChatState(processor, dtype=torch.float32)
    chat.add_audio(wave, RATE)
    return chat.audio_in


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


def test_mimi_loads_on_a_device_that_safetensors_cannot_address(processor):
    assert device_of(processor.to("meta").mimi) == "meta"


def test_what_is_added_joins_the_chat(processor):
    chat = ChatState(processor)
    processor.to("meta")
    chat.add_text("hello")
    assert {tensor.device.type for tensor in chat.values()} == {"cpu"}


class Elsewhere:
    """A tensor that can be used once it was moved"""

    def __init__(self, tensor):
        self.to = tensor.to


def test_the_model_takes_inputs_from_any_device(model, processor):
    inputs = {name: Elsewhere(tensor) for name, tensor in ChatState(processor).items()}
    assert next(model.generate_sequential(**inputs)).device.type == "cpu"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))], ids=["deepcopy", "pickle"])
def test_a_copied_processor_computes_by_itself(processor, copied):
    expected, other = mel(processor, WAVE), copied(processor)
    processor.audio.featurizer.fb.zero_()
    assert mel(other, WAVE).equal(expected)


def test_flash_attention_is_left_where_it_cannot_run(model, processor):
    model.lfm.config._attn_implementation = "flash_attention_2"  # as a CUDA host loads a model that is moved to its CPU
    assert next(model.generate_sequential(**ChatState(processor))).numel() == 1


def test_processor_and_model_choose_the_same_device(checkpoint):
    processor, model = LFM2AudioProcessor.from_pretrained(checkpoint), LFM2AudioModel.from_pretrained(checkpoint)
    assert device_of(model) == processor.device.type


@pytest.mark.parametrize("part", [LFM2AudioProcessor, LFM2AudioModel])
def test_a_device_that_is_not_here_is_refused_with_a_note_on_those_that_are(checkpoint, part):
    with pytest.raises(RuntimeError) as refused:
        part.from_pretrained(checkpoint, device="gpu")
    assert [note.partition(": ")[0] for note in getattr(refused.value, "__notes__", [])] == ["expected one of"]


def test_the_demo_loads_on_one_device(checkpoint, monkeypatch):
    for module in ("processor", "model.lfm2_audio"):
        monkeypatch.setattr(f"liquid_audio.{module}.get_model_dir", lambda repo_id, revision: checkpoint)
    with no_compile():
        demo = runpy.run_module("liquid_audio.demo.model")
    assert device_of(demo["mimi"]) == device_of(demo["lfm2_audio"]) == demo["proc"].device.type


def test_a_local_folder_is_taken_as_str(checkpoint):
    assert get_model_dir(str(checkpoint)) == checkpoint


@pytest.mark.parametrize(
    "wave",
    [PCM / 2**15, PCM, np.stack([PCM, PCM], 1), np.stack([WAVE[0], WAVE[0]]), torch.from_numpy(PCM)[None], WAVE[0].tolist()],
    ids=["soundfile", "scipy", "scipy stereo", "librosa stereo", "torch int16", "list"],
)
def test_audio_of_any_source_gives_the_same_mel(processor, wave):
    assert mel(processor, wave).equal(mel(processor, WAVE))


@pytest.mark.parametrize(
    "wave",
    [WAVE / 0, WAVE[:, :100], WAVE.long(), "speech.wav", [PCM, PCM]],
    ids=["NaN", "short", "int64", "path", "batch"],
)
def test_what_is_no_audio_is_refused(processor, wave):
    with pytest.raises((TypeError, ValueError), match=r"^expected .+, got "):
        mel(processor, wave)


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_training_refuses_a_file_of_nan(processor, role):
    file = io.BytesIO()
    soundfile.write(file, np.full(RATE, np.nan), RATE, "FLOAT", format="WAV")
    with pytest.raises(ValueError, match=r"^expected finite samples"):
        LFM2AudioChatMapper(processor)([ChatMessage(role=role, content=[AudioSegment(audio=file.getvalue())])])


def test_a_chat_without_audio_is_answered_without_the_encoder(processor, model):
    model.conformer = None
    assert next(model.generate_sequential(**ChatState(processor))).numel() == 1


def test_another_accelerators_autocast_is_not_taken_for_cudas(monkeypatch):
    # As torch 2.14 answers, where the accelerator is not CUDA and autocasts
    monkeypatch.setattr("torch.is_autocast_enabled", lambda device_type="mps": device_type == "mps")
    assert isinstance(avoid_float16_autocast_context(), nullcontext)


def test_training_on_the_cpu_asks_for_no_pinned_memory(checkpoint, monkeypatch):
    monkeypatch.setenv("ACCELERATE_TORCH_DEVICE", "cpu")
    trainer = Trainer(checkpoint, train_data=[0], val_data=[0])
    assert [loader.base_dataloader.pin_memory for loader in (trainer.train_loader, trainer.val_loader)] == [False, False]
