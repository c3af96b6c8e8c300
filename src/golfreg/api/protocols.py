"""What the target of each kind of descriptor provides. Checked by ``golfreg.testing``.

Every target but an op, a kernel and a corpus has ``Config``: a frozen dataclass, each field with
a default, that raises ``ConfigError`` from ``__post_init__`` for a value out of range.
Shape letters: B batch, T time, D model width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from golfreg.api.values import (
    Budget,
    BuildContext,
    Case,
    CostTable,
    Documents,
    Layout,
    Role,
    Section,
    Shards,
    Stock,
    Stream,
)

if TYPE_CHECKING:
    import numpy as np
    import torch

    from golfreg.api.observer import ObservedRun
    from golfreg.api.workload import Workload


@runtime_checkable
class ArchitectureTarget(Protocol):
    """A model: ``build`` returns an ``nn.Module`` with ``features`` and ``head``.

    ``features(tokens_BT) -> x_BTD`` is causal and, unless told otherwise by configuration, passes
    nothing across a document boundary (``context.bos_id``); ``head(x_BTD) -> logits_BTV``.
    They are separate so that one loss op can fuse the head.

    A model that can be scored ``stateful`` also has ``initial_state(n_batch, context) -> state`` and
    ``step(tokens_BT, state) -> (x_BTD, state)``, as a mixer has.
    """

    Config: type

    def mixers(self, config: Any) -> tuple[str, ...]:
        """Names of the mixers that this configuration uses; the first is the main one."""
        ...

    def build(self, config: Any, context: BuildContext) -> torch.nn.Module: ...

    def roles(self, model: torch.nn.Module) -> dict[str, Role]:
        """The role of every parameter, by the name it has in ``model.named_parameters()``."""
        ...

    def flops_per_token(self, config: Any, context: BuildContext) -> int:
        """Floating-point operations of one token, forward and backward, at the full window."""
        ...


@runtime_checkable
class MixerTarget(Protocol):
    """A sequence-mixing layer: a module called as ``mixer(x_BTD, starts_BT) -> x_BTD``.

    ``starts_BT`` is True where a document starts (None: nowhere); nothing may cross it, nor the
    start of the window.

    A module that can go on where it ended also has ``initial_state(n_batch, context) -> state`` and
    ``step(x_BTD, starts_BT, state) -> (y_BTD, state)``: called window after window it gives what one
    call over all of them gives, and the state's size is bounded. A mixer that keeps positions
    (attention) keeps the last ``context`` of them. ``step`` leaves the state that it is given as it
    was. With it a model can be scored ``stateful``.
    """

    Config: type

    def build(self, d_model: int, config: Any, context: BuildContext) -> torch.nn.Module: ...

    def roles(self, mixer: torch.nn.Module) -> dict[str, Role]: ...

    def flops_per_token(self, d_model: int, config: Any, context: BuildContext) -> int: ...


@runtime_checkable
class QuantizerTarget(Protocol):
    """Weights to sections and back.

    ``needs``: names of statistics that golfreg gathers on the training clock. Known:
    ``input_second_moment`` (for each matrix W[rows, cols] the mean of x x^T, [cols, cols]).

    It may also have ``fake_quant(weight, role, config) -> weight``: what decoding would give back for a
    weight, from the weight alone, with a gradient (straight through, as a rule). Then it takes part in
    training: with ``train.fake_quant_fraction`` the model is used with such weights, every parameter of two
    or more dimensions, in the last part of the run. It is compiled, so it makes no decision by value.

    If its ``Config`` names roles or row groups (``golfreg.api.overrides``), ``check_roles(roles)`` of the
    config is called while planning, and raises ``ConfigError`` for one that the model does not have.
    """

    Config: type
    needs: frozenset[str]

    def quantize(
        self,
        state: Mapping[str, torch.Tensor],
        roles: Mapping[str, Role],
        statistics: Mapping[str, Mapping[str, torch.Tensor]],
        budget: Budget,
        config: Any,
    ) -> list[Section]: ...

    def dequantize(self, sections: Sequence[Section], config: Any) -> dict[str, torch.Tensor]: ...


@runtime_checkable
class CodecTarget(Protocol):
    """Sections to streams and back, without loss.

    ``decode`` gets layouts that were checked for plausible sizes, and streams that may be
    damaged or hostile: it raises ``InputError`` and allocates no more than the layouts say.
    It returns one array per layout, in order.
    """

    Config: type

    def encode(self, sections: Sequence[Section], config: Any) -> list[Stream]: ...

    def decode(self, streams: Sequence[Stream], layouts: Sequence[Layout], config: Any) -> list[np.ndarray]: ...


@runtime_checkable
class CostedCodec(Protocol):
    """What a codec provides besides if it can say what a code costs; quantizers that trade bits for error ask."""

    def cost_table(self, section: Section, config: Any) -> CostTable:
        """Bits by context and symbol of a section of 8-bit codes, as its codes are now.

        A codec that codes some sections otherwise (by prediction, by repeated strings) gives the cost
        without that: no less than what they take. InputError for a section that is not of codes.
        """
        ...


@runtime_checkable
class NarrowingCodec(Protocol):
    """What a codec provides besides if its configuration lists others of which it uses some."""

    def narrowed(self, sections: Sequence[Section], config: Any) -> dict[str, Any]:
        """Settings with which ``encode`` gives as few bytes, and that name no codec that these sections do not need.

        Packing asks in a process of its own before it encodes, so that only codecs that are used count as code.
        """
        ...


@runtime_checkable
class OpTarget(Protocol):
    """An operation. ``reference`` is plain PyTorch and defines what is right."""

    reference: Callable[..., Any]

    def cases(self) -> list[Case]: ...

    def tolerance(self, dtype: torch.dtype) -> float:
        """Largest root-mean-square error, relative to the reference in float64."""
        ...


@runtime_checkable
class TimedOp(Protocol):
    """What an op provides besides its cases if ``golfreg bench kernels`` shall time it at sizes of real use.

    Without it the largest case is timed.
    """

    def workload(self) -> Workload: ...


@runtime_checkable
class KernelTarget(Protocol):
    """One implementation of an op, with the op's signature."""

    call: Callable[..., Any]

    def supports(self, device: str, dtype: str, **static: Any) -> str | None:
        """None if it can run, else the reason why not. ``static``: the op's static arguments."""
        ...


@runtime_checkable
class InspectableKernel(Protocol):
    """What a kernel in Triton provides besides ``call`` for ``golfreg kernels inspect`` to compile it without a GPU."""

    def configurations(self) -> Mapping[str, Callable[[], object]]:
        """By name (dtype, sizes), what launches the kernel forward and backward on tensors of the device ``meta``.

        Launches made meanwhile are noted and compiled instead of run, so that what is compiled is
        what the kernel's own code launches.
        """
        ...


@runtime_checkable
class CorpusTarget(Protocol):
    """Text or tokens. ``load`` may write under ``cache_dir`` only."""

    def load(self, argument: str | None, cache_dir: Path) -> Documents | Shards: ...


@runtime_checkable
class FetchableCorpus(Protocol):
    """What a corpus provides besides ``load`` if its data is published: ``golfreg data get`` calls ``fetch``.

    Then ``load`` reads what was fetched and does not use the network; what is absent is an error
    whose hint is the command ``golfreg data get NAME:ARGUMENT``. Everything is kept under ``cache_dir``.
    """

    def fetch(
        self, argument: str | None, cache_dir: Path, parts: int | None, tell: Callable[[int, int, str], None]
    ) -> Stock:
        """Bring the training data's first ``parts`` parts here (None: the corpus's default) and all else it needs.

        A file appears whole and verified or not at all; a call after an interrupted one goes on;
        a call for what is here uses no network. ``tell(done_bytes, total_bytes, text)`` shows progress.
        Raises ``InputError`` for data that is absent or wrong, ``EnvironmentFault`` for too little
        disk (with the bytes needed) or no network.
        """
        ...

    def stocks(self, cache_dir: Path) -> Sequence[Stock]:
        """Each argument that can be fetched, and what of it is here. Uses no network."""
        ...


class Observation(Protocol):
    """An observer of one run. Both methods are called from one thread, that of ``open``.

    It may have ``told_step``, an int, looked at once: the last step that it still holds. It is told on
    after that one. Without it golfreg's own note counts, which knows nothing of what a library had not
    yet written when golfreg was killed.
    """

    def tell(self, event: dict[str, Any]) -> None:
        """One event of ``golfreg.api.observer``, a value of its own to keep or change."""
        ...

    def close(self) -> None:
        """The last call: write what is left and let go of everything, within ten seconds."""
        ...


@runtime_checkable
class ObserverTarget(Protocol):
    """Is told what happens in a run, in the launcher's process, in a thread of its own.

    Nothing waits for it but, ten seconds at most, the end of the run. What it raises is one warning
    to the user, and it is told nothing more; the run goes on. It uses no network unless its
    ``Config`` says so.
    """

    Config: type

    def open(self, run: ObservedRun, config: Any) -> Observation: ...
