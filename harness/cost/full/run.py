"""A full-size model: load, memory and time by stage, in bfloat16 and float32, beside the limits of the host."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import CACHE, ROOT, HarnessError, devices, trees, world
from harness.cost.facts import GB, facts, require_memory, sentence, threads
from harness.cost.full import computed, kept
from harness.table import Table, publish

DTYPES = ("bfloat16", "float32")
# The weights, the file that they come from, and what encoding a minute of audio needs besides.
NEEDED = {"bfloat16": 8 * GB, "float32": 12 * GB}
COMPUTED = (163, 944)
SHOWN = "30"


def run(device: str, keep: bool) -> list[str]:
    """Measure, and write `out/benchmark-full.json` and `.md`.

    Args:
        device: where to compute
        keep: whether to keep the record for later tables, in fixtures/evidence/cost/

    Returns:
        the problems that were found

    Raises:
        HarnessError: this host cannot compute on the device, or lacks memory or disk space
    """
    devices.refuse(device, devices.lacks(device))
    tree = trees.resolve("patched")
    folder = Path(_python(tree, device, "-c", "from harness.cost.full.size import build; print(build())").strip())
    measured = {dtype: _dtype(tree, folder, device, dtype) for dtype in DTYPES}
    known = facts(device, threads())
    record = {"measured": measured, **known}
    wrong = list(problems(measured))
    others = kept.read("full")
    drawn = table({kept.label(record): record, **{kept.label(other): other for other in others}})
    note = drawn.note + computed.advice(measured) * (device == "cpu") + " " + sentence(known)
    drawn = Table(drawn.title, drawn.columns, drawn.rows, note.replace("  ", " "))
    publish("benchmark-full", drawn, problems=wrong, **record)
    print(f"The checkpoint (3 GB) stays in {folder.relative_to(ROOT)}. You can delete {(CACHE / 'full').relative_to(ROOT)}.")
    if keep:
        print(f"wrote {kept.write('full', device, record).relative_to(ROOT)}: commit it")
    return wrong


def _dtype(tree: trees.Tree, folder: Path, device: str, dtype: str) -> dict[str, Any]:
    """Load with and without a named device, and time the stages."""
    require_memory(NEEDED[dtype], f"the model in {dtype}")
    print(f"{dtype}: loading, then 10, 20, 30 and 60 s of audio", file=sys.stderr)
    command = ("-m", "harness.cost.full.stages", str(folder), "--dtype", dtype)
    automatic = json.loads(_python(tree, device, *command, "--load"))
    found: dict[str, Any] = json.loads(_python(tree, device, *command, "--device", device))
    found["auto"] = automatic
    return found


def _python(tree: trees.Tree, device: str, *arguments: str) -> str:
    """Run a program that imports a tree, and return what it prints."""
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}
    env = world.environment(PYTHONPATH=str(tree.path), **hidden)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise HarnessError(f"the full-size model failed: {(done.stderr.strip().splitlines() or ['without a message'])[-1]}")
    return done.stdout


def problems(measured: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """Name each measurement that is not what it claims: "auto" chose another device, or a turn stopped early."""
    found = []
    for dtype, known in measured.items():
        if known["auto"]["device"].partition(":")[0] != known["device"].partition(":")[0]:
            found.append(f"{dtype}: auto loads on {known['auto']['device']}, not on {known['device']}")
        for seconds, whole in known["whole"].items():
            if whole["tokens"] != whole["wanted"]:
                found.append(f"{dtype}: {seconds} s gave {whole['tokens']:.0f} tokens, not {whole['wanted']:.0f}")
    return found


def table(records: Mapping[str, Mapping[str, Any]]) -> Table:
    """Draw a column for each dtype of each record."""
    columns: list[str] = ["stage"]
    cells: list[dict[str, str]] = []
    missed = []
    for label, record in records.items():
        for dtype, found in record["measured"].items():
            columns.append(f"{dtype}, {label}")
            cells.append(column(found))
            missed.append(f"{computed.error(found['stages']):+.0%}")
    rows = [[name, *(cell[name] for cell in cells)] for name in cells[0]]
    first = next(iter(records.values()))["measured"][DTYPES[0]]
    note = (
        f"The patched package with {first['weights']['parameters'] / GB:.2f} B random parameters in the sizes of LFM2.5-Audio-1.5B, on one "
        f'clip of noise. "Of the limit" is the share of a stage\'s time that the matrix products of this host, or reading the weights '
        f"once, would take. A turn generates {computed.TOKENS_PER_SECOND:.2f} tokens for each second of audio, which is 150 words a "
        f"minute. Computed figures come from a fit to the stages at 10, 20, 30 and 60 s, with a linear term and, for encoder and "
        f"prefill, a quadratic one. The same fit to the shorter lengths misses the measured minute by {', '.join(missed)}. "
        "Memory includes the mapped file, which loading found in the cache of the file system. Decoding codes to sound is not included. "
    )
    return Table("A model of full size", columns, rows, note)


def column(found: Mapping[str, Any]) -> dict[str, str]:
    """Write the results for one dtype, by row."""
    stage, limit = found["stages"][SHOWN], computed.limits(found, SHOWN)
    known = computed.growths(found["stages"])
    cells = {
        "load, device named": f"{found['load s']:.1f} s, {found['load peak B'] / GB:.1f} GB at most",
        "load, auto": f"{found['auto']['load s']:.1f} s, {found['auto']['load peak B'] / GB:.1f} GB at most",
        "whole run": f"{found['peak B'] / GB:.1f} GB at most",
        f"features of {SHOWN} s": f"{stage['features']:.2f} s",
    }
    for name, unit in (("encoder", f"encoder, {SHOWN} s"), ("prefill", f"prefill, {stage['positions']:.0f} positions")):
        cells[unit] = f"{stage[name]:.2f} s, {limit[name] / stage[name]:.0%} of the limit"
    for name, unit in (("token", "a token of text"), ("frame", "a frame of audio, on top")):
        cells[unit] = f"{stage[name] * 1e3:.0f} ms, {limit[name] / stage[name]:.0%} of the limit"
    cells["each second of its speech"] = f"{computed.speaking(found, SHOWN):.2f} s"
    for seconds, whole in found["whole"].items():
        cells[f"RTF, {seconds} s, measured"] = f"{whole['seconds'] / float(seconds):.2f}"
    for seconds in COMPUTED:
        cells[f"RTF, {seconds} s in one turn, computed"] = f"{computed.real_time_factor(known, seconds):.2f}"
        pieces = computed.real_time_factor(known, seconds, computed.PIECE)
        cells[f"RTF, {seconds} s in pieces of {computed.PIECE} s, computed"] = f"{pieces:.2f}"
    cells["limit: matrix products"] = f"{found['operations/s'] / 1e9:.0f} GFLOP/s"
    cells["limit: memory"] = f"{found['bandwidth B/s'] / 1e9:.1f} GB/s"
    return cells
