"""One stage of an exported script, in a process of its own: ``train_gpt.py --stage NAME WORK_DIR``."""

from __future__ import annotations

import ctypes
import dataclasses
import importlib
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from golfreg.api.errors import AnswerIsNo, EnvironmentFault, InputError
from golfreg.config import strict
from golfreg.config.job import Job, write_whole
from golfreg.config.plan import Plan

PLAN_FILE = "plan.json"
MODEL_FILE = Path("final_model.golfreg")
_PR_SET_PDEATHSIG = 1
_STAGES = {
    "train": "golfreg.train.stage",
    "calibrate": "golfreg.train.calibrate",
    "quantize": "golfreg.pack.quantize",
}


def run_stage(name: str, work: Path, script: Path, code_bytes: int | None) -> None:
    """Do it, and leave its result in ``WORK_DIR/NAME.json``. Ends with the script, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    plan = strict.build(Plan, json.loads((work / PLAN_FILE).read_text("utf-8")), "the script's settings:")
    job = Job(work, _on_this_machine(plan), code_bytes)
    if name == "score":
        result = _score(job)
    else:
        result = importlib.import_module(_STAGES[name]).run(job)
        if name == "quantize":
            result |= _pack(job, script.stat().st_size)
    write_whole(work / f"{name}.json", json.dumps(result).encode())


def _on_this_machine(plan: Plan) -> Plan:
    """The plan; without a GPU what it says for one becomes plain float32 on the CPU."""
    import torch

    if plan.device == "cuda" and 0 < torch.cuda.device_count() < plan.spec.train.nproc:
        raise EnvironmentFault(
            f"this trains on {plan.spec.train.nproc} GPUs and torch finds {torch.cuda.device_count()}",
            f"torchrun --standalone --nproc_per_node={torch.cuda.device_count()} train_gpt.py",
        )
    if plan.device != "cuda" or torch.cuda.is_available():
        return plan
    return dataclasses.replace(plan, device="cpu", dtype="float32", compile=False, kernels={}, train_kernels={})


def _pack(job: Job, code_bytes: int) -> dict[str, Any]:
    """Write the coded weights. AnswerIsNo if they and the script are over the cap."""
    from golfreg.pack.container import write_container
    from golfreg.pack.encode import encode
    from golfreg.pack.sections import load_sections

    header, sections = load_sections(job.run_dir / "sections.bin")
    header = dataclasses.replace(header, codec=job.plan.codec)
    streams = encode(job.plan, sections)
    data = write_container(header, [s.layout for s in sections], streams, b"")
    write_whole(MODEL_FILE, data)
    over = len(data) + code_bytes - job.plan.limits.cap_bytes
    if over > 0:
        raise AnswerIsNo(f"model {len(data):,} + code {code_bytes:,} bytes are {over:,} over the cap")
    return {"model_bytes": len(data), "code_bytes": code_bytes}


def _score(job: Job) -> dict[str, Any]:
    """Score the file, from its bytes: nats, tokens, bytes, bits per byte, seconds of decoding and scoring."""
    import torch

    from golfreg.data.dataset import open_dataset
    from golfreg.pack.decode import load_model
    from golfreg.score.evaluate import Scored, evaluate
    from golfreg.score.windows import parse_windows

    plan, settings = job.plan, job.plan.spec.score
    torch.set_num_threads(plan.threads)
    dataset = open_dataset(plan.dataset_dir)
    tokens = dataset.validation_tokens()
    if len(tokens) < 2:
        raise InputError("the validation shards hold no token to predict")
    windows = parse_windows(settings.windows, settings.sequence_length or plan.spec.train.sequence_length)
    begun = time.monotonic()
    model = load_model(MODEL_FILE, plan.device, plan.dtype)
    dtype: torch.dtype = getattr(torch, plan.dtype)
    scored = Scored(model, plan.architecture.name, dataset.vocab_size, torch.device(plan.device), dtype)
    found = evaluate(scored, tokens, dataset.byte_table, windows, settings.batch_tokens, dataset.bos_id).score()
    return {**dataclasses.asdict(found), "score_seconds": time.monotonic() - begun}
