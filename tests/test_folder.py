"""A checkpoint is found as in other libraries: a folder may be a str or a Path, and other names are looked up on the hub."""

from pathlib import Path

import liquid_audio
import pytest
from liquid_audio import utils

NAME = "LiquidAI/LFM2.5-Audio-1.5B"

pytestmark = pytest.mark.host
CLASSES = [liquid_audio.LFM2AudioProcessor, liquid_audio.LFM2AudioModel]
each_class = pytest.mark.parametrize("part", CLASSES, ids=lambda part: part.__name__)


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
@pytest.mark.parametrize("folder", ["{0}", "{0.name}", "~/{0.name}"], ids=["absolute", "relative", "tilde"])
def test_str_folder_loads(checkpoint, part, monkeypatch, folder):
    monkeypatch.chdir(checkpoint.parent)
    monkeypatch.setenv("HOME", str(checkpoint.parent))
    part.from_pretrained(folder.format(checkpoint), device="cpu")


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


def test_relative_str_folder_is_resolved_in_the_working_directory(link, tmp_path, monkeypatch):
    for folder in (link("first/model"), link("second/model")):
        monkeypatch.chdir(folder.parent)
        processor = liquid_audio.LFM2AudioProcessor.from_pretrained("model", device="cpu")
        monkeypatch.chdir(tmp_path)
        assert Path(processor.mimi_weights_path).absolute().parent == folder


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
def test_hub_name_is_downloaded_once(asked, part, file):
    if file:
        Path(NAME).mkdir(parents=True)
        Path(NAME, file).touch()
    for _ in range(2):
        part.from_pretrained(NAME, device="cpu")
    assert asked == [(NAME, None)]


@each_class
def test_revision_is_downloaded_despite_local_folder(asked, link, part):
    link(NAME)
    part.from_pretrained(NAME, revision="main", device="cpu")
    assert asked == [(NAME, "main")]


@each_class
def test_revision_of_path_raises_runtime_error(checkpoint, part):
    with pytest.raises(RuntimeError, match=r"^cannot use `revision` kwarg when given a path$"):
        part.from_pretrained(checkpoint, revision="main", device="cpu")
