"""An installed liquid-audio is patched, or restored, as a whole or not at all, and nobody's edits are lost."""

import base64
import csv
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig

import pytest
from filelock import FileLock

from harness import CACHE, ROOT, HarnessError
from harness.ship.apply import STAGING, apply, lock
from harness.ship.wheel import VERSION, build
from harness.wheels import RELEASE, fetch

INFO = {version: f"liquid_audio-{version}.dist-info" for version in (RELEASE.version, VERSION)}

# A run that sends itself a signal when it opens a staged file, or at the nth rename from or to the staging folder.
STOPPED = """
import os, signal, sys
from pathlib import Path
environment, staging, stop, event, which, wheel = sys.argv[1:]
from harness.ship import apply
apply.build = lambda: Path(wheel)
signal.signal(signal.SIGINT, signal.default_int_handler)  # which is ignored in what a shell started in the background
seen = 0
def hook(found, arguments):
    global seen
    paths = [str(argument) for argument in arguments[:2]]
    if found == event and any(staging in path for path in paths):
        if paths[0].endswith(which) or str(seen) == which:
            os.kill(os.getpid(), int(stop))
        seen += 1
sys.addaudithook(hook)
apply.apply(Path(environment))
"""


@pytest.fixture(scope="module", autouse=True)
def built():
    """Build the patched wheel once, and return its path."""
    with pytest.MonkeyPatch.context() as patch:
        found = build()
        patch.setattr("harness.ship.apply.build", lambda: found)
        yield found


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """An environment with nothing in it."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def published(empty, tmp_path_factory):
    """An environment with the published package, as pip installs it."""
    folder = shutil.copytree(empty, tmp_path_factory.mktemp("published") / "venv", symlinks=True)
    _pip(folder, "install", "--no-compile", "--no-index", "--no-deps", str(fetch(RELEASE, CACHE)))
    return folder


@pytest.fixture
def environment(published, tmp_path):
    return shutil.copytree(published, tmp_path / "venv", symlinks=True)


def _pip(environment, *arguments):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(environment / "bin" / "python")]
    subprocess.run([*pip, *arguments], check=True, capture_output=True)


def _site(environment):
    return next(environment.glob("lib/python*/site-packages"))


def _state(environment):
    """Contents of all that is installed, by path; for RECORD its lines, which have no order.

    This leaves out bytecode and scripts, which contain the environment's path, and pip's note of where a wheel came from.
    """
    site = _site(environment)
    found = {file.relative_to(site).as_posix(): file.read_bytes() for file in site.rglob("*") if file.is_file()}
    return {
        name: sorted(line for line in data.splitlines() if not re.search(rb"__pycache__|^\.\./|/direct_url\.json", line))
        if name.endswith("/RECORD")
        else data
        for name, data in found.items()
        if not re.search(r"__pycache__|/direct_url\.json", name)
    }


@pytest.fixture(scope="module")
def patched(published, tmp_path_factory):
    """An environment that was patched."""
    folder = shutil.copytree(published, tmp_path_factory.mktemp("patched") / "venv", symlinks=True)
    apply(folder)
    return folder


@pytest.fixture(scope="module")
def states(published, patched):
    """What is installed before and after."""
    return {"old": _state(published), "new": _state(patched)}


def test_it_leaves_what_pip_leaves_when_it_installs_the_wheel_and_undo_brings_the_published_one_back(
    environment, states, tmp_path
):
    assert apply(environment) == f"patched: liquid-audio {VERSION} in {_site(environment)}"
    installed = shutil.copytree(environment, tmp_path / "pip", symlinks=True)
    _pip(installed, "install", "--no-compile", "--no-index", "--no-deps", "--force-reinstall", str(build(tmp_path)))
    assert _state(environment) == _state(installed)
    assert apply(environment, undo=True) == f"as published: liquid-audio {RELEASE.version} in {_site(environment)}"
    assert _state(environment) == states["old"]
    # What pip installed from the wheel can be undone as well.
    apply(installed, undo=True)
    assert _state(installed) == states["old"]


def test_a_second_time_nothing_is_done(environment, states):
    assert apply(environment, undo=True).startswith("already as published")
    assert _state(environment) == states["old"]
    apply(environment)
    before = (_site(environment) / "liquid_audio").stat().st_ino
    assert apply(environment / "bin" / "python").startswith("already patched")
    assert (_site(environment) / "liquid_audio").stat().st_ino == before


def test_record_has_the_hash_of_every_file(environment):
    apply(environment)
    site = _site(environment)
    with (site / INFO[VERSION] / "RECORD").open(newline="") as record:
        rows = {path: digest for path, digest, _ in csv.reader(record)}
    installed = {file.relative_to(site).as_posix() for file in site.rglob("*") if file.is_file()}
    assert installed == {path for path in rows if not path.startswith("..")}
    for path, digest in rows.items():
        found = base64.urlsafe_b64encode(hashlib.sha256((site / path).read_bytes()).digest()).decode().rstrip("=")
        assert digest == ("" if path.endswith("/RECORD") else f"sha256={found}")


def test_pip_uninstalls_all_of_it(environment):
    apply(environment)
    site = _site(environment)
    subprocess.run([environment / "bin" / "python", "-m", "compileall", "-q", site / "liquid_audio"], check=True)
    _pip(environment, "uninstall", "--yes", "liquid-audio")
    assert list(site.iterdir()) == []
    assert not list(environment.glob("bin/liquid*"))


def test_a_file_that_an_installer_linked_into_its_cache_is_left_alone(environment, tmp_path):
    installed = _site(environment) / "liquid_audio" / "processor.py"
    os.link(installed, tmp_path / "cached.py")
    before = installed.read_bytes()
    apply(environment)
    assert (tmp_path / "cached.py").read_bytes() == before != installed.read_bytes()


@pytest.mark.parametrize("moment", [("open", "RECORD"), *(("os.rename", n) for n in range(4))], ids=lambda m: f"{m[0]}-{m[1]}")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_what_is_stopped_midway_is_old_or_new_or_whole_after_the_next_run(built, environment, states, tmp_path, stop, moment):
    """Stopped while it stages its files, and at each of the four renames that put them in place."""
    arguments = [environment, STAGING, str(stop.value), *map(str, moment), built]
    done = subprocess.run([sys.executable, "-c", STOPPED, *arguments], cwd=ROOT)
    assert done.returncode == (-stop if stop == signal.SIGKILL or moment[0] == "open" else 0)
    if stop == signal.SIGINT:
        assert _state(environment) == states["old" if moment[0] == "open" else "new"]
        return
    other = shutil.copytree(environment, tmp_path / "other", symlinks=True)
    apply(environment)
    assert _state(environment) == states["new"]
    apply(other, undo=True)
    assert _state(other) == states["old"]


def test_edits_are_refused_by_the_file_and_kept(environment):
    file = _site(environment) / "liquid_audio" / "processor.py"
    file.write_text("mine")
    for undo in (False, True):
        with pytest.raises(HarnessError, match=r"processor\.py is not as in liquid-audio 1\.3\.0, .* --force-reinstall"):
            apply(environment, undo=undo)
    assert file.read_text() == "mine"


def test_a_file_too_many_is_refused(environment):
    (_site(environment) / "liquid_audio" / "mine.py").touch()
    with pytest.raises(HarnessError, match=r"mine\.py is not as in liquid-audio"):
        apply(environment)


def test_another_version_is_refused(environment):
    site = _site(environment)
    info = (site / INFO[RELEASE.version]).rename(site / "liquid_audio-1.2.0.dist-info")
    (info / "METADATA").write_text((info / "METADATA").read_text().replace("Version: 1.3.0", "Version: 1.2.0"))
    with pytest.raises(HarnessError, match=r"liquid-audio 1\.2\.0 is installed in .*, but only 1\.3\.0 is patched in place: "):
        apply(environment)


def test_two_runs_at_once_are_one_after_the_other(environment, tmp_path):
    # Jobs of a cluster have temporary folders of their own: a lock there would keep nobody out.
    before, held = _state(environment), FileLock(lock(_site(environment)))
    program = "import sys; from pathlib import Path; from harness.ship.apply import apply; apply(Path(sys.argv[1]))"
    command, env = [sys.executable, "-c", program, str(environment)], os.environ | {"TMPDIR": str(tmp_path)}
    with held:
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert re.search(r"HarnessError: another run is changing liquid-audio in .+: wait for it$", done.stderr.strip())
    assert _state(environment) == before


def test_an_environment_without_it_is_refused(empty):
    with pytest.raises(HarnessError, match="liquid-audio is not installed in"):
        apply(empty)


def test_what_is_no_environment_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(HarnessError, match="expected the folder of a virtual environment, or a Python"):
            apply(folder)


def test_an_editable_install_is_refused(empty, tmp_path):
    checkout = tmp_path / "checkout"
    (checkout / "src" / "liquid_audio").mkdir(parents=True)
    (checkout / "src" / "liquid_audio" / "__init__.py").touch()
    (checkout / "pyproject.toml").write_text('[project]\nname = "liquid-audio"\nversion = "1.3.0"\n')
    environment = shutil.copytree(empty, tmp_path / "venv", symlinks=True)
    (_site(environment) / "below.pth").write_text(sysconfig.get_path("purelib"))
    _pip(environment, "install", "--no-index", "--no-deps", "--no-build-isolation", "--editable", str(checkout))
    with pytest.raises(HarnessError, match=rf"is an editable install of file://{checkout}"):
        apply(environment)
