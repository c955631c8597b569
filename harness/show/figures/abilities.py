"""What runs where: for each ability and device, the suite's results on the published package and on the patched one.

A cell of the picture is drawn from the tests that are named here, and claims no more than they compare.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import census, evidence, world
from harness.catalogue import CATALOGUE, names, read_catalogue
from harness.results import Run
from harness.show.views import Lane

DEVICES = ("cpu", "sim", "xla", "mps", "cuda")
DEMO = "demo"


@dataclass(frozen=True)
class Ability:
    """A row of the picture.

    Attributes:
        about: what its tests compare, in a few words
        tests: its test functions; a lane that leaves one of them out has not run the ability
    """

    about: str
    tests: tuple[str, ...] = ()


ABILITIES = {
    "load": Ability(
        "with and without device=",
        (
            "test_device.py::test_readme_recipe_transcribes_without_naming_a_device",
            "test_device.py::test_explicit_device_is_used_without_warning",
        ),
    ),
    "transcribe": Ability(
        "gives the words of each clip",
        (
            "test_transcription.py::test_trailing_silence_adds_no_words",
            "test_transcription.py::test_interleaved_generation_transcribes_correctly",
        ),
    ),
    "chat": Ability(
        "answers in text and codes",
        (
            "test_answers.py::test_interleaved_chat_repeats_each_turn",
            "test_moves.py::test_chat_without_audio_generates",
        ),
    ),
    "speak": Ability("speech is heard as its text", ("test_answers.py::test_synthesized_speech_transcribes_to_its_text",)),
    "decode": Ability(
        "codes become a waveform",
        (
            "test_lazy_parts.py::test_decode_returns_waveform_on_processor_device",
            "test_lazy_parts.py::test_mimi_decodes_on_processor_device",
            "test_speaking.py::test_decoded_codes_transcribe_to_their_words",
        ),
    ),
    "move": Ability(
        "all parts follow .to()",
        (
            "test_lazy_parts.py::test_loaded_audio_detokenizer_follows_processor_to",
            "test_lazy_parts.py::test_loaded_mimi_follows_processor_to",
            "test_moves.py::test_additions_stay_on_the_chat_device",
        ),
    ),
    "train": Ability(
        "the loss falls",
        (
            "test_finetuning.py::test_preprocessed_dataset_holds_mapped_chats",
            "test_finetuning.py::test_training_lowers_loss_and_saves_checkpoint",
        ),
    ),
    # Upstream's demo needs a browser, and a separate session.
    DEMO: Ability("a chat in a browser"),
}


@dataclass(frozen=True)
class Side:
    """The results of an ability's tests on one package.

    Attributes:
        tests: the number of tests
        passed: how many of them passed
        warned: how many failed because of a warning, which the suite treats as an error
    """

    tests: int
    passed: int
    warned: int = 0

    @property
    def kind(self) -> str:
        """The sign of the picture that sums it up."""
        if self.passed == self.tests:
            return "works"
        return "warns" if self.passed + self.warned == self.tests else "fails"


@dataclass(frozen=True)
class Cell:
    """An ability on a device."""

    before: Side
    after: Side


@dataclass(frozen=True)
class Column:
    """A device.

    Attributes:
        device: its name
        cells: by ability, without those that did not run
        date: the date of the evidence behind them; empty if the device ran here
    """

    device: str
    cells: Mapping[str, Cell]
    date: str = ""

    def count(self, side: str) -> int:
        """Count the abilities that work on a package, "before" or "after" the patches."""
        return sum(getattr(cell, side).kind == "works" for cell in self.cells.values())


def columns(lanes: Sequence[Lane], out: Path, patches: Path, folder: Path = evidence.FOLDER) -> list[Column]:
    """Sum up each device from a lane that ran here, or else from committed evidence.

    Args:
        lanes: the lanes that ran, each named after its device
        out: the folder that may contain the demo's results
        patches: the series
        folder: the folder of committed evidence
    """
    ran = {lane.name: lane for lane in lanes}
    kept = _evidence(folder, patches)
    demo = _demo(out / "demo.json", patches)
    found = []
    for device in dict.fromkeys((*DEVICES, *ran)):
        date = kept[device]["date"] if device in kept and device not in ran else ""
        cells = _of_runs(ran[device].runs) if device in ran else of_census(device) if date else {}
        found.append(Column(device, cells | ({DEMO: demo[device]} if device in demo else {}), date))
    return found


def _of_runs(runs: Mapping[str, Run]) -> dict[str, Cell]:
    """Sum up the abilities whose tests all ran on a lane."""
    sides = {tree: _sides(run) for tree, run in runs.items()}
    return {
        name: Cell(sides["upstream"][name], sides["patched"][name])
        for name in ABILITIES
        if all(name in side for side in sides.values())
    }


def _sides(run: Run) -> dict[str, Side]:
    functions: dict[str, list[tuple[str, str]]] = {}
    for test, result in run.results.items():
        functions.setdefault(test.removeprefix("tests/").partition("[")[0], []).append((result.outcome, result.type))
    sides = {}
    for name, ability in ABILITIES.items():
        if ability.tests and all(test in functions for test in ability.tests):
            own = [each for test in ability.tests for each in functions[test]]
            warned = sum(outcome == "failed" and kind.endswith("Warning") for outcome, kind in own)
            sides[name] = Side(len(own), sum(outcome == "passed" for outcome, _ in own), warned)
    return sides


def of_census(device: str) -> dict[str, Cell]:
    """Sum up the abilities on a device whose evidence holds, and so has the counts of the census for every test."""
    counts = census.expected(device, device)
    cells = {}
    for name, ability in ABILITIES.items():
        if ability.tests and all(test in counts for test in ability.tests):
            tests, failed, passed = (sum(counts[test][k] for test in ability.tests) for k in range(3))
            warned = sum(counts[test][1] for test in ability.tests if _warns(test, device))
            cells[name] = Cell(Side(tests, passed, warned), Side(tests, passed + failed))
    return cells


def _warns(function: str, device: str) -> bool:
    """Say whether warnings are the only catalogued reasons for a test to fail on a device."""
    bugs = [
        bug
        for bug in read_catalogue(CATALOGUE).on(device)
        if any(names(glob.partition("[")[0], function) for glob in bug.tests)
    ]
    return all(reason.type.endswith("Warning") for bug in bugs for reason in bug.reasons)


def _evidence(folder: Path, patches: Path) -> dict[str, Mapping[str, Any]]:
    """Find the newest evidence of each device that holds, was made from these files, and agrees with them."""
    records: Iterable[Mapping[str, Any]] = map(evidence.read_record, sorted(folder.glob("*.json")))
    return {
        record["lane"]: record
        for record in sorted(records, key=lambda record: str(record["date"]))
        if record["holds"] and evidence.lane_of(record) == record["lane"] and not world.is_stale(record, patches)
    }


def _demo(file: Path, patches: Path) -> dict[str, Cell]:
    """Read on which device the demo ran, and on which packages it works."""
    if not file.is_file():
        return {}
    record = json.loads(file.read_text(encoding="utf-8"))
    if world.is_stale(record, patches) or "works" not in record:
        return {}
    before, after = (Side(1, int(record["works"][tree])) for tree in ("upstream", "patched"))
    return {record["device"]: Cell(before, after)}
