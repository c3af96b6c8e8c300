"""The scoring stage: the run's artifact, scored by a process that gets nothing else of the run."""

from __future__ import annotations

import hashlib
from typing import Any

from golfreg.config.job import Job
from golfreg.score.start import score_artifact
from golfreg.score.task import Task
from golfreg.score.trust import remember

ARTIFACT_FILE = "artifact.golfreg"
DOCUMENTS_OUT = "score_documents.safetensors"


def run(job: Job) -> dict[str, Any]:
    """Score ``artifact.golfreg``: nats, tokens, bytes, bits per byte, seconds, how it was isolated and probed.

    Writes ``score_documents.safetensors``: ``nats`` float64, ``bytes`` and ``tokens`` int64 by document.
    Raises AnswerIsNo over the time limit of the ruleset, and for whatever the score may not rest on.
    """
    plan, settings = job.plan, job.plan.spec.score
    artifact = job.run_dir / ARTIFACT_FILE
    # The plan of this run says what the artifact was made with, so the code in it is the user's own.
    remember(hashlib.sha256(artifact.read_bytes()).hexdigest())
    task = Task(
        artifact=str(artifact.absolute()),
        dataset=str(plan.dataset_dir.absolute()),
        scratch="", parent=0, events=0,
        device=plan.device,
        dtype=plan.dtype,
        threads=plan.threads,
        windows=settings.windows,
        sequence_length=settings.sequence_length or plan.spec.train.sequence_length,
        batch_tokens=settings.batch_tokens,
        documents=settings.documents,
        probes=settings.probes,
    )  # fmt: skip

    def progress(phase: str, done: int, total: int) -> None:
        job.tell("progress", done=done, total=total, text=phase)

    result = score_artifact(task, plan.limits.score_seconds, job.run_dir / DOCUMENTS_OUT, progress)
    return {**result, "limit_seconds": plan.limits.score_seconds}
