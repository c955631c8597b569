"""Cut the patches of a series into pieces that can be taken out one at a time.

A piece is a hunk of a patch, or a run of changed lines in it, or a statement among the lines that it adds. A run or a
statement counts only if the file still parses without it. Taking one out is exact: in the tree of the patches up to its own,
its lines are removed and those that they replaced are restored. `git merge-file` carries that to the tree of the whole series,
or finds that a later patch rewrote the lines.
"""

import ast
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import HarnessError, world


@dataclass(frozen=True)
class Piece:
    """A part of a patch.

    Attributes:
        patch: the name of the patch's file
        kind: "hunk", "run" or "statement"
        file: the path of the changed file in the tree
        line: where the piece begins in that file once its patch is applied
        head: its first line that is not blank
        text: the file after its patch, without the piece; empty if there is no file
        words: whether it consists only of comments and docstrings
    """

    patch: str
    kind: str
    file: str
    line: int
    head: str
    text: str
    words: bool


@dataclass(frozen=True)
class Change:
    """Lines that replaced others: `count` lines from index `start`, in place of those in `removed`."""

    start: int
    count: int
    removed: tuple[str, ...]

    def undo(self, lines: Sequence[str]) -> str:
        """Return a file without this change."""
        return "".join([*lines[: self.start], *self.removed, *lines[self.start + self.count :]])


@dataclass(frozen=True)
class Hunk:
    """A hunk of a patch, as a whole and as its runs of changed lines."""

    file: str
    whole: Change
    runs: tuple[Change, ...]


def read_hunks(patch: Path) -> Iterator[Hunk]:
    """Read the hunks of a patch on `src/`."""
    file, lines = "", iter(patch.read_text(encoding="utf-8").splitlines(keepends=True))
    for line in lines:
        if line.startswith("+++ "):
            file = line.split()[1].removeprefix("b/src/")
        elif numbers := re.match(r"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", line):
            old, new = (1 if n is None else int(n) for n in numbers.group(1, 3))
            start = int(numbers[2]) - (1 if new else 0)
            yield _read_hunk(file, start, old, new, lines)


def _read_hunk(file: str, start: int, old: int, new: int, lines: Iterator[str]) -> Hunk:
    """Read the lines of a hunk, which has `old` lines before and `new` lines after."""
    removed: list[str] = []
    runs: list[Change] = []
    at, total = start, new
    while old or new:
        line = next(lines)
        sign, text = line[0], line[1:]
        if sign == "\\":
            raise HarnessError(f"{file}: a hunk without a newline at the end of its file cannot be taken out")
        old, new = old - (sign in " -"), new - (sign in " +")
        if sign == " ":
            runs.append(Change(at + 1, 0, ()))  # where the next run would begin
        else:
            last = runs.pop() if runs else Change(at, 0, ())
            runs.append(Change(last.start, last.count + (sign == "+"), (*last.removed, *([text] if sign == "-" else []))))
        removed += [text] if sign in " -" else []
        at += sign in " +"
    return Hunk(file, Change(start, total, tuple(removed)), tuple(run for run in runs if run.count or run.removed))


def cut(patch: Path, tree: Path) -> Iterator[Piece]:
    """Cut a patch into pieces without duplicates, large ones before small ones.

    Args:
        patch: the patch
        tree: a tree in which it is the last one applied
    """
    known: set[tuple[str, str]] = set()
    for hunk in read_hunks(patch):
        lines = (tree / hunk.file).read_text(encoding="utf-8").splitlines(keepends=True)
        statements = (s for run in hunk.runs for s in _statements(lines, run))
        changes = [("hunk", hunk.whole), *(("run", run) for run in hunk.runs), *(("statement", s) for s in statements)]
        for kind, change in changes:
            text = change.undo(lines)
            if (hunk.file, text) not in known and (kind == "hunk" or _meaning(text)):
                known.add((hunk.file, text))
                changed = hunk.runs[0] if kind == "hunk" else change
                words = _meaning(text) == _meaning("".join(lines))
                yield Piece(patch.name, kind, hunk.file, changed.start + 1, _head(lines, changed), text, words)


def _statements(lines: Sequence[str], run: Change) -> Iterator[Change]:
    """Find the statements among the lines of a run."""
    nodes = [node for node in ast.walk(ast.parse("".join(lines))) if isinstance(node, ast.stmt)]
    for node in sorted(nodes, key=lambda node: node.lineno):
        first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))]) - 1
        change = Change(first, (node.end_lineno or node.lineno) - first, ())
        # A statement that makes up the whole run is already taken out as that run.
        inside = run.start <= first and first + change.count <= run.start + run.count and change.count < run.count
        if inside:
            yield change


def _meaning(text: str) -> str:
    """Return the syntax tree of a program, without comments and docstrings; empty if it does not parse."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    return ast.dump(tree)


def _head(lines: Sequence[str], change: Change) -> str:
    """Return the first line of a change that is not blank."""
    changed = [*lines[change.start : change.start + change.count], *change.removed]
    return next((line.strip() for line in changed if line.strip()), "")


def carry(piece: Piece, own: Path, whole: Path) -> str | None:
    """Carry the removal of a piece over to the tree of the whole series.

    Args:
        piece: the piece to take out
        own: the tree of the patches up to its own
        whole: the tree of the whole series

    Returns:
        the file without the piece; None if a later patch changed those lines or adjacent ones
    """
    before, after = ((tree / piece.file).read_text(encoding="utf-8") for tree in (own, whole))
    if before == after or not piece.text:
        return piece.text if before == after else None
    with TemporaryDirectory() as folder:
        names = [Path(folder) / name for name in ("whole", "own", "without")]
        for file, text in zip(names, (after, before, piece.text), strict=True):
            file.write_text(text, encoding="utf-8")
        done = subprocess.run(
            ["git", "merge-file", "--stdout", *map(str, names)],
            env=world.environment(**world.NO_GIT),
            capture_output=True,
            text=True,
        )
    if not 0 <= done.returncode < 128:
        raise HarnessError(f"git merge-file failed on {piece.file}: {done.stderr.strip()}")
    return None if done.returncode else done.stdout
