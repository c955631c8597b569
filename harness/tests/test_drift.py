"""Each patch is tried on a tree made by hand, and each source is read with a real pip."""

import html
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from harness import PATCHES, ROOT, HarnessError
from harness.drift import examine, newest, outdated, run
from harness.series import outside, published_readme, readme
from harness.trees import resolve

RELEASED = "# one\nGREETING = 'goodbye'\n# three\n"
HELLO = RELEASED.replace("goodbye", "hello")
PATCH = """\
--- a/src/liquid_audio/__init__.py
+++ b/src/liquid_audio/__init__.py
@@ -1,3 +1,3 @@
 # one
-GREETING = 'goodbye'
+GREETING = 'hello'
 # three
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (RELEASED, "applies"),
        (HELLO, "is in already: drop it"),
        (RELEASED.replace("three", "four"), "conflicts: patch failed: src/liquid_audio/__init__.py:1: rebase it, or drop it"),
    ],
)
def test_a_patch_applies_or_is_in_already_or_conflicts(tmp_path, text, found):
    (tmp_path / "0001-Hello.patch").write_text(PATCH)
    (tmp_path / "liquid_audio").mkdir()
    (tmp_path / "liquid_audio" / "__init__.py").write_text(text)
    assert examine(tmp_path, [tmp_path / "0001-Hello.patch"], {}) == {"0001-Hello.patch": found}
    assert (tmp_path / "liquid_audio" / "__init__.py").read_text() == text


def test_lines_that_are_in_already_are_not_added_where_the_context_occurs_twice(tmp_path):
    lines = "".join(f"{n}\n" for n in range(1, 7))
    added = "@@ -1,6 +1,7 @@\n 1\n 2\n 3\n+new\n 4\n 5\n 6\n"
    (tmp_path / "0001-New.patch").write_text("".join(PATCH.partition("+GREET")[0].splitlines(keepends=True)[:2]) + added)
    (tmp_path / "liquid_audio").mkdir()
    (tmp_path / "liquid_audio" / "__init__.py").write_text(lines.replace("3\n", "3\nnew\n") + lines)
    found = examine(tmp_path, [tmp_path / "0001-New.patch"], {})
    assert found == {"0001-New.patch": "is in already: drop it"}


def test_readme_is_tried_and_a_file_that_is_not_there_is_named(tmp_path, capsys):
    source = resolve("upstream").path
    shutil.copytree(source / "liquid_audio", tmp_path / "src" / "liquid_audio")
    (tmp_path / "README.md").write_text(published_readme(source))
    assert run(checkout=tmp_path)
    assert all(f"- `{patch.name}` was not tried: there is no " in capsys.readouterr().out for patch in outside(PATCHES)[:1])
    (tmp_path / "README.md").write_text(readme())
    assert not run(checkout=tmp_path)
    last = max((PATCHES / "readme").glob("*.patch")).name
    assert f"- `{last}` is in already: drop it.\n" in capsys.readouterr().out


def test_a_folder_without_the_package_is_an_error(tmp_path):
    with pytest.raises(HarnessError, match="expected a folder that holds src/liquid_audio/"):
        run(checkout=tmp_path)


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Return a function that puts a wheel with one module into pip's only index."""
    newest.cache_clear()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "index").as_uri())

    def publish(project, version, text="", python=">=3.12"):
        folder, module = tmp_path / "index" / project, project.replace("-", "_")
        folder.mkdir(parents=True, exist_ok=True)
        info = f"{module}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\nRequires-Python: {python}\n"
        members = {f"{info}/METADATA": metadata, f"{info}/RECORD": "", f"{module}/__init__.py": text}
        members[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        name = f"{module}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(folder / name, "w") as archive:
            for member, words in members.items():
                archive.writestr(member, words)
        with (folder / "index.html").open("a") as page:
            page.write(f'<a href="{name}" data-requires-python="{html.escape(python)}">{name}</a>\n')

    return publish


def test_the_newest_final_release_is_unpacked_and_not_run(publish, monkeypatch, capsys):
    monkeypatch.setattr("harness.drift.CURRENT", ())
    for version in ("9.9.8", "9.10.0a1"):
        publish("liquid-audio", version)
    # It requires a Python that does not exist: pip must offer it anyway.
    publish("liquid-audio", "9.9.10", "raise SystemExit('was run')\n", python=">=99")
    assert not run()
    said = capsys.readouterr().out
    assert said.startswith("## The series on liquid-audio 9.9.10\n")
    assert said.count(" conflicts: ") == len([*PATCHES.glob("*.patch")])


def test_a_lock_that_has_aged_is_named_with_what_holds_it_back(publish, tmp_path):
    for project, version in [("torch", "3.0"), ("einops", "2.0"), ("librosa", "1.0")]:
        publish(project, version)
    (tmp_path / "pinned.in").write_text("# words\n-r tools.in\ntorch==2.0\neinops\nlibrosa\n")
    (tmp_path / "pinned.txt").write_text("einops==1.0 \\\n    --hash=x\nlibrosa==1.0\ntorch==2.0\nother-torch==3.0\n")
    assert list(outdated("pinned", tmp_path)) == [
        "`pinned.txt` has torch 2.0, and 3.0 is out: pinned.in says `torch==2.0`",
        "`pinned.txt` has einops 1.0, and 2.0 is out: resolve the lock again",
    ]


def test_without_a_network_there_is_one_line_and_no_answer(publish):
    done = subprocess.run([sys.executable, "-m", "harness", "drift"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: cannot ask pip for the releases of liquid-audio")


def test_it_needs_only_what_comes_with_nox():
    program = "import sys; sys.modules.update(dict.fromkeys(['torch', 'rich', 'numpy', 'jinja2'])); import harness.drift"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
