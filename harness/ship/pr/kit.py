"""Write the kit, out/pr/: a folder for each pull request, with its commits for `git am` and its description, `body.md`.

Every number in the descriptions comes from the verdicts, the staircase or git. The same inputs give the same bytes.
"""

import argparse
import re
import shutil
import subprocess
from pathlib import Path

from harness import OUT, PATCHES, ROOT, HarnessError
from harness.report import page, views
from harness.ship.pr import pulls, stairs
from harness.ship.pr.body import Facts, body
from harness.ship.pr.commits import export


def write(
    out: Path = OUT,
    patches: Path = PATCHES,
    *,
    author: str | None = None,
    proof: str | None = None,
    upstream: Path | None = None,
) -> Path:
    """Climb the staircase, and write the kit.

    Args:
        out: the folder that has the verdicts, and gets the kit
        patches: the series that the verdicts must be about
        author: who sends it, "Name <address>", or None for the one that git is set up with
        proof: the address of the whole proof, or None for that of the remote `origin`
        upstream: a checkout of upstream's repository to try it on

    Returns:
        the kit's folder

    Raises:
        HarnessError: there is no verdict on this series, or something does not hold; the staircase is wrong; the sender or
            the address of the proof is unknown
    """
    author, proof = author or sender(), proof or address()
    lanes, requests = read(out, patches), pulls.read(patches)
    page.write(out, patches)  # for the picture, of the same verdicts
    partial_kit, kit = out / "pr.partial", out / "pr"
    shutil.rmtree(partial_kit, ignore_errors=True)
    partial_kit.mkdir()
    try:
        stats = export(partial_kit, requests, author, upstream)
        print("running the tests of the pull requests after each commit", flush=True)
        steps = stairs.climb(requests)
        alone = [stairs.alone(pull) for pull in requests]
        facts = Facts(lanes, steps, stats, alone, proof)
        for pull in requests:
            (partial_kit / pull.folder / "body.md").write_text(body(pull, facts, patches), encoding="utf-8")
            if pull.name == "audio":
                shutil.copy(out / "matrix.svg", partial_kit / pull.folder)
        shutil.rmtree(kit, ignore_errors=True)
        partial_kit.rename(kit)
    finally:
        shutil.rmtree(partial_kit, ignore_errors=True)
    return kit


def address() -> str:
    """Give the address at which a reader finds this repository, from its remote `origin`.

    Raises:
        HarnessError: it has none that a browser opens
    """
    command = ["git", "remote", "get-url", "origin"]
    url = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    # git@host:owner/name.git and ssh://git@host/owner/name.git are pages too.
    url = re.sub(r"^(?:ssh://)?git@([^:/]+)[:/]", r"https://\1/", url).removesuffix(".git")
    if not re.match(r"https?://", url):
        raise HarnessError("a reader must find the whole proof: give --proof URL, or a remote `origin` that a browser opens")
    return re.sub(r"(?<=://)[^/@]+@", "", url)  # without credentials


def sender() -> str:
    """Ask git who would commit here.

    Raises:
        HarnessError: it does not know
    """
    asked = (
        subprocess.run(["git", "config", f"user.{n}"], cwd=ROOT, capture_output=True, text=True) for n in ("name", "email")
    )
    name, address = (done.stdout.strip() for done in asked)
    if not (name and address):
        raise HarnessError(
            'git does not know who sends the series: set user.name and user.email, or --author "Name <address>"'
        )
    return f"{name} <{address}>"


def read(out: Path, patches: Path) -> list[views.Lane]:
    """Read the verdicts on a series. All of them must hold, and so must the results of other sessions.

    Raises:
        HarnessError: there is none, or something does not hold
    """
    lanes, stale = views.read(out, patches)
    if not any(lane.name == "cpu" for lane in lanes):
        reasons = "; ".join(["there is no verdict for the CPU on this series", *stale.values()])
        raise HarnessError(f"{reasons}: run `nox -s verdict` first")
    if broken := [lane.name for lane in lanes if not lane.record["holds"]]:
        raise HarnessError(f"the verdict does not hold on {', '.join(broken)}: fix that before a pull request")
    tables = (page.read_table(out / f"{name}.json", title, patches) for name, title in page.TABLES.items())
    if wrong := [problem for table in tables for problem in table["problems"]]:
        raise HarnessError(f"{wrong[0]}: fix that before a pull request")
    return lanes


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `pr`."""
    parser.add_argument("--author", help='the sender, "Name <address>" (default: from the settings of git)')
    parser.add_argument("--proof", metavar="URL", help="where the whole proof is (default: the address of the remote origin)")
    parser.add_argument("--checkout", type=Path, help="try it on a checkout of upstream's repository")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    folder = write(author=options.author, proof=options.proof, upstream=options.checkout).relative_to(ROOT)
    print(f"wrote {folder}/: for each pull request, its commits for git am, and its description, body.md")
