"""The parts that close a process off, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from golfreg.score.finder import CountedFinder, NotCounted
from golfreg.score.guard import Guard, Refused
from golfreg.score.landlock import available
from golfreg.score.places import Places, make_places
from golfreg.score.trust import is_ours, remember


def python(program: str, *arguments: object) -> str:
    command = [sys.executable, "-P", "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_cut_network_has_only_a_loopback_that_works() -> None:
    program = """
import json, os, socket
from golfreg.score.isolate import cut_network
how = cut_network()
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname(), timeout=5)
print(json.dumps([how, [name for _, name in socket.if_nameindex()], os.getuid()]))
"""
    how, devices, user = json.loads(python(program))
    if how.startswith("none"):
        pytest.skip(f"namespaces are not allowed here: {how}")
    assert how in ("namespace", "user namespace")
    assert devices == ["lo"]
    assert user == int(python("import os; print(os.getuid())"))


def test_cutting_the_network_imports_nothing_heavy() -> None:
    loaded = python("import sys, golfreg.score.worker; print(*sys.modules)").split()
    assert not {"torch", "numpy", "safetensors"} & set(loaded)


def test_a_worker_dies_with_its_parent(tmp_path: Path) -> None:
    child = "import os, sys, time; from golfreg.score.isolate import die_with_parent\n"
    child += "die_with_parent(int(sys.argv[1])); print(os.getpid(), flush=True); time.sleep(60)"
    parent = "import os, subprocess, sys\n"
    parent += "p = subprocess.Popen([sys.executable, '-c', sys.argv[1], str(os.getpid())], stdout=subprocess.PIPE)\n"
    parent += "print(int(p.stdout.readline()), flush=True); os._exit(0)"
    pid = int(python(parent, child))
    wait = "import os, sys, time\nfor _ in range(100):\n"
    wait += "    try: os.kill(int(sys.argv[1]), 0)\n    except ProcessLookupError: print('gone'); break\n"
    wait += "    if open(f'/proc/{sys.argv[1]}/stat').read().split()[2] == 'Z': print('gone'); break\n"
    wait += "    time.sleep(0.05)"
    assert python(wait, pid) == "gone"


def test_landlock_closes_files_to_compiled_code_too(tmp_path: Path) -> None:
    if not available():
        pytest.skip("this kernel has no Landlock")
    for name in ("open", "closed", "scratch"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    program = """
import subprocess, sys
from pathlib import Path
from golfreg.score.landlock import restrict
root = Path(sys.argv[1])
how = restrict([root / "open", Path("/usr"), Path("/lib"), Path("/lib64"), root / "absent"], [root / "scratch"])
def attempt(call):
    try: call(); return "yes"
    except PermissionError: return "no"
print(how, attempt((root / "open/file").read_text), attempt((root / "closed/file").read_text),
      attempt(lambda: (root / "scratch/new").write_text("x")), attempt(lambda: (root / "open/new").write_text("x")),
      subprocess.run(["cat", root / "closed/file"], capture_output=True).returncode)
"""
    assert python(program, tmp_path) == "landlock yes no yes no 1"


def test_the_longest_root_decides_and_no_root_refuses(tmp_path: Path) -> None:
    root = str(tmp_path)
    places = Places(frozenset({root, f"{root}/a/b/c"}), frozenset({f"{root}/a/b"}), frozenset({f"{root}/w"}))
    assert places.allows(f"{root}/a/x", write=False)
    assert not places.allows(f"{root}/a/b/x", write=False)
    assert places.allows(f"{root}/a/b/c/x", write=False)
    assert not places.allows(f"{root}/a/x", write=True)
    assert places.allows(f"{root}/w/x", write=True)
    assert not places.allows(f"{root}/w/../a/x", write=True)
    assert not places.allows("/somewhere/else", write=False)


def test_a_link_does_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    places = Places(frozenset({str(tmp_path / "in")}), frozenset(), frozenset())
    assert not places.allows(str(tmp_path / "in" / "link"), write=False)


def test_libraries_are_readable_and_golfreg_is_not(tmp_path: Path) -> None:
    import numpy
    import torch

    import golfreg.rules

    places = make_places({"golfreg"}, [tmp_path / "artifact"], tmp_path / "scratch")
    for library in (numpy, torch):
        assert places.allows(str(library.__file__), write=False)
        assert not places.allows(str(library.__file__), write=True)
    assert not places.allows(str(Path(golfreg.rules.__file__).parent / "rulesets" / "cpu-smoke.toml"), write=False)
    assert places.allows(str(tmp_path / "artifact"), write=False)
    assert not places.allows(str(tmp_path / "other"), write=False)
    assert not places.allows("/dev/shm/weights", write=False)
    package = Path(golfreg.rules.__file__).parents[1]
    closed = {p for p in places.readable_paths() if p == package or package in p.parents}
    assert not closed


def test_modules_come_from_the_counted_code_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "part.py").write_text("")
    finder = CountedFinder(tmp_path, {"golfreg"})
    found = finder.find_spec("pack.part", None)
    assert found is not None
    assert found.origin == str(tmp_path / "pack" / "part.py")
    package = finder.find_spec("pack", None)
    assert package is not None
    assert package.submodule_search_locations == [str(tmp_path / "pack")]
    assert finder.find_spec("numpy", None) is None
    for name in ("pack.other", "golfreg", "golfreg.api"):
        with pytest.raises(NotCounted, match=name):
            finder.find_spec(name, None)
    assert finder.missing == ["pack.other", "golfreg", "golfreg.api"]


def test_a_refusal_without_the_submission_is_not_held_against_it(tmp_path: Path) -> None:
    guard = Guard({"golfreg": "golfreg", "other_plugin": "golfreg-other"})
    guard.watch_files(Places(frozenset(), frozenset(), frozenset()), str(tmp_path / "code"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(Refused, match="reads"):
        guard._hook("open", (str(tmp_path / "file"), "r", 0))
    assert guard.violations == []
    guard._hook("open", (str(tmp_path / "absent"), "r", 0))
    guard._hook("open", (3, "r", 0))
    scope = {"guard": guard, "path": str(tmp_path / "file"), "__name__": "other_plugin.model"}
    with pytest.raises(Refused, match="plugin `golfreg-other`"):
        exec("guard._hook('open', (path, 'r', 0))", scope)
    assert len(guard.violations) == 1


def test_an_artifact_is_ours_after_a_run_made_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert not is_ours("a" * 64)
    remember("a" * 64)
    remember("a" * 64)
    assert is_ours("a" * 64)
    assert not is_ours("a")
    assert (tmp_path / "state" / "golfreg" / "made-here.txt").read_text().count("a" * 64) == 1
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    remember("b" * 64)
    assert not is_ours("b" * 64)
