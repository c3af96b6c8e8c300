"""Registers the kernel. Without mamba-ssm it is listed as missing, with the command that installs it."""

from __future__ import annotations

from collections.abc import Iterator

from golfreg.api import Kernel, hookimpl

GOLFREG_API = 1

INSTALL = (
    "pip install setuptools packaging einops && MAMBA_FORCE_BUILD=TRUE MAMBA_SKIP_CUDA_BUILD=TRUE "
    "pip install --no-build-isolation --no-deps mamba-ssm==2.3.2.post1"
)
"""After torch. The wheels and the plain command need a CUDA compiler or a torch of just the right version."""


@hookimpl
def golfreg_kernels() -> Iterator[Kernel]:
    yield Kernel(
        name="mamba-ssm",
        op="mamba3_siso",
        summary="the Triton kernels of mamba-ssm 2.3.2.post1, in bfloat16",
        target="golfreg_mamba_ssm.siso:siso_kernel",
        requires=("mamba_ssm", "einops", "triton"),
        install=INSTALL,
        # Below the reference until it has been compared with it on a GPU: `--kernel mamba-ssm`.
        priority=-2,
    )
