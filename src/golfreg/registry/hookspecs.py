"""The hooks that a plugin may implement. None takes arguments; each yields descriptors.

A plugin module is named in the entry-point group ``golfreg`` of its distribution, states
``GOLFREG_API = 1`` and imports ``golfreg.api`` and nothing heavier. In ``pyproject.toml``::

    [project.entry-points.golfreg]
    zstd = "golfreg_zstd.plugin"

Each example below is such a module. ``target`` names an *object* with the methods of the kind's
protocol in ``golfreg.api.protocols``; it is imported when the component is first used.
"""

from __future__ import annotations

from collections.abc import Iterable

from golfreg.api import Architecture, Codec, Component, Corpus, Kernel, Mixer, Observer, Op, Quantizer
from golfreg.api.markers import hookspec


@hookspec
def golfreg_architectures() -> Iterable[Architecture]:  # type: ignore[empty-body]
    """Yield models. ``defaults`` makes a named pattern of an architecture that exists.

    Example::

        from golfreg.api import Architecture, hookimpl

        GOLFREG_API = 1

        @hookimpl
        def golfreg_architectures():
            yield Architecture(
                name="gru",
                summary="stacked gated recurrent units",
                target="golfreg_gru.model:gru",
            )
            yield Architecture(
                name="gru-wide",
                summary="two wide layers of `gru`",
                target="golfreg_gru.model:gru",
                defaults={"n_layers": 2, "d_model": 1024},
            )
    """


@hookspec
def golfreg_mixers() -> Iterable[Mixer]:  # type: ignore[empty-body]
    """Yield sequence-mixing layers. ``ops`` names the ops that the layer calls through its build context.

    Example::

        from golfreg.api import Mixer, hookimpl

        GOLFREG_API = 1

        @hookimpl
        def golfreg_mixers():
            yield Mixer(
                name="short-conv",
                summary="causal depthwise convolution over four tokens",
                target="golfreg_conv.mixer:short_conv",
                ops=("causal_conv1d",),
            )
    """


@hookspec
def golfreg_quantizers() -> Iterable[Quantizer]:  # type: ignore[empty-body]
    """Yield quantizers: weights to sections of integer codes, and back.

    Example::

        from golfreg.api import Quantizer, hookimpl

        GOLFREG_API = 1

        @hookimpl
        def golfreg_quantizers():
            for bits in (3, 4):
                yield Quantizer(
                    name=f"grid{bits}",
                    summary=f"uniform grid of {bits} bits",
                    target="golfreg_grid.quantizer:grid",
                    defaults={"bits": bits},
                )
    """


@hookspec
def golfreg_codecs() -> Iterable[Codec]:  # type: ignore[empty-body]
    """Yield codecs: sections to bytes and back, without loss. ``golfreg.api.codec.ByteCodec`` adapts a compressor.

    Example::

        from golfreg.api import Codec, hookimpl

        GOLFREG_API = 1

        @hookimpl
        def golfreg_codecs():
            yield Codec(
                name="zstd",
                summary="Zstandard at level 22",
                target="golfreg_zstd.codec:zstd",
                requires=("zstandard",),
            )
    """


@hookspec
def golfreg_ops() -> Iterable[Op]:  # type: ignore[empty-body]
    """Yield ops: a signature, its plain PyTorch reference, test cases and tolerances.

    Example::

        from golfreg.api import Op, hookimpl

        GOLFREG_API = 1

        @hookimpl
        def golfreg_ops():
            yield Op(
                name="causal_conv1d",
                summary="depthwise convolution over the last tokens",
                target="golfreg_conv.op:op",
            )
    """


@hookspec
def golfreg_kernels() -> Iterable[Kernel]:  # type: ignore[empty-body]
    """Yield implementations of ops. A kernel is known by (op, name), so two ops may each have a ``triton``.

    The supported kernel of highest ``priority`` is chosen; the op's reference is the one named
    ``reference``.

    Example::

        from golfreg.api import Kernel, hookimpl

        GOLFREG_API = 1

        @hookimpl
        def golfreg_kernels():
            yield Kernel(
                name="triton",
                op="causal_conv1d",
                summary="one program a block of channels",
                target="golfreg_conv.triton_kernel:kernel",
                requires=("triton",),
                priority=10,
            )
    """


@hookspec
def golfreg_corpora() -> Iterable[Corpus]:  # type: ignore[empty-body]
    """Yield corpora: documents, or token shards. ``argument`` says what follows the colon in ``csv:PATH``.

    Example::

        from golfreg.api import Corpus, hookimpl

        GOLFREG_API = 1

        @hookimpl
        def golfreg_corpora():
            yield Corpus(
                name="csv",
                summary="one document a row, in the column `text`",
                target="golfreg_csv.corpus:csv_corpus",
                argument="PATH",
            )
    """


@hookspec
def golfreg_observers() -> Iterable[Observer]:  # type: ignore[empty-body]
    """Yield observers: each is told what happens in a run, and is no part of it.

    Example::

        from golfreg.api import Observer, hookimpl

        GOLFREG_API = 1

        @hookimpl
        def golfreg_observers():
            yield Observer(
                name="bell",
                summary="rings when a run is done",
                target="golfreg_bell.observer:bell",
            )
    """


HOOKS: dict[str, type[Component]] = {
    "golfreg_architectures": Architecture,
    "golfreg_mixers": Mixer,
    "golfreg_quantizers": Quantizer,
    "golfreg_codecs": Codec,
    "golfreg_ops": Op,
    "golfreg_kernels": Kernel,
    "golfreg_corpora": Corpus,
    "golfreg_observers": Observer,
}
"""Each hook and the descriptor that it yields."""
