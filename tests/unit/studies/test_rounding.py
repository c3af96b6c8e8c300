"""Other codes for the same weights: shared scales, a floor, and pruned codes."""

import numpy as np
import torch

from golfreg.api import Budget, Role
from golfreg.builtin.quantizers.rowwise import CLIP_STD, RowwiseConfig, rowwise
from golfreg.studies.blocks import coded_alone, find_blocks, whole
from golfreg.studies.rounding import FLOOR, floored, pruned, shared_scales

GROUPS = (("z", 64), ("dt", 8))
ROLES = {
    "blocks.0.mixer.in_proj.weight": Role("in_proj", GROUPS),
    "blocks.0.mixer.out_proj.weight": Role("out"),
    "blocks.0.mixer.D": Role("scalar"),
    "blocks.1.mixer.q_proj.weight": Role("qkv"),
    "blocks.1.mixer.out_proj.weight": Role("out"),
    "blocks.1.mlp.up.weight": Role("mlp_up"),
    "embedding.weight": Role("embedding"),
    "gain": Role("scalar"),
}
SHAPES = ((72, 96), (96, 64), (8,), (64, 96), (64, 64), (64, 96), (64, 96), (7,))


def model():
    torch.manual_seed(0)
    state = {n: torch.randn(shape) * 0.02 for n, shape in zip(ROLES, SHAPES, strict=True)}
    state["blocks.0.mixer.in_proj.weight"][64:] *= 30
    sections = rowwise.quantize(state, ROLES, {}, Budget(1, len), RowwiseConfig(raw_elements=1000))
    return sections, {name: tensor.numpy() for name, tensor in state.items()}


def restored(sections, name):
    return rowwise.dequantize(sections, RowwiseConfig())[name].numpy()


def by(sections, part, tensor, group=""):
    return next(
        s for s in sections if (s.layout.part, s.layout.tensor, s.layout.group) == (part, tensor, group)
    )  # fmt: skip


def test_one_scale_serves_all_row_groups_of_a_matrix():
    sections, weights = model()
    made = shared_scales(sections, weights, CLIP_STD)
    name = "blocks.0.mixer.in_proj.weight"
    scales = [s for s in made if s.layout.part == "scale" and s.layout.tensor == name]
    assert [s.data.shape for s in scales] == [()]
    assert np.isclose(scales[0].data, np.sqrt(np.square(weights[name]).mean()) * 8 / 31)
    z, dt = (by(made, "codes", name, group).data for group, _ in GROUPS)
    assert abs(z).max() < abs(dt).max() == 31, "small rows use few of the codes, large ones are clipped"
    assert [s.layout.shape for s in made if s.layout.part == "codes"] == [
        s.layout.shape for s in sections if s.layout.part == "codes"
    ]


def test_pruning_zeroes_the_share_of_ones_that_is_nearest_to_zero():
    sections, weights = model()
    made = pruned(sections, weights, 0.415)
    trunk = [i for i, s in enumerate(sections) if s.layout.part == "codes" and s.layout.role != "embedding"]
    before = sum(int((abs(sections[i].data) == 1).sum()) for i in trunk)
    after = sum(int((abs(made[i].data) == 1).sum()) for i in trunk)
    assert abs(1 - after / before - 0.415) < 0.001
    for old, new in zip(sections, made, strict=True):
        changed = old.data != new.data
        assert not changed.any() or (set(np.unique(new.data[changed])) == {0} and old.layout.role != "embedding")


def test_nothing_is_pruned_of_a_share_of_none():
    sections, weights = model()
    assert all((a.data == b.data).all() for a, b in zip(sections, pruned(sections, weights, 0.0), strict=True))


def test_the_floor_makes_small_rows_coarser_and_leaves_the_embedding():
    sections, weights = model()
    made = floored(sections, weights)
    small = "blocks.1.mixer.q_proj.weight"
    assert (by(made, "scale", small).data == np.float16(FLOOR)).all()
    assert abs(by(made, "codes", small).data).max() < abs(by(sections, "codes", small).data).max()
    assert (by(made, "codes", "embedding.weight").data == by(sections, "codes", "embedding.weight").data).all()
    assert np.abs(restored(made, small) - weights[small]).max() <= FLOOR * 0.51


def test_blocks_tell_the_two_kinds_of_output_matrices_apart():
    sections, _ = model()
    blocks = find_blocks([s.layout for s in sections])
    assert blocks.kinds == {"blocks.0.mixer": "mamba", "blocks.1.mixer": "attention"}
    assert set(blocks.keys) == {
        "in_proj.z", "in_proj.dt", "mamba out", "mamba rest", "qkv", "attention out", "mlp_up", "embedding", "scalar",
    }  # fmt: skip


def test_each_key_is_coded_alone_and_the_whole_counts_each_parameter_once():
    from golfreg.builtin.codecs.standard import ZlibConfig, zlib_codec

    sections, weights = model()
    found = coded_alone(sections, zlib_codec, ZlibConfig())
    assert whole(found, "parameters") == sum(w.size for w in weights.values())
    assert found["in_proj"]["parameters"] == found["in_proj.z"]["parameters"] + found["in_proj.dt"]["parameters"]
    assert found["qkv and out"]["parameters"] == 64 * 96 + 64 * 64
    qkv = [s for s in sections if s.layout.role == "qkv"]
    assert found["qkv"]["bytes"] == sum(len(s.data) for s in zlib_codec.encode(qkv, ZlibConfig()))
