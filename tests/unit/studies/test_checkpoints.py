"""A checkpoint is read from a run directory, wherever it was trained."""

from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from golfreg.api.errors import InputError
from golfreg.config.plan import Chosen, Limits, Plan, plan_to_dict
from golfreg.config.spec import RunSpec
from golfreg.studies.checkpoints import moved, open_checkpoints

LZMA = Chosen("codec", "lzma", "golfreg.builtin.codecs.standard:lzma_codec", "golfreg", "0", "")
MIXER = Chosen("mixer", "mamba3", "golfreg.builtin.mixers.mamba3:mamba3", "golfreg", "0", "")


def plan(dataset):
    (dataset / "dataset.toml").write_text("")
    return Plan(
        spec=RunSpec(), spec_digest="0", quantizer=LZMA, quantizer_needs=(), codec=LZMA, architecture=LZMA,
        mixers={"mamba3": MIXER}, corpus=LZMA, ops={"mamba3_siso": LZMA},
        kernels={"mamba3_siso": replace(LZMA, name="triton")}, limits=Limits(), track="t", device="cuda",
        dtype="bfloat16", compile=True, threads=1, dataset=str(dataset),
    )  # fmt: skip


def run_dir(root: Path, name: str, weights: bytes | None) -> Path:
    directory = root / name
    (directory / "stages").mkdir(parents=True)
    (directory / "stages" / "train.toml").write_text("")
    made = replace(plan(root), device="cpu", dtype="float32")
    (directory / "plan.toml").write_text(tomli_w.dumps(plan_to_dict(made)))
    if weights is not None:
        (directory / "model.safetensors").write_bytes(weights)
    return directory


def test_a_model_trained_on_a_gpu_is_studied_on_a_cpu_with_kernels_that_run_there(tmp_path):
    here = moved(plan(tmp_path), "cpu")
    assert (here.device, here.dtype, here.compile) == ("cpu", "float32", False)
    assert here.kernels["mamba3_siso"].name == "reference"


def test_a_run_is_named_by_its_directory_or_its_weights(tmp_path):
    first, second = run_dir(tmp_path, "a", b"1"), run_dir(tmp_path, "b", b"2")
    found = open_checkpoints([first, second / "model.safetensors"], "auto")
    assert [c.run_dir for c in found] == [first, second]
    assert len({c.digest for c in found}) == 2
    assert found[0].name == "lzma seed 1337"


def test_the_same_weights_twice_are_no_two_seeds(tmp_path):
    with pytest.raises(InputError, match="the same weights"):
        open_checkpoints([run_dir(tmp_path, "a", b"1"), run_dir(tmp_path, "b", b"1")], "auto")


def test_a_run_without_weights_was_not_trained(tmp_path):
    with pytest.raises(InputError, match=r"no model\.safetensors") as raised:
        open_checkpoints([run_dir(tmp_path, "a", None)], "auto")
    assert "--resume" in raised.value.hint
