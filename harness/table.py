"""Tables of a command's results: printed, and written as Markdown, and as JSON for the page."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from harness import OUT, world


@dataclass(frozen=True)
class Table:
    """A table of plain text.

    Attributes:
        title: what it shows
        columns: their names
        rows: a cell for each column
        note: explains to the reader how the table was made
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def markdown(self) -> Iterator[str]:
        """Render it as Markdown, line by line."""
        yield from (f"## {self.title}", "", f"| {' | '.join(self.columns)} |", f"|{'---|' * len(self.columns)}")
        yield from (f"| {' | '.join(cell.replace('|', r'\|') for cell in row)} |" for row in self.rows)
        yield from ("", self.note, "")


def publish(name: str, first: Table, *others: Table, problems: Sequence[str], out: Path = OUT, **facts: Any) -> None:
    """Print tables, and write them to `<name>.json` and `<name>.md`.

    Args:
        name: the name of the command
        first: the table whose fields are the top level of the JSON
        others: further tables
        problems: one sentence each; empty if the command's claim holds
        out: the folder to write to
        facts: further entries for the JSON
    """
    console = Console(highlight=False)
    for table in (first, *others):
        drawn = RichTable(*table.columns, title=table.title, caption=table.note, title_justify="left")
        for row in table.rows:
            drawn.add_row(*map(escape, row))
        console.print(drawn)
    for problem in problems:
        console.print(f"[red]•[/] {escape(problem)}", soft_wrap=True)
    out.mkdir(exist_ok=True)
    more = {"holds": not problems, "problems": problems, "others": [asdict(t) for t in others]}
    record = {**asdict(first), **more, "digest": world.digest(), **facts}
    (out / f"{name}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    lines = [*(line for table in (first, *others) for line in table.markdown()), *(f"- {problem}" for problem in problems)]
    (out / f"{name}.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
