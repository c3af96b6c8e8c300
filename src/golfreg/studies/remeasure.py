"""A checkpoint under another quantizer and codec: the stages of a run, from trained weights on.

A variant is a run directory of its own that borrows the checkpoint's weights. Calibration,
quantization and packing run in their own processes as in ``golfreg run``, and the score comes from
the packed artifact in the isolated process. There is no cap and no clock: a study compares.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from golfreg.api.errors import ConfigError
from golfreg.config.job import write_whole
from golfreg.config.plan import Chosen, Plan, plan_to_dict
from golfreg.runner.launch import Worker
from golfreg.runner.rundir import stage_result
from golfreg.studies.checkpoints import WEIGHTS, Checkpoint
from golfreg.studies.workplace import Workplace

_NO_CAP = 1 << 40
ARTIFACT, SECTIONS, STATISTICS = "artifact.golfreg", "sections.bin", "statistics.safetensors"


@dataclass(frozen=True)
class Variant:
    """How a checkpoint is quantized and coded. ``train``: settings of the run that calibration reads.

    ``statistics``: a file that is used in place of calibrating; ``statistics_digest`` names what is in it.
    """

    quantizer: str = "int6"
    settings: Mapping[str, Any] = field(default_factory=dict)
    codec: str = "lzma"
    codec_settings: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    statistics: Path | None = None
    statistics_digest: str = ""

    def inputs(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """All that the variant's artifact depends on."""
        plan = checkpoint.plan
        return {
            "weights": checkpoint.digest,
            "quantizer": [self.quantizer, dict(self.settings), _version("quantizer", self.quantizer)],
            "codec": [self.codec, dict(self.codec_settings), _version("codec", self.codec)],
            "train": dict(self.train),
            "statistics": self.statistics_digest,
            "seed": plan.spec.seed,
            "device": [plan.device, plan.dtype],
        }


@dataclass(frozen=True)
class Scored:
    """A score with its documents: ``nats`` float64 and ``bytes`` int64 of each."""

    bits_per_byte: float
    nats: np.ndarray
    bytes: np.ndarray


def packed(place: Workplace, checkpoint: Checkpoint, variant: Variant) -> dict[str, Any]:
    """The pack stage's facts of a variant: bytes by role and part, code apart."""

    def measure() -> dict[str, Any]:
        run_dir = run_stages(place, checkpoint, variant, ("quantize", "pack"))
        result = stage_result(run_dir, "pack")
        assert result is not None
        return dict(result["result"])

    what = f"{checkpoint.name}: {variant.quantizer}"
    return place.cell(what, {"what": "packed", **variant.inputs(checkpoint)}, measure)


def scored(
    place: Workplace, checkpoint: Checkpoint, variant: Variant, length: int = 0, windows: str = ""
) -> Scored:  # fmt: skip
    """The variant's score; its documents are kept beside the cell.

    ``length``: tokens of a window, and ``windows``: ``fixed`` and so on; 0 and empty: the run's.
    """
    settings = checkpoint.plan.spec.score
    length = length or settings.sequence_length or checkpoint.plan.spec.train.sequence_length
    score = {**_score_inputs(checkpoint.plan), "windows": windows or settings.windows, "sequence_length": length}
    inputs = {"what": "scored", **variant.inputs(checkpoint), **score}
    documents = place.cell_path(inputs).with_suffix(".safetensors")
    place.forget_unless(inputs, lambda found: documents.exists())

    def measure() -> dict[str, Any]:
        run_dir = run_stages(place, checkpoint, variant, ("quantize", "pack"))
        documents.parent.mkdir(parents=True, exist_ok=True)
        return _score(run_dir / ARTIFACT, checkpoint.plan, length, score["windows"], documents, lambda text: place.tell(
            place.done, place.total, f"{what}: {text}"))  # fmt: skip

    what = f"{checkpoint.name}: score at {length}"
    found = place.cell(what, inputs, measure)
    from safetensors.numpy import load_file

    table = load_file(documents)
    return Scored(found["bits_per_byte"], table["nats"], table["bytes"])


def run_stages(place: Workplace, checkpoint: Checkpoint, variant: Variant, stages: tuple[str, ...]) -> Path:
    """The variant's run directory with these stages done; those that are done already are kept."""
    run_dir = place.work_dir({"what": "variant", **variant.inputs(checkpoint)})
    plan = variant_plan(checkpoint, variant)
    _prepare(run_dir, checkpoint, plan, variant)
    if not (plan.dataset_dir / "dataset.toml").exists():
        (run_dir / "stages" / "data.toml").unlink(missing_ok=True)
        stages = ("data", *stages)
    if plan.quantizer_needs and variant.statistics is None:
        stages = ("calibrate", *stages) if stages[0] != "data" else ("data", "calibrate", *stages[1:])
    for stage in stages:
        if stage_result(run_dir, stage) is not None:
            continue
        worker = Worker(stage, run_dir, plan.threads)
        try:
            worker.finish(lambda name, event: place.tell(
                place.done, place.total, f"{checkpoint.name}: {name} {event.get('text', '')}"))  # fmt: skip
        finally:
            worker.close()
    return run_dir


def variant_plan(checkpoint: Checkpoint, variant: Variant) -> Plan:
    """The checkpoint's plan with the variant's components, without cap and clock."""
    from golfreg.registry.resolve import load, resolve
    from golfreg.runner.plan import digest  # Here: it imports torch, and a misspelt command should not wait for that.

    plan = checkpoint.plan
    quantizer = _chosen("quantizer", variant.quantizer, variant.settings)
    codec = _chosen("codec", variant.codec, variant.codec_settings)
    try:
        train = replace(plan.spec.train, **variant.train)
    except TypeError as error:
        raise ConfigError(f"this golfreg has no such setting of training: {error}") from error
    components = replace(plan.spec.components, quantizer=quantizer.name, codec=codec.name)
    spec = replace(
        plan.spec, components=components, train=train, quantizer=dict(quantizer.config), codec=dict(codec.config)
    )
    changed = replace(
        plan,
        spec=spec,
        quantizer=quantizer,
        quantizer_needs=tuple(sorted(load(resolve("quantizer", quantizer.name)).needs)),
        codec=codec,
        limits=replace(plan.limits, cap_bytes=_NO_CAP, score_seconds=0.0),
    )
    return replace(changed, spec_digest=digest(changed))


def clear_work(place: Workplace) -> None:
    """Remove what was in the making: the cells hold what was measured."""
    shutil.rmtree(place.out / "work", ignore_errors=True)


def _prepare(run_dir: Path, checkpoint: Checkpoint, plan: Plan, variant: Variant) -> None:
    if (run_dir / "plan.toml").exists():
        return
    for name in ("stages", "logs"):
        (run_dir / name).mkdir(parents=True, exist_ok=True)
    _borrow(checkpoint.weights, run_dir / WEIGHTS)
    if variant.statistics is not None:
        _borrow(variant.statistics, run_dir / STATISTICS)
    for stage in ("data", "train"):
        source = checkpoint.run_dir / "stages" / f"{stage}.toml"
        if source.is_file():
            write_whole(run_dir / "stages" / source.name, source.read_bytes())
    write_whole(run_dir / "plan.toml", tomli_w.dumps(plan_to_dict(plan)).encode())


def _borrow(source: Path, link: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(source.absolute())


def _chosen(kind: str, name: str, settings: Mapping[str, Any]) -> Chosen:
    from golfreg.registry.resolve import resolve
    from golfreg.registry.settings import config_values, configure
    from golfreg.runner.kernels import plain_choice

    component = resolve(kind, name)
    _, config = configure(component, dict(settings))
    return replace(plain_choice(component), config=config_values(config))


def _version(kind: str, name: str) -> str:
    from golfreg.registry.resolve import resolve

    return resolve(kind, name).version


def _score_inputs(plan: Plan) -> dict[str, Any]:
    score = plan.spec.score
    return {
        "documents": score.documents,
        "corpus": [plan.corpus.name, plan.corpus.argument or ""], "tokenizer": plan.spec.data.tokenizer,
        "validation_tokens": plan.spec.data.validation_tokens,
    }  # fmt: skip


def _score(
    artifact: Path, plan: Plan, length: int, windows: str, documents: Path, say: Callable[[str], None]
) -> dict[str, Any]:  # fmt: skip
    from golfreg.score.start import score_artifact
    from golfreg.score.task import Task

    settings = plan.spec.score
    task = Task(
        artifact=str(artifact.absolute()), dataset=str(plan.dataset_dir.absolute()), scratch="", parent=0, events=0,
        device=plan.device, dtype=plan.dtype, threads=plan.threads, windows=windows, sequence_length=length,
        batch_tokens=max(settings.batch_tokens, length), documents=settings.documents, probes=settings.probes,
    )  # fmt: skip
    result = score_artifact(
        task, 0.0, documents, lambda phase, done, total: say(f"{phase} {done:,} of {total:,}" if total else phase)
    )
    kept = ("bits_per_byte", "nats", "bytes", "tokens", "documents", "artifact_bytes", "device", "dtype")
    return {key: result[key] for key in kept}
