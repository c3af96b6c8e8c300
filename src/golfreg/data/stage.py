"""The ``data`` stage of a run."""

from __future__ import annotations

from typing import Any

from golfreg.api.errors import InputError
from golfreg.config.job import Job
from golfreg.config.plan import Chosen
from golfreg.data.cache import corpora_dir
from golfreg.data.prepare import STEPS, prepare
from golfreg.data.summary import summary


def run(job: Job) -> dict[str, Any]:
    """Make ``plan.dataset``, or take it as it is if it is whole, and report what it holds."""
    plan = job.plan
    dataset, reused = prepare(
        lambda: plan.corpus.load().load(plan.corpus.argument, corpora_dir()),
        corpus_label(plan.corpus),
        plan.spec.data,
        plan.dataset_dir,
        lambda done, text: job.tell("progress", done=done, total=STEPS, text=text),
        plan.threads,
    )
    train, score = plan.spec.train, plan.spec.score
    window = score.sequence_length or train.sequence_length
    for what, has, needs in (
        ("training", dataset.train_tokens, train.batch_tokens),
        ("validation", dataset.validation_token_count, window),
    ):
        if has < needs + 1:
            raise InputError(
                f"the corpus `{dataset.corpus}` has {has:,} {what} tokens; at least {needs + 1:,} are needed",
                hint="use a larger corpus, a shorter window or a smaller batch",
            )
    return {**summary(dataset), "reused": reused}


def corpus_label(corpus: Chosen) -> str:
    """The corpus as a user writes it."""
    return corpus.name if corpus.argument is None else f"{corpus.name}:{corpus.argument}"
