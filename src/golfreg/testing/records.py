"""A consistent record to start from: tests of rules, tables and readers change one fact of it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from golfreg.config.record import (
    ArtifactFacts,
    ComponentFacts,
    Components,
    DataFacts,
    Environment,
    Hardware,
    KernelFacts,
    RunFacts,
    RunRecord,
    ScoreFacts,
    Sizes,
    Times,
    TrainFacts,
)

_NATS, _TOKENS, _BYTES = 780_000.0, 299_999, 467_909


def example_record(seed: int = 1, *, bits_per_byte: float | None = None) -> RunRecord:
    """A run on the CPU track that keeps every rule. ``bits_per_byte`` sets the score."""
    nats = _NATS if bits_per_byte is None else bits_per_byte * _BYTES * math.log(2)
    own = {"distribution": "golfreg", "version": "0.1.0"}
    digest = f"{seed:064x}"
    return RunRecord(
        run=RunFacts(
            name="mamba3-lzma",
            date="2026-05-01T12:00:00Z",
            golfreg="0.1.0",
            track="cpu-smoke",
            ruleset="cpu-smoke",
            seed=seed,
            spec_digest=digest[-16:],
        ),
        components=Components(
            architecture=ComponentFacts(name="mamba3", **own),
            quantizer=ComponentFacts(name="int6", **own),
            codec=ComponentFacts(name="lzma", **own),
            corpus=ComponentFacts(name="docstrings", **own),
            mixers={"mamba3": ComponentFacts(name="mamba3", **own)},
        ),
        score=ScoreFacts(
            nats=nats,
            tokens=_TOKENS,
            bytes=_BYTES,
            nats_per_token=nats / _TOKENS,
            bits_per_byte=nats / math.log(2) / _BYTES,
            documents=500,
            windows="fixed",
            sequence_length=256,
            documents_mode="isolated",
            isolation="namespace",
            probes=16,
        ),
        sizes=Sizes(
            code_bytes=20_000,
            weight_bytes=900_000,
            header_bytes=5_000,
            total_bytes=925_000,
            cap_bytes=16_000_000,
            headroom_bytes=15_075_000,
            by_role={"embedding": 300_000, "in_proj": 500_000, "scalar": 100_000},
        ),
        times=Times(
            data_seconds=10.0,
            train_seconds=40.0,
            calibrate_seconds=0.0,
            quantize_seconds=1.0,
            pack_seconds=2.0,
            score_seconds=12.5,
        ),
        train=TrainFacts(steps=100, tokens=409_600, parameters=1_200_000, final_loss=3.1),
        data=DataFacts(
            corpus="docstrings",
            fingerprint="ab" * 32,
            tokenizer="sp1024",
            tokenizer_digest="cd" * 32,
            vocab_size=1024,
            train_tokens=2_000_000,
            validation_tokens=_TOKENS + 1,
            validation_documents=500,
            validation_bytes=_BYTES,
            validation_source_bytes=_BYTES,
            licence="BSD-3-Clause",
        ),
        artifact=ArtifactFacts(sha256=digest, bytes=925_000),
        hardware=Hardware(cpu="a CPU", cores=2, memory_bytes=3_000_000_000),
        environment=Environment(python="3.11.7", os="Linux 6.1", torch="2.13.0", numpy="2.4.0"),
        kernels={"mamba3_siso": KernelFacts(kernel="reference", reason="no GPU", **own)},
        settings={"ruleset": "cpu-smoke", "seed": seed, "train": {"steps": 100}, "architecture": {"layers": [2, 5]}},
    )


def changed(record: RunRecord, section: str, **facts: Any) -> RunRecord:
    """The record with facts of one section replaced."""
    return replace(record, **{section: replace(getattr(record, section), **facts)})
