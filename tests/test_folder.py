"""A checkpoint is found as in other libraries: a folder may be a str or a Path, and other names are looked up on the hub."""

from pathlib import Path

import liquid_audio
import pytest
from liquid_audio import utils

NAME = "LiquidAI/LFM2.5-Audio-1.5B"

pytestmark = pytest.mark.host
each_class = pytest.mark.parametrize("name", ["LFM2AudioProcessor", "LFM2AudioModel"])


@pytest.fixture
def link(checkpoint, tmp_path):
    """Return a function that makes a checkpoint in a folder, with some of its files."""

    def link(folder, files="*"):
        (tmp_path / folder).mkdir(parents=True)
        for file in checkpoint.glob(files):
            (tmp_path / folder / file.name).symlink_to(file)
        return tmp_path / folder

    return link


@each_class
def test_str_folder_loads(checkpoint, name):
    getattr(liquid_audio, name).from_pretrained(str(checkpoint), device="cpu")


@each_class
def test_relative_str_folder_loads(checkpoint, name, monkeypatch):
    monkeypatch.chdir(checkpoint.parent)
    getattr(liquid_audio, name).from_pretrained(checkpoint.name, device="cpu")


@each_class
def test_str_folder_with_tilde_loads(checkpoint, name, monkeypatch):
    monkeypatch.setenv("HOME", str(checkpoint.parent))
    getattr(liquid_audio, name).from_pretrained(f"~/{checkpoint.name}", device="cpu")


def test_str_folder_without_weights_loads_processor(link):
    liquid_audio.LFM2AudioProcessor.from_pretrained(str(link("model", "*.json")), device="cpu")


def test_sharded_str_folder_loads(checkpoint, tmp_path):
    from accelerate import Accelerator

    (tmp_path / "config.json").symlink_to(checkpoint / "config.json")
    whole = liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, device="cpu")
    Accelerator(cpu=True).save_model(whole, tmp_path, max_shard_size="1MB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    loaded = liquid_audio.LFM2AudioModel.from_pretrained(str(tmp_path), device="cpu")
    assert all(value.equal(loaded.state_dict()[key]) for key, value in whole.state_dict().items())


def test_relative_str_folder_is_resolved_in_the_working_directory(link, monkeypatch):
    first, second = link("first/model"), link("second/model")
    for folder in (first, second):
        monkeypatch.chdir(folder.parent)
        processor = liquid_audio.LFM2AudioProcessor.from_pretrained("model", device="cpu")
        assert Path(processor.mimi_weights_path).absolute().parent == folder


def test_relative_str_folder_survives_chdir(link, tmp_path, monkeypatch):
    monkeypatch.chdir(link("first/model").parent)
    processor = liquid_audio.LFM2AudioProcessor.from_pretrained("model", device="cpu")
    monkeypatch.chdir(tmp_path)
    assert Path(processor.mimi_weights_path).is_file()


@pytest.fixture
def asked(checkpoint, tmp_path, monkeypatch):
    """The requests to the hub, which has the checkpoint under every name. Names from earlier tests are forgotten."""
    asked = []

    def download(name, *, revision=None):
        asked.append((name, revision))
        return str(checkpoint)

    monkeypatch.setattr(utils, "snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    utils.get_model_dir.cache_clear()
    yield asked
    utils.get_model_dir.cache_clear()


@each_class
@pytest.mark.parametrize("file", ["", "README.md"], ids=["no-folder", "another-folder"])
def test_hub_name_is_downloaded_once(asked, name, file):
    if file:
        Path(NAME).mkdir(parents=True)
        Path(NAME, file).touch()
    for _ in range(2):
        getattr(liquid_audio, name).from_pretrained(NAME, device="cpu")
    assert asked == [(NAME, None)]


@each_class
def test_revision_is_downloaded_despite_local_folder(asked, link, name):
    link(NAME)
    getattr(liquid_audio, name).from_pretrained(NAME, revision="main", device="cpu")
    assert asked == [(NAME, "main")]


@each_class
def test_revision_of_path_raises_runtime_error(checkpoint, name):
    with pytest.raises(RuntimeError, match=r"^cannot use `revision` kwarg when given a path$"):
        getattr(liquid_audio, name).from_pretrained(checkpoint, revision="main", device="cpu")
