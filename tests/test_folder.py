"""A checkpoint is found as in other libraries: a folder may be a str or a Path, and other names are looked up on the hub."""

from pathlib import Path

import pytest

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
def test_a_local_folder_is_taken_as_str(liquid_audio, checkpoint, name):
    getattr(liquid_audio, name).from_pretrained(str(checkpoint), device="cpu")


@each_class
def test_a_relative_folder_is_taken_as_str(liquid_audio, checkpoint, name, monkeypatch):
    monkeypatch.chdir(checkpoint.parent)
    getattr(liquid_audio, name).from_pretrained(checkpoint.name, device="cpu")


@each_class
def test_a_home_folder_is_taken_as_str(liquid_audio, checkpoint, name, monkeypatch):
    monkeypatch.setenv("HOME", str(checkpoint.parent))
    getattr(liquid_audio, name).from_pretrained(f"~/{checkpoint.name}", device="cpu")


def test_a_folder_without_weights_is_taken_as_str_for_a_processor(liquid_audio, link):
    liquid_audio.LFM2AudioProcessor.from_pretrained(str(link("model", "*.json")), device="cpu")


def test_a_sharded_folder_is_taken_as_str(liquid_audio, checkpoint, tmp_path):
    from accelerate import Accelerator

    (tmp_path / "config.json").symlink_to(checkpoint / "config.json")
    whole = liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, device="cpu")
    Accelerator(cpu=True).save_model(whole, tmp_path, max_shard_size="1MB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    loaded = liquid_audio.LFM2AudioModel.from_pretrained(str(tmp_path), device="cpu")
    assert all(value.equal(loaded.state_dict()[key]) for key, value in whole.state_dict().items())


def test_a_relative_name_is_the_folder_of_the_current_working_folder(liquid_audio, link, monkeypatch):
    first, second = link("first/model"), link("second/model")
    for folder in (first, second):
        monkeypatch.chdir(folder.parent)
        processor = liquid_audio.LFM2AudioProcessor.from_pretrained("model", device="cpu")
        assert Path(processor.mimi_weights_path).absolute().parent == folder


def test_a_relative_folder_is_found_from_another_one_when_mimi_is_loaded(liquid_audio, link, tmp_path, monkeypatch):
    monkeypatch.chdir(link("first/model").parent)
    processor = liquid_audio.LFM2AudioProcessor.from_pretrained("model", device="cpu")
    monkeypatch.chdir(tmp_path)
    assert Path(processor.mimi_weights_path).is_file()


@pytest.fixture
def asked(liquid_audio, checkpoint, tmp_path, monkeypatch):
    """The requests to the hub, which has the checkpoint under every name. Names from earlier tests are forgotten."""
    from liquid_audio import utils

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
def test_a_name_of_the_hub_is_downloaded(liquid_audio, asked, name, file):
    if file:
        Path(NAME).mkdir(parents=True)
        Path(NAME, file).touch()
    for _ in range(2):
        getattr(liquid_audio, name).from_pretrained(NAME, device="cpu")
    assert asked == [(NAME, None)]


@each_class
def test_a_revision_is_downloaded_even_where_a_folder_has_the_name(liquid_audio, asked, link, name):
    link(NAME)
    getattr(liquid_audio, name).from_pretrained(NAME, revision="main", device="cpu")
    assert asked == [(NAME, "main")]


@each_class
def test_a_revision_of_a_path_is_refused(liquid_audio, checkpoint, name):
    with pytest.raises(RuntimeError, match=r"^cannot use `revision` kwarg when given a path$"):
        getattr(liquid_audio, name).from_pretrained(checkpoint, revision="main", device="cpu")
