"""doctor names what does not work, says what mends it, and is stopped by nothing that it finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from golfreg.api import Codec, Kernel
from golfreg.registry.host import Host
from golfreg.registry.records import Provider, Registered
from golfreg.runner import doctor
from golfreg.runner.doctor import Health, examine

PLUGINS = Path(__file__).parents[2] / "plugins"


def look(**environment: str) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Exit code, symptoms by part, and standard error of ``golfreg doctor --json``."""
    done = subprocess.run(
        [sys.executable, "-m", "golfreg", "doctor", "--json"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    return done.returncode, {s["part"]: s for s in json.loads(done.stdout)["symptoms"]}, done.stderr


def test_what_this_machine_has_is_told(tmp_path: Path) -> None:
    code, found, _ = look(GOLFREG_CACHE=str(tmp_path))
    assert code == 0
    assert found["torch"]["health"] == "OK"
    assert found["cache"]["found"].startswith(str(tmp_path))
    assert {"python", "gpu", "triton", "compiler", "machine", "runs", "network", "files", "git"} <= set(found)


def test_what_is_broken_is_named_with_what_mends_it(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')")
    (tmp_path / "triton.py").write_text("raise ImportError('no triton here')")
    broken = tmp_path / "golfreg_broken-1.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: golfreg-broken\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text("[golfreg]\nbroken = golfreg_nowhere.plugin\n")
    (tmp_path / "file").write_text("")
    # Children run with -P, so the stand-ins are found as an installation's are.
    code, found, said = look(PYTHONPATH=str(tmp_path), PATH=str(tmp_path), GOLFREG_CACHE=str(tmp_path / "file" / "in"))
    assert code == 1
    assert "torch, cache" in said
    assert "libcudart.so.13" in found["torch"]["found"]
    assert "pip install" in found["torch"]["mend"]
    assert found["triton"]["health"] == "WARN"
    assert found["compiler"]["health"] == "WARN"
    assert found["git"]["health"] == "WARN"
    assert "golfreg-broken" in found["plugin"]["found"]
    assert found["cache"]["mend"] == "export GOLFREG_CACHE=DIRECTORY"


def test_a_gpu_that_torch_cannot_use_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_driver", lambda: "driver 580.65")
    facts = {"version": "2.13.0", "cuda_build": "", "gpus": []}
    (symptom,) = doctor._gpu(facts)
    assert symptom.health is Health.WARN
    assert "torch is built without CUDA" in symptom.found
    gpu = {"name": "NVIDIA H100", "memory_bytes": 80 << 30, "capability": "9.0"}
    (symptom,) = doctor._gpu({**facts, "cuda_build": "13.0", "gpus": [gpu]})
    assert symptom.health is Health.OK
    assert "NVIDIA H100, 80 GiB, sm_90; CUDA 13.0; driver 580.65" in symptom.found


def test_a_look_that_breaks_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks() -> Any:
        raise RuntimeError("no such register")

    monkeypatch.setattr(doctor, "_LOOKS", {"machine": breaks, "python": doctor._python})
    first, *rest = examine()
    assert (first.part, first.health) == ("machine", Health.WARN)
    assert "no such register" in first.found
    assert rest[0].part == "python"


def test_each_component_that_cannot_be_used_is_named_with_what_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("missing_library", "duplicate_name", "import_error", "absent_target"):
        monkeypatch.syspath_prepend(PLUGINS / name)
    host = Host(path=list(sys.path))
    *others, last = doctor._plugins(lambda: host)
    found = {symptom.found: symptom.mend for symptom in others}
    library = next(text for text in found if "golfreg_absent_library.fast" in text)
    assert "pip install golfreg_absent_library" in found[library]
    assert "GOLFREG_DISABLE_PLUGINS=missing_library" in found[library]
    assert "codec `lzma` is of golfreg and of golfreg-duplicate-name" in found
    assert any("no licence file found" in text for text in found)
    assert any("golfreg_absent_target.nowhere" in text for text in found)
    able, _, total = last.found.removesuffix(" components").partition(" of ")
    assert int(total) - int(able) >= 3


def test_a_kernel_without_its_library_and_a_codec_without_its_program_are_named() -> None:
    provider = Provider("my", "golfreg-my", "1.0", "golfreg_my.plugin")
    fast = Kernel(name="fast", summary="", target="golfreg_my.k:fast", op="cube", install="pip install cubes==2")
    packer = Codec(
        name="packer", summary="", target="golfreg.builtin.codecs.standard:zlib_codec", programs=("packer9",)
    )
    host = Host(sources=())
    host.components += [Registered(fast, provider, ("cubes",)), Registered(packer, provider, (), ("packer9",))]
    kernel, codec, last = doctor._plugins(lambda: host)
    assert (kernel.found, kernel.mend) == ("kernel `fast` of `cube`: cubes not installed", "pip install cubes==2")
    assert codec.found == "codec `packer`: packer9 not installed"
    assert "packer9" in codec.mend
    assert last.found == "0 of 2 components"
