"""Does a state-space layer's in_proj compress worse than attention's matrices? Each role coded alone, by every codec.

The published 3.26 is compressed bytes added for each uncompressed byte added when one attention
layer is swapped for a state-space one: 17.98 - 15.08 over 26.21 - 25.32. What that swap costs is
computed here from the bytes of each kind of block in one model, as it is and with the errors that
the published comparison may have: sizes in MiB on one side, a share of the codes +-1 set to zero on
one side, and a scale floor on the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from golfreg.api.errors import ConfigError, GolfregError, InputError
from golfreg.api.values import Section
from golfreg.studies import blocks
from golfreg.studies.checkpoints import Checkpoint
from golfreg.studies.remeasure import SECTIONS, Variant, run_stages
from golfreg.studies.report import Report
from golfreg.studies.workplace import Workplace

PUBLISHED = 3.26
XZ = ("xz -9e", "lzma", {"lc": 3, "lp": 0, "pb": 2, "dict_size": 1 << 24})
"""The published script's codec: LZMA with the settings of ``xz``, without its header."""
ROWS, SHARED, PRUNED, FLOORED = "rows", "shared", "pruned", "floored"


@dataclass(frozen=True)
class Config:
    bits: tuple[int, ...] = (6, 8)
    """Widths of all matrices but the embedding, which has 8."""
    codecs: tuple[str, ...] = ()
    """Codecs beside `xz -9e`; empty: every installed one."""
    quantizer: str = "int6"
    """What makes the codes with a scale a row. It takes ``bits``."""
    settings: dict[str, Any] = field(default_factory=dict)
    """More settings of the quantizer."""
    pruned: float = 0.415
    """Share of the codes +1 and -1 that the published comparison set to zero on one side."""

    def __post_init__(self) -> None:
        if not self.bits or any(not 2 <= bits <= 8 for bits in self.bits):
            raise ConfigError(f"bits is {list(self.bits)}", "one width or more, each from 2 to 8")
        if not 0 <= self.pruned <= 1:
            raise ConfigError(f"pruned is {self.pruned}", "a share, from 0 to 1")


@dataclass(frozen=True, eq=False)
class Coder:
    """A codec under the label that the report gives it. Compared by identity."""

    label: str
    name: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """One way to make codes, coded by one codec."""

    checkpoint: Checkpoint
    bits: int
    mode: str
    coder: Coder


Found = dict[str, dict[str, Any]]
"""By key (``golfreg.studies.blocks``) the figures of ``coded_alone``."""


def run(place: Workplace, config: Config) -> Report:
    """InputError unless there are state-space layers, and attention somewhere to hold them against."""
    coders = [Coder(*XZ), *_installed(config.codecs)]
    kinds = {c.digest: _blocks_of(place, c, config) for c in place.checkpoints}
    hybrids = [c for c in place.checkpoints if kinds[c.digest].count(blocks.SSM)]
    if not hybrids:
        raise InputError("no checkpoint has a matrix with the role `in_proj`", "add one with mamba3 layers")
    if not any(kind.count(blocks.ATTENTION) for kind in kinds.values()):
        raise InputError("no checkpoint has attention to hold in_proj against", "add a transformer or a hybrid")
    first = config.bits[0]
    cases = [
        Case(checkpoint, bits, mode, coder)
        for checkpoint in place.checkpoints
        for bits in config.bits
        for mode in (ROWS, SHARED)
        for coder in coders
    ]
    cases += [Case(c, first, mode, coders[0]) for c in hybrids for mode in (PRUNED, FLOORED)]
    measured = _measure(place, config, cases)
    from golfreg.studies import compressibility_report

    return compressibility_report.report(place, config, coders, kinds, hybrids, measured)


def quantized(place: Workplace, checkpoint: Checkpoint, bits: int, config: Config) -> list[Section]:
    """The checkpoint's sections at this width, by the quantizer in its own process."""
    from golfreg.pack.sections import load_sections

    variant = Variant(config.quantizer, {**config.settings, "bits": bits})
    return load_sections(run_stages(place, checkpoint, variant, ("quantize",)) / SECTIONS)[1]


def _blocks_of(place: Workplace, checkpoint: Checkpoint, config: Config) -> blocks.Blocks:
    """The model's blocks, from a cell, so that a study whose cells are all there quantizes nothing."""

    def measure() -> dict[str, Any]:
        layouts = [s.layout for s in quantized(place, checkpoint, config.bits[0], config)]
        return {"kinds": blocks.find_blocks(layouts).kinds}

    variant = Variant(config.quantizer, {**config.settings, "bits": config.bits[0]})
    place.expect(1)
    found = place.cell(
        f"{checkpoint.name}: layers", {"what": "blocks", **variant.inputs(checkpoint)}, measure
    )  # fmt: skip
    return blocks.Blocks(found["kinds"], ())


def _measure(place: Workplace, config: Config, cases: Sequence[Case]) -> dict[Case, Found]:
    """Every case coded. A codec that cannot code a case is left out of it."""

    def inputs(case: Case) -> dict[str, Any]:
        settings = {**config.settings, "bits": case.bits}
        variant = Variant(config.quantizer, settings, case.coder.name, case.coder.settings)
        pruned = {"pruned": config.pruned} if case.mode == PRUNED else {}
        return {"what": "alone", "mode": case.mode, **pruned, **variant.inputs(case.checkpoint)}

    place.expect(len(cases))
    found: dict[Case, Found] = {}
    batches: dict[tuple[Checkpoint, int, str], list[Case]] = {}
    for case in cases:
        batches.setdefault((case.checkpoint, case.bits, case.mode), []).append(case)
    for (checkpoint, bits, mode), batch in batches.items():
        # One set of codes lies in memory at a time; its codecs run side by side.
        missing = any(not place.cell_path(inputs(case)).exists() for case in batch)
        sections = _mode(quantized(place, checkpoint, bits, config), checkpoint, mode, config) if missing else []
        results = place.cells(
            [
                (f"{checkpoint.name}: int{bits} {mode}, {case.coder.label}", inputs(case), partial(_code, sections,
                 case.coder))
                for case in batch
            ]
        )  # fmt: skip
        found |= {case: result for case, result in zip(batch, results, strict=True) if "error" not in result}
    return found


def _code(sections: Sequence[Section], coder: Coder) -> dict[str, Any]:
    from golfreg.registry.resolve import resolve
    from golfreg.registry.settings import configure

    target, config = configure(resolve("codec", coder.name), dict(coder.settings))
    try:
        return blocks.coded_alone(sections, target, config)
    except GolfregError as error:
        return {"error": {"message": error.message}}


def _mode(sections: list[Section], checkpoint: Checkpoint, mode: str, config: Config) -> list[Section]:
    if mode == ROWS:
        return sections
    from golfreg.builtin.quantizers.rowwise import CLIP_STD
    from golfreg.pack.quantize import read_tensors
    from golfreg.studies import rounding

    weights = {name: tensor.float().numpy() for name, tensor in read_tensors(checkpoint.weights).items()}
    if mode == SHARED:
        return rounding.shared_scales(sections, weights, CLIP_STD)
    return rounding.floored(sections, weights) if mode == FLOORED else rounding.pruned(sections, weights, config.pruned)


def _installed(names: Sequence[str]) -> list[Coder]:
    from golfreg.registry.host import get_host
    from golfreg.registry.resolve import resolve

    if names:
        return [Coder(resolve("codec", name).name, name, {}) for name in dict.fromkeys(names)]
    found = get_host().of_kind("codec")
    return [Coder(c.name, c.name, {}) for c in found if c.name != "none" and not (c.missing or c.missing_programs)]
