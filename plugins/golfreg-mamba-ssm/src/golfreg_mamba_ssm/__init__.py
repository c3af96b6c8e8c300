"""The Triton kernels of mamba-ssm (github.com/state-spaces/mamba) for golfreg."""
