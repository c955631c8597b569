"""What runs where: for each thing that a user does, whether its tests passed on the published package and on the patched one.

It claims no more than the tests that are named here compare.
"""

from collections.abc import Sequence

from harness.report.views import Lane
from harness.results import Result, Run

# The test functions of each ability. A lane that leaves one of them out has not run the ability.
ABILITIES = {
    "load with `device=`": ("test_device.py::test_explicit_device_is_used_without_warning",),
    "load without `device=`": ("test_device.py::test_readme_recipe_transcribes_without_naming_a_device",),
    "transcribe": (
        "test_transcription.py::test_trailing_silence_adds_no_words",
        "test_transcription.py::test_interleaved_generation_transcribes_correctly",
    ),
    "chat": (
        "test_answers.py::test_interleaved_chat_repeats_each_turn",
        "test_moves.py::test_chat_without_audio_generates",
    ),
    "speak": ("test_answers.py::test_synthesized_speech_transcribes_to_its_text",),
    "decode": (
        "test_lazy_parts.py::test_decode_returns_waveform_on_processor_device",
        "test_lazy_parts.py::test_mimi_decodes_on_processor_device",
        "test_speaking.py::test_decoded_codes_transcribe_to_their_words",
    ),
    "move": (
        "test_lazy_parts.py::test_loaded_audio_detokenizer_follows_processor_to",
        "test_lazy_parts.py::test_loaded_mimi_follows_processor_to",
        "test_moves.py::test_additions_stay_on_the_chat_device",
    ),
    "train": (
        "test_finetuning.py::test_preprocessed_dataset_holds_mapped_chats",
        "test_finetuning.py::test_training_lowers_loss_and_saves_checkpoint",
    ),
}


def works(lane: Lane) -> tuple[str, str]:
    """List in words what works on the published package, and what works on the patched package only, or fails there."""
    before, after = [], []
    for name, tests in ABILITIES.items():
        states = {tree: _state(run, tests) for tree, run in lane.runs.items()}
        if states["upstream"] in ("works", "warns"):
            before.append(f"{name} (with a warning)" if states["upstream"] == "warns" else name)
        if "fails" in states.values():
            after.append(f"{name} (fails)" if states["patched"] == "fails" else name)
    return ", ".join(before) or "–", ", ".join(after) or "–"


def _state(run: Run, tests: Sequence[str]) -> str:
    """Sum up an ability on one package. The suite treats a warning as an error, so a test may fail only because of one."""
    found: dict[str, list[Result]] = {test: [] for test in tests}
    for test, result in run.results.items():
        if (function := test.removeprefix("tests/").partition("[")[0]) in found:
            found[function].append(result)
    if not all(found.values()):
        return "not run"
    failed = [result.type for results in found.values() for result in results if result.outcome != "passed"]
    return "fails" if any(not kind.endswith("Warning") for kind in failed) else "warns" if failed else "works"
