"""The log of a run in the challenge's words, from its record and its metrics."""

from __future__ import annotations

from dataclasses import asdict

from golfreg.leaderboard.export.runs import Run
from golfreg.pack.script_log import score_lines, settings_lines, size_lines, step_lines, trained_lines
from golfreg.rules.figures import bits_per_byte, nats_per_token
from golfreg.rules.ruleset import load_ruleset


def log_text(run: Run, code_bytes: int) -> str:
    """``code_bytes``: of the script that is shipped."""
    record = run.record
    train = run.train
    label = f"{record.components.quantizer.name}+{record.components.codec.name}"
    seconds = float(train.seconds or load_ruleset(record.run.ruleset).limits.train_seconds)
    kind = "bytes" if record.data.tokenizer == "bytes" else "sentencepiece"
    trained = {
        "train_seconds": record.times.train_seconds,
        "steps": record.train.steps,
        "final_loss": record.train.final_loss,
        "parameters": record.train.parameters,
    }
    lines = [
        f"Running Python {record.environment.python}",
        f"Running PyTorch {record.environment.torch}",
        f"val_bpb:enabled tokenizer_kind={kind} tokenizer_path={record.data.tokenizer}",
        f"train_loader:tokens:{record.data.train_tokens}",
        f"val_loader:tokens:{record.score.tokens} bytes:{record.score.bytes}",
        *settings_lines(asdict(train), seconds, record.run.seed),
        *step_lines(run.metrics, train.steps),
        *trained_lines(trained, train.steps, record.times.calibrate_seconds),
        *size_lines(label, run.model_bytes, code_bytes),
        *score_lines(label, nats_per_token(record), bits_per_byte(record), record.times.score_seconds),
        f"golfreg {record.run.golfreg}: scored in another process from artifact sha256:{record.artifact.sha256} "
        f"isolation:{record.score.isolation} probes:{record.score.probes}",
    ]
    return "\n".join(lines) + "\n"
