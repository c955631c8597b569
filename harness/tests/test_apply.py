"""An installed liquid-audio is patched, or restored, and nobody's edits are lost."""

import shutil
import subprocess
import sys

import pytest
from filelock import FileLock

from harness import CACHE, ROOT, HarnessError
from harness.apply import apply, lock
from harness.trees import resolve, series
from harness.wheel import VERSION, build, changes
from harness.wheels import RELEASE, fetch


def pip(environment, *arguments):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(environment / "bin" / "python")]
    subprocess.run([*command, *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("empty") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def published(empty, tmp_path_factory):
    folder = shutil.copytree(empty, tmp_path_factory.mktemp("published") / "venv", symlinks=True)
    pip(folder, "install", "--no-index", "--no-deps", f"--find-links={fetch(RELEASE, CACHE).parent}", "liquid-audio==1.3.0")
    return folder


@pytest.fixture
def environment(published, tmp_path):
    return shutil.copytree(published, tmp_path / "venv", symlinks=True)


def site(environment):
    return next(environment.glob("lib/python*/site-packages"))


def state(environment):
    """Contents of all that is installed, by path, without bytecode, and without RECORD, which has the hash of a script."""
    files = (file for file in site(environment).rglob("*") if file.suffix != ".pyc" and file.name != "RECORD")
    return {file.relative_to(site(environment)).as_posix(): file.read_bytes() for file in files if file.is_file()}


def test_it_installs_the_patched_package_and_undo_the_published_one(environment, published):
    before = state(environment)
    assert apply(environment) == f"patched: liquid-audio {VERSION} in {site(environment)}"
    after = state(environment)
    changed = {name for name, data in after.items() if name.startswith("liquid_audio/") and before.get(name) != data}
    assert changed == changes(series()).keys()
    assert apply(environment / "bin" / "python") == f"already patched: liquid-audio {VERSION} in {site(environment)}"
    assert apply(environment, undo=True) == f"as published: liquid-audio {RELEASE.version} in {site(environment)}"
    assert state(environment) == before


def test_a_wheel_that_pip_installed_can_be_undone(environment, tmp_path):
    pip(environment, "install", "--no-index", "--no-deps", str(build(tmp_path)))
    apply(environment, undo=True)
    file = site(environment) / "liquid_audio" / "processor.py"
    assert file.read_bytes() == (resolve("upstream").path / "liquid_audio" / "processor.py").read_bytes()


def test_edits_are_refused_by_the_file_and_kept(environment):
    file = site(environment) / "liquid_audio" / "processor.py"
    file.write_text("mine")
    for undo in (False, True):
        with pytest.raises(HarnessError, match=r"processor\.py was edited, and edits are kept: save them, then run `pip "):
            apply(environment, undo=undo)
    assert file.read_text() == "mine"


def test_a_file_of_the_users_own_stays(environment):
    (site(environment) / "liquid_audio" / "mine.py").write_text("mine")
    apply(environment)
    assert (site(environment) / "liquid_audio" / "mine.py").read_text() == "mine"


def test_another_version_is_refused(environment):
    info = site(environment) / "liquid_audio-1.3.0.dist-info" / "METADATA"
    info.write_text(info.read_text().replace("Version: 1.3.0", "Version: 1.2.0"))
    with pytest.raises(HarnessError, match=r"liquid-audio 1\.2\.0 is installed in .*, but the patches are for 1\.3\.0: "):
        apply(environment)


def test_a_second_run_at_once_is_refused_and_changes_nothing(environment):
    before = state(environment)
    with FileLock(lock(site(environment))), pytest.raises(HarnessError, match=r"another run is changing .+: wait for it"):
        apply(environment)
    assert state(environment) == before


def test_ctrl_c_does_not_stop_pip_halfway(environment):
    program = """
import signal, subprocess, sys
from pathlib import Path
from harness import apply
run = subprocess.run
def interrupted(command, **options):
    # Ctrl-C reaches this process, and pip before it has begun.
    stop = ["sh", "-c", 'kill -INT $PPID $$; exec "$@"', "sh"] if "--force-reinstall" in command else []
    return run([*stop, *map(str, command)], **options)
apply.subprocess.run = interrupted
signal.signal(signal.SIGINT, signal.default_int_handler)
print(apply.apply(Path(sys.argv[1])))
"""
    done = subprocess.run([sys.executable, "-c", program, environment], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("patched: "), done.stderr


@pytest.mark.parametrize("editable", [True, False])
def test_an_install_from_a_checkout_is_refused(empty, tmp_path, editable):
    checkout = tmp_path / "checkout"
    (checkout / "liquid_audio").mkdir(parents=True)
    (checkout / "liquid_audio" / "__init__.py").touch()
    (checkout / "pyproject.toml").write_text('[project]\nname = "liquid-audio"\nversion = "1.3.0"\n')
    environment = shutil.copytree(empty, tmp_path / "venv", symlinks=True)
    (site(environment) / "below.pth").write_text(str(next(path for path in sys.path if path.endswith("site-packages"))))
    options = ["--editable"] if editable else []
    pip(environment, "install", "--no-index", "--no-deps", "--no-build-isolation", *options, str(checkout))
    with pytest.raises(HarnessError, match=rf"comes from file://{checkout}: use `git am` in that checkout"):
        apply(environment)


def test_what_has_no_liquid_audio_is_refused(empty, tmp_path):
    with pytest.raises(HarnessError, match="liquid-audio is not installed for"):
        apply(empty)
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(HarnessError, match="expected the folder of a virtual environment, or a Python"):
            apply(folder)
