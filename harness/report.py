"""Report a verdict, in the terminal and as Markdown."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape

from harness.catalogue import Bug, by_kind
from harness.judge import Shown, Verdict
from harness.results import Run

# The shapes of audio in the suite's ids, in the usual notation.
SHAPES = {"1d": "(n,)", "1xn": "(1, n)", "nx1": "(n, 1)", "2xn": "(2, n)", "nx2": "(n, 2)", "nx8": "(n, 8)"}
# What the release does, by the kind of bug, in a cell.
SAYS = {"wrong": "does wrong", "refuses": "refuses", "lacks": "lacks"}
# The sign for a form of audio if all its tests agree.
SIGNS = {"right": "✓", "features": "~", "wrong": "≠", "refused": "✗"}
HEARD = {"right": "right", "features": "right words with different features", "wrong": "wrong words", "refused": "refused"}
# The id of a test that transcribes a clip in some form of audio.
FORM = re.compile(
    r"test_audio_format_transcribes_correctly\[[^-]+-(?P<form>[^-]+-[^-]+)-(?P<shape>[^-]+)-(?P<dtype>[^-]+)-(?P<clip>.+)\]"
)


@dataclass(frozen=True)
class Lane:
    """A lane that ran.

    Attributes:
        upstream: the suite's run on the published package
        patched: the suite's run on the patched package
        seconds: how long each run took
        not_run: lanes that did not run, each with the reason
    """

    verdict: Verdict
    upstream: Run
    patched: Run
    seconds: Mapping[str, float]
    not_run: Mapping[str, str]


def example(shown: Shown, upstream: Run) -> str:
    """Return the exception of one test on upstream, in one line."""
    if not shown.tests:
        return "not shown"
    result = upstream.results[shown.tests[0]]
    return in_a_line(result.type, result.message)


def in_a_line(kind: str, message: str) -> str:
    """Shorten an exception to one line."""
    first = next(iter(message.splitlines()), "")
    return f"{kind}: {first[:110]}{'…' * (len(first) > 110)}" if first else f"{kind}, without a message"


def _fixed(shown: Shown) -> bool:
    return shown.fixed == len(shown.tests) > 0


def markdown(lanes: Sequence[Lane]) -> str:
    """Render the verdicts of some lanes for job summaries. The same results give the same bytes."""
    names = [lane.verdict.lane for lane in lanes]
    lines = [*(_claim(lane.verdict) for lane in lanes), "", *_matrix(lanes)]
    found: dict[str, tuple[Shown, Lane]] = {}
    for lane in lanes:
        for shown in lane.verdict.shown:
            found[shown.bug.id] = (shown, lane)  # the last lane wins, because a second device shows the most
    if found:
        lines += [f"1.3.0 has {by_kind(shown.bug.kind for shown, _ in found.values())}:", ""]
    lines += [
        f"| behaviour | 1.3.0 | what it gives | {' | '.join(names)} | patch |",
        f"|---|---|---|{':-:|' * len(names)}:-:|",
    ]
    for shown, lane in sorted(found.values(), key=lambda pair: pair[0].bug.patch):
        bug, words = shown.bug, example(shown, lane.upstream).replace("|", r"\|").replace("`", "'")
        threads = "".join(f" [#{thread.rpartition('/')[2]}]({thread})" for thread in bug.threads)
        cells = " | ".join(_cell(lane.verdict, bug) for lane in lanes)
        lines.append(
            f"| [{bug.id}](tests/bugs.toml): {bug.title}{threads} | {SAYS[bug.kind]} | `{words}` | {cells} | [{bug.patch[:4]}](patches/{bug.patch}) |"
        )
    lines += ["", *(f"- {problem}" for lane in lanes for problem in lane.verdict.problems)]
    not_run = lanes[0].not_run
    lines += [missing(not_run)] if not_run else []
    return "\n".join(lines).rstrip() + "\n"


def _claim(verdict: Verdict) -> str:
    return claim(verdict.lane, verdict.holds, verdict.counts, verdict.same_bits)


def claim(lane: str, holds: bool, counts: Mapping[str, int], same_bits: int) -> str:
    """State a verdict in one line of Markdown."""
    return f"- **The verdict {'holds' if holds else 'does not hold'}** on `{lane}`: {_sums(counts, same_bits)}."


def missing(not_run: Mapping[str, str]) -> str:
    """State in one line what did not run, and why."""
    return f"Not run: {'; '.join(f'{name} ({reason})' for name, reason in not_run.items())}."


def _cell(verdict: Verdict, bug: Bug) -> str:
    """State how many tests showed a bug on a lane, and whether it is fixed."""
    shown = next((shown for shown in verdict.shown if shown.bug == bug), None)
    if shown is None:
        return "–"
    return f"{len(shown.tests)} {'✗' if shown.tests else '?'} → {'✓' if _fixed(shown) else '✗'}"


def _matrix(lanes: Sequence[Lane]) -> Iterator[str]:
    """Draw the results by container, dtype, lane and shape of audio: a sign for 1.3.0 and one for patched."""
    cells: dict[str, dict[tuple[str, str], list[str]]] = {}
    for lane in lanes:
        for test in sorted(lane.patched.results):
            if match := FORM.search(test):
                cells.setdefault(match["form"], {}).setdefault((lane.verdict.lane, match["shape"]), []).append(test)
    if not cells:
        return
    shapes = {shape: f"`{words}`" for shape, words in SHAPES.items()}
    yield f"| audio | {' | '.join(f'{lane.verdict.lane} {shape}' for lane in lanes for shape in shapes.values())} |"
    yield f"|---{'|:-:' * len(shapes) * len(lanes)}|"
    for form, row in cells.items():
        signs = [
            f"{_sign(lane.upstream, tests)} → {_sign(lane.patched, tests)}"
            for lane in lanes
            for tests in (row.get((lane.verdict.lane, shape), []) for shape in shapes)
        ]
        yield f"| {form.replace('-', ' ')} | {' | '.join(signs)} |"
    yield ""


def _sign(run: Run, tests: list[str]) -> str:
    """Sum up tests in one sign; a question mark if they differ."""
    heard = {run.results[test].heard if test in run.results else "missing" for test in tests}
    return SIGNS.get(heard.pop(), "?") if len(heard) == 1 else "?"


def _sums(counts: Mapping[str, int], same_bits: int) -> str:
    said = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items())) or "no test"
    return f"{said}, {same_bits} of them bit for bit" if same_bits else said


def show(lane: Lane) -> None:
    """Print the verdict of a lane."""
    verdict = lane.verdict
    console = Console(highlight=False, soft_wrap=True)
    console.print()
    for shown in verdict.shown:
        n = len(shown.tests)
        sign = "[red]✗[/]→[green]✓[/]" if _fixed(shown) else "[red]✗→✗[/]" if shown.tests else "[red]?→?[/]"
        console.print(f"{sign} [bold]{shown.bug.id}[/] {escape(shown.bug.title)}, {n} test{'s' * (n != 1)}")
        console.print(f"    [dim]{escape(example(shown, lane.upstream))}")
    for problem in verdict.problems[:40]:
        console.print(f"[red]•[/] {escape(problem)}")
    if len(verdict.problems) > 40:
        console.print(f"  and {len(verdict.problems) - 40} more in out/{verdict.lane}/verdict.json")
    for name, reason in lane.not_run.items():
        console.print(f"[yellow]{name}: not run[/], {escape(reason)}")
    console.print()
    summarise([lane])


def summarise(lanes: Sequence[Lane]) -> None:
    """Print the verdict of each lane in one line."""
    console = Console(highlight=False, soft_wrap=True)
    for lane in lanes:
        verdict, times = lane.verdict, ", ".join(f"{name} {s:.0f} s" for name, s in lane.seconds.items())
        holds, colour = ("holds", "green") if verdict.holds else ("does not hold", "red")
        console.print(
            f"[bold {colour}]The verdict {holds} on {verdict.lane}:[/] {_sums(verdict.counts, verdict.same_bits)}; {times}"
        )
