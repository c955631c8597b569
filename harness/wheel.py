"""The patched package as a wheel, for the user who cannot wait for a release.

It has a local version, which pip installs over the published one. Every changed file says that Liquid AI did not change it.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path

from harness import CACHE, OUT, PATCHES, ROOT, HarnessError, trees, wheels, world
from harness.series import readme, whole


def version(patches: Path = PATCHES) -> str:
    """Return the version of the wheel of a series, with a hash of all patches that change what is in it.

    pip takes wheels of one version for the same wheel. The "s" keeps the hash from being a number, whose zeros pip would drop.
    """
    total = hashlib.sha256(b"".join(patch.name.encode() + patch.read_bytes() for patch in whole(patches)))
    return f"{wheels.RELEASE.version}+anydevice.s{total.hexdigest()[:7]}"


VERSION = version()
FILE = f"{trees.PACKAGE}-{VERSION}-py3-none-any.whl"

# The earliest date that a zip can hold, which the published wheel has as well.
EPOCH = "315532800"

NOTICE = f"""\
liquid-audio {VERSION} is a modified version of liquid-audio {wheels.RELEASE.version}, and not Liquid AI's.

liquid-audio is Copyright Liquid AI, Inc., under the LFM Open License v1.0, of which LICENSE is a copy. The modifications may
be used under the same license. What it says about commercial use holds for this package as for the published one.

These files were changed or added, by these patches, and say so in their first line. README.md is the description in METADATA.
"""


def build(folder: Path = OUT / "dist") -> Path:
    """Pack the patched tree; the same patches give the same bytes.

    Args:
        folder: where the wheel goes

    Returns:
        the wheel

    Raises:
        HarnessError: the tree cannot be built or packed
    """
    tree = trees.resolve("patched").path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as temporary:
        source, packed = Path(temporary, "source"), Path(temporary, FILE)
        shutil.copytree(tree, source, ignore=shutil.ignore_patterns("__pycache__", "tree.json"))
        _mark(source)
        for file in source.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)  # a wheel keeps modes, which must not depend on this host's umask
        command = [sys.executable, "-m", "wheel", "pack", str(source), "--dest-dir", temporary]
        _run(command, env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH})
        for old in folder.glob(f"{trees.PACKAGE}-*.whl"):
            old.unlink()  # of another series: `pip install out/dist/*.whl` is to find only one
        return packed.replace(folder / FILE)


def changes(patches: Iterable[Path]) -> dict[str, list[str]]:
    """Map each file that the patches change or add, by its path in the package, to the names of those patches."""
    found: dict[str, list[str]] = {}
    for patch in patches:
        for file in re.findall(r"^\+\+\+ b/(?:src/)?(\S+)$", patch.read_text(encoding="utf-8"), re.MULTILINE):
            found.setdefault(file, []).append(patch.stem)
    return dict(sorted(found.items()))


def _mark(source: Path) -> None:
    """Give an unpacked wheel its version and, as the licence demands, a notice on every file that is not as published."""
    published = trees.resolve("upstream").path
    notice = NOTICE
    for name, patches in changes(whole(PATCHES)).items():
        notice += f"\n{name}\n" + "".join(f"    {patch}\n" for patch in patches)
        if not name.startswith(trees.PACKAGE):
            continue
        file = source / name
        done = "Changed from" if (published / name).exists() else "Added to"
        by = ", ".join(patch[:4] for patch in patches)
        mark = f"# {done} liquid-audio {wheels.RELEASE.version} by {by}, not by Liquid AI: see licenses/NOTICE of {VERSION}.\n"
        file.write_bytes(mark.encode() + file.read_bytes())

    info = source / f"{trees.PACKAGE}-{wheels.RELEASE.version}.dist-info"
    info = info.rename(source / f"{trees.PACKAGE}-{VERSION}.dist-info")
    (info / "licenses" / "NOTICE").write_text(notice, encoding="utf-8", newline="\n")
    metadata = info / "METADATA"
    head = metadata.read_text(encoding="utf-8").partition("\n\n")[0]
    head = head.replace(f"\nVersion: {wheels.RELEASE.version}\n", f"\nVersion: {VERSION}\n")
    head = head.replace("\nLicense-File: LICENSE\n", "\nLicense-File: LICENSE\nLicense-File: NOTICE\n")
    mark = f"**Changed** from {wheels.RELEASE.version}, not by Liquid AI: see licenses/NOTICE. What follows is upstream's, patched."
    metadata.write_text(f"{head}\n\n{mark}\n\n{readme()}", encoding="utf-8", newline="\n")


def check(wheel: Path, environment: Path) -> None:
    """Install the published package and the wheel over it, as a user does, and run the suite on the result, on the CPU.

    Args:
        wheel: the patched one
        environment: a folder, which is emptied first; its other packages are those of this environment

    Raises:
        HarnessError: pip cannot install either, finds a dependency that is not met, or a test does not pass
    """
    python, site = install(wheel, environment.absolute())
    print(f"installed over {wheels.RELEASE.version} in {environment}, pip check is clean", flush=True)
    command = [str(python), "-m", "pytest", *world.SETTINGS, "tests", "--tree", str(site), "--numprocesses", "logical", "-q"]
    if subprocess.run(command, cwd=ROOT, env=world.environment(CUDA_VISIBLE_DEVICES="")).returncode:
        raise HarnessError(f"a test does not pass on the installed wheel, in {site}")


def install(wheel: Path, environment: Path) -> tuple[Path, Path]:
    """Create the environment of `check`, and return its Python, and the folder where its packages are."""
    _run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(environment)])
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(environment)}))
    python = Path(sysconfig.get_path("scripts", "venv", {"base": str(environment)})) / "python"
    (site / "below.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n", encoding="utf-8")
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    # Even if the environment below has the package, which pip would take for installed.
    published = wheels.fetch(wheels.RELEASE, CACHE)
    _run([*pip, "install", "--quiet", "--no-index", "--no-deps", "--ignore-installed", str(published)])
    _run([*pip, "install", "--quiet", "--no-index", str(wheel)])
    _run([*pip, "check"])
    return python, site


def _run(command: list[str], env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise HarnessError(f"`{' '.join(command[1:4])}` failed: {''.join(reason)}")


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `wheel`."""
    parser.add_argument(
        "--check", type=Path, metavar="FOLDER", help="make an environment there, install the wheel, and run the suite"
    )
    parser.set_defaults(run=_command)


def _command(options: argparse.Namespace) -> None:
    file = build()
    print(f"{wheels.sha256(file)}  {file.relative_to(ROOT)}", flush=True)
    if options.check:
        check(file, options.check)
