"""Gated DeltaNet and gated linear attention for golfreg, with the kernels of flash-linear-attention."""
