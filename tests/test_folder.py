"""A checkpoint is found as in other libraries: a folder may be a str or a Path, and other names are looked up on the hub."""

from pathlib import Path

import pytest

NAME = "LiquidAI/LFM2.5-Audio-1.5B"

pytestmark = pytest.mark.host
each_class = pytest.mark.parametrize("name", ["LFM2AudioProcessor", "LFM2AudioModel"])


@each_class
def test_a_local_folder_is_taken_as_str(liquid_audio, checkpoint, name):
    getattr(liquid_audio, name).from_pretrained(str(checkpoint), device="cpu")


@each_class
def test_a_relative_folder_is_taken_as_str(liquid_audio, checkpoint, name, monkeypatch):
    monkeypatch.chdir(checkpoint.parent)
    getattr(liquid_audio, name).from_pretrained(checkpoint.name, device="cpu")


@pytest.fixture
def utils(liquid_audio):
    """The module that finds the folder of a model."""
    from liquid_audio import utils

    return utils


@pytest.fixture
def asked(utils, checkpoint, tmp_path, monkeypatch):
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


@pytest.mark.parametrize("file", ["", "README.md", "config.json"], ids=["no-folder", "another-folder", "part-of-a-checkpoint"])
def test_a_name_of_the_hub_is_downloaded(utils, checkpoint, asked, file):
    if file:
        Path(NAME).mkdir(parents=True)
        Path(NAME, file).touch()
    assert utils.get_model_dir(NAME) == checkpoint
    assert asked == [(NAME, None)]


def test_a_revision_is_downloaded_even_where_a_folder_has_the_name(utils, checkpoint, asked):
    Path(NAME).mkdir(parents=True)
    for file in ("config.json", "model.safetensors"):
        Path(NAME, file).touch()
    assert utils.get_model_dir(NAME, revision="main") == checkpoint
    assert asked == [(NAME, "main")]


def test_a_name_of_the_hub_is_downloaded_where_the_working_folder_may_not_be_read(utils, checkpoint, asked, monkeypatch):
    def forbidden(self):
        raise PermissionError

    monkeypatch.setattr(Path, "is_file", forbidden)  # as Path.is_file does in such a folder
    assert utils.get_model_dir(NAME) == checkpoint


def test_a_folder_that_was_found_is_found_from_another_one(utils, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(checkpoint.parent)
    found = utils.get_model_dir(checkpoint.name)
    monkeypatch.chdir(tmp_path)
    assert (found / "config.json").is_file()


def test_a_revision_of_a_path_is_refused(utils, checkpoint):
    with pytest.raises(RuntimeError, match=r"^cannot use `revision` kwarg when given a path$"):
        utils.get_model_dir(checkpoint, revision="main")
