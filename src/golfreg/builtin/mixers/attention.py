"""The mixer ``attention``: causal grouped-query attention with RoPE, QK norm and a gain per head.

It is the attention of the challenge's baseline (``train_gpt.py`` of openai/parameter-golf).
Shape letters: B batch, T time, D model width, H query heads, J key and value heads, E head width,
C positions kept from before, S = C + T, N = T / 128 blocks of positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from golfreg.api.errors import ConfigError
from golfreg.api.values import BuildContext, Role
from golfreg.builtin.mixers.linear import Linear

_BLOCK = 128
"""Positions of a block of ``document_blocks``."""

Cache = tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]
"""(k_BJCE before RoPE, v_BJCE, starts_BC, the most positions that are kept)."""


@dataclass(frozen=True)
class AttentionConfig:
    n_heads: int = 8
    n_kv_heads: int = 4
    rope_base: float = 10000.0
    qk_gain_init: float = 1.5
    """Queries are multiplied by this at the start, one learned factor per head."""
    rope_fraction: float = 1.0
    """Part of each head's channels, the first ones, that rotate (partial RoPE, parameter-golf PR 315: 0.25)."""
    gate_channels: int = 0
    """Each head's output is multiplied by 2 * sigmoid of a learned form in this many channels of the input, the first
    ones; 0: not. 12 is the sparse gate of parameter-golf PR 1667 and 1787, ``d_model`` that of arXiv 2505.06708."""
    exclusive: bool = False
    """What a position reads loses its part along the position's own value (XSA, arXiv 2603.09078, PR 265)."""
    value_residual: bool = False
    """Values are mixed with those of the first attention layer, two learned factors a layer (arXiv 2410.17897)."""

    def __post_init__(self) -> None:
        if self.n_heads < 1 or self.n_kv_heads < 1 or self.n_heads % self.n_kv_heads:
            raise ConfigError(
                f"attention has n_heads = {self.n_heads} and n_kv_heads = {self.n_kv_heads}",
                hint="n_heads is a multiple of n_kv_heads, and both are positive",
            )
        if not (0 < self.rope_base < math.inf and math.isfinite(self.qk_gain_init)):
            raise ConfigError(
                f"attention has rope_base = {self.rope_base} and qk_gain_init = {self.qk_gain_init}",
                hint="rope_base is positive, and both are finite",
            )
        if not (0 < self.rope_fraction <= 1 and 0 <= self.gate_channels <= 65536):
            raise ConfigError(
                f"attention has rope_fraction = {self.rope_fraction} and gate_channels = {self.gate_channels}",
                hint="rope_fraction is above 0 and at most 1, gate_channels from 0 to 65536",
            )


class Attention(nn.Module):
    """Called as ``mixer(x_BTD, starts_BT)``; nothing attends across a document's start.

    With ``value_residual`` it ``passes_on`` values: they are one more argument, None in the first layer, and returned.
    """

    rope_E2: torch.Tensor

    def __init__(self, d_model: int, config: AttentionConfig, rotary: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        if d_model % (2 * config.n_heads):
            raise ConfigError(
                f"attention has d_model = {d_model} and n_heads = {config.n_heads}",
                hint="d_model is a multiple of 2 * n_heads: RoPE rotates pairs of each head's channels",
            )
        if config.gate_channels > d_model:
            raise ConfigError(
                f"attention has gate_channels = {config.gate_channels} and d_model = {d_model}",
                hint="the gate reads at most d_model channels",
            )
        self.n_heads, self.n_kv_heads = config.n_heads, config.n_kv_heads
        self.headdim = d_model // config.n_heads
        self.exclusive, self.passes_on = config.exclusive, config.value_residual
        kv_width = config.n_kv_heads * self.headdim
        self.q_proj = Linear(d_model, d_model)
        self.k_proj = Linear(d_model, kv_width)
        self.v_proj = Linear(d_model, kv_width)
        self.out_proj = Linear(d_model, d_model, zero=True)
        self.q_gain = nn.Parameter(torch.full((config.n_heads,), float(config.qk_gain_init)))
        gated, mixes = config.gate_channels, config.value_residual
        self.gate = nn.Parameter(torch.zeros(config.n_heads, gated)) if gated else None
        self.value_mix = nn.Parameter(torch.full((2,), 0.5)) if mixes else None
        rotating = 2 * max(1, int(config.rope_fraction * self.headdim / 2))
        channels = torch.arange(0, rotating, 2, dtype=torch.float32)
        self.rotary = rotary
        self.register_buffer("rope_E2", 1.0 / config.rope_base ** (channels / rotating), persistent=False)

    def forward(
        self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None = None, first_BJTE: torch.Tensor | None = None
    ) -> Any:
        q_BTHE, k_BTJE, v_BJTE, first_BJTE = self._project(x_BTD, first_BJTE)
        cos, sin = self._angles(x_BTD.shape[1])
        q_BHTE = self.rotary(q_BTHE, cos, sin, self.q_gain, eps=torch.finfo(q_BTHE.dtype).eps).transpose(1, 2)
        k_BJTE = self.rotary(k_BTJE, cos, sin, eps=torch.finfo(k_BTJE.dtype).eps).transpose(1, 2)
        y_BTD = self._attend(x_BTD, q_BHTE, k_BJTE, v_BJTE, documents(starts_BT, self.headdim))
        return (y_BTD, first_BJTE) if self.passes_on else y_BTD

    def initial_state(self, n_batch: int, context: int) -> Cache:
        """Nothing read yet. ``context``: how many earlier positions are kept, so that memory is bounded."""
        nothing = self.q_gain.new_zeros(n_batch, self.n_kv_heads, 0, self.headdim)
        return nothing, nothing, torch.zeros(n_batch, 0, dtype=torch.bool, device=nothing.device), context

    def step(
        self,
        x_BTD: torch.Tensor,
        starts_BT: torch.Tensor | None,
        state: Cache,
        first_BJTE: torch.Tensor | None = None,
    ) -> Any:
        """``forward`` that also sees the positions that ``state`` keeps. RoPE is relative: they are counted from 0."""
        k_BJCE, v_BJCE, starts_BC, context = state
        q_BTHE, k_BTJE, v_BJTE, first_BJTE = self._project(x_BTD, first_BJTE)
        k_BJTE = F.rms_norm(k_BTJE, (self.headdim,)).transpose(1, 2)
        k_BJSE = torch.cat((k_BJCE.to(k_BJTE.dtype), k_BJTE), 2)
        v_BJSE = torch.cat((v_BJCE.to(v_BJTE.dtype), v_BJTE), 2)
        now_BT = starts_BT if starts_BT is not None else starts_BC.new_zeros(x_BTD.shape[:2])
        starts_BS = torch.cat((starts_BC, now_BT), 1)
        mask_B1TS = document_mask(starts_BS)[:, :, starts_BC.shape[1] :]
        first = max(0, starts_BS.shape[1] - context)
        after = k_BJSE[:, :, first:], v_BJSE[:, :, first:], starts_BS[:, first:], context
        cos, sin = self._angles(k_BJSE.shape[2])
        own = slice(k_BJSE.shape[2] - x_BTD.shape[1], None)
        q_BHTE = self.rotary(q_BTHE, cos[own], sin[own], self.q_gain, eps=torch.finfo(q_BTHE.dtype).eps).transpose(1, 2)
        k_BJSE = rotate(k_BJSE, cos.to(k_BJSE.dtype), sin.to(k_BJSE.dtype))
        y_BTD = self._attend(x_BTD, q_BHTE, k_BJSE, v_BJSE, mask_B1TS)
        return (y_BTD, after, first_BJTE) if self.passes_on else (y_BTD, after)

    def _project(
        self, x_BTD: torch.Tensor, first_BJTE: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries q_BTHE and keys k_BTJE as projected, values v_BJTE, and the values of the first layer."""
        n_batch, length, _ = x_BTD.shape
        q_BTHE = self.q_proj(x_BTD).view(n_batch, length, self.n_heads, self.headdim)
        k_BTJE = self.k_proj(x_BTD).view(n_batch, length, self.n_kv_heads, self.headdim)
        v_BJTE = self.v_proj(x_BTD).view(n_batch, length, self.n_kv_heads, self.headdim).transpose(1, 2)
        first_BJTE = v_BJTE if first_BJTE is None else first_BJTE
        if self.value_mix is not None:
            of_own, of_first = self.value_mix.to(v_BJTE.dtype)
            v_BJTE = of_own * v_BJTE + of_first * first_BJTE
        return q_BTHE, k_BTJE, v_BJTE, first_BJTE

    def _angles(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosine and sine of RoPE's angles, float32 [T, R]."""
        positions = torch.arange(length, device=self.rope_E2.device, dtype=torch.float32)
        angle_TR = torch.outer(positions, self.rope_E2)
        return angle_TR.cos(), angle_TR.sin()

    def _attend(
        self,
        x_BTD: torch.Tensor,
        q_BHTE: torch.Tensor,
        k_BJSE: torch.Tensor,
        v_BJSE: torch.Tensor,
        mask: torch.Tensor | BlockMask | None,
    ) -> torch.Tensor:
        """The queries are of the last T of the S positions. Without a mask T = S, and all is causal."""
        length, reach = q_BHTE.shape[2], k_BJSE.shape[2]
        y_BHTE = attend(q_BHTE, k_BJSE, v_BJSE, mask)
        if self.exclusive:
            own_BJ1TE = F.normalize(v_BJSE[:, :, reach - length :].float(), dim=-1).to(y_BHTE.dtype).unsqueeze(2)
            y_BJGTE = y_BHTE.unflatten(1, (self.n_kv_heads, -1))
            y_BHTE = (y_BJGTE - (y_BJGTE * own_BJ1TE).sum(-1, keepdim=True) * own_BJ1TE).flatten(1, 2)
        if self.gate is not None:
            gate_BTH = 2 * F.linear(x_BTD[..., : self.gate.shape[1]], self.gate.to(x_BTD.dtype)).sigmoid()
            y_BHTE = y_BHTE * gate_BTH.transpose(1, 2).unsqueeze(-1)
        return self.out_proj(y_BHTE.transpose(1, 2).flatten(2))


def normed_and_rotated(
    x_BTHE: torch.Tensor, cos_TR: torch.Tensor, sin_TR: torch.Tensor, gain_H: torch.Tensor | None = None, *, eps: float
) -> torch.Tensor:
    """The op ``rotary_qk_norm`` in plain code: what is used where no kernel was chosen."""
    x_BTHE = F.rms_norm(x_BTHE, x_BTHE.shape[-1:], eps=eps)
    x_BTHE = rotate(x_BTHE, *(a.to(x_BTHE.dtype).unsqueeze(1) for a in (cos_TR, sin_TR)))
    return x_BTHE if gain_H is None else x_BTHE * gain_H.to(x_BTHE.dtype).unsqueeze(-1)


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """RoPE of the pairs (i, i + R/2) of the first R channels, clockwise as the baseline has it."""
    width = cos.shape[-1]
    first, second = x[..., :width], x[..., width : 2 * width]
    turned = first * cos + second * sin, second * cos - first * sin
    return torch.cat((*turned, x[..., 2 * width :]), dim=-1)


def attend(
    q_BHTE: torch.Tensor, k_BJSE: torch.Tensor, v_BJSE: torch.Tensor, mask: torch.Tensor | BlockMask | None
) -> torch.Tensor:
    """Softmax attention of what ``mask`` lets be seen; without one it is causal."""
    grouped = q_BHTE.shape[1] != k_BJSE.shape[1]
    if isinstance(mask, BlockMask):
        y_BHTE = flex_attention(q_BHTE, k_BJSE, v_BJSE, block_mask=mask, enable_gqa=grouped)
        assert isinstance(y_BHTE, torch.Tensor)
        return y_BHTE
    return F.scaled_dot_product_attention(
        q_BHTE, k_BJSE, v_BJSE, attn_mask=mask, is_causal=mask is None, enable_gqa=grouped
    )


def documents(starts_BT: torch.Tensor | None, headdim: int) -> torch.Tensor | BlockMask | None:
    """What each position may see: in blocks where a kernel that skips them runs (compiled, on a GPU), else dense."""
    if starts_BT is None:
        return None
    skips = torch.compiler.is_compiling() and starts_BT.is_cuda and starts_BT.shape[1] % _BLOCK == 0 and headdim >= 16
    return document_blocks(starts_BT) if skips else document_mask(starts_BT)


def document_mask(starts_BT: torch.Tensor) -> torch.Tensor:
    """Which positions each one may see, [B, 1, T, T]: those before it in its own document, and itself."""
    document_BT = starts_BT.cumsum(1)
    length = starts_BT.shape[1]
    causal_TT = torch.ones(length, length, dtype=torch.bool, device=starts_BT.device).tril()
    return (causal_TT & (document_BT.unsqueeze(-1) == document_BT.unsqueeze(-2))).unsqueeze(1)


def document_blocks(starts_BT: torch.Tensor) -> BlockMask:
    """``document_mask`` as blocks: the ones between a document's first block and the diagonal, without a T x T mask.

    Documents are contiguous, so the blocks that a block of queries sees are a range: the last ones before the
    diagonal are seen whole, and those before them, and the diagonal's own, position by position.
    """
    at_T = torch.arange(starts_BT.shape[1], device=starts_BT.device)
    begin_BT = torch.where(starts_BT, at_T, 0).cummax(1).values  # where each position's document begins
    at_N = at_T[: len(at_T) // _BLOCK]
    first_BN1 = (begin_BT[:, ::_BLOCK] // _BLOCK)[..., None]
    whole_BN1 = torch.minimum((begin_BT[:, _BLOCK - 1 :: _BLOCK] + _BLOCK - 1) // _BLOCK, at_N)[..., None]
    partly_BNN = torch.where(at_N < whole_BN1 - first_BN1, first_BN1 + at_N, at_N[:, None])
    wholly_BNN = torch.minimum(whole_BN1 + at_N, at_N[:, None])
    counts = [(whole_BN1 - first_BN1 + 1)[..., 0], (at_N[:, None] - whole_BN1)[..., 0]]

    def seen(b: torch.Tensor, h: torch.Tensor, q: torch.Tensor, kv: torch.Tensor) -> torch.Tensor:
        return (begin_BT[b, q] <= kv) & (kv <= q)

    n_partly, partly, n_wholly, wholly = (
        x[:, None].int().contiguous() for x in (counts[0], partly_BNN, counts[1], wholly_BNN)
    )
    return BlockMask.from_kv_blocks(n_partly, partly, n_wholly, wholly, BLOCK_SIZE=_BLOCK, mask_mod=seen)


class AttentionMixer:
    """What the plugin host calls."""

    Config = AttentionConfig

    def build(self, d_model: int, config: AttentionConfig, context: BuildContext) -> Attention:
        return Attention(d_model, config, context.kernels.get("rotary_qk_norm", normed_and_rotated))

    def roles(self, mixer: nn.Module) -> dict[str, Role]:
        return {
            "q_proj.weight": Role("qkv"),
            "k_proj.weight": Role("qkv"),
            "v_proj.weight": Role("qkv"),
            "out_proj.weight": Role("out"),
            **{name: Role("scalar") for name in ("q_gain", "gate", "value_mix") if getattr(mixer, name) is not None},
        }

    def flops_per_token(self, d_model: int, config: AttentionConfig, context: BuildContext) -> int:
        """6 per matrix weight; scores and their use 2 * 2 * d_model for each of (T + 1) / 2 positions seen, times 3."""
        kv_width = d_model // config.n_heads * config.n_kv_heads
        weights = 2 * d_model * (d_model + kv_width) + config.n_heads * config.gate_channels
        return 6 * weights + 6 * d_model * (context.sequence_length + 1)


attention = AttentionMixer()
