"""GR1xx: the artifact's bytes."""

from __future__ import annotations

from collections.abc import Iterator

from golfreg.rules.findings import Evidence, Level, Problem, rule

SMALL_HEADROOM_BYTES = 5_000
"""How far compressed sizes moved from run to run in the challenge (openai/parameter-golf #1978)."""


@rule("GR101", "every seed's artifact fits the cap")
def cap(evidence: Evidence) -> Iterator[Problem]:
    """Each seed, not the mean."""
    limit = evidence.ruleset.limits.cap_bytes
    for where, record in evidence.records.items():
        if record.sizes.total_bytes > limit:
            over = record.sizes.total_bytes - limit
            yield Problem(f"{record.sizes.total_bytes:,} bytes are {over:,} over the cap of {limit:,}", where)


@rule("GR102", "the parts of the size add up")
def parts(evidence: Evidence) -> Iterator[Problem]:
    """Code, weights and header make the total; the roles make the weights."""
    for where, record in evidence.records.items():
        sizes = record.sizes
        added = sizes.code_bytes + sizes.weight_bytes + sizes.header_bytes
        if added != sizes.total_bytes:
            yield Problem(
                f"code, weights and header are {added:,} bytes; total_bytes says {sizes.total_bytes:,}", where
            )
        roles = sum(sizes.by_role.values())
        if sizes.by_role and roles != sizes.weight_bytes:
            yield Problem(f"the roles are {roles:,} bytes; weight_bytes says {sizes.weight_bytes:,}", where)


@rule("GR103", "the total is the artifact file's size")
def file_size(evidence: Evidence) -> Iterator[Problem]:
    """``total_bytes`` is what the file has."""
    for where, record in evidence.records.items():
        if record.artifact.bytes != record.sizes.total_bytes:
            yield Problem(
                f"the artifact has {record.artifact.bytes:,} bytes; total_bytes says {record.sizes.total_bytes:,}",
                where,
            )


@rule("GR104", "the headroom is the ruleset's cap less the total")
def headroom(evidence: Evidence) -> Iterator[Problem]:
    """The record was made under the same cap, and its headroom is recomputed."""
    limit = evidence.ruleset.limits.cap_bytes
    for where, record in evidence.records.items():
        if record.sizes.cap_bytes != limit:
            yield Problem(f"cap_bytes says {record.sizes.cap_bytes:,}; the ruleset's is {limit:,}", where)
        elif record.sizes.headroom_bytes != limit - record.sizes.total_bytes:
            right = limit - record.sizes.total_bytes
            yield Problem(f"headroom_bytes says {record.sizes.headroom_bytes:,}; it is {right:,}", where)


@rule("GR105", f"there are {SMALL_HEADROOM_BYTES:,} bytes of headroom or more")
def small_headroom(evidence: Evidence) -> Iterator[Problem]:
    """A repetition may compress a little worse and not fit."""
    for where, record in evidence.records.items():
        left = evidence.ruleset.limits.cap_bytes - record.sizes.total_bytes
        if 0 <= left < SMALL_HEADROOM_BYTES:
            yield Problem(f"{left:,} bytes of headroom: another seed may not fit", where, Level.WARN)
