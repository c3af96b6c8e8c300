"""The lines of a training log in the challenge's words, so that what reads the challenge's logs reads these.

Wording: ``log0`` calls of ``train_gpt.py`` in openai/parameter-golf. Seconds in, milliseconds out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

NO_STEP_LIMIT = 1_000_000
"""Steps that a run is said to be allowed when the clock ends it."""
_EVERY = 200


def settings_lines(train: Mapping[str, Any], seconds: float, seed: int) -> list[str]:
    """``train``: the settings of ``[train]``. ``seconds``: when the clock ends training."""
    processes = train.get("nproc", 1)
    share = train["batch_tokens"] // processes
    accumulated = share // min(train["micro_batch_tokens"] or share, share)
    return [
        f"world_size:{processes} grad_accum_steps:{accumulated}",
        f"train_batch_tokens:{train['batch_tokens']} train_seq_len:{train['sequence_length']} "
        f"iterations:{train['steps'] or NO_STEP_LIMIT} warmup_steps:{train['warmup_steps']} "
        f"max_wallclock_seconds:{seconds:.3f}",
        f"seed:{seed}",
    ]


def step_lines(metrics: Iterable[Mapping[str, Any]], steps: int) -> list[str]:
    """The first ten steps and every two hundredth of ``metrics.jsonl``. ``steps``: the limit, 0: none."""
    return [
        _step(m["step"], steps, m["loss"], m["train_seconds"])
        for m in metrics
        if m["step"] <= 10 or m["step"] % _EVERY == 0
    ]


def trained_lines(trained: Mapping[str, Any], steps: int, calibrate_seconds: float) -> list[str]:
    """``trained``: the result of the train stage. Begins with the last step."""
    lines = [_step(trained["steps"], steps, trained["final_loss"], trained["train_seconds"])]
    if not steps:
        lines.append(
            f"stopping_early: wallclock_cap train_time:{1000 * trained['train_seconds']:.0f}ms "
            f"step:{trained['steps']}/{NO_STEP_LIMIT}"
        )
    lines.append(f"model_params:{trained['parameters']}")
    if "peak_memory_bytes" in trained:
        lines.append(f"peak memory allocated: {trained['peak_memory_bytes'] >> 20} MiB")
    if calibrate_seconds:
        lines.append(f"gptq:collected statistics of the inputs in {calibrate_seconds:.3f}s")
    return lines


def _step(step: int, steps: int, loss: float, seconds: float) -> str:
    return (
        f"step:{step}/{steps or NO_STEP_LIMIT} train_loss:{loss:.4f} train_time:{1000 * seconds:.0f}ms "
        f"step_avg:{1000 * seconds / max(step, 1):.2f}ms"
    )


def size_lines(label: str, model_bytes: int, code_bytes: int) -> list[str]:
    """``label``: quantizer and codec, as in ``int6+lzma``."""
    return [
        f"Serialized model {label}: {model_bytes} bytes",
        f"Code size: {code_bytes} bytes",
        f"Total submission size {label}: {model_bytes + code_bytes} bytes",
    ]


def score_lines(label: str, nats_per_token: float, bits_per_byte: float, seconds: float) -> list[str]:
    """``seconds``: of decoding and scoring."""
    name = f"final_{label.replace('+', '_')}_roundtrip"
    return [
        f"{name} val_loss:{nats_per_token:.4f} val_bpb:{bits_per_byte:.4f} eval_time:{1000 * seconds:.0f}ms",
        f"{name}_exact val_loss:{nats_per_token:.12f} val_bpb:{bits_per_byte:.12f}",
    ]
