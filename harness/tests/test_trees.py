"""A tree is whole or it is not there, and an error is one sentence."""

import hashlib
import os
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from harness import ROOT, HarnessError
from harness.trees import digest, resolve, series
from harness.wheels import Release

PATCH = """\
From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
From: nobody <nobody@example.invalid>
Date: Thu, 1 Jan 2026 00:00:00 +0000
Subject: [PATCH] Say hello

---
 src/liquid_audio/__init__.py | 2 +-

diff --git a/src/liquid_audio/__init__.py b/src/liquid_audio/__init__.py
--- a/src/liquid_audio/__init__.py
+++ b/src/liquid_audio/__init__.py
@@ -1,3 +1,3 @@
 # one
-GREETING = "goodbye"
+GREETING = "hello"
 # three
"""


@pytest.fixture
def cache(tmp_path):
    """A cache that holds a small wheel, as if downloaded."""
    (tmp_path / "cache" / "wheels").mkdir(parents=True)
    _wheel(tmp_path / "cache", {"liquid_audio/__init__.py": '# one\nGREETING = "goodbye"\n# three\n'})
    return tmp_path / "cache"


@pytest.fixture
def patches(tmp_path):
    """A series of one patch that applies."""
    (tmp_path / "patches").mkdir()
    (tmp_path / "patches" / "0001-Say-hello.patch").write_text(PATCH)
    return tmp_path / "patches"


def _wheel(cache, members):
    with zipfile.ZipFile(cache / "wheels" / Release("9.9.9", "").wheel, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)


@pytest.fixture
def release(cache):
    return _release(cache)


def _release(cache):
    return Release("9.9.9", hashlib.sha256((cache / "wheels" / Release("9.9.9", "").wheel).read_bytes()).hexdigest())


def _greeting(tree):
    return (tree.path / "liquid_audio" / "__init__.py").read_text().splitlines()[1]


def test_upstream_is_the_wheel_and_patched_has_the_series(cache, patches, release):
    upstream = resolve("upstream", cache=cache, release=release)
    patched = resolve("patched", cache=cache, patches=patches, release=release)
    assert _greeting(upstream) == 'GREETING = "goodbye"'
    assert _greeting(patched) == 'GREETING = "hello"'
    assert upstream.digest != patched.digest


def test_a_tree_is_built_once(cache, release, capfd):
    first = resolve("upstream", cache=cache, release=release)
    (cache / "wheels" / release.wheel).unlink()
    assert resolve("upstream", cache=cache, release=release) == first


def test_a_wheel_with_another_hash_is_refused_and_removed(cache):
    with pytest.raises(HarnessError, match="not the pinned 0000"):
        resolve("upstream", cache=cache, release=Release("9.9.9", "0000"))
    assert not (cache / "wheels" / Release("9.9.9", "").wheel).exists()
    assert not any((cache / "trees").glob("upstream*"))


@pytest.mark.parametrize("member", ["/x.py", "liquid_audio/../../x.py"])
def test_a_wheel_writes_only_into_its_tree(cache, member):
    _wheel(cache, {"liquid_audio/__init__.py": "", member: ""})
    tree = resolve("upstream", cache=cache, release=_release(cache))
    assert [file.is_relative_to(tree.path) for file in cache.parent.rglob("x.py")] == [True]


def test_a_patch_that_needs_fuzz_is_refused_by_name(cache, patches, release):
    patch = patches / "0001-Say-hello.patch"
    patch.write_text(PATCH.replace(" # three", " # four"))
    with pytest.raises(HarnessError, match=r"^0001-Say-hello\.patch does not apply: .*patch failed"):
        resolve("patched", cache=cache, patches=patches, release=release)
    assert not any((cache / "trees").glob("patched*"))


def test_an_empty_series_is_an_error(tmp_path):
    with pytest.raises(HarnessError, match="no patches"):
        series(tmp_path)


def test_a_tree_that_was_changed_is_rebuilt(cache, release, capfd):
    tree = resolve("upstream", cache=cache, release=release)
    (tree.path / "liquid_audio" / "__init__.py").write_text("tampered\ntampered")
    assert _greeting(resolve("upstream", cache=cache, release=release)) == 'GREETING = "goodbye"'
    assert "was changed after it was built" in capfd.readouterr().err


def test_a_build_that_is_killed_midway_leaves_nothing_that_the_next_one_takes(cache, patches, release, capfd):
    # This git is found first, and never returns: the build hangs with its tree half-made.
    slow = cache.parent / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    program = (
        "from pathlib import Path; from harness.wheels import Release; from harness.trees import resolve; "
        f"resolve('patched', cache=Path({str(cache)!r}), patches=Path({str(patches)!r}), release={release!r})"
    )
    env = {**os.environ, "PATH": f"{slow.parent}{os.pathsep}{os.environ['PATH']}"}
    build = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=env, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not any(cache.glob("trees/*.partial/liquid_audio/*")):
            assert build.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.killpg(build.pid, signal.SIGKILL)
        build.wait()

    tree = resolve("patched", cache=cache, patches=patches, release=release)
    assert "half-built" in capfd.readouterr().err
    assert _greeting(tree) == 'GREETING = "hello"'
    assert not any(cache.glob("trees/*.partial"))


def test_a_checkout_is_taken_as_it_is(tmp_path):
    (tmp_path / "liquid_audio").mkdir()
    (tmp_path / "liquid_audio" / "__init__.py").touch()
    assert resolve(str(tmp_path)).path == tmp_path


def test_a_folder_without_the_package_is_refused(tmp_path):
    with pytest.raises(HarnessError, match="expected upstream, patched, or a folder that holds liquid_audio"):
        resolve(str(tmp_path / "nowhere"))


def test_a_digest_depends_on_names_and_contents_and_not_on_bytecode(tmp_path):
    (tmp_path / "a.py").write_text("1")
    first = digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("x")
    assert digest(tmp_path) == first
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert digest(tmp_path) != first
