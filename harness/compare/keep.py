"""Keep a comparison: its record as evidence, and its tables and its figure in the README of this folder."""

import json
import os
import re
import shutil
from pathlib import Path

from harness import OUT, ROOT, HarnessError, world
from harness.table import Table

README = Path(__file__).with_name("README.md")
EVIDENCE = ROOT / "fixtures" / "evidence" / "compare"
PICTURE = ROOT / ".github" / "compare.svg"
AGAIN = "run `nox -s compare` first"


def keep(readme: Path = README, out: Path = OUT, evidence: Path = EVIDENCE, picture: Path = PICTURE) -> Path:
    """Write the last comparison to where it is committed.

    Args:
        readme: the file with the marks that the comparison goes between
        out: where the comparison is
        evidence: the folder for the records, one for each host and its devices
        picture: the figure that READMEs show

    Returns:
        the record

    Raises:
        HarnessError: there is no comparison, it does not hold or is stale, or README has no place for it
    """
    made = out / "compare.json"
    if not made.is_file():
        raise HarnessError(f"there is no comparison: {AGAIN}")
    record = json.loads(made.read_text(encoding="utf-8"))
    if world.is_stale(record):
        raise HarnessError(f"the comparison is {world.STALE}: {AGAIN}")
    if not record["holds"]:
        raise HarnessError(f"the comparison does not hold: {record['problems'][0]}")
    fields = Table.__dataclass_fields__
    tables = [Table(**{name: table[name] for name in fields}) for table in (record, *record["others"])]
    shown = f"![Word error rate against speed, and by the length of a file]({Path(os.path.relpath(picture, readme.parent)).as_posix()})"
    # README has its own heading above, and says what the second table is about.
    body = "\n".join([*(line for table in tables for line in table.markdown() if not line.startswith("## ")), shown, ""])
    text, found = re.subn(
        r"(<!-- compare[^>]*-->\n).*?(<!-- /compare -->)",
        lambda marks: marks[1] + re.sub(r"\n{3,}", "\n\n", body.lstrip("\n")) + marks[2],
        readme.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    if found != 1:
        raise HarnessError(f"{readme.name} has no place for the comparison between <!-- compare --> and <!-- /compare -->")
    words = re.findall("[a-z0-9]+", " ".join(record["host"][name] for name in ("system", "machine", "device")).lower())
    evidence.mkdir(parents=True, exist_ok=True)
    kept = evidence / f"{'-'.join(words)}.json"
    shutil.copyfile(made, kept)
    shutil.copyfile(out / "compare.svg", picture)
    readme.write_text(text, encoding="utf-8")
    return kept
