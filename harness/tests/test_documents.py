"""Documents name only files, sessions and commands that exist, and README is short."""

import ast
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness import ROOT
from harness.__main__ import COMMANDS

TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
DOCUMENTS = [name for name in TRACKED if name.endswith(".md")]
# The top-level folders of the repository. out/ and .cache/ are not among them, because they exist only after a run.
TOPS = {name.partition("/")[0] for name in TRACKED if "/" in name}
EVIDENCE = "fixtures/evidence"  # it may not exist yet
LONGEST = 120

every_document = pytest.mark.parametrize("document", DOCUMENTS)


def text(document):
    return (ROOT / document).read_text(encoding="utf-8")


def sessions():
    """Find the sessions in noxfile.py, with those that have parameters."""
    found = set()
    for node in ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8")).body:
        decorators = [ast.unparse(decorator) for decorator in getattr(node, "decorator_list", [])]
        if any(words.startswith("nox.session") for words in decorators):
            ids = [re.search(r"ids=(\[.+?\])", words) for words in decorators]
            found |= {f"{node.name}({id})" for each in ids if each for id in ast.literal_eval(each[1])} or {node.name}
    return found


@every_document
def test_a_link_leads_to_a_file(document):
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", text(document))
    folder = (ROOT / document).parent
    assert [link for link in links if not (folder / link).exists()] == []


@every_document
def test_a_path_in_code_is_there(document):
    spans = re.findall(r"`([\w.*-]+/[\w./*-]*)`", text(document))
    here, folder = Path(ROOT), (ROOT / document).parent
    tops = {span: span.partition("/")[0] for span in spans}
    paths = [span for span, top in tops.items() if top in TOPS or (folder != here and (folder / top).is_dir())]
    paths = [path for path in paths if not path.startswith(EVIDENCE) and "NAME" not in path]
    assert [path for path in paths if not (any(here.glob(path.rstrip("/"))) or any(folder.glob(path.rstrip("/"))))] == []


@every_document
def test_a_session_exists(document):
    named = re.findall(r"nox -s [\"']?([\w()-]+)", text(document))
    assert [name for name in named if "NAME" not in name and name not in sessions()] == []


@every_document
def test_a_command_exists(document):
    named = re.findall(r"python3? -m harness (?!-)(\w+)", text(document))
    assert [name for name in named if name not in COMMANDS] == []
    assert [name for name in re.findall(r"python3? -m (harness\.[\w.]*\w)", text(document)) if not find_spec(name)] == []


def test_the_sessions_are_all_in_the_map():
    told = re.findall(r"`([\w()]+)`", text("harness/README.md"))
    assert sorted(sessions() - set(told)) == []


def test_readme_is_read_in_one_go():
    assert len(text("README.md").splitlines()) <= LONGEST
