"""Values that pass between golfreg and its plugins. Importing this imports neither torch nor numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MATRIX_ROLES = frozenset({"qkv", "out", "mlp_up", "mlp_down", "in_proj"})
"""Roles of two-dimensional weights that multiply activations inside the trunk."""

EMBEDDING_ROLES = frozenset({"embedding", "head"})


@dataclass(frozen=True)
class Role:
    """What a parameter is: ``embedding, head, qkv, out, mlp_up, mlp_down, in_proj, scalar``.

    ``groups`` names the row groups of a fused matrix, in order, as (name, rows); their rows add
    up to the matrix's. A matrix with one meaning has none.
    """

    name: str
    groups: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Layout:
    """What a section holds, without the data. All of it is stored in the artifact's header.

    ``part`` is ``codes`` (integers of ``alphabet`` = (lowest, highest)), ``scale`` or ``raw``.
    ``dtype`` is one of ``int8 int16 uint8 float16 bfloat16 float32``; bfloat16 travels as uint16.
    """

    tensor: str
    part: str
    role: str
    shape: tuple[int, ...]
    dtype: str
    group: str = ""
    alphabet: tuple[int, int] | None = None

    @property
    def count(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the uncompressed data."""
        return self.count * ITEM_BYTES[self.dtype]


ITEM_BYTES = {"int8": 1, "uint8": 1, "int16": 2, "float16": 2, "bfloat16": 2, "float32": 4}
STORAGE_DTYPE = {**{d: d for d in ITEM_BYTES}, "bfloat16": "uint16"}
"""The numpy dtype that holds each section dtype."""


@dataclass(frozen=True)
class Section:
    """One row group of one tensor: the unit of quantizers, codecs and size reports.

    ``data`` is a C-contiguous array of ``layout.shape`` and of numpy dtype ``STORAGE_DTYPE``.
    """

    layout: Layout
    data: np.ndarray


@dataclass(frozen=True)
class Stream:
    """Coded bytes. ``sections`` are positions in the list that was encoded, in coding order."""

    sections: tuple[int, ...]
    data: bytes


@dataclass(frozen=True)
class CostTable:
    """Bits that a codec spends on each code of a section, for a quantizer that weighs them.

    ``context_RC``: whole numbers, the context of each code; R is the section's first dimension, C all
    others together (R is 1 if it has one dimension). ``bits``: float32[contexts, symbols]; symbol 0
    stands for the code ``lowest``. The sum over the section's codes is within 1 % of what they take,
    without what is sent once (tables, classes). Codes that change do not change the table: make it anew.
    """

    context_RC: np.ndarray
    bits: np.ndarray
    lowest: int


@dataclass(frozen=True)
class Budget:
    """What a quantizer may spend.

    ``cap_bytes``: of the whole artifact. ``pack_bytes``: packs a list of sections with the run's
    codec and returns the bytes that the artifact would have, code included. ``device``: where it may
    compute, as torch names it; weights and statistics come on the CPU. ``cost_table``: what the run's
    codec spends on each code of a section; None: it cannot say. ``tell``: a line for the user.
    """

    cap_bytes: int
    pack_bytes: Callable[[list[Section]], int]
    device: str = "cpu"
    cost_table: Callable[[Section], CostTable] | None = None
    tell: Callable[[str], None] = field(default=lambda text: None)


@dataclass(frozen=True)
class BuildContext:
    """What a model is built for.

    ``vocab_size``: logits per position. ``sequence_length``: the longest training window.
    ``bos_id``: the token that starts each document, or None. ``mixers``: name to (target, config)
    of every mixer that the architecture's ``mixers(config)`` named. ``kernels``: op name to the
    callable chosen for this run; it has the op's signature. ``dtype``: what activations are computed
    in, by its torch name; parameters are float32 whatever it is.
    """

    vocab_size: int
    sequence_length: int
    bos_id: int | None = None
    mixers: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    kernels: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    dtype: str = "float32"


@dataclass(frozen=True)
class Documents:
    """A corpus as text. ``train`` and ``validation`` each open a fresh iterator of documents.

    ``fingerprint``: hex digest of the content. ``notes``: where it came from, versions, counts.
    """

    train: Callable[[], Any]
    validation: Callable[[], Any]
    fingerprint: str
    licence: str
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Shards:
    """A corpus as token files in the challenge's ``.bin`` format, with the tokenizer that made them."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    tokenizer: str | None
    fingerprint: str
    licence: str
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stock:
    """What this machine holds of a corpus that can be fetched; see ``golfreg.api.protocols.FetchableCorpus``.

    ``argument``: what follows the corpus's colon. ``parts``: parts of the training data (shards,
    files) that are here and verified, of ``offered_parts`` (None: not known before something was
    fetched), each of about ``part_bytes``. ``present_bytes``: of all verified files.
    ``fingerprint``: names what is here, and changes when more is fetched; empty: not enough to load.
    """

    argument: str | None
    parts: int = 0
    offered_parts: int | None = None
    part_bytes: int | None = None
    present_bytes: int = 0
    fingerprint: str = ""


@dataclass(frozen=True)
class Case:
    """One test of an op: ``inputs`` makes keyword arguments for a device and dtype from a seed."""

    name: str
    inputs: Callable[..., dict[str, Any]]
    gradients: tuple[str, ...] = ()
