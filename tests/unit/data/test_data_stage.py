"""The data stage makes what the plan names, says what it holds, and stops early where a run could not work."""

import json
import tomllib
from dataclasses import replace
from types import SimpleNamespace

import pytest
import tomli_w

from golfreg.api import InputError
from golfreg.config.job import Job
from golfreg.config.plan import Chosen
from golfreg.config.spec import DataSettings, RunSpec, TrainSettings
from golfreg.data.dataset import open_dataset
from golfreg.data.stage import run


def job_of(tmp_path, spec):
    path = tmp_path / "text.jsonl"
    path.write_text("".join(json.dumps({"text": f"document {i} " + "word " * (i % 5)}) + "\n" for i in range(300)))
    corpus = Chosen(
        kind="corpus",
        name="jsonl",
        target="golfreg.builtin.corpora.jsonl:jsonl",
        distribution="golfreg",
        version="0",
        module="golfreg.builtin.plugin",
        argument=str(path),
    )
    # Only what the stage reads: a whole plan has many parts that it does not see.
    plan = SimpleNamespace(spec=spec, corpus=corpus, threads=1, dataset_dir=tmp_path / "cache" / "d")
    return Job(tmp_path, plan)


SPEC = RunSpec(data=DataSettings(tokenizer="bytes"), train=TrainSettings(sequence_length=64, batch_tokens=128))


def test_the_stage_makes_the_dataset_and_reports_it(tmp_path, capsys):
    job = job_of(tmp_path, SPEC)
    result = run(job)
    dataset = open_dataset(job.plan.dataset_dir)
    assert tomllib.loads(tomli_w.dumps(result)) == result
    assert result["train_tokens"] == dataset.train_tokens
    assert result["validation_bytes"] == dataset.validation_bytes
    assert result["corpus"] == f"jsonl:{tmp_path / 'text.jsonl'}"
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {event["event"] for event in events} == {"progress"}
    assert events[-1]["done"] == events[-1]["total"]


def test_a_stage_run_again_gives_the_same_and_builds_nothing(tmp_path):
    job = job_of(tmp_path, SPEC)
    first, second = run(job), run(job)
    assert (first.pop("reused"), second.pop("reused")) == (False, True)
    assert first == second


def test_a_corpus_shorter_than_a_batch_or_a_window_stops_before_training(tmp_path):
    with pytest.raises(InputError, match=r"training tokens; at least 1,048,577 are needed"):
        run(job_of(tmp_path, replace(SPEC, train=TrainSettings(sequence_length=64, batch_tokens=1 << 20))))
    with pytest.raises(InputError, match=r"validation tokens; at least 4,097 are needed"):
        run(job_of(tmp_path, replace(SPEC, train=TrainSettings(sequence_length=4096, batch_tokens=4096))))
