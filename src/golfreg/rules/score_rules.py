"""GR3xx: the score, recomputed, and the data that it was taken on."""

from __future__ import annotations

import math
from collections.abc import Iterator

from golfreg.rules.figures import bits_per_byte, nats_per_token, recompute
from golfreg.rules.findings import Evidence, Level, Problem, rule

RELATIVE = 1e-9
"""Rounding of a figure that golfreg wrote."""
DECLARED = 5e-7
"""Rounding of a figure that a person may have typed with six decimals."""
LONGEST_TOKEN_BYTES = 64
"""Where there is no BOS, the first token of the validation text is context only."""


@rule("GR301", "bits_per_byte and nats_per_token follow from nats, tokens and bytes")
def derived(evidence: Evidence) -> Iterator[Problem]:
    """bits_per_byte = nats / ln 2 / bytes."""
    for where, record in evidence.records.items():
        for name, said, right in (
            ("bits_per_byte", record.score.bits_per_byte, bits_per_byte(record)),
            ("nats_per_token", record.score.nats_per_token, nats_per_token(record)),
        ):
            if not math.isclose(said, right, rel_tol=RELATIVE):
                yield Problem(f"{name} says {said:.9g}; nats, tokens and bytes give {right:.9g}", where)


@rule("GR302", "the declared figures are what the seeds give")
def declared(evidence: Evidence) -> Iterator[Problem]:
    """Mean, sample standard deviation, largest artifact and seeds are recomputed; the headline is the mean."""
    said = evidence.declared
    if said is None:
        return
    right = evidence.figures or recompute(list(evidence.records.values()))
    for name in ("bits_per_byte_mean", "bits_per_byte_std", "nats_per_token_mean"):
        one, other = getattr(said, name), getattr(right, name)
        if one is None or other is None:
            if one is not other:
                yield Problem(f"{name} is declared as {one}; the seeds give {other}", "entry.toml")
        elif abs(one - other) > DECLARED:
            yield Problem(f"{name} is declared as {one:.9g}; the seeds give {other:.9g}", "entry.toml")
    if said.bytes_max != right.bytes_max:
        yield Problem(f"bytes_max is declared as {said.bytes_max}; it is {right.bytes_max:,}", "entry.toml")
    if tuple(sorted(said.seeds)) != right.seeds:
        yield Problem(f"seeds are declared as {list(said.seeds)}; the runs have {list(right.seeds)}", "entry.toml")


@rule("GR303", "the whole validation text was scored")
def whole(evidence: Evidence) -> Iterator[Problem]:
    """Every token but the first is a target, and the targets' bytes are the text's."""
    for where, record in evidence.records.items():
        left_out = record.data.validation_tokens - record.score.tokens
        if left_out not in (0, 1):
            yield Problem(
                f"{record.score.tokens:,} targets of {record.data.validation_tokens:,} validation tokens were scored",
                where,
            )
        elif not 0 <= record.data.validation_bytes - record.score.bytes <= LONGEST_TOKEN_BYTES * left_out:
            yield Problem(
                f"{record.score.bytes:,} bytes were scored of a validation text of {record.data.validation_bytes:,}",
                where,
            )


@rule("GR304", "the corpus and its validation text are the ruleset's")
def corpus(evidence: Evidence) -> Iterator[Problem]:
    """By name, by fingerprint and by the length of the text, where the ruleset fixes them."""
    allowed = evidence.ruleset.data
    for where, record in evidence.records.items():
        name = record.components.corpus.name
        if allowed.corpora and name not in allowed.corpora:
            yield Problem(f"corpus `{name}` is none of {', '.join(allowed.corpora)}", where)
        if allowed.fingerprints and record.data.fingerprint not in allowed.fingerprints:
            yield Problem(f"the corpus has the fingerprint {record.data.fingerprint[:16]}, not the ruleset's", where)
        if allowed.validation_source_bytes not in (0, record.data.validation_source_bytes):
            yield Problem(
                f"the validation text has {record.data.validation_source_bytes:,} bytes, the ruleset's"
                f" {allowed.validation_source_bytes:,}",
                where,
            )


@rule("GR305", "every seed has the same data and tokenizer")
def same_data(evidence: Evidence) -> Iterator[Problem]:
    """Fingerprint, tokenizer digest, and tokens and bytes of the validation text."""
    first_where, first = next(iter(evidence.records.items()))
    for where, record in evidence.records.items():
        for key in ("fingerprint", "tokenizer_digest", "validation_tokens", "validation_bytes"):
            if getattr(record.data, key) != getattr(first.data, key):
                yield Problem(f"{key} differs from {first_where}", where)


@rule("GR306", "windows and document mode are allowed")
def windows(evidence: Evidence) -> Iterator[Problem]:
    """``fixed`` or ``sliding:STRIDE``; ``isolated`` or ``stream``."""
    allowed = evidence.ruleset.score
    for where, record in evidence.records.items():
        if record.score.windows.partition(":")[0] not in allowed.windows:
            yield Problem(f"windows `{record.score.windows}` are none of {', '.join(allowed.windows)}", where)
        if record.score.documents_mode not in allowed.documents:
            yield Problem(
                f"documents `{record.score.documents_mode}` are none of {', '.join(allowed.documents)}", where
            )


@rule("GR307", "the score was taken without a network and with causality probed")
def isolation(evidence: Evidence) -> Iterator[Problem]:
    """A network namespace is the strong form; blocked sockets are worth a look."""
    for where, record in evidence.records.items():
        if record.score.isolation == "sockets":
            yield Problem("sockets were blocked, but there was no network namespace", where, Level.WARN)
        elif record.score.isolation != "namespace":
            yield Problem(f"isolation was `{record.score.isolation}`: the network was not off", where)
        if record.score.probes == 0:
            yield Problem("causality was not probed", where)


@rule("GR308", "no validation document was trained on")
def overlap(evidence: Evidence) -> Iterator[Problem]:
    """By the documents' digests. Where the corpus does not keep them apart, a record must say the count (WARN)."""
    for where, record in evidence.records.items():
        shared = record.data.shared_documents
        if shared:
            yield Problem(f"{shared:,} validation documents are in the training text", where)
        elif shared is None and evidence.ruleset.data.overlap_counted:
            yield Problem("validation documents in the training text were not counted", where, Level.WARN)
