"""Weights for comparing codecs: an artifact's, or any file of tensors, quantized by row as `int6` does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golfreg.api.errors import ConfigError, GolfregError, InputError
from golfreg.api.values import EMBEDDING_ROLES, Role, Section

if TYPE_CHECKING:
    import torch

    from golfreg.pack.container import Container

_ROLES = (
    ("embedding", r"embed|wte|wpe|tok_emb"),
    ("head", r"lm_head|(^|\.)head\."),
    ("in_proj", r"in_proj\.weight"),
    ("qkv", r"qkv|c_attn|in_proj_weight|(^|[._])(q|k|v|query|key|value)(_proj|_lin)?\."),
    ("out", r"attention\.output|attn\.c_proj|out_proj|o_proj|out_lin|(^|\.)wo\."),
    ("mlp_up", r"up_proj|gate_proj|\.up\.|fc1|fc_1|c_fc|intermediate|lin1|w1\.|w3\."),
    ("mlp_down", r"down_proj|\.down\.|fc2|fc_2|c_proj|output\.dense|lin2|w2\."),
)
"""Names that say what a tensor is, the first that fits; the names of other matrices say nothing."""
_PREFIXES = ("weight/", "module.", "_orig_mod.")


def sections_of(path: Path, bits: int | None, clip_std: float, embedding_clip_std: float) -> list[Section]:
    """The sections of an artifact as they are, or those of a .safetensors or .npz file, quantized.

    Roles and row groups come from the run that a checkpoint lies in, else from the tensors' names.
    """
    if path.suffix in (".safetensors", ".npz"):
        return _quantized(path, bits, clip_std, embedding_clip_std)
    if bits is not None or clip_std or embedding_clip_std:
        raise ConfigError(
            "an artifact's codes are compared as they are: `--bits` and clips are for checkpoints",
            "name a .safetensors or .npz file",
        )
    from golfreg.pack.container import read_container

    return _of_artifact(read_container(path))


def _of_artifact(container: Container) -> list[Section]:
    """By the installed codec that the artifact names; code in the artifact is not run."""
    from golfreg.pack.sections import decoded
    from golfreg.sizes.artifact import installed_codec

    target, config = installed_codec(container)
    try:
        arrays = decoded(target, container.streams, container.layouts, config)
    except InputError as error:
        raise InputError(f"the weights do not decode: {error.message}", error.hint) from error
    return [Section(layout, array) for layout, array in zip(container.layouts, arrays, strict=True)]


def _quantized(path: Path, bits: int | None, clip_std: float, embedding_clip_std: float) -> list[Section]:
    from golfreg.api.values import Budget
    from golfreg.builtin.quantizers.rowwise import RowwiseConfig, rowwise

    config = RowwiseConfig(bits=6 if bits is None else bits, clip_std=clip_std, embedding_clip_std=embedding_clip_std)
    state = _tensors(path)
    if not state:
        raise InputError(f"`{path}` has no floating-point tensor", "it is no file of weights")
    roles = _roles_of_run(path, state) or {name: _role(name, tensor) for name, tensor in state.items()}
    return rowwise.quantize(state, roles, {}, Budget(1 << 40, lambda sections: 0), config)


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    import numpy as np
    import torch

    from golfreg.pack.quantize import read_tensors

    if path.suffix == ".safetensors":
        found: dict[str, Any] = dict(read_tensors(path))
    else:
        try:
            with np.load(path, allow_pickle=False) as file:
                found = {name: torch.from_numpy(np.array(file[name])) for name in file.files}
        except (OSError, ValueError, TypeError, KeyError, EOFError) as error:
            raise InputError(f"`{path}` cannot be read: {error}", "numpy.savez makes it") from None
    weights = {name: t for name, t in found.items() if name.startswith(_PREFIXES[0])} or found
    plain: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        if tensor.is_floating_point() and tensor.dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
            for prefix in _PREFIXES:
                name = name.removeprefix(prefix)
            plain[name] = tensor
    return plain


def _roles_of_run(path: Path, state: dict[str, torch.Tensor]) -> dict[str, Role] | None:
    """From the plan of the run directory that the file lies in; None if there is none, or it is of another model."""
    from golfreg.config.plan import read_plan
    from golfreg.pack.quantize import make_header, model_roles

    plan = next((d / "plan.toml" for d in (path.parent, path.parent.parent) if (d / "plan.toml").is_file()), None)
    if plan is None:
        return None
    try:
        return model_roles(make_header(read_plan(plan)), state)
    except GolfregError:
        return None


def _role(name: str, tensor: torch.Tensor) -> Role:
    if tensor.ndim < 2:
        return Role("scalar")
    found = next((role for role, pattern in _ROLES if re.search(pattern, name, re.IGNORECASE)), "matrix")
    return Role(found if tensor.ndim == 2 or found not in EMBEDDING_ROLES else "matrix")
