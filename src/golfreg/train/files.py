"""Tensors in files: safetensors, written whole or not at all, and read with every check."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from golfreg.api.errors import EnvironmentFault, InputError


def write_temporary(path: Path, tensors: Mapping[str, Tensor], note: str = "") -> Path:
    """Write and sync a file beside ``path``, to be renamed over it. OSError if the disk refuses; nothing stays.

    ``note`` is kept in the header under the one key ``golfreg``: more keys would have no fixed order.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        held = {k: t.detach().contiguous() for k, t in tensors.items()}
        save_file(held, temporary, {"golfreg": note} if note else None)
        temporary.chmod(0o644)
        _sync(temporary)
    except SafetensorError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(errno.EIO, str(error), str(path)) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def publish(temporary: Path, path: Path) -> None:
    """Rename a written file to its name and make that durable."""
    try:
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file whole or not at all. EnvironmentFault if the disk refuses."""
    try:
        publish(write_temporary(path, tensors), path)
    except OSError as error:
        raise EnvironmentFault(
            f"cannot write `{path}`: {error.strerror}",
            hint=f"free the disk, then `golfreg run --resume {path.parent}`; the last checkpoint is kept",
        ) from error


def read_tensors(path: Path, device: str = "cpu") -> tuple[dict[str, Tensor], str]:
    """Tensors and note of a safetensors file. InputError if it is missing or damaged."""
    try:
        with safe_open(path, "pt", device=device) as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, (file.metadata() or {}).get("golfreg", "")
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"`{path}` cannot be read: {error}", hint="run the stage that writes it again") from error


@torch.no_grad()
def load_weights(path: Path, model: nn.Module) -> None:
    """Copy the weights of a file into a model. InputError unless names and shapes are the model's."""
    tensors, _ = read_tensors(path)
    parameters = dict(model.named_parameters())
    for name in sorted(tensors.keys() ^ parameters.keys()):
        where = "the file" if name in tensors else "the model"
        raise InputError(f"`{path}` does not fit the model: only {where} has `{name}`")
    for name, parameter in parameters.items():
        if tensors[name].shape != parameter.shape:
            shapes = f"{tuple(tensors[name].shape)}, the model's {tuple(parameter.shape)}"
            raise InputError(f"`{path}` does not fit the model: `{name}` has the shape {shapes}")
        parameter.copy_(tensors[name])


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
