"""Registers the mixers, their ops and kernels. Without fla the `fla` kernels are listed as missing; the rest runs."""

from __future__ import annotations

from collections.abc import Iterator

from golfreg.api import Architecture, Kernel, Mixer, Op, hookimpl

GOLFREG_API = 1

INSTALL = "pip install fla-core==0.6.0"


@hookimpl
def golfreg_architectures() -> Iterator[Architecture]:
    for name, what in (("gated-deltanet", "Gated DeltaNet"), ("gla", "gated linear attention"), ("rwkv7", "RWKV-7")):
        yield Architecture(
            name=name,
            summary=f"{what} layers; attention where `attention_layers` says",
            target="golfreg.builtin.architectures.hybrid:hybrid",
            defaults={"mixer": name},
        )


@hookimpl
def golfreg_mixers() -> Iterator[Mixer]:
    yield Mixer(
        name="gated-deltanet",
        summary="Gated DeltaNet: a delta rule with a decay (arXiv 2412.06464)",
        target="golfreg_fla.gated_deltanet:gated_deltanet",
        ops=("gated_delta_rule",),
    )
    yield Mixer(
        name="gla",
        summary="gated linear attention: a decay per key channel (arXiv 2312.06635)",
        target="golfreg_fla.gla:gla",
        ops=("gated_linear_attention",),
    )
    yield Mixer(
        name="rwkv7",
        summary="RWKV-7 time mixing: a delta rule with a decay and a rate per key channel (arXiv 2503.14456)",
        target="golfreg_fla.rwkv7:rwkv7",
        ops=("rwkv7_wkv",),
    )


@hookimpl
def golfreg_ops() -> Iterator[Op]:
    yield Op(
        name="gated_delta_rule",
        summary="the gated delta rule of heads",
        target="golfreg_fla.delta_rule:op",
    )
    yield Op(
        name="gated_linear_attention",
        summary="linear attention of heads with a decay per key channel",
        target="golfreg_fla.linear_attention:op",
    )
    yield Op(
        name="rwkv7_wkv",
        summary="RWKV-7's recurrence of heads: what a key holds is removed at a rate, then written",
        target="golfreg_fla.wkv:op",
    )


@hookimpl
def golfreg_kernels() -> Iterator[Kernel]:
    for op, module, kernel in (
        ("gated_delta_rule", "delta_rule", "kernels:delta_rule_kernel"),
        ("gated_linear_attention", "linear_attention", "kernels:linear_attention_kernel"),
        ("rwkv7_wkv", "wkv", "wkv_kernel:wkv_kernel"),
    ):
        yield Kernel(
            name="reference",
            op=op,
            summary="chunked plain PyTorch made of matrix products",
            target=f"golfreg_fla.{module}:reference_kernel",
        )
        yield Kernel(
            name="fla",
            op=op,
            summary="the Triton kernels of flash-linear-attention 0.6.0",
            target=f"golfreg_fla.{kernel}",
            requires=("fla", "triton"),
            install=INSTALL,
            # Below the reference until it has been compared with it on a GPU: `--kernel fla`.
            priority=-1,
        )
