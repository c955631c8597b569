"""Nox sessions. Plain `nox` gives the verdict for this host. Each stack of packages has one environment, created once.

Arguments after `--` go to the command: `nox -s verdict -- --checkpoint ~/LFM2.5-Audio-1.5B`, `nox -s tests -- -k numpy`.
"""

import os
import platform
import shutil
import sys
from pathlib import Path

import nox

if sys.version_info < (3, 12):  # noqa: UP036, nox may run under any Python
    sys.exit(f"liquid-audio needs Python 3.12 or later, this is {sys.version.split()[0]}: run `python3.12 -m nox`")

# Sessions do not inherit the shell's settings for Python and pytest. PYTHONSAFEPATH hides this folder and PYTHONOPTIMIZE
# removes asserts. With PYTHONDONTWRITEBYTECODE, which containers set, each process compiles torch's Python files again.
for name in [name for name in os.environ if name.startswith(("PYTHON", "PYTEST_")) and name != "PYTHONUNBUFFERED"]:
    del os.environ[name]

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["verdict"]

# The locks of harness/stacks/ that each stack installs. The environment is named after the first.
STACKS = {
    "floor": ("floor",),
    "pinned": ("pinned",),
    "latest": ("latest",),
    "xla": ("xla",),
    "train": ("pinned", "train"),
    "lint": ("lint",),
    "browser": ("browser",),
    "demo": ("demo", "detector"),
    "apply": ("apply",),
    "mutants": ("mutants",),
    # This needs a separate environment: if it shared one, its packages would come and go under the other sessions.
    "compare": ("compare", "pinned"),
}
# Those without torch.
SMALL = ("lint", "browser", "apply", "mutants")


def stack(session: nox.Session, name: str = "pinned") -> str:
    """Create the environment of a stack, or update it, and return its Python."""
    locks = STACKS[name]
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        session.error('uv creates the environments: run `python3 -m pip install "nox[uv]"`')
    environment = Path(".nox") / f"{locks[0]}-py{sys.version_info.major}{sys.version_info.minor}"
    python = environment / "bin" / "python"
    if not python.exists():
        size = "less than 100 MB" if locks[0] in SMALL else "about 6 GB with torch and CUDA"
        session.log("creating %s, which takes %s", environment, size)
        session.run_install(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(environment), external=True)
    files = [f"harness/stacks/{lock}.txt" for lock in locks]
    session.run_install(uv, "pip", "sync", "--python", str(python), "--require-hashes", *files, external=True)
    return str(python)


@nox.session
def verdict(session: nox.Session) -> None:
    """Run the suite on upstream and on patched, on cpu and sim, compare them by bug, and write out/ (default)."""
    session.run(stack(session), "-m", "harness", "verdict", "--stack", "pinned", *session.posargs)


@nox.session
def cuda(session: nox.Session) -> None:
    """Give the verdict for an NVIDIA or AMD GPU; fail on a host without one."""
    if not (shutil.which("nvidia-smi") or Path("/dev/kfd").exists()):
        session.error("cuda needs an NVIDIA or AMD GPU with its driver: this host has neither nvidia-smi nor /dev/kfd")
    session.run(stack(session), "-m", "harness", "verdict", "--stack", "pinned", "--device", "cuda", *session.posargs)


@nox.session
def mps(session: nox.Session) -> None:
    """Give the verdict for the GPU of a Mac; fail on a host without one."""
    if (sys.platform, platform.machine()) != ("darwin", "arm64"):
        session.error(f"mps needs macOS on Apple silicon, this is {platform.system()} on {platform.machine()}")
    session.run(stack(session), "-m", "harness", "verdict", "--stack", "pinned", "--device", "mps", *session.posargs)


@nox.session
def xla(session: nox.Session) -> None:
    """Give the verdict for the core of the suite through torch_xla, on a TPU or the CPU: Linux on x86-64, Python 3.12 or 3.13."""
    session.run(stack(session, "xla"), "-m", "harness", "verdict", "--stack", "xla", "--device", "xla", *session.posargs)


@nox.session
@nox.parametrize("name", ["floor", "pinned", "latest"], ids=["floor", "pinned", "latest"])
def suite(session: nox.Session, name: str) -> None:
    """Give the verdict on another stack, and write out/cpu-<stack>/ and out/sim-<stack>/; `pinned` is what `verdict` uses."""
    session.run(stack(session, name), "-m", "harness", "verdict", "--stack", name, *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the suite on the patched tree, and the tests of harness/."""
    session.run(stack(session), "-m", "harness", "test", "--", *session.posargs)


@nox.session
def properties(session: nox.Session) -> None:
    """Try 20,000 new forms of audio on the patched package, 5,000 in each container, and 5,000 for every other property."""
    options = ("--tree", "patched", "--hypothesis-profile", "many", "--numprocesses", "logical")
    session.run(stack(session), "-m", "pytest", "tests/test_properties.py", *options, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check our code, the workflows and each patch, also on a checkout of upstream: `nox -s lint -- --checkout PATH`."""
    python = stack(session)
    session.run(python, "-m", "ruff", "check")
    session.run(python, "-m", "ruff", "format", "--check")
    session.run(python, "-m", "mypy")
    workflows = [str(file) for file in sorted(Path(".github/workflows").glob("*.yml"))]
    # These tools have a separate environment, so that the one that sessions share does not change.
    tools = Path(stack(session, "lint")).parent
    session.run(str(tools / "actionlint"), "-shellcheck", str(tools / "shellcheck"), "-pyflakes=", *workflows)
    session.run(str(tools / "zizmor"), "--offline", "--persona=pedantic", "--quiet", *workflows)
    session.run(python, "-m", "harness", "series", *session.posargs)
    session.run(python, "-m", "harness", "readme", "--check")


@nox.session
def checkout(session: nox.Session) -> None:
    """Create a git repository of the release, with the series as commits: `nox -s checkout -- ../liquid-audio`."""
    session.run(stack(session), "-m", "harness", "checkout", *session.posargs)


@nox.session
def export(session: nox.Session) -> None:
    """Write patches/ from the commits of a checkout, and list the changes: `nox -s export -- ../liquid-audio`."""
    session.run(stack(session), "-m", "harness", "export", *session.posargs)


@nox.session
def census(session: nox.Session) -> None:
    """Count the tests of the last verdicts into tests/census.txt, whose diff shows what was added or removed."""
    session.run(stack(session), "-m", "harness", "census")


@nox.session
def drift(session: nox.Session) -> None:
    """Try each patch on the newest release, or on `-- --checkout PATH`, and name the locks that newer releases have outdated."""
    # This needs no stack: its only dependencies are filelock and packaging, which come with nox.
    session.run(sys.executable, "-m", "harness", "drift", *session.posargs, external=True)


@nox.session
def evidence(session: nox.Session) -> None:
    """Run a lane, and write its verdict to fixtures/evidence/, to be committed: `nox -s evidence -- --device cuda`."""
    python = stack(session, "xla" if "xla" in session.posargs else "pinned")
    session.run(python, "-m", "harness", "verdict", "--evidence", *session.posargs)


@nox.session
def benchmark(session: nox.Session) -> None:
    """Measure the cost of the patches; `-- --full`: whether a full-size model runs here; `-- --full --device cuda`: on a GPU."""
    session.run(stack(session), "-m", "harness", "benchmark", *session.posargs)


@nox.session
def compare(session: nox.Session) -> None:
    """Compare openai-whisper, faster-whisper and LFM2-Audio: `nox -s compare -- --lfm LiquidAI/LFM2.5-Audio-1.5B`."""
    python = stack(session, "compare")
    if not session.posargs:
        session.run(python, "-m", "pytest", "harness/tests/test_compare.py")
    session.run(python, "-m", "harness.compare", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Break each changed line, and leave out each piece of the series: a test notices, or tests/mutants.toml says why none does."""
    python = stack(session)
    folders = [
        Path(str(session.run(python, "-m", "harness", "tree", name, silent=True)).strip()) for name in ("upstream", "patched")
    ]
    proposed = Path("out") / "mutants-proposed.json"
    proposed.parent.mkdir(exist_ok=True)
    arguments = [str(folder / "liquid_audio") for folder in folders]
    proposed.write_text(str(session.run(stack(session, "mutants"), "-m", "harness.mutate", *arguments, silent=True)))
    session.run(python, "-m", "harness", "mutants", str(proposed))


@nox.session
def alternatives(session: nox.Session) -> None:
    """Run the suite on the other fixes in circulation, and show what each fixes and breaks, and why it is rejected."""
    session.run(stack(session), "-m", "harness", "alternatives", *session.posargs)


@nox.session
def readme(session: nox.Session) -> None:
    """Put the last verdicts into README.md, their picture into .github/, and the table of bugs into patches/README.md."""
    session.run(stack(session), "-m", "harness", "readme")


@nox.session
def page(session: nox.Session) -> None:
    """Write the last verdicts to out/report.html, and check it in a headless Chromium, which the host must have."""
    session.run(stack(session), "-m", "harness", "page")
    session.run(stack(session, "browser"), "-m", "harness.report.check")


@nox.session
def demo(session: nox.Session) -> None:
    """Talk to upstream's demo on both trees through a headless Chromium, which the host must have, and write out/demo.json."""
    # Leave time to stop the demo and the browser after Ctrl-C.
    session.run(stack(session, "demo"), "-m", "harness.demo", *session.posargs, interrupt_timeout=15, terminate_timeout=10)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the patched wheel in out/dist/, install it over the published package, and run the suite on the result."""
    python = stack(session)
    environment = Path(".nox") / f"wheel-py{sys.version_info.major}{sys.version_info.minor}"
    session.run(python, "-m", "harness", "wheel", "--check", str(environment))


@nox.session
def apply(session: nox.Session) -> None:
    """Patch an installed liquid-audio in place: `nox -s apply -- ~/venv`, and `nox -s apply -- ~/venv --undo`."""
    session.run(stack(session, "apply"), "-m", "harness", "apply", *session.posargs)


@nox.session
def pr(session: nox.Session) -> None:
    """Write out/pr/: four pull requests with tests and descriptions: `nox -s pr -- --checkout ~/liquid-audio --proof URL`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where uv is
    session.run(stack(session), "-m", "harness", "pr", *session.posargs, env={"PATH": path})


@nox.session
def train(session: nox.Session) -> None:
    """Train the tiny checkpoint from scratch, on Debian, in an hour and a half."""
    _with_upstream(session, "fixtures.build.train")


@nox.session
def clips(session: nox.Session) -> None:
    """Rebuild the spoken clips and their manifest, on Debian, and count how safely the checkpoint recognises them."""
    _with_upstream(session, "fixtures.build.clips")


def _with_upstream(session: nox.Session, module: str) -> None:
    """Run a module of fixtures/build/, which imports the published package from its tree."""
    python = stack(session, "train")
    tree = session.run(python, "-m", "harness", "tree", "upstream", silent=True)
    session.run(python, "-m", module, env={"PYTHONPATH": str(tree).strip()})
