"""The pack stage: sections and code to the artifact, with its bytes accounted for. Does not import torch."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np

from golfreg.api.errors import AnswerIsNo, EnvironmentFault, PluginError
from golfreg.config.job import Job, write_whole
from golfreg.pack.attribution import section_bytes, totals
from golfreg.pack.closure import collect, counted_by_stages
from golfreg.pack.container import Container, read_container, write_container
from golfreg.pack.encode import encode
from golfreg.pack.modules import counted_modules
from golfreg.pack.narrow import settled
from golfreg.pack.sections import load_sections

ARTIFACT_FILE = "artifact.golfreg"
OVER_CAP_FILE = "artifact.over-cap.golfreg"
EVALUATOR = "golfreg.score.evaluate"
"""What computes a score is counted, as in the contest's script; what guards it (isolation, probes) judges the
submission and is no part of it. By name: scoring is a higher layer."""
SCRIPT_MODULES = ("golfreg.runner.script_data", "golfreg.pack.encode")
"""What a script loads besides, some of it only when it gets there: its parent process, its data, its own packing."""
LAUNCHERS = frozenset({
    "golfreg.runner.worker", "golfreg.pack.stage", "golfreg.pack.closure", "golfreg.pack.modules",
    "golfreg.pack.discover", "golfreg.pack.estimate", "golfreg.pack.script", "golfreg.pack.script_settings",
    "golfreg.pack.narrow",
})  # fmt: skip
"""What golfreg's own stages load to start each other and to find the code; a script has its own way."""
_PROVISIONAL_FILE = ".provisional.golfreg"
_ANSWER_FILE = ".modules.json"
_DISCOVER_SECONDS = 900


def run(job: Job) -> dict[str, Any]:
    """Code the sections, find the code that counts, write the artifact. AnswerIsNo if it is over the cap."""
    directory = job.run_dir
    job.tell("progress", done=0, total=3, text=f"coding with {job.plan.codec.name}")
    job = dataclasses.replace(
        job, plan=dataclasses.replace(job.plan, codec=settled(job.plan.codec, directory / "sections.bin"))
    )
    plan = job.plan
    header, sections = load_sections(directory / "sections.bin")
    header = dataclasses.replace(header, codec=plan.codec)
    layouts = [s.layout for s in sections]
    before = set(counted_modules())
    streams = encode(plan, sections)
    encoding = set(counted_modules()) - before
    job.tell("progress", done=1, total=3, text="finding the code that counts")
    code = counted_code(job, write_container(header, layouts, streams, b""), encoding)
    job.tell("progress", done=2, total=3, text="packing the code")
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


def counted_code(job: Job, artifact: bytes, encoding: Set[str] = frozenset()) -> dict[str, str] | bytes:
    """The code that counts, in the form that the ruleset counts it in. ``artifact``: the same without code.

    ``encoding``: modules that coding the sections loaded; a script, which codes its own, needs them too.
    """
    plan, stages = job.plan, counted_by_stages(job.run_dir)
    if plan.limits.code == "closure":
        modules = discover(job.run_dir, artifact, plan.device, plan.dtype, [EVALUATOR])
        return collect({*modules, *stages, *counted_modules()})
    # Here, so that code that is counted as a closure does not hold them.
    from golfreg.pack.estimate import noted_estimate
    from golfreg.pack.script import MAIN, packed_script, plain_script
    from golfreg.pack.script_settings import script_settings

    modules = discover(job.run_dir, artifact, plan.device, plan.dtype, [EVALUATOR, MAIN, *SCRIPT_MODULES])
    code = collect({*modules, *stages, *encoding} - LAUNCHERS)
    return packed_script(plain_script(code, script_settings(plan, noted_estimate(job.run_dir))))


def discover(run_dir: Path, artifact: bytes, device: str, dtype: str, wanted: Sequence[str]) -> list[str]:
    """Modules that decoding, a forward pass and importing ``wanted`` load, found by doing it in a clean process."""
    provisional, answer_file = run_dir / _PROVISIONAL_FILE, run_dir / _ANSWER_FILE
    try:
        provisional.write_bytes(artifact)
        answer_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "golfreg.pack.discover", str(provisional), device, dtype, str(answer_file)]
        command += wanted
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
