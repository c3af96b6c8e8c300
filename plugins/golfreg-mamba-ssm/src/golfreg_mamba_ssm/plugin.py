"""Registers the kernels and the mixer. Without mamba-ssm the kernels are listed as missing; the mixer still runs."""

from __future__ import annotations

from collections.abc import Iterator

from golfreg.api import Architecture, Kernel, Mixer, Op, hookimpl

GOLFREG_API = 1

INSTALL = (
    "pip install setuptools packaging einops && MAMBA_FORCE_BUILD=TRUE MAMBA_SKIP_CUDA_BUILD=TRUE "
    "pip install --no-build-isolation --no-deps mamba-ssm==2.3.2.post1"
)
"""After torch. The wheels and the plain command need a CUDA compiler or a torch of just the right version."""


@hookimpl
def golfreg_architectures() -> Iterator[Architecture]:
    yield Architecture(
        name="mamba2",
        summary="Mamba-2 layers; attention where `attention_layers` says",
        target="golfreg.builtin.architectures.hybrid:hybrid",
        defaults={"mixer": "mamba2"},
    )


@hookimpl
def golfreg_mixers() -> Iterator[Mixer]:
    yield Mixer(
        name="mamba2",
        summary="Mamba-2 state-space layer (arXiv 2405.21060)",
        target="golfreg_mamba_ssm.mamba2:mamba2",
        ops=("mamba2_ssd",),
    )


@hookimpl
def golfreg_ops() -> Iterator[Op]:
    yield Op(
        name="mamba2_ssd",
        summary="Mamba-2's state-space duality: the recurrence of its heads",
        target="golfreg_mamba_ssm.ssd:op",
    )


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
    yield Kernel(
        name="reference",
        op="mamba2_ssd",
        summary="chunked plain PyTorch made of matrix products",
        target="golfreg_mamba_ssm.ssd:reference_kernel",
    )
    yield Kernel(
        name="mamba-ssm",
        op="mamba2_ssd",
        summary="the Triton kernels of mamba-ssm 2.3.2.post1",
        target="golfreg_mamba_ssm.ssd_kernel:ssd_kernel",
        requires=("mamba_ssm", "einops", "triton"),
        install=INSTALL,
        priority=-2,
    )
