"""The pack stage: sections and code to the artifact, with its bytes accounted for. Does not import torch."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from golfreg.api.errors import AnswerIsNo, EnvironmentFault, InputError, PluginError
from golfreg.api.values import Section, Stream
from golfreg.config.job import Job, write_whole
from golfreg.config.plan import Plan
from golfreg.pack.attribution import section_bytes, totals
from golfreg.pack.closure import collect, counted_by_stages
from golfreg.pack.container import Container, read_container, write_container
from golfreg.pack.modules import counted_modules
from golfreg.pack.sections import decoded, load_sections

ARTIFACT_FILE = "artifact.golfreg"
OVER_CAP_FILE = "artifact.over-cap.golfreg"
_PROVISIONAL_FILE = ".provisional.golfreg"
_ANSWER_FILE = ".modules.json"
_DISCOVER_SECONDS = 900


def run(job: Job) -> dict[str, Any]:
    """Code the sections, find the code that counts, write the artifact. AnswerIsNo if it is over the cap."""
    plan, directory = job.plan, job.run_dir
    header, sections = load_sections(directory / "sections.bin")
    header = dataclasses.replace(header, codec=plan.codec)
    layouts = [s.layout for s in sections]
    job.tell("progress", done=0, total=3, text=f"coding {len(sections)} sections with {plan.codec.name}")
    streams = encode(plan, sections)
    job.tell("progress", done=1, total=3, text="finding the code that counts")
    modules = discover(directory, write_container(header, layouts, streams, {}), plan.device, header.dtype)
    code = collect({*modules, *counted_by_stages(directory), *counted_modules()})
    job.tell("progress", done=2, total=3, text=f"packing {len(code)} modules")
    data = write_container(header, layouts, streams, code)
    report = size_report(read_container(data), plan.limits.cap_bytes, [s.data for s in sections])

    over = report["headroom_bytes"] < 0
    stale = directory / (ARTIFACT_FILE if over else OVER_CAP_FILE)
    stale.unlink(missing_ok=True)
    path = directory / (OVER_CAP_FILE if over else ARTIFACT_FILE)
    write_whole(path, data)
    if over:
        raise AnswerIsNo(
            f"the artifact has {len(data):,} bytes, {-report['headroom_bytes']:,} over the cap of "
            f"{plan.limits.cap_bytes:,}: code {report['code_bytes']:,}, weights {report['weight_bytes']:,}, "
            f"header {report['header_bytes']:,}",
            f"`golfreg inspect {path}` shows where they are; fewer parameters, fewer bits or a larger clip_std help",
        )
    return {"artifact": ARTIFACT_FILE, **report}


def encode(plan: Plan, sections: list[Section]) -> list[Stream]:
    """The codec's streams, proven to decode to the same sections. PluginError if they do not."""
    codec, config = plan.codec.load(), plan.codec.make_config()
    streams: list[Stream] = codec.encode(sections, config)
    try:
        arrays = decoded(codec, streams, [s.layout for s in sections], config)
    except InputError as error:
        raise PluginError(f"codec `{plan.codec.name}` cannot decode what it encoded: {error.message}") from error
    for section, array in zip(sections, arrays, strict=True):
        if section.data.tobytes() != array.tobytes():
            raise PluginError(
                f"codec `{plan.codec.name}` changed the {section.layout.part} of `{section.layout.tensor}`",
                "a codec must be lossless",
            )
    return streams


def discover(run_dir: Path, artifact: bytes, device: str, dtype: str) -> list[str]:
    """Modules that decoding, a forward pass and scoring load, found by doing it in a clean process."""
    provisional, answer_file = run_dir / _PROVISIONAL_FILE, run_dir / _ANSWER_FILE
    try:
        provisional.write_bytes(artifact)
        answer_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "golfreg.pack.discover", str(provisional), device, dtype, str(answer_file)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=2, timeout=_DISCOVER_SECONDS, check=False)
        try:
            answer = json.loads(answer_file.read_text("utf-8"))
        except (OSError, ValueError):
            raise EnvironmentFault(
                f"the process that decodes the artifact once ended with {done.returncode} and no answer",
                "was it out of memory? the pack stage's log has its output",
            ) from None
    except subprocess.TimeoutExpired:
        raise EnvironmentFault(f"decoding the artifact once took over {_DISCOVER_SECONDS} s") from None
    finally:
        provisional.unlink(missing_ok=True)
        answer_file.unlink(missing_ok=True)
    if "message" in answer:
        raise PluginError(answer["message"], answer["hint"])
    if answer["files"]:
        raise PluginError(
            f"decoding reads `{answer['files'][0]}`, a data file of an installed package: it would not be counted",
            "keep such values in the weights or in the source",
        )
    return list(answer["modules"])


def size_report(container: Container, cap_bytes: int, arrays: list[np.ndarray]) -> dict[str, Any]:
    """Bytes of an artifact: code, weights by role and part, header, total, and what is left to the cap."""
    sizes = [size for size, _ in section_bytes(container.layouts, container.streams, arrays)]
    parameters = sum(y.count for y in container.layouts if y.part != "scale")
    weight_bytes = sum(sizes)
    return {
        "sha256": container.sha256,
        "code_bytes": container.code_bytes,
        "code_modules": len(container.code),
        "weight_bytes": weight_bytes,
        "header_bytes": container.header_bytes,
        "total_bytes": container.total_bytes,
        "cap_bytes": cap_bytes,
        "headroom_bytes": cap_bytes - container.total_bytes,
        "by_role": totals(container.layouts, sizes, lambda y: y.role),
        "by_part": totals(container.layouts, sizes, lambda y: y.part),
        "parameters": parameters,
        "bits_per_parameter": 8 * weight_bytes / max(parameters, 1),
    }
