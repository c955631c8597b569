"""Propose mutants of the patched package: each changed line with mistakes that a programmer might make.

The operators are those of cosmic-ray, and others that it lacks: dropped calls, changed messages and devices, swapped arguments,
moved statements, exceptions that are wider, narrower or of another type, and each piece of the series left out. The module
needs cosmic-ray. It prints JSON: `python -m harness.mutate UPSTREAM PATCHED`, with the folders of the two packages.
"""

import ast
import difflib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

# cosmic-ray replaces each of these with every alternative. One alternative is enough.
ONE_OF = ("NumberReplacer", "ReplaceBinaryOperator", "ReplaceComparisonOperator", "ReplaceUnaryOperator")
# In these files, each statement of a function is dropped and moved if the series changes any line of that function.
WHOLE = ("model/lfm2_audio.py", "processor.py", "utils.py")
# Statements that are not dropped or moved. Asserts are among them, because upstream's hold for any chat that it made itself.
DEFINITIONS = ast.Assert | ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
# The characters of a mutant's description.
LONGEST = 200

# Replacements in a line: pattern, replacement, and name of the operator.
LINES = [
    (r'"cuda"', '"mps"', "another device"),
    (r'"cpu"', '"cuda"', "another device"),
    (r'"auto"', '"cpu"', "another device"),
    (r"self\.device\b", '"cpu"', "another device"),
    (r"\btorch\.tensor\((\w+)\)", r'torch.tensor(\1, device="cuda")', "another device"),
    (r"\.to\(device\b", '.to("cpu"', "another device"),
    (r"\.to\([^()]*(?:\([^()]*\)[^()]*)*\)", "", "a call dropped"),
    (r"\.(?:float|detach|mean|absolute|reshape)\([^()]*\)", "", "a call dropped"),
    (r"\bTypeError\b", "ValueError", "another exception"),
    (r"\bValueError\b", "TypeError", "another exception"),
    (r"except (?!Exception)[^:]+:", "except Exception:", "a wider exception"),
    (r"except \((\w+), (\w+)(?:, \w+)*\)", r"except \1", "a narrower exception"),
    (r"except \((\w+), (\w+)(?:, \w+)*\)", r"except \2", "a narrower exception"),
    (r'f?"expected[^"]*"', '"something is wrong"', "other words"),
    (r"\bisinstance\((\w+), [^()]+\)", r"isinstance(\1, object)", "any type"),
    (r"\(([\w.]+), ([\w.]+)\)", r"(\2, \1)", "arguments swapped"),
    (r"\[([^\[\]]+), ([^\[\]]+)\]", r"[\2, \1]", "items swapped"),
    (r" \| ([\w.]+)(?=[,): ])", "", "a type fewer"),
    (r"^type (\w+) = .+", r"type \1 = object", "any type"),
    (r"\b(wave|sampling_rate|device): [\w. |]+", r"\1: object", "any type"),
]


def propose(upstream: Path, patched: Path) -> Iterator[dict[str, Any]]:
    """List the mutants of every file that differs, without duplicates."""
    for file in sorted(patched.rglob("*.py")):
        name = file.relative_to(patched).as_posix()
        text = file.read_text(encoding="utf-8")
        original = upstream / name
        published = original.read_text(encoding="utf-8") if original.is_file() else ""
        lines = changed(published, text)
        known, same = {meaning(text)}, Counter[str]()
        whole = functions(text, lines) if name in WHOLE else lines
        mistakes = (*operators(text, lines), *replacements(text, lines), *deletions(text, whole), *moves(text, whole))
        for operator, line, mutant in (*mistakes, *pieces(published, text)):
            if (what := meaning(mutant)) and what not in known:
                known.add(what)
                words = becomes(text, mutant)[:LONGEST]
                same[words] += 1
                words += f" (number {same[words]} of these)" * (same[words] > 1)
                yield {"file": name, "line": line, "operator": operator, "text": mutant, "becomes": words}


def changed(before: str, after: str) -> set[int]:
    """Return the numbers of the lines that are new or changed."""
    matcher = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    return {line + 1 for tag, _, _, start, end in matcher.get_opcodes() if tag != "equal" for line in range(start, end)}


def pieces(before: str, after: str) -> Iterator[tuple[str, int, str]]:
    """Leave out each hunk of a difference, and each run of changed lines in it."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    for hunk in difflib.SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(3):
        runs = [tuple(places) for tag, *places in hunk if tag != "equal"]
        whole = (runs[0][0], runs[-1][1], runs[0][2], runs[-1][3])
        for old_start, old_end, start, end in dict.fromkeys([whole, *runs]):
            yield "a piece left out", start + 1, "".join([*new[:start], *old[old_start:old_end], *new[end:]])


def functions(text: str, lines: set[int]) -> set[int]:
    """Add all lines of the functions that contain the lines, with their decorators."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    spans = [range(min([node.lineno, *(d.lineno for d in node.decorator_list)]), (node.end_lineno or 0) + 1) for node in nodes]
    return lines.union(*(span for span in spans if lines.intersection(span)))


def meaning(text: str) -> str:
    """Return the syntax tree of a program, without comments and docstrings; empty if it does not parse."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def becomes(text: str, mutant: str) -> str:
    """Return the changed lines of a mutant, or else the lines that it lacks; for a move, what moved and what now precedes it."""
    before, after = text.splitlines(), mutant.splitlines()
    if sorted(before) == sorted(after):
        moved = [line.strip() for line, other in zip(before, after, strict=True) if line != other and re.search(r"\w", line)]
        return f"{moved[0]} after {moved[-1]}"
    lines = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
    new = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
    return (
        new if new not in ("", "pass") else "without " + " ".join(line[1:].strip() for line in lines if line.startswith("-"))
    )


def operators(text: str, lines: set[int]) -> Iterator[tuple[str, int, str]]:
    """Apply cosmic-ray's operators wherever they change one of the lines."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.operators.provider import OperatorProvider

    provider = OperatorProvider()
    nodes = list(ast_nodes(get_ast(text)))
    seen: set[tuple[str, Any]] = set()
    for name in provider:
        if provider[name].arguments():
            continue  # these need arguments that say what to change
        operator = provider[name]()
        positions = [position for node in nodes for position in operator.mutation_positions(node)]
        for occurrence, (start, _) in enumerate(positions):
            kind = next((kind for kind in ONE_OF if name.startswith(kind)), "")
            if start[0] in lines and (not kind or (kind, start) not in seen):
                seen.add((kind, start))
                yield name, start[0], mutate_code(text, operator, occurrence) or ""


def replacements(text: str, lines: set[int]) -> Iterator[tuple[str, int, str]]:
    """Apply the table above, one match at a time."""
    whole = text.splitlines(keepends=True)
    for number in sorted(lines):
        for pattern, replacement, name in LINES:
            for match in re.finditer(pattern, whole[number - 1]):
                line = whole[number - 1]
                other = line[: match.start()] + match.expand(replacement) + line[match.end() :]
                yield name, number, "".join([*whole[: number - 1], other, *whole[number:]])


def deletions(text: str, lines: set[int]) -> Iterator[tuple[str, int, str]]:
    """Leave out each statement and each decorator within the lines."""
    whole = text.splitlines(keepends=True)
    for node in ast.walk(ast.parse(text)):
        for line in [d.lineno for d in getattr(node, "decorator_list", ()) if d.lineno in lines]:
            yield "a decorator dropped", line, "".join([*whole[: line - 1], *whole[line:]])
        if isinstance(node, ast.stmt) and not isinstance(node, DEFINITIONS) and not _is_words(node):
            own = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            if set(own) <= lines:
                rest = [*whole[: own[0] - 1], " " * node.col_offset + "pass\n", *whole[own[-1] :]]
                yield "a statement dropped", node.lineno, "".join(rest)


def moves(text: str, lines: set[int]) -> Iterator[tuple[str, int, str]]:
    """Move each statement of a function after the next one of its block, and each guard that raises to the end of its block."""
    whole = text.splitlines(keepends=True)
    nodes = [node for node in ast.walk(ast.parse(text)) if not isinstance(node, ast.Module | ast.ClassDef)]
    for block in [getattr(node, name, None) for node in nodes for name in ("body", "orelse", "finalbody")]:
        if not isinstance(block, list):
            continue
        # After a return or a raise, a statement would be as good as dropped.
        rest = [node for node in block if not isinstance(node, DEFINITIONS | ast.Return | ast.Raise) and not _is_words(node)]
        for node, following in pairwise(rest):
            guards = isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise)
            if _are_apart(node, following):
                continue
            for last in (following, rest[-1])[: 1 + guards]:
                start, end, to = node.lineno - 1, node.end_lineno or 0, last.end_lineno or 0
                if lines.issuperset(range(start + 1, to + 1)):
                    moved = [*whole[:start], *whole[end:to], *whole[start:end], *whole[to:]]
                    yield "a statement moved", node.lineno, "".join(moved)


def _are_apart(first: ast.stmt, second: ast.stmt) -> bool:
    """Say whether two statements only set local variables and neither uses those of the other: then their order is free."""
    used, stored = [], []
    for statement in (first, second):
        nodes = [node for node in ast.walk(statement) if isinstance(node, ast.Name | ast.Attribute | ast.Subscript)]
        targets = [node for node in nodes if isinstance(node.ctx, ast.Store)]
        if not isinstance(statement, ast.Assign) or not all(isinstance(target, ast.Name) for target in targets):
            return False
        used.append({ast.unparse(node) for node in nodes})
        stored.append({ast.unparse(target) for target in targets})
    return stored[0].isdisjoint(used[1]) and stored[1].isdisjoint(used[0])


def _is_words(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def main(arguments: Iterable[str]) -> None:
    """Print the mutants, given the package folders of the two trees."""
    upstream, patched = (Path(argument) for argument in arguments)
    json.dump(list(propose(upstream, patched)), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
