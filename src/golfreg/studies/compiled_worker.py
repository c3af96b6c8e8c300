"""Statistics from a process that has trained a compiled model: ``python -m golfreg.studies.compiled_worker``.

Arguments: a run directory with plan and weights, the file for the statistics, and how to gather
them: ``module`` watches the model's own functions as the calibrate stage does; ``hooks`` registers
forward hooks after compiling and calls the compiled model, as published scripts did. One line of
JSON on standard output says how many matrices were seen. A crash is the answer that the study looks for.

N tokens, C columns of a weight[rows, C].
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from golfreg.api.values import MATRIX_ROLES, Role
from golfreg.config.plan import Plan, read_plan
from golfreg.data.dataset import open_dataset
from golfreg.data.loader import Loader
from golfreg.train.calibrate import STATISTICS
from golfreg.train.files import load_weights, write_tensors
from golfreg.train.loss import Gradients
from golfreg.train.stage import build, loader_seed, prepare_process

MODES = ("module", "hooks")
MOMENT = "input_second_moment"
_STEPS = 3
"""Compiled forward and backward passes before statistics are gathered."""


def main() -> None:
    """Train a few compiled steps, whose gradients are dropped, then gather in the same process."""
    run_dir, target, mode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    plan = read_plan(run_dir / "plan.toml")
    prepare_process(plan)
    dataset = open_dataset(plan.dataset_dir)
    model = build(plan, dataset)
    load_weights(run_dir / "model.safetensors", model)
    roles: dict[str, Role] = plan.architecture.load().roles(model)
    gradients = Gradients(model, vocab_size=dataset.vocab_size, compile_model=True)
    batches, pairs = _batches(plan)
    for number in range(_STEPS):
        gradients([pairs[number % len(pairs)]], pairs[0][0].numel())
    model.zero_grad(set_to_none=True)
    model.eval()
    trunk = [n for n, p in model.named_parameters() if p.ndim == 2 and roles[n].name in MATRIX_ROLES]
    found = STATISTICS[MOMENT](model, roles, batches) if mode == "module" else _hooked(model, gradients, trunk, batches)
    write_tensors(target, {f"{MOMENT}/{name}": tensor.cpu() for name, tensor in found.items()})
    print(json.dumps({"seen": sum(name in found for name in trunk), "of": len(trunk)}))


def _batches(plan: Plan) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
    """The calibrate stage's batches of training data, and pairs of tokens and targets of them."""
    settings = plan.spec.train
    window = settings.sequence_length
    dataset = open_dataset(plan.dataset_dir)
    size = max(window, (settings.micro_batch_tokens or settings.batch_tokens) // window * window)
    count = max(1, min(settings.calibration_tokens, dataset.train_tokens) // size)
    loader = Loader(dataset.train_shards, size, window, seed=loader_seed(plan))
    pairs = []
    for _ in range(count):
        tokens, targets = loader.next()
        pairs.append((torch.from_numpy(tokens).to(plan.device), torch.from_numpy(targets).to(plan.device)))
    return [tokens for tokens, _ in pairs], pairs


@torch.no_grad()
def _hooked(model: nn.Module, gradients: Gradients, trunk: list[str], batches: list[Tensor]) -> dict[str, Tensor]:
    """Mean of x x^T by forward hooks on the modules, through the compiled call; those that no hook was called for lack.

    The sums are made beforehand and added to in place: a hook that changes a dictionary is compiled anew
    each time that it is called.
    """
    modules = {f"{path}.weight": module for path, module in model.named_modules() if isinstance(module, nn.Linear)}
    sums_CC: dict[str, Tensor] = {}

    def adding(total_CC: Tensor) -> Any:
        def add(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            x_NC = arguments[0].detach().flatten(0, -2).float()
            total_CC.addmm_(x_NC.T, x_NC)

        return add

    for name in trunk:
        if name in modules:
            weight = modules[name].weight
            sums_CC[name] = torch.zeros(weight.size(1), weight.size(1), device=weight.device)
            modules[name].register_forward_pre_hook(adding(sums_CC[name]))
    for tokens_BT in batches:
        gradients.features(tokens_BT)
    tokens = sum(tokens_BT.numel() for tokens_BT in batches)
    return {name: total_CC / tokens for name, total_CC in sums_CC.items() if bool(total_CC.any())}


if __name__ == "__main__":
    main()
