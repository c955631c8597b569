"""Options that choose the tree, device and checkpoint under test, and the fixtures that tests share.

pytest --tree upstream          liquid-audio as published: green if every bug shows, for its own reason
pytest --tree patched           with the series applied: green if all of them are fixed
pytest --tree ../checkout/src   any checkout
pytest --checkout ../checkout   with the examples of upstream's repository, which no wheel contains
"""

import copy
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NEEDED = (
    "basedpyright",
    "filelock",
    "hypothesis",
    "mypy",
    "packaging",
    "pytest_reportlog",
    "pytest_socket",
    "scipy",
    "soundfile",
    "torch",
    "xdist",
)
if missing := [name for name in NEEDED if find_spec(name) is None]:
    sys.exit(f"the suite needs {', '.join(missing)}: run `python -m pip install -r harness/stacks/tools.in liquid-audio`")
os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported

import pytest
import torch
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase

from harness import CACHE, HarnessError, devices, expected, stacks, trees
from harness.checkpoint import complete
from harness.speech import digest, normalise, transcribe

TREE = pytest.StashKey[trees.Tree]()
DEVICE = pytest.StashKey[torch.device]()

# Use the same examples in every run, and report only the first failure, so that two runs can be compared.
settings.register_profile(
    "default", max_examples=60, derandomize=True, database=None, deadline=None, report_multiple_bugs=False, print_blob=False
)
# Use new ones each time, and first those that failed before.
settings.register_profile(
    "many", max_examples=5_000, deadline=None, derandomize=False, database=DirectoryBasedExampleDatabase(CACHE / "hypothesis")
)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("liquid-audio")
    group.addoption("--tree", default="patched", help="upstream, patched (default), or a folder that holds liquid_audio/")
    group.addoption("--device", default="cpu", help="the device to test, which must be usable (default: cpu)")
    group.addoption("--checkpoint", type=Path, help="folder of a real checkpoint (default: the tiny one in fixtures/)")
    group.addoption("--checkout", type=Path, help="checkout of upstream's repository, to run its examples (default: left out)")


def pytest_configure(config: pytest.Config) -> None:
    """Put the tree on the path before anything imports liquid_audio, and reject a device that does not compute."""
    if not config.getoption("device").startswith("cuda"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # "auto" would choose it
    try:
        tree = config.stash[TREE] = trees.resolve(config.getoption("tree"))
        config.stash[DEVICE] = devices.require(config.getoption("device"))
    except (HarnessError, OSError) as error:  # such as a host without git
        raise pytest.UsageError(str(error)) from None
    checkpoint = config.getoption("checkpoint")
    if checkpoint and not (checkpoint / "config.json").is_file():
        raise pytest.UsageError(f"--checkpoint {checkpoint}: expected the folder of a checkpoint, with a config.json")
    checkout = config.getoption("checkout")
    if checkout and not (checkout / "examples").is_dir():
        raise pytest.UsageError(f"--checkout {checkout}: expected a checkout of upstream's repository, with examples/")
    _hide_accelerators(config.stash[DEVICE])
    config.pluginmanager.register(expected)
    sys.path.insert(0, str(tree.path))
    torch.backends.cudnn.allow_tf32 = False  # convolutions of 10 bits, which CUDA hosts use, are too far from the CPU's
    torch.set_num_threads(1)  # the workers fill the cores, and the order of additions is the same in both runs


def _hide_accelerators(device: torch.device) -> None:
    """Let torch report the device under test alone: not MPS, for example, where the CPU of a Mac is tested."""
    reported = torch.accelerator.current_accelerator(check_available=True)
    if reported is not None and reported.type != device.type:
        alone = None if device.type in ("cpu", "xla") else torch.device(device.type)  # torch does not report xla
        torch.accelerator.current_accelerator = lambda check_available=False: alone


def pytest_report_header(config: pytest.Config) -> str:
    tree = config.stash[TREE]
    examples = config.getoption("checkout") or "left out, no --checkout was given"
    return f"liquid-audio: {tree.name} ({tree.digest[:12]}), device {config.stash[DEVICE]}, upstream's examples: {examples}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Begin the id of every test that depends on the device with the device's name."""
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", [str(metafunc.config.stash[DEVICE])], indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests that do not apply.

    On the CPU these are the tests that need a second device; elsewhere, those that do not depend on the device. With another
    checkpoint they include the tests that need the tiny one; without a checkout, those that need a checkout.
    """
    absent = ["accelerator" if config.stash[DEVICE].type == "cpu" else "host"]
    absent += ["tiny"] if config.getoption("checkpoint") else []
    absent += [] if config.getoption("checkout") else ["checkout"]
    left_out = {item for item in items if any(map(item.get_closest_marker, absent))}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]
    expected.mark(config, items, config.stash[TREE].name, config.stash[DEVICE].type, stacks.own_stack())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Seed each test after its fixtures, so that its random numbers do not depend on the order of the tests."""
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def liquid_audio(pytestconfig: pytest.Config) -> Any:
    """The package under test, which must come from the tree that was asked for."""
    import liquid_audio

    tree = pytestconfig.stash[TREE]
    assert Path(liquid_audio.__file__).resolve().is_relative_to(tree.path.resolve()), f"imported {liquid_audio.__file__}"
    return liquid_audio


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """The device under test."""
    return torch.device(request.param)


@pytest.fixture(scope="session")
def elsewhere(device: torch.device) -> torch.device:
    """A device to move to from the CPU: the one under test, or torch's meta device, which holds shapes and no values."""
    return torch.device("meta") if device.type == "cpu" else device


@pytest.fixture(scope="session")
def checkpoint(pytestconfig: pytest.Config, liquid_audio: Any) -> Path:
    """Folder of the checkpoint under test."""
    return pytestconfig.getoption("checkpoint") or complete()


@pytest.fixture(scope="session")
def processor(liquid_audio: Any, checkpoint: Path, device: torch.device) -> Any:
    """The processor that most tests share, on an explicitly named device. Tests must not move it."""
    return liquid_audio.LFM2AudioProcessor.from_pretrained(checkpoint, device=device).eval()


@pytest.fixture
def fresh(liquid_audio: Any, checkpoint: Path) -> Any:
    """A new processor on the CPU, which the test may move."""
    return liquid_audio.LFM2AudioProcessor.from_pretrained(checkpoint, device="cpu").eval()


@pytest.fixture(scope="session")
def models(liquid_audio: Any, checkpoint: Path, device: torch.device) -> Callable[[torch.dtype], Any]:
    """The model in any dtype; the checkpoint is loaded once."""
    loaded = liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, dtype=torch.float32, device=device).eval()
    return cache(lambda dtype: loaded if dtype == torch.float32 else copy.deepcopy(loaded).to(dtype))


@pytest.fixture(scope="session")
def on_cpu(liquid_audio: Any, checkpoint: Path) -> Any:
    """The model on the CPU."""
    return liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, dtype=torch.float32, device="cpu").eval()


@pytest.fixture
def transcribes(processor: Any, models: Callable[[torch.dtype], Any], record_property: Any) -> Callable[..., None]:
    """A check that a model transcribes audio to its words, and hears the expected mel. It records what the verdict compares."""

    def check(
        text: str,
        wave: Any,
        sampling_rate: int,
        dtype: torch.dtype = torch.float32,
        model: Any = None,
        expected_mel: torch.Tensor | None = None,
        rtol: float = 0.0,
        atol: float = 0.0,
    ) -> None:
        heard = transcribe(processor, model or models(dtype), wave, sampling_rate, dtype)
        record_property("transcript", heard.text)
        record_property("words", normalise(heard.text) == text)
        if expected_mel is None:
            record_property("digest", digest(heard.mel, heard.tokens))
        else:
            torch.testing.assert_close(heard.mel, expected_mel, rtol=rtol, atol=atol)
        assert normalise(heard.text) == text

    return check


@pytest.fixture
def accelerate(device: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let accelerate train on the device under test, which it may not find by itself, and give datasets a new cache."""
    import datasets
    from accelerate.state import AcceleratorState

    monkeypatch.setenv("ACCELERATE_TORCH_DEVICE", str(device))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def hub(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the checkpoint where a download from the hub would be, under the name that upstream's examples use."""
    repository = tmp_path / "models--LiquidAI--LFM2.5-Audio-1.5B"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0")
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / "0").symlink_to(checkpoint)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
