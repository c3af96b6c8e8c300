"""The calibrate stage: statistics that the quantizer declared, on the training clock.

They come from training tokens, or from tokens that need no data (``train.calibration_source``); never from validation.

It runs on an uncompiled model in a process of its own. With ``GOLFREG_WAIT_FOR_GO=1`` it makes
everything ready and then waits for a line on standard input, so that its imports cost no time.

N tokens, C columns of a weight[rows, C].
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from golfreg.api.errors import EnvironmentFault, InputError, PluginError
from golfreg.api.values import EMBEDDING_ROLES, MATRIX_ROLES, Role
from golfreg.config.job import Job
from golfreg.data.dataset import open_dataset
from golfreg.data.loader import Loader
from golfreg.train.files import load_weights, write_tensors
from golfreg.train.schedule import micro_batch
from golfreg.train.stage import build, loader_seed, prepare_process

_CASTS = frozenset({"to", "type", "type_as", "float", "bfloat16", "half", "contiguous"})


def run(job: Job) -> dict[str, Any]:
    """Gather what ``plan.quantizer_needs`` names into ``statistics.safetensors``.

    PluginError for a statistic that golfreg does not know, or a matrix that it did not see used.
    """
    plan, settings = job.plan, job.plan.spec.train
    unknown = sorted(set(plan.quantizer_needs) - STATISTICS.keys())
    if unknown:
        raise PluginError(
            f"quantizer `{plan.quantizer.name}` needs the statistic `{unknown[0]}`, which golfreg does not gather",
            hint=f"known: {', '.join(sorted(STATISTICS))}",
        )
    prepare_process(plan)
    dataset = open_dataset(plan.dataset_dir)
    model = build(plan, dataset).eval()
    roles = plan.architecture.load().roles(model)
    window = settings.sequence_length
    batch = max(window, micro_batch(settings, settings.batch_tokens)[1] // window * window)
    source = settings.calibration_source
    if source == "train":
        count = max(1, min(settings.calibration_tokens, dataset.train_tokens) // batch)
        loader = Loader(dataset.train_shards, batch, window, seed=loader_seed(plan))
    else:
        import golfreg.train.calibration_tokens as drawn  # Here: code that is loaded counts.
    wait_for_go()

    begun = time.monotonic()
    load_weights(job.run_dir / "model.safetensors", model)
    if source == "train":
        batches = [torch.from_numpy(loader.next()[0]).to(plan.device) for _ in range(count)]
    else:
        batches = drawn.drawn_batches(
            source, model, tokens=settings.calibration_tokens, batch_tokens=batch, window=window,
            vocab_size=dataset.vocab_size, bos_id=dataset.bos_id, seed=plan.spec.seed, device=plan.device,
        )  # fmt: skip
    tensors: dict[str, Tensor] = {}
    for statistic in plan.quantizer_needs:
        for name, tensor in STATISTICS[statistic](model, roles, batches).items():
            if not torch.isfinite(tensor).all():
                raise InputError(f"the statistic `{statistic}` of `{name}` is not finite")
            tensors[f"{statistic}/{name}"] = tensor.cpu()
    write_tensors(job.run_dir / "statistics.safetensors", tensors)
    return {
        "calibrate_seconds": time.monotonic() - begun,
        "source": source,
        "tokens": sum(tokens_BT.numel() for tokens_BT in batches),
        "statistics": len(tensors),
    }


def wait_for_go() -> None:
    """Block until the launcher says go, if it asked for that."""
    if os.environ.get("GOLFREG_WAIT_FOR_GO") == "1" and not sys.stdin.readline():
        raise EnvironmentFault("the launcher ended before calibration could begin")


class InputMoments(TorchFunctionMode):
    """While entered, sums x x^T over every input x of a linear map, for each of ``weights``, by name.

    It watches ``torch.nn.functional.linear``, so it does not matter which module, or none, makes
    the product, and a tied embedding gets the head's input. A cast of a weight counts as the weight.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._names = WeakIdKeyDictionary({w: name for name, w in weights.items()})
        self.sums_CC: dict[str, Tensor] = {}
        self.tokens: dict[str, int] = {}

    def __torch_function__(
        self, function: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        if function is F.linear:
            weight = args[1] if len(args) > 1 else kwargs["weight"]
            if weight in self._names:
                self._add(self._names[weight], args[0] if args else kwargs["input"])
        elif getattr(function, "__name__", "") in _CASTS and args and args[0] in self._names:
            self._names[result] = self._names[args[0]]
        return result

    def _add(self, name: str, x: Tensor) -> None:
        x_NC = x.detach().flatten(0, -2).float()
        if name not in self.sums_CC:
            self.sums_CC[name] = torch.zeros(x_NC.size(1), x_NC.size(1), device=x_NC.device)
        self.sums_CC[name].addmm_(x_NC.T, x_NC)
        self.tokens[name] = self.tokens.get(name, 0) + x_NC.size(0)


@torch.no_grad()
def input_second_moment(model: nn.Module, roles: Mapping[str, Role], batches: Iterable[Tensor]) -> dict[str, Tensor]:
    """Mean of x x^T over the inputs of each matrix, float32[C, C], by the parameter's name.

    For tied embeddings it is the head's input; an embedding that is only looked up has none.
    PluginError for a matrix of the trunk that no linear map used.
    """
    weights = {
        n: p for n, p in model.named_parameters() if p.ndim == 2 and roles[n].name in MATRIX_ROLES | EMBEDDING_ROLES
    }
    with InputMoments(weights) as moments:
        for tokens_BT in batches:
            x_BTD = model.features(tokens_BT)  # type: ignore[operator]
            model.head(x_BTD)  # type: ignore[operator]
    unseen = [n for n in weights if n not in moments.sums_CC and roles[n].name in MATRIX_ROLES]
    if unseen:
        raise PluginError(
            f"no input of the matrix `{unseen[0]}` was seen",
            hint="a matrix is used through torch.nn.functional.linear (torch.nn.Linear does)",
        )
    return {name: total / moments.tokens[name] for name, total in moments.sums_CC.items()}


STATISTICS: dict[str, Callable[[nn.Module, Mapping[str, Role], Iterable[Tensor]], dict[str, Tensor]]] = {
    "input_second_moment": input_second_moment,
}
"""What a quantizer may declare in ``needs``."""
