"""Report a verdict in the terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape

from harness.judge import Shown, Verdict
from harness.results import Run


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
