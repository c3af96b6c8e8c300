"""The mixer ``attention``: causal grouped-query attention with RoPE, QK norm and a gain per head.

It is the attention of the challenge's baseline (``train_gpt.py`` of openai/parameter-golf).
Shape letters: B batch, T time, D model width, H query heads, J key and value heads, E head width,
C positions kept from before, S = C + T, N = T / 128 blocks of positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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


class Attention(nn.Module):
    """Called as ``mixer(x_BTD, starts_BT)``; nothing attends across a document's start."""

    rope_E2: torch.Tensor

    def __init__(self, d_model: int, config: AttentionConfig) -> None:
        super().__init__()
        if d_model % (2 * config.n_heads):
            raise ConfigError(
                f"attention has d_model = {d_model} and n_heads = {config.n_heads}",
                hint="d_model is a multiple of 2 * n_heads: RoPE rotates pairs of each head's channels",
            )
        self.n_heads, self.n_kv_heads = config.n_heads, config.n_kv_heads
        self.headdim = d_model // config.n_heads
        kv_width = config.n_kv_heads * self.headdim
        self.q_proj = Linear(d_model, d_model)
        self.k_proj = Linear(d_model, kv_width)
        self.v_proj = Linear(d_model, kv_width)
        self.out_proj = Linear(d_model, d_model, zero=True)
        self.q_gain = nn.Parameter(torch.full((config.n_heads,), float(config.qk_gain_init)))
        channels = torch.arange(0, self.headdim, 2, dtype=torch.float32)
        self.register_buffer("rope_E2", 1.0 / config.rope_base ** (channels / self.headdim), persistent=False)

    def forward(self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None = None) -> torch.Tensor:
        q_BHTE, k_BJTE, v_BJTE = self._project(x_BTD)
        return self._attend(q_BHTE, k_BJTE, v_BJTE, documents(starts_BT, self.headdim))

    def initial_state(self, n_batch: int, context: int) -> Cache:
        """Nothing read yet. ``context``: how many earlier positions are kept, so that memory is bounded."""
        nothing = self.q_gain.new_zeros(n_batch, self.n_kv_heads, 0, self.headdim)
        return nothing, nothing, torch.zeros(n_batch, 0, dtype=torch.bool, device=nothing.device), context

    def step(self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None, state: Cache) -> tuple[torch.Tensor, Cache]:
        """``forward`` that also sees the positions that ``state`` keeps. RoPE is relative: they are counted from 0."""
        k_BJCE, v_BJCE, starts_BC, context = state
        q_BHTE, k_BJTE, v_BJTE = self._project(x_BTD)
        k_BJSE = torch.cat((k_BJCE.to(k_BJTE.dtype), k_BJTE), 2)
        v_BJSE = torch.cat((v_BJCE.to(v_BJTE.dtype), v_BJTE), 2)
        now_BT = starts_BT if starts_BT is not None else starts_BC.new_zeros(x_BTD.shape[:2])
        starts_BS = torch.cat((starts_BC, now_BT), 1)
        mask_B1TS = document_mask(starts_BS)[:, :, starts_BC.shape[1] :]
        first = max(0, starts_BS.shape[1] - context)
        after = k_BJSE[:, :, first:], v_BJSE[:, :, first:], starts_BS[:, first:], context
        return self._attend(q_BHTE, k_BJSE, v_BJSE, mask_B1TS), after

    def _project(self, x_BTD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys (both normalized) and values of each head."""
        n_batch, length, _ = x_BTD.shape
        q_BHTE = self.q_proj(x_BTD).view(n_batch, length, self.n_heads, self.headdim).transpose(1, 2)
        k_BJTE = self.k_proj(x_BTD).view(n_batch, length, self.n_kv_heads, self.headdim).transpose(1, 2)
        v_BJTE = self.v_proj(x_BTD).view(n_batch, length, self.n_kv_heads, self.headdim).transpose(1, 2)
        return F.rms_norm(q_BHTE, (self.headdim,)), F.rms_norm(k_BJTE, (self.headdim,)), v_BJTE

    def _attend(
        self, q_BHTE: torch.Tensor, k_BJSE: torch.Tensor, v_BJSE: torch.Tensor, mask: torch.Tensor | BlockMask | None
    ) -> torch.Tensor:
        """The queries are of the last T of the S positions. Without a mask T = S, and all is causal."""
        length, reach = q_BHTE.shape[2], k_BJSE.shape[2]
        angle_SE2 = torch.outer(torch.arange(reach, device=q_BHTE.device, dtype=torch.float32), self.rope_E2)
        cos, sin = angle_SE2.cos().to(q_BHTE.dtype), angle_SE2.sin().to(q_BHTE.dtype)
        q_BHTE = rotate(q_BHTE, cos[reach - length :], sin[reach - length :])
        q_BHTE = q_BHTE * self.q_gain.to(q_BHTE.dtype).view(-1, 1, 1)
        y_BHTE = attend(q_BHTE, rotate(k_BJSE, cos, sin), v_BJSE, mask)
        return self.out_proj(y_BHTE.transpose(1, 2).flatten(2))


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """RoPE of the pairs (i, i + E/2), clockwise as the baseline has it."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos + second * sin, second * cos - first * sin), dim=-1)


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
        return Attention(d_model, config)

    def roles(self, mixer: nn.Module) -> dict[str, Role]:
        return {
            "q_proj.weight": Role("qkv"),
            "k_proj.weight": Role("qkv"),
            "v_proj.weight": Role("qkv"),
            "out_proj.weight": Role("out"),
            "q_gain": Role("scalar"),
        }

    def flops_per_token(self, d_model: int, config: AttentionConfig, context: BuildContext) -> int:
        """6 per matrix weight; scores and their use 2 * 2 * d_model for each of (T + 1) / 2 positions seen, times 3."""
        kv_width = d_model // config.n_heads * config.n_kv_heads
        return 6 * 2 * d_model * (d_model + kv_width) + 6 * d_model * (context.sequence_length + 1)


attention = AttentionMixer()
