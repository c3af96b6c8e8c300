"""Loss and gradients of one step, with bounded memory.

B windows, T time, D model width, V vocabulary, C tokens of one chunk, N = B * T.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from golfreg.api.errors import PluginError

_LOGIT_BYTES = 512 << 20
"""Float32 logits in memory at once; a backward pass needs a few times as much."""


class Gradients:
    """Cross entropy of the next token over float32 logits, and its gradient.

    The trunk runs once over a micro-batch. The head and the loss run over chunks of its features,
    forward and backward, so that logits of one chunk only are in memory and nothing is computed
    twice; then the trunk's backward pass runs once.

    ``loss_kernel``: a kernel of the op ``softcapped_cross_entropy``, which does all of that by itself. PluginError
    if the model has no ``head_parts() -> (weight_VD, softcap)`` to give it.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        vocab_size: int,
        compile_model: bool,
        loss_kernel: Callable[..., Tensor] | None = None,
    ) -> None:
        if loss_kernel is not None and not hasattr(model, "head_parts"):
            raise PluginError(
                "the model does not give its head to a kernel of `softcapped_cross_entropy`",
                "it needs `head_parts() -> (weight_VD, softcap)`; or leave that op out of `components.kernel`",
            )
        self.model, self.loss_kernel = model, loss_kernel
        self.chunk_tokens = max(1, _LOGIT_BYTES // (4 * vocab_size))
        self.compiled = compile_model

        def features(tokens_BT: Tensor) -> Tensor:
            return model.features(tokens_BT)  # type: ignore[operator]

        def chunk_loss(x_CD: Tensor, targets_C: Tensor) -> Tensor:
            logits_CV = model.head(x_CD[None])[0]  # type: ignore[operator]
            return F.cross_entropy(logits_CV.float(), targets_C, reduction="sum")

        self.features: Callable[..., Tensor] = features
        self.chunk_loss: Callable[..., Tensor] = chunk_loss
        if compile_model:
            self.features = torch.compile(features, dynamic=False)
            self.chunk_loss = torch.compile(chunk_loss, dynamic=False)

    def __call__(self, micro_batches: Iterable[tuple[Tensor, Tensor]], step_tokens: int) -> Tensor:
        """Add the gradient of the mean loss of ``step_tokens`` to ``.grad``; return that loss, on the device."""
        total: Tensor | None = None
        for tokens_BT, targets_BT in micro_batches:
            part = self._micro_batch(tokens_BT, targets_BT, 1.0 / step_tokens)
            total = part if total is None else total + part
        assert total is not None
        return total

    def _micro_batch(self, tokens_BT: Tensor, targets_BT: Tensor, weight: float) -> Tensor:
        x_BTD = self.features(tokens_BT)
        if self.loss_kernel is not None:
            weight_VD, softcap = self.model.head_parts()  # type: ignore[operator]
            loss = self.loss_kernel(x_BTD.flatten(0, 1), weight_VD, targets_BT.flatten(), softcap=softcap) * weight
            loss.backward()
            return loss.detach()
        x_ND = x_BTD.detach().flatten(0, 1)
        least = -(-x_ND.size(0) // self.chunk_tokens)
        # Chunks of one size where that is possible, so that the compiled one is compiled once.
        count = next((n for n in range(least, 2 * least) if x_ND.size(0) % n == 0), least)
        losses, gradients = [], []
        for x_CD, targets_C in zip(x_ND.chunk(count), targets_BT.flatten().chunk(count), strict=True):
            x_CD.requires_grad_()
            loss = self.chunk_loss(x_CD, targets_C) * weight
            loss.backward()
            losses.append(loss.detach())
            gradients.append(x_CD.grad if x_CD.grad is not None else torch.zeros_like(x_CD))
        x_BTD.backward(torch.cat(gradients).view_as(x_BTD))
        return torch.stack(losses).sum()
