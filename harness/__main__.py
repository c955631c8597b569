"""`python -m harness`: what the sessions of nox and tox call."""

import argparse
import hashlib
import io
import json
import sys
from pathlib import Path

from harness import OUT, ROOT, HarnessError

DRIFT = """\
without an option: the newest final release that pip finds

exit status:
  0  every patch applies
  3  every patch applies or is in already: drop those that are in
  4  a patch conflicts or may be obsolete: rebase it, or drop it
  2  no answer: no network, no such release, no such folder
"""


def main() -> int:
    """Run a command; exit with 0 only when what it claims holds."""
    parser = argparse.ArgumentParser(prog="python -m harness", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    verdict = commands.add_parser("verdict", help="run the suite on both trees and compare")
    verdict.add_argument("--device", help="the lane (default: cpu, and sim where there is a compiler)")
    verdict.add_argument(
        "--checkpoint", type=Path, help="folder of a real checkpoint, a lane of its own (default: the tiny one)"
    )
    verdict.add_argument("--stack", help="name the stack that this environment is, and write out/<device>-<stack>/")
    verdict.add_argument("--verbose", action="store_true", help="pytest's own output, in place of a line of progress")
    test = commands.add_parser("test", help="run the suite on the patched tree, and the tests of harness/")
    test.add_argument("options", nargs="*", help="what pytest gets, after --")
    profile = commands.add_parser("profile", help="print where a run of the suite spends its time")
    profile.add_argument("--device", help="the lane (default: cpu, and sim where there is a compiler)")
    profile.add_argument("options", nargs="*", help="what pytest gets too, after --")
    tree = commands.add_parser("tree", help="build a tree and print its folder, for PYTHONPATH")
    tree.add_argument("name", help="upstream or patched")
    series = commands.add_parser("series", help="check that the patches apply, re-export to the same bytes, and lint clean")
    series.add_argument("--checkout", type=Path, help="try them on a checkout of upstream's repository")
    checkout = commands.add_parser("checkout", help="make a repository of the release, with the series as commits")
    checkout.add_argument("folder", type=Path, help="where, a folder that is not there yet")
    export = commands.add_parser("export", help="write patches/ from the commits of a checkout of upstream's repository")
    export.add_argument("checkout", type=Path, help="one with commits on top of the release")
    commands.add_parser(
        "census", help="write tests/census.txt anew, from the last verdicts, to see in a diff what came or went"
    )
    guide = commands.add_parser("guide", help="follow «Add a bug» of tests/README.md in a copy of this repository")
    guide.add_argument("python", help="one that has nox")
    commands.add_parser("readme", help="put the last verdict of cpu and sim into README.md, and its picture into .github/")
    commands.add_parser("page", help="draw the verdicts of out/ as out/report.html and out/matrix.svg")
    kit = commands.add_parser(
        "pr", help="write out/pr/: three pull requests, each with its commits, its tests and what to say of it"
    )
    kit.add_argument("--author", help='who sends it, "Name <address>" (default: as git is set up)')
    kit.add_argument("--proof", metavar="URL", help="where the whole proof is (default: the address of the remote origin)")
    kit.add_argument("--checkout", type=Path, help="try it on a checkout of upstream's repository")
    evidence = commands.add_parser("evidence", help="run a lane, and write what it found to fixtures/evidence/, to commit")
    evidence.add_argument("--device", required=True, help="the lane")
    releases = commands.add_parser("releases", help="try every published release, with and without the series")
    releases.add_argument("--stack", help="try those of the stack that this environment is (default: merge what was tried)")
    drift = commands.add_parser(
        "drift",
        help="say what a newer release, or a checkout, makes of the series",
        epilog=DRIFT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = drift.add_mutually_exclusive_group()
    source.add_argument("--checkout", type=Path, help="a folder that holds src/liquid_audio/ or liquid_audio/")
    source.add_argument("--version", help="a published version")
    commands.add_parser("necessity", help="show that every piece of the series is needed, and what each patch changes")
    mutants = commands.add_parser("mutants", help="get each changed line wrong, and see which test notices")
    mutants.add_argument("proposed", type=Path, help="what `python -m harness.mutate` printed")
    commands.add_parser("rivals", help="run the suite on the other fixes in circulation, and check why it rejects each")
    repeat = commands.add_parser("repeat", help="give a verdict again and again, and check that it stays the same")
    repeat.add_argument("--times", type=int, default=10, help="how often (default: 10)")
    repeat.add_argument("--seed", type=int, help="of the orders and numbers of workers (default: drawn, and printed)")
    repeat.add_argument("--device", default="cpu", help="the lane (default: cpu)")
    gate = commands.add_parser("gate", help="check that every lane of a CI run reported a verdict that holds")
    gate.add_argument("folder", type=Path, help="the reports, <artifact>/<lane>/verdict.json")
    gate.add_argument("--require", nargs="+", required=True, metavar="LANE", help="<artifact>/<lane> that must hold")
    gate.add_argument("--optional", nargs="*", default=[], metavar="LANE", help="those that are shown and need not")
    gate.add_argument("--jobs", type=json.loads, default={}, help='what became of the jobs: {"lint": {"result": "success"}}')
    wheel = commands.add_parser("wheel", help="pack the patched package into out/dist/")
    wheel.add_argument("--check", type=Path, metavar="FOLDER", help="make an environment there, install it, and run the suite")
    apply = commands.add_parser("apply", help="patch the liquid-audio that is installed in an environment, in place")
    apply.add_argument("environment", type=Path, help="the folder of a virtual environment, or a Python")
    apply.add_argument("--undo", action="store_true", help="go back to the published package")
    options = parser.parse_args()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may know ASCII alone

    try:
        match options.command:
            case "verdict":
                from harness.lane import run_every_lane, run_lane
                from harness.page import write as write_page

                extra = ["--checkpoint", str(options.checkpoint.expanduser().absolute())] if options.checkpoint else []
                if options.device or extra:
                    device = options.device or "cpu"
                    holds = run_lane(device, *extra, stack=options.stack, verbose=options.verbose).verdict.holds
                else:
                    holds = run_every_lane(*extra, stack=options.stack, verbose=options.verbose)
                print(f"wrote {write_page().relative_to(ROOT)}")
                return 0 if holds else 1
            case "test":
                from harness.lane import run_tests

                return 0 if run_tests(*options.options) else 1
            case "profile":
                from harness.profile import run as profile_run

                profile_run((options.device,) if options.device else (), *options.options)
                return 0
            case "tree":
                from harness.trees import resolve

                print(resolve(options.name).path)
                return 0
            case "series":
                from harness.series import check

                check(options.checkout)
                return 0
            case "checkout":
                from harness.series import make

                make(options.folder)
                print(f"made {options.folder}: add a commit there, and run `nox -s export -- {options.folder}`")
                return 0
            case "export":
                from harness.export import export as export_series

                print("\n".join(export_series(options.checkout)) or "the commits are the series as it is")
                return 0
            case "census":
                from harness.census import take

                print(f"wrote {take().relative_to(ROOT)}: look at its diff, and run `nox` again")
                return 0
            case "guide":
                from harness.guide import run as run_guide

                run_guide(options.python)
                return 0
            case "readme":
                from harness.readme import update

                update()
                return 0
            case "page":
                from harness.page import write as write_page

                print(f"wrote {write_page().relative_to(ROOT)}")
                return 0
            case "pr":
                from harness.pr.kit import write as write_kit

                options_of_kit = {"author": options.author, "proof": options.proof, "upstream": options.checkout}
                kit_folder = write_kit(**options_of_kit).relative_to(ROOT)
                print(f"wrote {kit_folder}/: in each folder git am takes the patches, and body.md is what to say")
                return 0
            case "evidence":
                from harness import lane
                from harness.evidence import write

                found = lane.run_lane(options.device).verdict
                print(f"wrote {write(OUT / found.lane / 'verdict.json').relative_to(ROOT)}: commit it")
                return 0 if found.holds else 1
            case "releases":
                if options.stack:
                    from harness.releases import run as run_releases

                    return 0 if run_releases(options.stack) else 1
                from harness.releases_table import merge

                return 0 if merge() else 1
            case "drift":
                from harness.drift import run as run_drift

                return run_drift(options.checkout, options.version)
            case "necessity":
                from harness.necessity import run as need

                return 0 if need() else 1
            case "mutants":
                from harness.mutants import run as hunt

                return 0 if hunt(options.proposed) else 1
            case "rivals":
                from harness.rivals import run as try_rivals

                return 0 if try_rivals() else 1
            case "repeat":
                from harness.repeat import run as again

                return 0 if again(options.device, options.times, options.seed) else 1
            case "gate":
                from harness.gate import check as check_lanes

                jobs = {name: job["result"] for name, job in options.jobs.items()}
                problems = check_lanes(options.folder, options.require, options.optional, jobs)
                print("", *(f"- {problem}" for problem in problems), sep="\n")
                print("**The gate is shut.**" if problems else "**Every lane reported a verdict that holds.**")
                return 1 if problems else 0
            case "wheel":
                from harness.wheel import build
                from harness.wheel import check as check_wheel

                file = build()
                print(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(ROOT)}", flush=True)
                if options.check:
                    check_wheel(file, options.check)
                return 0
            case "apply":
                from harness.apply import apply as apply_to

                print(apply_to(options.environment, undo=options.undo))
                return 0
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:  # a disk that is full, a folder that cannot be written, a program that is not there
        missing = isinstance(error, FileNotFoundError) and "/" not in str(error.filename)
        why = "not installed" if missing else error.strerror or error
        print(f"error: {why}: {error.filename or 'out/ or .cache/'}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
