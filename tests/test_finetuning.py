"""Fine-tuning in upstream's two stages: chats become a dataset, and a few steps on it lower the loss and save a checkpoint.

Upstream's examples of both also run, with the series' changes, if `--checkout` names a checkout that contains them.
"""

import io
import math
import os
import re
import runpy
import shutil

import liquid_audio
import numpy as np
import pytest
import soundfile
import torch
from datasets import Audio, Dataset, load_from_disk
from datasets.exceptions import DatasetGenerationError
from liquid_audio.data.dataloader import LFM2DataLoader, lfm2_collator
from liquid_audio.data.mapper import LFM2AudioChatMapper
from liquid_audio.data.preprocess import preprocess_dataset
from liquid_audio.data.types import AudioSegment, ChatMessage, InterleavedSegment, LFM2AudioModelInput, TextSegment
from liquid_audio.trainer import Trainer

from harness import series
from harness.speech import CLIPS, Clip, clips, digest

# Short clips, because Mimi takes longest, at 48, 8 and 16 kHz.
SPOKEN = [clip for clip in clips() if clip.text in ("no", "goodbye", "folder seven")]
STEPS = 4
# The forms of a chat: what a clip says is written down, spoken, or both in turns.
PROMPTS = {"asr": "Perform ASR.", "tts": "Perform TTS.", "interleaved": "Respond with interleaved text and audio."}


def chat(form, clip):
    """Make a chat of a clip in upstream's data format."""
    audio = (CLIPS / clip.file).read_bytes()
    asked = TextSegment(text=clip.text) if form == "tts" else AudioSegment(audio=audio)
    answers = {
        "asr": TextSegment(text=clip.text),
        "tts": AudioSegment(audio=audio),
        "interleaved": InterleavedSegment(text=clip.text, audio=audio),
    }
    said = {"system": TextSegment(text=PROMPTS[form]), "user": asked, "assistant": answers[form]}
    return [ChatMessage(role=role, content=[segment]) for role, segment in said.items()]


@pytest.fixture(scope="session")
def mapper(processor):
    """The mapper that makes a sample from a chat, on the device under test."""
    return LFM2AudioChatMapper(processor)


@pytest.fixture(scope="session")
def cpu_mapper(checkpoint, mapper, device):
    """The same mapper on the CPU, where no bug of another device spoils the training data."""
    if device.type == "cpu":
        return mapper
    return LFM2AudioChatMapper(liquid_audio.LFM2AudioProcessor.from_pretrained(checkpoint, device="cpu").eval())


@pytest.fixture(scope="session")
def dataset_of(tmp_path_factory):
    """Return a function that makes a dataset of one form of chats with a mapper, once."""
    folder, made = tmp_path_factory.mktemp("datasets"), {}

    def dataset(form, mapper):
        if (form, mapper) not in made:
            target = folder / f"{form}-{len(made)}"
            try:
                preprocess_dataset([chat(form, clip) for clip in SPOKEN], target, mapper)
            except DatasetGenerationError as error:  # which datasets wraps around another
                raise (error.__cause__ or error) from None
            made[form, mapper] = target
        return made[form, mapper]

    return dataset


# The last form covers everything that a mapper computes on a device, so devices other than the CPU make only that one.
forms_of_a_dataset = [pytest.param(form, marks=pytest.mark.host if form != "interleaved" else ()) for form in PROMPTS]
# For training it adds nothing to the forms before it, which have sound from the user and not, so only the CPU trains on it.
forms_to_train_on = [pytest.param(form, marks=pytest.mark.host if form == "interleaved" else ()) for form in PROMPTS]


@pytest.mark.usefixtures("accelerate")
@pytest.mark.parametrize("form", forms_of_a_dataset)
def test_preprocessed_dataset_holds_mapped_chats(mapper, dataset_of, record_property, form):
    dataset = load_from_disk(dataset_of(form, mapper))
    samples = [mapper(chat(form, clip)) for clip in SPOKEN]
    for name in dataset.column_names:
        assert dataset[name][:] == [getattr(sample, name).tolist() for sample in samples]
    record_property("digest", digest(*(getattr(sample, name) for sample in samples for name in dataset.column_names)))
    assert all(sample.supervision_mask.any() for sample in samples)


# 20 and 15 ms at 22,050 Hz. A chat takes no less than 20 ms.
@pytest.mark.parametrize(("role", "samples"), [("user", 440), ("assistant", 440), ("assistant", 330)])
def test_mapper_accepts_two_frames_of_audio(mapper, record_property, role, samples):
    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(samples) / 5) / 2, 22_050, "FLOAT", format="WAV")
    sample = mapper([ChatMessage(role=role, content=[AudioSegment(audio=file.getvalue())])])
    record_property("digest", digest(sample.audio_in, sample.audio_out, sample.modality_flag))
    # One frame of Mimi, and one that marks the end.
    assert (sample.audio_in.shape[1], sample.audio_out.shape[1]) == ((2, 0) if role == "user" else (0, 2))


def test_mapped_sample_is_a_batch(cpu_mapper, models, device, record_property):
    sample = cpu_mapper(chat("tts", SPOKEN[0]))
    names = LFM2AudioModelInput.__slots__
    for name in names:
        setattr(sample, name, getattr(sample, name).to(device))
    with torch.no_grad():
        loss = models(torch.bfloat16)(sample).loss  # a sample has no method `to`
    record_property("digest", digest(loss[None]))
    assert loss.isfinite()


@pytest.mark.accelerator
def test_model_moves_training_batch_to_its_device(cpu_mapper, models, device):
    batch, model = lfm2_collator([cpu_mapper(chat("tts", SPOKEN[0]))]), models(torch.bfloat16)
    with torch.no_grad():
        assert model(batch).loss.equal(model(batch.to(device)).loss)


@pytest.fixture
def out(tmp_path):
    """The trainer's output folder, deleted afterwards because pytest would keep its 50 MB."""
    yield tmp_path / "out"
    shutil.rmtree(tmp_path / "out", ignore_errors=True)


# torch 2.8 warns of this for every sequence of schedulers.
@pytest.mark.filterwarnings("ignore:The epoch parameter in:UserWarning")
# Off CUDA, upstream's encoder asks for CUDA's autocast when its own device autocasts. torch disables it with this warning.
@pytest.mark.filterwarnings("ignore:CUDA is not available or torch_xla is imported:UserWarning")
@pytest.mark.usefixtures("accelerate")
@pytest.mark.parametrize("form", forms_to_train_on)
def test_training_lowers_loss_and_saves_checkpoint(transcribes, checkpoint, dataset_of, cpu_mapper, device, out, capsys, form):
    data = LFM2DataLoader(str(dataset_of(form, cpu_mapper)), context_length=160)
    steps = {name: STEPS for name in ("max_steps", "save_interval", "val_interval")}
    trainer = Trainer(checkpoint, data, data, lr=3e-4, warmup_steps=1, batch_size=2, output_dir=str(out), **steps)
    assert {tensor.device.type for tensor in trainer.model.state_dict().values()} == {device.type}
    batch = lfm2_collator([data[index] for index in range(len(data))]).to(device)
    before = loss(trainer.model, batch)
    trainer.train()
    assert loss(trainer.model, batch) < before
    assert f"VALIDATION: epoch=1 step={STEPS}/{STEPS} val_loss=" in capsys.readouterr().out
    assert (out / "checkpoints" / "checkpoint_0" / "optimizer.bin").is_file()

    tuned = out / "tuned"
    shutil.copytree(checkpoint, tuned, copy_function=os.symlink)
    (tuned / "model.safetensors").unlink()
    (out / "final" / "model.safetensors").rename(tuned / "model.safetensors")
    model = liquid_audio.LFM2AudioModel.from_pretrained(tuned, device=device).eval()
    loaded = model.state_dict()
    for name, tensor in trainer.model.state_dict().items():
        assert tensor.equal(loaded[name]), name
    transcribes(SPOKEN[0].text, SPOKEN[0].mono(), SPOKEN[0].sampling_rate, torch.bfloat16, model)


def loss(model, batch):
    """Compute the loss of a batch, without dropout or gradients."""
    with torch.no_grad():
        value = model.eval()(batch).loss.item()
    model.train()
    return value


@pytest.fixture(scope="session")
def examples(pytestconfig, tmp_path_factory):
    """The examples of the checkout, with the series' changes."""
    return series.examples(pytestconfig.getoption("checkout"), tmp_path_factory.mktemp("checkout"))


@pytest.mark.checkout
@pytest.mark.usefixtures("accelerate", "hub")
def test_preprocess_example_runs_without_naming_a_device(device, examples, tmp_path, monkeypatch):
    jenny(tmp_path / "reach-vb" / "jenny_tts_dataset")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(examples / "preprocess_jenny_tts.py"), run_name="__main__")
    dataset = load_from_disk(tmp_path / "data" / "jenny_tts" / "train")
    # Mimi makes 12.5 frames per second, and one more frame marks the end.
    frames = [math.ceil(len(samples) / rate * 12.5) + 1 for samples, rate in map(Clip.read, SPOKEN)]
    assert [len(row["audio_out"][0]) for row in dataset] == frames


@pytest.mark.checkout
@pytest.mark.usefixtures("accelerate", "hub")
def test_train_example_lowers_loss_and_saves_checkpoint(dataset_of, cpu_mapper, examples, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = f"--data {dataset_of('tts', cpu_mapper)} --batch-size 2 --max-steps 20 --warmup-steps 1 --num-workers 0"
    monkeypatch.setattr("sys.argv", ["train.py", *options.split()])
    runpy.run_path(str(examples / "train.py"), run_name="__main__")
    first, last = (float(value) for value in re.findall(r"TRAIN: .+ loss=(\S+)", capsys.readouterr().out))
    assert last < first
    assert (tmp_path / "tmp" / "final" / "model.safetensors").is_file()


def jenny(folder):
    """Make a dataset like that of the example, in the hub's layout: a file of clips and their words."""
    # Cast the column, because datasets encodes audio with torchcodec, which no stack contains.
    spoken = [{"bytes": (CLIPS / clip.file).read_bytes(), "path": clip.file} for clip in SPOKEN]
    data = Dataset.from_dict({"audio": spoken, "transcription": [clip.text for clip in SPOKEN]}).cast_column("audio", Audio())
    (folder / "data").mkdir(parents=True)
    data.to_parquet(folder / "data" / "train-00000-of-00001.parquet")
