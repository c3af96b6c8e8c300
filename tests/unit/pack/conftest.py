"""A plugin distribution with a tiny model, and a run directory whose training is done."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

NET = '''
"""A model of two matrices."""
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from golfreg.api import Role
{extra_imports}


@dataclass(frozen=True)
class Config:
    """Documented."""

    width: int = 16
    """Also documented."""


class Net(nn.Module):
    def __init__(self, vocab, width):
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        self.up = nn.Linear(width, 6 * width, bias=False)
        self.gain = nn.Parameter(torch.ones(width))
        {extra_init}

    def features(self, tokens_BT):
        # a comment
        x = self.embedding(tokens_BT) * self.gain
        {extra_forward}
        return x + self.up(x).view(*x.shape, 6).mean(-1)

    def head(self, x):
        return x @ self.embedding.weight.T


class Tiny:
    Config = Config

    def mixers(self, config):
        return ()

    def build(self, config, context):
        return Net(context.vocab_size, config.width)

    def roles(self, model):
        width = model.up.in_features
        groups = (("z", 4 * width), ("dt", 2 * width))
        return {{"embedding.weight": Role("embedding"), "up.weight": Role("in_proj", groups), "gain": Role("scalar")}}

    def flops_per_token(self, config, context):
        return 1


tiny = Tiny()
'''


class Plugin:
    """A distribution ``golfreg-tinyplug`` in a directory that is on the path, for us and for child processes."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.package = site / "tinyplug"

    def write(self, extra_imports: str = "", extra_init: str = "", extra_forward: str = "") -> None:
        self.package.mkdir(parents=True, exist_ok=True)
        (self.package / "__init__.py").write_text('"""Only words."""\n')
        (self.package / "plugin.py").write_text("GOLFREG_API = 1\n")
        text = NET.format(
            extra_imports=extra_imports, extra_init=extra_init or "pass", extra_forward=extra_forward or "pass"
        )
        (self.package / "net.py").write_text(text)
        info = self.site / "golfreg_tinyplug-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: golfreg-tinyplug\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[golfreg]\ntiny = tinyplug.plugin\n")


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    from golfreg.pack.modules import counted_packages

    made = Plugin(tmp_path / "site")
    made.write()
    monkeypatch.syspath_prepend(str(made.site))
    monkeypatch.setenv("PYTHONPATH", str(made.site))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    counted_packages.cache_clear()
    importlib.invalidate_caches()
    yield made
    counted_packages.cache_clear()
    for name in [n for n in sys.modules if n.partition(".")[0] == "tinyplug"]:
        del sys.modules[name]


@pytest.fixture
def job(tmp_path, plugin, monkeypatch):
    """A job whose ``model.safetensors`` has seeded weights and whose dataset is a stand-in."""
    import torch
    from safetensors.torch import save_file

    from golfreg.api.values import BuildContext
    from golfreg.config.job import Job
    from golfreg.pack import quantize

    run_dir = tmp_path / "run"
    (run_dir / "stages").mkdir(parents=True)
    made = Job(run_dir, make_plan())
    monkeypatch.setattr(quantize, "open_dataset", lambda path: SimpleNamespace(vocab_size=256, bos_id=0))
    target = made.plan.architecture.load()
    torch.manual_seed(0)
    model = target.build(target.Config(), BuildContext(256, 64))
    save_file({k: v.detach() for k, v in model.named_parameters()}, run_dir / "model.safetensors")
    return made


def make_plan(**changes):
    from golfreg.config.plan import Chosen, Limits, Plan
    from golfreg.config.spec import RunSpec

    def chosen(kind, name, target, **config):
        return Chosen(kind, name, target, "", "", "", config)

    values = {
        "spec": RunSpec(),
        "spec_digest": "0" * 64,
        "architecture": chosen("architecture", "tiny", "tinyplug.net:tiny", width=16),
        "mixers": {},
        "quantizer": chosen("quantizer", "int6", "golfreg.builtin.quantizers.rowwise:rowwise", raw_elements=64),
        "quantizer_needs": [],
        "codec": chosen("codec", "lzma", "golfreg.builtin.codecs.standard:lzma_codec"),
        "corpus": chosen("corpus", "none", "tinyplug.plugin:none"),
        "ops": {},
        "kernels": {},
        "limits": Limits(),
        "device": "cpu",
        "dtype": "float32",
        "compile": False,
        "threads": 0,
        "dataset": "nowhere",
    }
    known = Plan.__dataclass_fields__
    values.update({k: "cpu" for k in ("track",) if k in known}, **changes)
    return Plan(**{k: v for k, v in values.items() if k in known})


@pytest.fixture
def with_plan():
    """A job of the same run with other values in its plan."""
    import dataclasses

    def change(job, **changes):
        return dataclasses.replace(job, plan=dataclasses.replace(job.plan, **changes))

    return change


@pytest.fixture
def python():
    """Run a program text in a clean interpreter; the completed process."""

    def call(text, *arguments):
        command = [sys.executable, "-W", "error", "-c", text, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return call
