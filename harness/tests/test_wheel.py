"""The wheel is the patched tree and says so, has the same bytes each time, and takes a user from pip to a transcript."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import soundfile

from harness import PATCHES, ROOT
from harness.series import readme, whole
from harness.speech import CLIPS, clips, normalise
from harness.trees import resolve, series
from harness.wheel import VERSION, build, changes, install, version

EXAMPLES = re.findall(r"```python\n(.+?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory):
    """The wheel's files, each of which `wheel` checked against RECORD."""
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run([sys.executable, "-m", "wheel", "unpack", str(wheel), "--dest", str(folder)], check=True)
    return folder / f"liquid_audio-{VERSION}"


def test_two_builds_have_the_same_bytes_and_leave_one_wheel(wheel, tmp_path):
    (tmp_path / "liquid_audio-1.3.0+anydevice.1-py3-none-any.whl").touch()
    before = os.umask(0o077)
    try:
        again = build(tmp_path)
    finally:
        os.umask(before)
    assert again.name == wheel.name and again.read_bytes() == wheel.read_bytes()
    assert list(tmp_path.iterdir()) == [again]


@pytest.mark.parametrize("changed", ["", "readme"])
def test_other_patches_are_a_wheel_of_another_version(tmp_path, changed):
    patches = shutil.copytree(PATCHES, tmp_path / "patches")
    (patches / "checkout" / "0099-no-wheel-has-it.patch").touch()
    assert version(patches) == VERSION
    with next((patches / changed).glob("*.patch")).open("a") as patch:
        patch.write("\n")
    assert version(patches).startswith("1.3.0+anydevice.s") and version(patches) != VERSION


def test_what_changed_says_so_in_its_first_line_and_the_rest_is_as_published(unpacked):
    trees = [resolve("upstream").path, resolve("patched").path, unpacked]
    published, patched, packed = (
        {file.relative_to(tree).as_posix(): file.read_bytes() for file in (tree / "liquid_audio").rglob("*.*")}
        for tree in trees
    )
    packed = {name: data for name, data in packed.items() if "__pycache__" not in name}
    changed = {name for name in packed if patched[name] != published.get(name)}
    assert changes(series()).keys() == changed
    for name, data in packed.items():
        mark, _, rest = data.partition(b"\n")
        assert (rest if name in changed else data) == patched[name]
        if name in changed:
            done = b"Changed from" if name in published else b"Added to"
            assert re.match(rb"# %b liquid-audio .* by 0.*, not by Liquid AI: see licenses/NOTICE" % done, mark)


def test_the_metadata_names_every_changed_file_and_keeps_the_licence(unpacked):
    info = unpacked / f"liquid_audio-{VERSION}.dist-info"
    notice = (info / "licenses" / "NOTICE").read_text(encoding="utf-8")
    for name, patches in changes(whole(PATCHES)).items():
        assert "\n".join([f"\n{name}", *(f"    {patch}" for patch in patches), ""]) in notice
    assert (info / "licenses" / "LICENSE").read_bytes() == (ROOT / "LICENSE.liquid-audio").read_bytes()
    _, mark, description = (info / "METADATA").read_text(encoding="utf-8").split("\n\n", 2)
    assert mark.startswith("**Changed** from 1.3.0, not by Liquid AI")
    assert description == readme()


def test_readme_goes_from_pip_to_a_transcript(wheel, checkpoint, tmp_path):
    """A 48 kHz stereo int16 file of the user's own, on a host without a GPU."""
    code = next(code for code in EXAMPLES if "def transcribe" in code)
    clip = next(clip for clip in clips() if clip.sampling_rate == 48_000 and clip.channels == 2)
    samples, rate = soundfile.read(CLIPS / clip.file, dtype="int16")
    soundfile.write(tmp_path / "own.wav", samples, rate, subtype="PCM_16")
    program = f"checkpoint, path = {str(checkpoint.resolve())!r}, 'own.wav'\n{code}"
    python, _ = install(wheel, tmp_path / "environment")
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([python, "-P", "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert normalise(done.stdout) == clip.text, done.stderr
