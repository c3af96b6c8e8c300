"""``int8`` gives the codes, scales and decoded weights of the challenge's own script."""

import hashlib
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from golfreg.api import Budget, ConfigError, Role
from golfreg.builtin.quantizers import int8 as module
from golfreg.builtin.quantizers.int8 import Int8Config, int8

GOLDEN = Path(__file__).parents[3] / "golden"
BUDGET = Budget(16_000_000, lambda sections: 0)


def cases():
    spec = importlib.util.spec_from_file_location("int8_make", GOLDEN / "int8_make.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    return maker.int8_cases()


def role_of(name):
    control = any(word in name for word in ("attn_scale", "resid_mix", "q_gain"))
    return Role("scalar") if control else Role("embedding" if name.startswith("tok") else "out")


def quantized(state, config=None):
    roles = {name: role_of(name) for name in state}
    return int8.quantize(state, roles, {}, BUDGET, config or Int8Config())


def test_codes_scales_and_decoded_weights_equal_the_baselines():
    golden = json.loads((GOLDEN / "int8_baseline.json").read_text())
    sections = quantized({name: torch.from_numpy(value) for name, value in cases().items()})
    found = {"codes": {}, "scale": {}, "raw": {}}
    for section in sections:
        found[section.layout.part][section.layout.tensor] = section.data
    found["decoded"] = {n: t.numpy() for n, t in int8.dequantize(sections, Int8Config()).items()}
    for part in ("codes", "scale", "raw", "decoded"):
        assert set(found[part]) == set(golden[part])
        for name, expected in golden[part].items():
            array = found[part][name]
            assert (str(array.dtype), list(array.shape)) == (expected["dtype"], expected["shape"]), (part, name)
            assert [float(x) for x in array.reshape(-1)[:4]] == expected["first"], (part, name)
            assert hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest() == expected["sha256"], (part, name)


def test_row_groups_change_the_sections_and_no_code():
    weight = torch.from_numpy(cases()["blocks.0.mlp.fc.weight"])
    whole = int8.quantize({"w": weight}, {"w": Role("in_proj")}, {}, BUDGET, Int8Config())
    groups = Role("in_proj", (("z", 200), ("x", 300), ("dt", 12)))
    split = int8.quantize({"w": weight}, {"w": groups}, {}, BUDGET, Int8Config())
    assert [s.layout.group for s in split] == ["z", "z", "x", "x", "dt", "dt"]
    for part in ("codes", "scale"):
        joined = np.concatenate([s.data for s in split if s.layout.part == part])
        np.testing.assert_array_equal(joined, *[s.data for s in whole if s.layout.part == part])
    assert torch.equal(int8.dequantize(split, Int8Config())["w"], int8.dequantize(whole, Int8Config())["w"])


def test_large_rows_use_the_same_interpolation_as_torch_quantile(monkeypatch):
    values = torch.from_numpy(cases()["long.bias"]).abs().reshape(1, -1)
    expected = torch.quantile(values, 0.9999984, dim=1)
    monkeypatch.setattr(module, "_QUANTILE_ELEMENTS", 10)
    assert torch.equal(module._quantile(values, 0.9999984), expected)


def test_a_model_of_the_baselines_size_packs_to_the_published_size():
    # The baseline's artifact of 17.06M parameters has 14.73 MB under zlib 9: 6.9 bits a weight. A scale at its
    # floor of 1/127 quantizes weights of standard deviation s with the step 1/(127 s) standard deviations.
    from golfreg.builtin.codecs.standard import ZlibConfig, zlib_codec

    generator = torch.Generator().manual_seed(0)
    weight = 0.25 * torch.randn(512, 512, generator=generator)
    sections = int8.quantize({"w": weight}, {"w": Role("qkv")}, {}, BUDGET, Int8Config())
    streams = zlib_codec.encode(sections, ZlibConfig(strategy="default"))
    bits = 8 * sum(len(s.data) for s in streams) / weight.numel()
    assert 6.0 < bits < 7.6


@pytest.mark.parametrize("settings", [{"clip_quantile": 0}, {"clip_quantile": 1.5}, {"raw_elements": -1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match="quantizer `int8`"):
        Int8Config(**settings)
