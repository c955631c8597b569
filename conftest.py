"""Options that choose the tree, device and checkpoint under test, and the fixtures that tests share.

pytest --tree upstream          liquid-audio as published: red
pytest --tree patched           with the series applied: green
pytest --tree ../checkout/src   any checkout
pytest --checkout ../checkout   with the examples of upstream's repository, which no wheel contains
"""

import copy
import json
import os
import random
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from harness import ROOT, HarnessError
from harness.lane import devices
from harness.package import series, trees
from harness.package.checkpoint import complete
from harness.suite.speech import digest, mel

TREE = pytest.StashKey[trees.Tree]()
DEVICE = pytest.StashKey[torch.device]()
# Fixtures that start programs, which takes seconds. With workers their tests run first, so that no worker is left waiting for
# one of them at the end. In a single process they run last, because a quick test may stop the run earlier.
PROGRAMS = {"complaints", "optimised", "installed_wheel"}

# Use the same examples in every run, and report only the first failure, so that two runs can be compared.
settings.register_profile(
    "default", max_examples=60, derandomize=True, database=None, deadline=None, report_multiple_bugs=False, print_blob=False
)
settings.register_profile("many", settings.get_profile("default"), max_examples=5_000)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("liquid-audio")
    group.addoption("--tree", default="patched", help="upstream, patched (default), or a folder that holds liquid_audio/")
    group.addoption("--device", default="cpu", help="the device to test, which must be usable (default: cpu)")
    group.addoption("--checkpoint", type=Path, help="folder of a real checkpoint (default: the tiny one in fixtures/)")
    group.addoption("--checkout", type=Path, help="checkout of upstream's repository, to run its examples (default: left out)")
    group.addoption("--shuffle", type=int, metavar="SEED", help="run the tests in a random order, the same for the same seed")
    group.addoption("--collected", type=Path, help="write the ids of the collected tests to this file, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Put the tree on the path before anything imports liquid_audio, and reject a device that does not compute."""
    try:
        tree = config.stash[TREE] = trees.resolve(config.getoption("tree"))
        config.stash[DEVICE] = devices.require(config.getoption("device"))
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None
    checkpoint = config.getoption("checkpoint")
    if checkpoint and not (checkpoint / "config.json").is_file():
        raise pytest.UsageError(f"--checkpoint {checkpoint}: expected the folder of a checkpoint, with a config.json")
    checkout = config.getoption("checkout")
    if checkout and not (checkout / "examples").is_dir():
        raise pytest.UsageError(f"--checkout {checkout}: expected a checkout of upstream's repository, with examples/")
    sys.path.insert(0, str(tree.path))
    # One thread: the workers fill the cores, and the order of additions is the same in both runs.
    torch.set_num_threads(1)


def pytest_report_header(config: pytest.Config) -> str:
    import transformers

    tree = config.stash[TREE]
    examples = config.getoption("checkout") or "left out, no --checkout was given"
    return (
        f"liquid-audio: {tree.name} ({tree.digest[:12]}), device {config.stash[DEVICE]}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}, upstream's examples: {examples}"
    )


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
    if (seed := config.getoption("shuffle")) is not None:
        random.Random(seed).shuffle(items)
    else:
        last = not hasattr(config, "workerinput")
        items.sort(key=lambda item: PROGRAMS.isdisjoint(getattr(item, "fixturenames", ())) != last)


def pytest_collection_finish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput") and session.items:
        _write_collected(session.config, [item.nodeid for item in session.items])


def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    _write_collected(node.config, ids)


def _write_collected(config: pytest.Config, ids: list[str]) -> None:
    if path := config.getoption("collected"):
        path.write_text(json.dumps(sorted(ids)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Seed each test after its fixtures, so that its random numbers do not depend on the order of the tests."""
    if item.config.stash[DEVICE].type in ("cpu", "sim"):
        torch.default_generator.manual_seed(0)  # torch.manual_seed also looks for GPUs, which takes a millisecond
    else:
        torch.manual_seed(0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Record the type and message of an exception where the verdict finds them."""
    if call.excinfo is not None:
        frames = list(traceback.walk_tb(call.excinfo.tb))
        package = f"{item.config.stash[TREE].path / trees.PACKAGE}{os.sep}"
        # Compare strings, because building and comparing paths takes longer than most of the tests.
        inside = [code for code in (frame.f_code for frame, _ in frames) if code.co_filename.startswith(package)]
        (last, line), code = frames[-1], inside[-1] if inside else None
        # An exception from an object of the test counts as the test's, even if the package called that object.
        if last.f_code.co_filename.startswith((f"{item.path.parent}{os.sep}", f"{ROOT / 'harness'}{os.sep}")):
            code = None
        item.user_properties.append(
            (
                "exception",
                {
                    "type": call.excinfo.type.__name__,
                    "message": str(call.excinfo.value),
                    "where": f"{Path(last.f_code.co_filename).name}:{line}",
                    # The innermost function of the package; empty if the test itself raised.
                    "place": f"{Path(code.co_filename.removeprefix(package)).as_posix()}:{code.co_name}" if code else "",
                },
            )
        )
    return (yield)


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
    loaded = {
        torch.float32: liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, dtype=torch.float32, device=device).eval()
    }

    def model(dtype: torch.dtype) -> Any:
        if dtype not in loaded:
            loaded[dtype] = copy.deepcopy(loaded[torch.float32]).to(dtype)
        return loaded[dtype]

    return model


@pytest.fixture(scope="session")
def on_cpu(liquid_audio: Any, checkpoint: Path) -> Any:
    """The model on the CPU."""
    return liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, dtype=torch.float32, device="cpu").eval()


@pytest.fixture(scope="session")
def canonical_mel(processor: Any) -> Callable[[torch.Tensor, int, torch.dtype], torch.Tensor]:
    """The mel that the same release computes from float32 samples of shape (1, samples), the form that every release takes."""
    known: dict[tuple[str, int, torch.dtype], torch.Tensor] = {}

    def of(samples: torch.Tensor, sampling_rate: int, dtype: torch.dtype) -> torch.Tensor:
        key = digest(samples), sampling_rate, dtype
        if key not in known:
            known[key] = mel(processor, samples, sampling_rate, dtype)
        return known[key]

    return of


@pytest.fixture(scope="session")
def optimised(liquid_audio: Any) -> Iterator[Callable[[str], Any]]:
    """Run programs under `python -O`, all in one process. Each program leaves its result in `found`."""
    answer = f"""
import json, sys
sys.path[:0] = {[str(Path(liquid_audio.__file__).parent.parent), str(ROOT)]!r}
import torch
torch.set_num_threads(1)
answers, sys.stdout = sys.stdout, sys.stderr
for program in sys.stdin:
    names = {{}}
    exec(json.loads(program), names)
    print(json.dumps(names["found"]), file=answers, flush=True)
"""
    command = [sys.executable, "-O", "-c", answer]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        asked, answers = process.stdin, process.stdout
        assert asked and answers

        def ask(program: str) -> Any:
            print(json.dumps(program), file=asked, flush=True)
            return json.loads(answers.readline())

        yield ask
        asked.close()


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


@pytest.fixture(scope="session")
def examples(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples of the checkout, with the series' changes."""
    return series.examples(pytestconfig.getoption("checkout"), tmp_path_factory.mktemp("checkout"))
