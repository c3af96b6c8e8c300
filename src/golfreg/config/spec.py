"""The settings of a run, each with its default. Frozen; a digest of them names the run's configuration.

Components are chosen by name in ``[components]``; what configures one component stands in the
table of its kind: ``[architecture] [mixer] [quantizer] [codec]``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SPEC_SCHEMA = 1
CALIBRATION_SOURCES = ("train", "generated", "random")


@dataclass(frozen=True)
class Components:
    """Names of the components. ``corpus`` may carry an argument: ``jsonl:PATH``."""

    architecture: str = "mamba3"
    quantizer: str = "int6"
    codec: str = "lzma"
    corpus: str = "docstrings"
    kernel: str = "auto"
    """``auto``: the fastest that supports the shapes. A kernel's name: that one for every op of the run's mixers that
    has it. ``OP=NAME``: for one op, also of those that the architecture and training otherwise compute in
    plain code. Several are separated by commas."""


@dataclass(frozen=True)
class DataSettings:
    """Tokenizer and limits of the data."""

    tokenizer: str = "sp1024"
    """``spN``: a SentencePiece BPE of N tokens trained on the corpus; ``bytes``; or the path of a ``.model`` file."""
    tokenizer_train_bytes: int = 4_000_000
    """Text that a trained tokenizer sees."""
    validation_tokens: int = 0
    """Validation stops after this many tokens, at a document's end; 0: all of it."""


@dataclass(frozen=True)
class TrainSettings:
    """The training stage. A step sees ``batch_tokens`` in windows of ``sequence_length``."""

    device: str = "auto"
    dtype: str = "auto"
    """Compute type: ``bfloat16`` or ``float32``; ``auto`` is bfloat16 on a GPU."""
    compile: str = "auto"
    """``on``, ``off``; ``auto`` is on with a GPU."""
    threads: int = 0
    """CPU threads of all processes together; 0: one a core that this process may use."""
    nproc: int = 1
    """Processes that train together on one host, each with a GPU of its own; they share each step's tokens."""
    seconds: float = 0.0
    """Training clock, calibration included; 0: the ruleset's limit. Ignored when ``steps`` is set."""
    steps: int = 0
    """Stop after this many steps instead of by the clock; 0: by the clock."""
    sequence_length: int = 256
    batch_tokens: int = 4096
    micro_batch_tokens: int = 0
    """Tokens of one forward and backward; 0: all that a process has of the step's."""
    sequence_length_schedule: str = ""
    """Shorter windows at first: ``512:0.3 1024:0.6`` is 512 until 30 % of the run, then 1024 until 60 %."""
    batch_tokens_schedule: str = ""
    """Smaller steps at first, in the same way: ``65536:0.2``."""
    order: str = "shuffled"
    """Windows of the corpus in a new order each epoch; ``sequential``: as they stand there, as in the challenge."""
    matrix_lr: float = 0.02
    embedding_lr: float = 0.05
    scalar_lr: float = 0.02
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.95
    muon_momentum: float = 0.95
    muon_momentum_start: float = 0.85
    muon_momentum_steps: int = 300
    muon_iterations: int = 5
    muon_coefficients: str = "quintic"
    """``quintic``: one polynomial for all iterations; ``polar_express``: one for each (arXiv 2505.16932)."""
    muon_equal_rows: bool = False
    """Rows of the momentum are scaled to one length before they are orthogonalized (MuonEq-R)."""
    muon_row_groups: bool = False
    """Row groups of a fused matrix, as its role names them, are orthogonalized one by one."""
    warmup_steps: int = 10
    warmdown_fraction: float = 0.4
    """Last part of the run in which the learning rate falls linearly to zero."""
    ema_decay: float = 0.0
    """Decay of the weight average that is submitted; 0: the last weights are."""
    grad_clip: float = 1.0
    """Largest gradient norm; 0: not clipped."""
    checkpoint_seconds: float = 20.0
    checkpoint_steps: int = 0
    """Also checkpoint every this many steps; 0: by seconds only."""
    calibration_reserve_seconds: float = 0.0
    """Kept free of training at the end, for calibration; used when the quantizer needs statistics."""
    calibration_tokens: int = 65_536
    calibration_source: str = "train"
    """Tokens that statistics are gathered from: ``train``, the training data; ``generated``, drawn from the model
    itself; ``random``. Never the validation data."""
    fake_quant_fraction: float = 0.0
    """Last part of the run in which every matrix is used as the quantizer would give it back; 0: none."""
    fake_quant_skip: str = ""
    """Parameters that are not: names with ``*``, separated by commas, such as ``blocks.*.mixer.in_proj.weight``."""


@dataclass(frozen=True)
class ScoreSettings:
    """The scoring stage."""

    windows: str = "fixed"
    """``fixed``: side by side. ``sliding:STRIDE``: each advances by STRIDE and scores its last STRIDE tokens.

    ``stateful``: side by side with the model's state carried on; ``stateful:CONTEXT``: and attention
    sees the CONTEXT tokens before the window.
    """
    sequence_length: int = 0
    """Window; 0: the training window."""
    batch_tokens: int = 16_384
    documents: str = "isolated"
    """``isolated``: nothing may cross a document's start; that is probed. ``stream``: it may, as in the challenge."""
    probes: int = 16
    """Positions at which causality is probed."""


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides a run. ``ruleset`` names a file of ``golfreg/rules/rulesets``."""

    ruleset: str = "cpu-smoke"
    seed: int = 1337
    fit: bool = False
    """Choose the quantizer's bits and clips by role so that the artifact lands just under the cap."""
    components: Components = field(default_factory=Components)
    data: DataSettings = field(default_factory=DataSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    score: ScoreSettings = field(default_factory=ScoreSettings)
    architecture: dict[str, Any] = field(default_factory=dict)
    mixer: dict[str, Any] = field(default_factory=dict)
    """Settings of the main mixer; a table inside, as ``[mixer.attention]``, configures the mixer of that name."""
    quantizer: dict[str, Any] = field(default_factory=dict)
    codec: dict[str, Any] = field(default_factory=dict)
