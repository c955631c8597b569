"""The series on other releases: each state on a hand-made tree, and each source with a real pip."""

import difflib
import html
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from harness import PATCHES, ROOT, HarnessError
from harness.releases.drift import conclude, examine, run
from harness.series import outside, published_readme, readme
from harness.trees import resolve

RELEASED = {
    "__init__.py": "# one\n# two\nGREETING = 'goodbye'\n# four\n# five\n",
    "utils.py": "import os\n\n\ndef count():\n    return 3\n\n\ndef name():\n    return os.name\n",
}
HELLO = {**RELEASED, "__init__.py": RELEASED["__init__.py"].replace("goodbye", "hello")}
ADDED = {**HELLO, "utils.py": RELEASED["utils.py"].replace("    return 3", "    # as ever\n    return 3")}
BOTH = {**ADDED, "utils.py": ADDED["utils.py"].replace("os.name", "os.sep").replace("import os", "import os  # once")}


def _patch(folder, name, before, after):
    """Write a patch as git exports one."""
    lines = ["From: nobody\n", "---\n"]
    for file in before:
        if before[file] != after[file]:
            path = f"src/liquid_audio/{file}"
            lines.append(f"diff --git a/{path} b/{path}\n")
            old, new = (text[file].splitlines(keepends=True) for text in (before, after))
            lines += difflib.unified_diff(old, new, f"a/{path}", f"b/{path}")
    (folder / name).write_text("".join(lines))
    return folder / name


def _tree(folder, files):
    """Write a package, and return the folder that holds it."""
    for name, text in files.items():
        file = folder / "liquid_audio" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


@pytest.fixture
def patches(tmp_path):
    """A series of three patches: one that replaces, one that only adds, one with two hunks on top of those."""
    return [
        _patch(tmp_path, "0001-Hello.patch", RELEASED, HELLO),
        _patch(tmp_path, "0002-Add.patch", HELLO, ADDED),
        _patch(tmp_path, "0003-Both.patch", ADDED, BOTH),
    ]


def _states(tree, patches):
    return [finding.state for finding in examine(tree, patches)]


def test_a_series_applies_to_what_it_was_made_for_and_changes_nothing_there(tmp_path, patches):
    tree = _tree(tmp_path / "tree", RELEASED)
    assert _states(tree, patches) == ["applies"] * 3
    assert (tree / "liquid_audio" / "__init__.py").read_text() == RELEASED["__init__.py"]


def test_what_is_in_already_is_skipped_and_the_rest_goes_on_top(tmp_path, patches):
    assert _states(_tree(tmp_path / "tree", HELLO), patches) == ["in", "applies", "applies"]
    assert _states(_tree(tmp_path / "other", BOTH), patches[::2]) == ["in", "in"]


def test_lines_that_are_in_already_are_not_added_where_the_context_stands_twice(tmp_path):
    twice = {"x.py": "first\n" + "".join(f"{n}\n" for n in range(1, 7)) * 2}
    once = {"x.py": twice["x.py"].replace("3\n4\n", "3\nnew\n4\n", 1)}
    patch = _patch(tmp_path, "0001-New.patch", twice, once)
    assert _states(_tree(tmp_path / "tree", twice), [patch]) == ["applies"]
    assert _states(_tree(tmp_path / "other", once), [patch]) == ["in"]


def test_a_conflict_names_its_file_and_first_hunk(tmp_path, patches):
    files = {**RELEASED, "utils.py": RELEASED["utils.py"].replace("def name", "def label")}
    findings = examine(_tree(tmp_path / "tree", files), patches)
    assert [finding.state for finding in findings] == ["applies", "applies", "conflicts"]
    assert findings[2].words == "conflicts: src/liquid_audio/utils.py, first in hunk 2 of 2, `@@ -7,4 +7,4 @@`"


def test_context_that_differs_is_a_conflict_even_in_white_space(tmp_path, patches):
    files = {**RELEASED, "__init__.py": RELEASED["__init__.py"].replace("# two", "#  two")}
    assert _states(_tree(tmp_path / "tree", files), patches[:1]) == ["conflicts"]


def test_what_replaces_lines_that_are_gone_may_be_obsolete(tmp_path, patches):
    files = {**RELEASED, "__init__.py": "# one\n# two\n# rewritten\n# four\n# five\n"}
    [finding] = examine(_tree(tmp_path / "tree", files), patches[:1])
    assert (finding.state, finding.words.partition(",")[0]) == ("obsolete", "may be obsolete")


def test_what_only_adds_is_never_obsolete(tmp_path, patches):
    files = {**RELEASED, "utils.py": "import os\n"}
    assert _states(_tree(tmp_path / "tree", files), patches) == ["applies", "conflicts", "conflicts"]


def test_a_file_that_is_gone_is_named(tmp_path, patches):
    [finding] = examine(_tree(tmp_path / "tree", {"utils.py": ""}), patches[:1])
    assert finding.state == "obsolete"
    assert finding.words.endswith(": src/liquid_audio/__init__.py: No such file or directory")


def test_the_worst_state_gives_the_exit_status(tmp_path, patches):
    statuses = {}
    for name, files in (("all", RELEASED), ("in", HELLO), ("in, gone", {**HELLO, "utils.py": ""})):
        statuses[name] = conclude(examine(_tree(tmp_path / name, files), patches[:2]))[0]
    assert statuses == {"all": 0, "in": 3, "in, gone": 4}


def test_a_checkout_is_found_under_src(tmp_path, capsys):
    _tree(tmp_path / "src", RELEASED)
    assert run(checkout=tmp_path) == 4
    assert f"## The series on {tmp_path}\n" in capsys.readouterr().out


def test_readme_is_examined_too(tmp_path, capsys):
    source = resolve("upstream").path
    shutil.copytree(source / "liquid_audio", tmp_path / "src" / "liquid_audio")
    (tmp_path / "README.md").write_text(published_readme(source))
    assert run(checkout=tmp_path) == 0
    (tmp_path / "README.md").write_text(readme())
    assert run(checkout=tmp_path) == 3
    last = max((PATCHES / "readme").glob("*.patch")).name
    assert f"- `{last}` is in already: drop it.\n" in capsys.readouterr().out
    (tmp_path / "README.md").unlink()
    assert run(checkout=tmp_path) == 0
    said = capsys.readouterr().out
    assert f"- `{last}` was not tried: there is no README.md.\n" in said
    assert all(f"- `{patch.name}` was not tried: there is no " in said for patch in outside(PATCHES))


def test_a_folder_without_the_package_is_an_error(tmp_path):
    with pytest.raises(HarnessError, match="expected a folder that holds src/liquid_audio/"):
        run(checkout=tmp_path)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that is pip's only index."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", tmp_path.as_uri())
    (tmp_path / "liquid-audio").mkdir()
    return tmp_path / "liquid-audio"


def _publish(index, version, members, python=">=3.12"):
    """Put a wheel into the index."""
    info = f"liquid_audio-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: liquid-audio\nVersion: {version}\nRequires-Python: {python}\n"
    wheel = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    name = f"liquid_audio-{version}-py3-none-any.whl"
    with zipfile.ZipFile(index / name, "w") as archive:
        for member, text in {**members, f"{info}/METADATA": metadata, f"{info}/WHEEL": wheel, f"{info}/RECORD": ""}.items():
            archive.writestr(member, text)
    with (index / "index.html").open("a") as page:
        page.write(f'<a href="{name}" data-requires-python="{html.escape(python)}">{name}</a>\n')


def test_the_newest_final_release_is_unpacked_and_not_run(index, capsys):
    for version in ("9.9.8", "9.10.0a1"):
        _publish(index, version, {"liquid_audio/__init__.py": ""})
    # It requires a Python that does not exist: pip must offer it anyway.
    _publish(index, "9.9.10", {"liquid_audio/__init__.py": "raise SystemExit('was run')\n"}, python=">=99")
    assert run() == 4
    assert "## The series on liquid-audio 9.9.10, not in harness/releases.toml yet, SHA-256 " in capsys.readouterr().out


def test_a_release_that_would_write_elsewhere_is_refused(index):
    _publish(index, "9.9.9", {"liquid_audio/../../x": ""})
    with pytest.raises(HarnessError, match="does not belong"):
        run(version="9.9.9")


def test_without_a_network_there_is_one_line_and_no_answer(index):
    done = subprocess.run([sys.executable, "-m", "harness", "drift"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: cannot ask pip for the releases")


def test_it_needs_no_torch():
    program = "import sys; sys.modules.update(dict.fromkeys(['torch', 'rich', 'transformers'])); import harness.releases.drift"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
