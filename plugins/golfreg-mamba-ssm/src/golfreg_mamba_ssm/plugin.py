"""Registers the kernels and the mixers. Without mamba-ssm the kernels are listed as missing; the mixers still run."""

from __future__ import annotations

from collections.abc import Iterator

from golfreg.api import Architecture, Kernel, Mixer, Op, hookimpl

GOLFREG_API = 1

INSTALL = (
    "pip install setuptools packaging einops && MAMBA_FORCE_BUILD=TRUE MAMBA_SKIP_CUDA_BUILD=TRUE "
    "pip install --no-build-isolation --no-deps mamba-ssm==2.3.2.post1"
)
"""After torch. The wheels and the plain command need a CUDA compiler or a torch of just the right version."""

INSTALL_MAMBA1 = (
    "pip install setuptools packaging wheel ninja einops && MAMBA_FORCE_BUILD=TRUE "
    "pip install --no-build-isolation --no-deps mamba-ssm==2.3.2.post1"
)
"""After torch, with the CUDA compiler of torch's version: it compiles ``selective_scan_cuda``."""


@hookimpl
def golfreg_architectures() -> Iterator[Architecture]:
    for name, what in (("mamba1", "Mamba-1"), ("mamba2", "Mamba-2")):
        yield Architecture(
            name=name,
            summary=f"{what} layers; attention where `attention_layers` says",
            target="golfreg.builtin.architectures.hybrid:hybrid",
            defaults={"mixer": name},
        )


@hookimpl
def golfreg_mixers() -> Iterator[Mixer]:
    yield Mixer(
        name="mamba1",
        summary="Mamba-1 state-space layer: a selective scan (arXiv 2312.00752)",
        target="golfreg_mamba_ssm.mamba1:mamba1",
        ops=("mamba1_scan",),
    )
    yield Mixer(
        name="mamba2",
        summary="Mamba-2 state-space layer (arXiv 2405.21060)",
        target="golfreg_mamba_ssm.mamba2:mamba2",
        ops=("mamba2_ssd",),
    )


@hookimpl
def golfreg_ops() -> Iterator[Op]:
    yield Op(
        name="mamba1_scan",
        summary="Mamba-1's selective scan: a recurrence for each channel and state number",
        target="golfreg_mamba_ssm.selective_scan:op",
    )
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
    yield Kernel(
        name="reference",
        op="mamba1_scan",
        summary="plain PyTorch, all chunks at once position by position",
        target="golfreg_mamba_ssm.selective_scan:reference_kernel",
    )
    yield Kernel(
        name="mamba-ssm",
        op="mamba1_scan",
        summary="the compiled extension of mamba-ssm 2.3.2.post1, selective_scan_cuda",
        target="golfreg_mamba_ssm.selective_kernel:scan_kernel",
        requires=("selective_scan_cuda",),
        install=INSTALL_MAMBA1,
        priority=-2,
    )
