"""The blocks that attention skips on a GPU, against the dense mask of documents."""

from __future__ import annotations

import pytest
import torch

from golfreg.builtin.mixers.attention import attend, document_blocks, document_mask

BLOCK, LENGTH = 128, 640


def as_dense(blocks, n_batch):
    """What a kernel sees that takes partly visible blocks position by position and whole ones as they are."""
    seen_BTT = torch.zeros(n_batch, LENGTH, LENGTH, dtype=torch.bool)
    at = torch.arange(LENGTH)
    for b in range(n_batch):
        exact_TT = blocks.mask_mod(torch.tensor(b), torch.tensor(0), at[:, None], at[None])
        for row in range(LENGTH // BLOCK):
            rows = slice(row * BLOCK, (row + 1) * BLOCK)
            for kinds, counts, whole in (
                (blocks.kv_indices, blocks.kv_num_blocks, False),
                (blocks.full_kv_indices, blocks.full_kv_num_blocks, True),
            ):
                for column in kinds[b, 0, row, : counts[b, 0, row]].tolist():
                    columns = slice(column * BLOCK, (column + 1) * BLOCK)
                    assert not seen_BTT[b, rows, columns].any(), "a block is listed twice"
                    seen_BTT[b, rows, columns] = True if whole else exact_TT[rows, columns]
    return seen_BTT


@pytest.mark.parametrize("density", [0.0, 0.003, 0.02, 1.0])
def test_blocks_show_what_the_dense_mask_shows(density):
    starts_BT = torch.rand(2, LENGTH, generator=torch.Generator().manual_seed(1)) < density
    if density == 0.003:
        starts_BT[0, [0, BLOCK, 3 * BLOCK - 1, 4 * BLOCK + 1]] = True  # documents that begin at a block's edge
    blocks = document_blocks(starts_BT)
    assert torch.equal(as_dense(blocks, 2), document_mask(starts_BT)[:, 0])
    listed = int(blocks.kv_num_blocks.sum() + blocks.full_kv_num_blocks.sum())
    of_causal = 2 * 15
    assert listed == of_causal if density == 0.0 else listed < of_causal


def test_attention_by_blocks_equals_attention_by_the_dense_mask():
    generator = torch.Generator().manual_seed(2)
    starts_BT = torch.rand(1, LENGTH, generator=generator) < 0.01
    q, k, v = (torch.randn(1, heads, LENGTH, 16, generator=generator) for heads in (4, 2, 2))
    with pytest.warns(UserWarning, match="without torch.compile"):
        found = attend(q, k, v, document_blocks(starts_BT))
    torch.testing.assert_close(found, attend(q, k, v, document_mask(starts_BT)), rtol=0, atol=1e-5)
