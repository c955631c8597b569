"""Propose mutants of the series: each changed line with mistakes that a programmer might make.

The operators are those of cosmic-ray, and a few others that it lacks: dropped calls and warnings, changed messages and
devices, swapped arguments, and exceptions that are wider, narrower or of another type. A mutant is a whole file. The module
needs cosmic-ray, and prints JSON: `python -m harness.worth.mutate UPSTREAM PATCHED`, with the folders of the trees.
"""

import ast
import difflib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

# cosmic-ray replaces each of these with every alternative. One alternative is enough.
ONE_OF = ("NumberReplacer", "ReplaceBinaryOperator", "ReplaceComparisonOperator", "ReplaceUnaryOperator")
# In these files, a function that the series changes anywhere also loses its other statements, one at a time.
WHOLE = ("model/lfm2_audio.py", "processor.py", "utils.py")

# Replacements in a line: pattern, replacement, and name of the operator.
LINES = [
    (r'"cuda"', '"mps"', "another device"),
    (r'"cpu"', '"cuda"', "another device"),
    (r'"auto"', '"cpu"', "another device"),
    (r"self\.device\b", '"cpu"', "another device"),
    (r"\btorch\.tensor\((\w+)\)", r'torch.tensor(\1, device="cuda")', "another device"),
    (r"\.to\(device\b", '.to("cpu"', "another device"),
    (r"\.to\([^()]*(?:\([^()]*\)[^()]*)*\)", "", "a call dropped"),
    (r"\.(?:float|cpu|detach|isfinite|all|mean|absolute|reshape)\([^()]*\)", "", "a call dropped"),
    (r"\bTypeError\b", "ValueError", "another exception"),
    (r"\bValueError\b", "TypeError", "another exception"),
    (r"except (?!Exception)[^:]+?( as e)?:", r"except Exception\1:", "a wider exception"),
    (r"except \((\w+), (\w+)(?:, \w+)*\)", r"except \1", "a narrower exception"),
    (r"except \((\w+), (\w+)(?:, \w+)*\)", r"except \2", "a narrower exception"),
    (r" from e\b", "", "a cause dropped"),
    (r'f?"(expected|[^"]* is reported)[^"]*"', '"something is wrong"', "other words"),
    (r"\bany\(", "all(", "any and all"),
    (r"\ball\(", "any(", "any and all"),
    (r"\bisinstance\((\w+), [^()]+\)", r"isinstance(\1, object)", "any type"),
    (r"stacklevel=3", "stacklevel=1", "another place"),
    (r"\(([\w.]+), ([\w.]+)\)", r"(\2, \1)", "arguments swapped"),
    (r"\[([^\[\]]+), ([^\[\]]+)\]", r"[\2, \1]", "items swapped"),
    (r" \| ([\w.]+)(?=[,): ])", "", "a type fewer"),
    (r"^type (\w+) = .+", r"type \1 = object", "any type"),
    (r"\b(wave|sampling_rate|device): [\w. |]+", r"\1: object", "any type"),
]


# Statements that are not dropped. Asserts are among them, because upstream's hold for any chat that it made itself.
DEFINITIONS = ast.Assert | ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef


def propose(upstream: Path, patched: Path) -> Iterator[dict[str, Any]]:
    """List the mutants of every file that differs, without duplicates."""
    for file in sorted(patched.rglob("*.py")):
        name = file.relative_to(patched).as_posix()
        text = file.read_text(encoding="utf-8")
        before = upstream / name
        lines = changed(before.read_text(encoding="utf-8") if before.is_file() else "", text)
        known, same = {meaning(text)}, Counter[str]()
        whole = functions(text, lines) if name in WHOLE else lines
        for operator, line, mutant in (*operators(text, lines), *replacements(text, lines), *deletions(text, whole)):
            if (what := meaning(mutant)) and what not in known:
                known.add(what)
                words = becomes(text, mutant)
                same[words] += 1
                words += f" (number {same[words]} of these)" * (same[words] > 1)
                yield {"file": name, "line": line, "operator": operator, "text": mutant, "becomes": words}


def changed(before: str, after: str) -> set[int]:
    """Return the numbers of the lines that are new or changed."""
    matcher = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    return {line + 1 for tag, _, _, start, end in matcher.get_opcodes() if tag != "equal" for line in range(start, end)}


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
    """Return the changed lines of a mutant, or else the lines that it lacks."""
    lines = list(difflib.unified_diff(text.splitlines(), mutant.splitlines(), n=0, lineterm=""))[2:]
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


def _is_words(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def main(arguments: Iterable[str]) -> None:
    """Print the mutants, given the package folders of the two trees."""
    upstream, patched = (Path(argument) for argument in arguments)
    json.dump(list(propose(upstream, patched)), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
