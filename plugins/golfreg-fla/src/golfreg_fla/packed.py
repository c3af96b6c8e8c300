"""A batch whose rows hold documents as fla takes it: sequences laid one after another in a batch of one.

Shape letters: B batch, T time, S sequences, X any; E = 1 and L = B T with documents, else E = B and L = T.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

Tensor = torch.Tensor


class Packed(NamedTuple):
    """``cu_seqlens``: where each sequence begins and the last ends, int64 [S + 1]. None: every row is one sequence."""

    batch: int
    length: int
    cu_seqlens: Tensor | None
    goes_on_B: Tensor
    """Whether a row begins in the middle of a document, so that its initial state counts."""

    @classmethod
    def of(cls, x_BTX: Tensor, starts_BT: Tensor | None) -> Packed:
        """Their number is read on the host, which waits for the GPU."""
        batch, length = x_BTX.shape[:2]
        if starts_BT is None:
            return cls(batch, length, None, torch.ones(batch, dtype=torch.bool, device=x_BTX.device))
        begins_BT = starts_BT.clone()
        begins_BT[:, 0] = True
        begins_S = begins_BT.reshape(-1).nonzero().squeeze(1)
        return cls(batch, length, torch.cat((begins_S, begins_S.new_tensor([batch * length]))), ~starts_BT[:, 0])

    def stack(self, x_BTX: Tensor) -> Tensor:
        """[B, T, ...] to [E, L, ...]"""
        return x_BTX.contiguous() if self.cu_seqlens is None else x_BTX.reshape(1, -1, *x_BTX.shape[2:]).contiguous()

    def unstack(self, x_ELX: Tensor) -> Tensor:
        """[E, L, ...] to [B, T, ...]"""
        return x_ELX.reshape(self.batch, self.length, *x_ELX.shape[2:])

    def _rows(self, cu_seqlens: Tensor) -> tuple[Tensor, Tensor]:
        """The first and the last sequence of each row."""
        edges = torch.arange(self.batch + 1, device=cu_seqlens.device) * self.length
        at = torch.searchsorted(cu_seqlens, edges)
        return at[:-1], at[1:] - 1

    def entering(self, x_BX: Tensor | None) -> Tensor | None:
        """A state of each row as states of sequences."""
        if x_BX is None or self.cu_seqlens is None:
            return x_BX
        first_B, _ = self._rows(self.cu_seqlens)
        return self._spread(x_BX * self._goes_on(x_BX), first_B)

    def entered(self, d_SX: Tensor) -> Tensor:
        """The gradient of ``entering``."""
        if self.cu_seqlens is None:
            return d_SX
        first_B, _ = self._rows(self.cu_seqlens)
        return d_SX[first_B] * self._goes_on(d_SX)

    def last(self, x_SX: Tensor) -> Tensor:
        """Of states of sequences those with which the rows end."""
        return x_SX if self.cu_seqlens is None else x_SX[self._rows(self.cu_seqlens)[1]]

    def spread_last(self, d_BX: Tensor) -> Tensor:
        """The gradient of ``last``."""
        return d_BX if self.cu_seqlens is None else self._spread(d_BX, self._rows(self.cu_seqlens)[1])

    def _spread(self, x_BX: Tensor, at_B: Tensor) -> Tensor:
        assert self.cu_seqlens is not None
        return x_BX.new_zeros((len(self.cu_seqlens) - 1, *x_BX.shape[1:])).index_copy(0, at_B, x_BX)

    def _goes_on(self, x_BX: Tensor) -> Tensor:
        return self.goes_on_B.view(-1, *[1] * (x_BX.ndim - 1))
