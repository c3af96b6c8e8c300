"""GPTQ: integer codes of a matrix, column by column, each column's error made up for by those that follow.

Frantar et al., "GPTQ" (arXiv 2210.17323): of the error ``trace(E H E^T)``, E the difference of the weights and H
the second moment of the inputs, what the columns still free can take away is taken away after every column. Rows
do not see each other, so rows of any number of row groups, each with its own scale and width, are solved at once.

R rows, C columns, B columns of one block.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from golfreg.api.errors import GolfregError

BLOCK = 128
"""Columns whose error is spread at once over all later ones; inside the block it is spread column by column."""
_FACTORS = 8

Choose = Callable[[torch.Tensor, int, float], torch.Tensor]
"""(weights_R of a column as the earlier columns left them, the column, its error's weight) -> codes_R, whole numbers.

The error that the choice costs is the weight times its square, summed over the rows: exactly, since all that later
columns can take away is in the weight.
"""


def inverse_factor(moment_CC: torch.Tensor, damping: float) -> torch.Tensor:
    """U, upper triangular float64, with U^T U = (H + damping * mean(diag H) * I)^-1.

    H of an input that is always zero gives the identity. Where rounding made H indefinite the damping grows.
    GolfregError if H is no second moment.
    """
    H_CC = moment_CC.to(torch.float64)
    H_CC = (H_CC + H_CC.mT) / 2
    mean = float(H_CC.diagonal().mean())
    identity_CC = torch.eye(len(H_CC), dtype=torch.float64, device=H_CC.device)
    if mean == 0 and not H_CC.any():
        return identity_CC
    for _ in range(_FACTORS):
        # With the columns reversed, a lower factor of H is an upper one; its inverse is U. No inverse of H is made.
        lower_CC, failed = torch.linalg.cholesky_ex((H_CC + damping * mean * identity_CC).flip(0, 1))
        if not int(failed):
            factor_CC: torch.Tensor = torch.linalg.solve_triangular(lower_CC.flip(0, 1), identity_CC, upper=True)
            return factor_CC
        damping = max(10 * damping, 1e-8)
    raise GolfregError("the second moment of an input is not positive semidefinite", "gather the statistics again")


def error_weights(factor_CC: torch.Tensor) -> torch.Tensor:
    """float64[C]: what a squared error costs at each column, when columns are chosen in order."""
    return factor_CC.diagonal().square().reciprocal()


def solve(
    weight_RC: torch.Tensor,
    factor_CC: torch.Tensor,
    scale_R: torch.Tensor,
    highest_R: torch.Tensor,
    choose: Choose | None = None,
) -> torch.Tensor:
    """Codes as float32[R, C], from -highest to highest of the row. All on the device of ``weight_RC``.

    ``factor_CC``: of ``inverse_factor``, its columns in the order of the weight's. ``scale_R``: 0 for a row of
    zeros. ``choose``: None takes the nearest code.
    """
    factor_CC, columns = factor_CC.to(torch.float32), weight_RC.shape[1]
    weights = error_weights(factor_CC).tolist()
    inverses = factor_CC.diagonal().reciprocal().tolist()
    one_over_R = torch.where(scale_R > 0, scale_R.reciprocal(), torch.zeros_like(scale_R))
    left_CR = weight_RC.to(torch.float32).t().contiguous()  # columns lie in a row: each is read and written often
    codes_CR = torch.empty_like(left_CR)
    for begin in range(0, columns, BLOCK):
        end = min(begin + BLOCK, columns)
        block_BR, errors_BR = left_CR[begin:end], torch.empty_like(left_CR[begin:end])
        spread_BB = factor_CC[begin:end, begin:end]
        for j in range(end - begin):
            column = begin + j
            if choose is None:
                chosen_R = torch.mul(block_BR[j], one_over_R).round_()
            else:
                chosen_R = choose(block_BR[j], column, weights[column])
            chosen_R = torch.clamp(chosen_R, -highest_R, highest_R, out=codes_CR[column])
            error_R = torch.addcmul(block_BR[j], chosen_R, scale_R, value=-1, out=errors_BR[j])
            error_R *= inverses[column]
            block_BR[j + 1 :].addr_(spread_BB[j, j + 1 :], error_R, alpha=-1)
        left_CR[end:].addmm_(factor_CC[begin:end, end:].mT, errors_BR, alpha=-1)
    return codes_CR.t()


def weighted_error(error_RC: torch.Tensor, moment_CC: torch.Tensor) -> torch.Tensor:
    """float64[R]: e H e^T of each row, what the rows' error does to the layer's output, in its square's mean."""
    error_RC, moment_CC = error_RC.to(torch.float64), moment_CC.to(torch.float64)
    return ((error_RC @ moment_CC) * error_RC).sum(1)
