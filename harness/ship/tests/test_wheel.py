"""The wheel is the patched tree and says so, has the same bytes each time, and takes a user from pip to a transcript."""

import hashlib
import os
import re
import shutil
import subprocess
import sys

import pytest
import soundfile
from packaging.version import Version

from harness import PATCHES, ROOT
from harness.series import readme, whole
from harness.ship.wheel import FILE, VERSION, build, changes, install, version
from harness.speech import CLIPS, clips, normalise
from harness.trees import resolve, series

SECTION = (
    (ROOT / "README.md").read_text(encoding="utf-8").partition("## Transcribe a file of your own")[2].partition("\n## ")[0]
)
EXAMPLES = re.findall(r"```python\n(.+?)```", SECTION, re.DOTALL)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory):
    """The wheel's files, each of which `wheel` checked against RECORD."""
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run([sys.executable, "-m", "wheel", "unpack", str(wheel), "--dest", str(folder)], check=True)
    return folder / f"liquid_audio-{VERSION}"


@pytest.fixture(scope="module")
def installed_wheel(wheel, tmp_path_factory):
    """Python of an environment with the published package and the wheel over it."""
    python, _ = install(wheel, tmp_path_factory.mktemp("environment"))
    return python


def _files(tree):
    found = (file for file in (tree / "liquid_audio").rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {file.relative_to(tree).as_posix(): file.read_bytes() for file in found}


def test_two_builds_have_the_same_bytes(wheel, tmp_path):
    before = os.umask(0o077)
    try:
        again = build(tmp_path / "elsewhere")
    finally:
        os.umask(before)
    assert again.name == wheel.name == FILE
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()
    assert list(again.parent.iterdir()) == [again]


@pytest.mark.parametrize("changed", ["", "readme"])
def test_other_patches_are_a_wheel_of_another_version(tmp_path, changed):
    patches = shutil.copytree(PATCHES, tmp_path / "patches")
    assert version(patches) == VERSION == str(Version(VERSION))
    (patches / "checkout" / "0099-no-wheel-has-it.patch").touch()
    assert version(patches) == VERSION
    with next((patches / changed).glob("*.patch")).open("a") as patch:
        patch.write("\n")
    assert version(patches).partition("+anydevice.s")[0] == "1.3.0" and version(patches) != VERSION


def test_a_wheel_takes_the_place_of_those_of_other_series(tmp_path):
    (tmp_path / "liquid_audio-1.3.0+anydevice.1-py3-none-any.whl").touch()
    built = build(tmp_path)
    assert list(tmp_path.iterdir()) == [built]


def test_what_changed_says_so_in_its_first_line_and_the_rest_is_as_published(unpacked):
    published, patched, packed = _files(resolve("upstream").path), _files(resolve("patched").path), _files(unpacked)
    changed = {name for name in patched if patched[name] != published.get(name)}
    assert changes(series()).keys() == changed
    assert packed.keys() == patched.keys()
    for name, data in packed.items():
        if name in changed:
            mark, _, rest = data.partition(b"\n")
            assert rest == patched[name]
            assert re.match(rb"# (Changed|Added) .* by 0.*, not by Liquid AI: see licenses/NOTICE", mark)
            assert mark.startswith(b"# Changed") == (name in published)
        else:
            assert data == published[name]


def test_the_notice_names_every_file_with_its_patches_and_the_licence_is_kept(unpacked):
    licences = unpacked / f"liquid_audio-{VERSION}.dist-info" / "licenses"
    notice = (licences / "NOTICE").read_text(encoding="utf-8")
    assert "README.md" in changes(whole(PATCHES))
    for name, patches in changes(whole(PATCHES)).items():
        assert "\n".join([f"\n{name}", *(f"    {patch}" for patch in patches), ""]) in notice
    assert (licences / "LICENSE").read_bytes() == (ROOT / "LICENSE.liquid-audio").read_bytes()


def test_the_description_is_the_readme_as_the_series_leaves_it(unpacked):
    text = (unpacked / f"liquid_audio-{VERSION}.dist-info" / "METADATA").read_text(encoding="utf-8")
    mark, _, description = text.partition("\n\n")[2].partition("\n\n")
    assert mark.startswith("**Changed** from 1.3.0, not by Liquid AI")
    assert description == readme()


def test_pip_installs_it_over_the_published_one(installed_wheel):
    shown = subprocess.run([installed_wheel, "-m", "pip", "show", "--files", "liquid-audio"], capture_output=True, text=True)
    assert f"\nVersion: {VERSION}\n" in shown.stdout
    assert f"liquid_audio-{VERSION}.dist-info/licenses/NOTICE" in shown.stdout


def test_readme_goes_from_pip_to_a_transcript(installed_wheel, checkpoint, tmp_path):
    """A 48 kHz stereo int16 file of the user's own, on a host without a GPU."""
    code, _ = EXAMPLES
    clip = next(clip for clip in clips() if clip.sampling_rate == 48_000 and clip.channels == 2)
    samples, rate = soundfile.read(CLIPS / clip.file, dtype="int16")
    soundfile.write(tmp_path / "own.wav", samples, rate, subtype="PCM_16")
    (tmp_path / "example.py").write_text(
        f"checkpoint, path = {str(checkpoint.resolve())!r}, 'own.wav'\n{code}",
        encoding="utf-8",
    )
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([installed_wheel, "-P", "example.py"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert normalise(done.stdout) == clip.text, done.stderr
