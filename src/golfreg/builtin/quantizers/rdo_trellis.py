"""Choosing the codes of a column together, for ``rdo`` with ``dependent``: the cheapest path through a trellis.

What a code stands for is in ``rdo.levels``. It is a machine of four states, 2 * upper + lower bit: the upper bit says
which grid a code is of, and becomes the lower one; the code's parity, added to the lower bit, becomes the upper one.
Rows do not see each other's error, so a path down the rows of a column costs exactly the sum of its steps.

R rows, K candidates, P pieces of rows that begin in state 0, S states, B the two ways into a state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from golfreg.builtin.quantizers.rdo import PIECE

BEFORE_SB = np.array([[0, 1], [2, 3], [0, 1], [2, 3]])
"""The states before each."""
BRANCH_SB = np.array([[0, 1], [2, 3], [1, 0], [3, 2]])
"""Twice the grid of the code that leads from there, and its parity."""
OFFERS = (0.0, -2.0, 2.0)
"""Codes of a grid and parity that are tried, from the nearest."""


def chosen(
    aim_R: torch.Tensor,
    highest_R: torch.Tensor,
    place_R: np.ndarray,
    cost_of: Callable[[torch.Tensor, float], torch.Tensor],
) -> torch.Tensor:
    """Levels of a column: a code, or a code and a half, from -highest to highest.

    ``aim_R``: the weights in steps. ``cost_of``: (codes[K, R], half a step or 0) -> what each costs.
    """
    costs, levels = [], []
    for half in (0.0, 0.5):
        for parity in (0, 1):
            top_R = highest_R - 2 * half
            top_R = top_R - (top_R - parity).remainder(2)
            low_R = (highest_R + parity).remainder(2) - highest_R
            nearest_R = parity + 2 * torch.round((aim_R - half - parity) / 2)
            codes_KR = torch.stack([nearest_R + step for step in OFFERS])
            codes_KR = torch.maximum(torch.minimum(codes_KR, top_R), low_R)
            cost_R, best_R = cost_of(codes_KR, half).min(0)
            costs.append(cost_R)
            levels.append(codes_KR.gather(0, best_R[None])[0] + half)
    taken_R = torch.from_numpy(path(torch.stack(costs).double().cpu().numpy(), place_R)).to(aim_R.device)
    return torch.stack(levels).gather(0, taken_R[None])[0]


def places(sizes: Sequence[int]) -> np.ndarray:
    """Where each row is among the pieces, which begin anew with every row group of so many rows."""
    found, begin = [], 0
    for rows in sizes:
        found.append(begin + np.arange(rows))
        begin += -(-rows // PIECE) * PIECE
    return np.concatenate(found)


def path(cost_4R: np.ndarray, place_R: np.ndarray) -> np.ndarray:
    """int64[R]: of four costs, by twice the grid and parity, the one that each row takes on the cheapest path."""
    pieces = int(place_R[-1]) // PIECE + 1
    cost_4N = np.zeros((4, pieces * PIECE))
    cost_4N[:, place_R] = cost_4R
    cost_TSBP = cost_4N.reshape(4, pieces, PIECE).transpose(2, 0, 1)[:, BRANCH_SB]
    total_SP = np.full((4, pieces), np.inf)
    total_SP[0] = 0
    second_TSP = np.empty((PIECE, 4, pieces), bool)
    each_SBP = np.empty((4, 2, pieces))
    for t in range(PIECE):
        # States 0 and 2 come from 0 and 1, and 1 and 3 from 2 and 3.
        np.add(total_SP.reshape(2, 2, pieces), cost_TSBP[t].reshape(2, 2, 2, pieces), out=each_SBP.reshape(2, 2, 2, -1))
        np.less(each_SBP[:, 1], each_SBP[:, 0], out=second_TSP[t])
        np.minimum(each_SBP[:, 0], each_SBP[:, 1], out=total_SP)
    state_P, taken_TP, every_P = total_SP.argmin(0), np.empty((PIECE, pieces), np.int64), np.arange(pieces)
    for t in reversed(range(PIECE)):
        second_P = second_TSP[t, state_P, every_P].astype(np.int64)
        taken_TP[t], state_P = BRANCH_SB[state_P, second_P], BEFORE_SB[state_P, second_P]
    return np.asarray(taken_TP.T.reshape(-1)[place_R])
