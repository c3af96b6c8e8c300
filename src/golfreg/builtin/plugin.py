"""The built-in components, registered as any plugin's are."""

from __future__ import annotations

from collections.abc import Iterator

from golfreg.api import Architecture, Codec, Corpus, Kernel, Mixer, Observer, Op, Quantizer, hookimpl

GOLFREG_API = 1

_HYBRID = "golfreg.builtin.architectures.hybrid:hybrid"
_HYBRID_OPS = ("mlp_activation", "rms_norm")
_OPS = {
    "softcapped_cross_entropy": "head, softcap and cross entropy of the next token, summed",
    "mlp_activation": "squared ReLU, leaky or not",
    "rms_norm": "root-mean-square norm of the last dimension",
    "rotary_qk_norm": "RMS norm of each head, RoPE and a gain: queries and keys before attention",
    "symmetric_product": "alpha X X^T + beta C with a symmetric C, the bulk of Muon's orthogonalization",
}
_KERNELS = {
    "softcapped_cross_entropy": (
        "plain PyTorch: all logits in float32",
        "chunks of bfloat16 logits whose gradient takes their place",
    ),
    "mlp_activation": ("plain PyTorch", "one pass forward, one backward, keeping the input alone"),
    "rms_norm": ("plain PyTorch", "one pass forward, one backward, keeping the input alone"),
    "rotary_qk_norm": ("plain PyTorch", "one pass forward, one backward, reading the projection by strides"),
    "symmetric_product": ("batched matrix product of torch", "half of the tiles, each written twice"),
}


@hookimpl
def golfreg_architectures() -> Iterator[Architecture]:
    yield Architecture(
        name="hybrid", summary="mixers and MLPs stacked by a pattern", target=_HYBRID, inline_ops=_HYBRID_OPS
    )
    yield Architecture(
        name="transformer",
        summary="the challenge's baseline: 9 layers of attention, U-Net skips, relu^2 MLP",
        target=_HYBRID,
        inline_ops=_HYBRID_OPS,
        defaults={"mixer": "attention"},
    )
    yield Architecture(
        name="mamba3",
        summary="Mamba-3 SISO layers; attention where `attention_layers` says",
        target=_HYBRID,
        inline_ops=_HYBRID_OPS,
        defaults={"mixer": "mamba3", "n_layers": 7},
    )


@hookimpl
def golfreg_mixers() -> Iterator[Mixer]:
    yield Mixer(
        name="attention",
        summary="causal grouped-query attention with RoPE, QK norm and gain",
        target="golfreg.builtin.mixers.attention:attention",
        inline_ops=("rotary_qk_norm",),
    )
    yield Mixer(
        name="mamba3",
        summary="Mamba-3 SISO state-space layer (arXiv 2603.15569)",
        target="golfreg.builtin.mixers.mamba3:mamba3",
        ops=("mamba3_siso",),
    )


@hookimpl
def golfreg_ops() -> Iterator[Op]:
    yield Op(
        name="mamba3_siso",
        summary="Mamba-3 SISO between in_proj and out_proj",
        target="golfreg.builtin.kernels.mamba3_siso:op",
    )
    for name, summary in _OPS.items():
        yield Op(name=name, summary=summary, target=f"golfreg.builtin.kernels.{name}:op")


@hookimpl
def golfreg_kernels() -> Iterator[Kernel]:
    yield Kernel(
        name="reference",
        op="mamba3_siso",
        summary="chunked plain PyTorch made of matrix products",
        target="golfreg.builtin.kernels.mamba3_siso:reference_kernel",
    )
    yield Kernel(
        name="triton",
        op="mamba3_siso",
        summary="fused Triton kernels that read the projection and write its gradient in place",
        target="golfreg.builtin.kernels.mamba3_triton:triton_kernel",
        requires=("triton",),
        # Below the reference until documents, states and float32 have been compared on a GPU: `--kernel triton`.
        priority=-1,
    )
    for op, (plain, fused) in _KERNELS.items():
        place = f"golfreg.builtin.kernels.{op}"
        yield Kernel(name="reference", op=op, summary=plain, target=f"{place}:reference_kernel")
        # Below the reference until they are measured to be faster than it is when compiled: `--kernel OP=triton`.
        yield Kernel(
            name="triton", op=op, summary=fused, target=f"{place}_triton:triton_kernel", requires=("triton",),
            priority=-1,
        )  # fmt: skip


@hookimpl
def golfreg_quantizers() -> Iterator[Quantizer]:
    target = "golfreg.builtin.quantizers.rowwise:rowwise"
    yield Quantizer(
        name="int8",
        summary="the challenge's baseline: int8 per row, clipped at a quantile",
        target="golfreg.builtin.quantizers.int8:int8",
    )
    yield Quantizer(
        name="int6",
        summary="int6 per row, clipped at k standard deviations, int8 embeddings",
        target=target,
        defaults={"bits": 6, "embedding_bits": 8},
    )
    yield Quantizer(
        name="gptq",
        summary="integers per row, each column's error made up for by later ones (GPTQ), int8 embeddings",
        target="golfreg.builtin.quantizers.gptq:gptq",
        defaults={"bits": 6, "embedding_bits": 8},
    )
    yield Quantizer(
        name="rdo",
        summary="gptq with codes chosen for error and the codec's bits together, priced to fit the cap",
        target="golfreg.builtin.quantizers.rdo:rdo",
        defaults={"bits": 6, "embedding_bits": 8},
    )
    yield Quantizer(name="none", summary="bfloat16, for debugging", target="golfreg.builtin.quantizers.none:none")


@hookimpl
def golfreg_codecs() -> Iterator[Codec]:
    yield Codec(
        name="golf",
        summary="golfreg's own: row class x column class models, interleaved rANS",
        target="golfreg.builtin.codecs.golf:golf",
    )
    yield Codec(
        name="auto",
        summary="the smallest of the installed codecs for each group of sections",
        target="golfreg.builtin.codecs.auto:auto",
    )
    for name, summary in (
        ("lzma", "LZMA at its strongest setting"),
        ("zlib", "DEFLATE at level 9"),
        ("bz2", "bzip2 at level 9"),
        ("none", "no compression, for debugging"),
    ):
        yield Codec(name=name, summary=summary, target=f"golfreg.builtin.codecs.standard:{name}_codec")


@hookimpl
def golfreg_corpora() -> Iterator[Corpus]:
    yield Corpus(
        name="docstrings",
        summary="documentation strings of the installed numpy and scipy; no download",
        target="golfreg.builtin.corpora.docstrings:docstrings",
    )
    yield Corpus(
        name="jsonl",
        summary="documents as JSON lines with a `text` field; also .gz and .xz",
        target="golfreg.builtin.corpora.jsonl:jsonl",
        argument="PATH[,PATH...][;validation=PATH[,PATH...]]",
    )
    yield Corpus(
        name="genome",
        summary="a FASTA file: bases as bytes; also .gz and .xz",
        target="golfreg.builtin.corpora.genome:genome",
        argument="PATH[,PATH...][;SETTING=VALUE]...",
    )
    yield Corpus(
        name="shards",
        summary="token shards in the challenge's .bin format",
        target="golfreg.builtin.corpora.shards:shards",
        argument="DIR",
        shards=True,
    )


@hookimpl
def golfreg_observers() -> Iterator[Observer]:
    yield Observer(
        name="jsonl",
        summary="the run's log: one JSON object an event, in a file of the run directory",
        target="golfreg.builtin.observers.jsonl:jsonl",
    )
