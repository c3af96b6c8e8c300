"""What ``golfreg run --dry-run`` prints: the plan, the origin of each value, and what the run will cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from golfreg.cli.out import Out

if TYPE_CHECKING:
    from golfreg.config.load import Loaded
    from golfreg.runner.cost import Cost
    from golfreg.runner.fit_estimate import Estimate
    from golfreg.runner.plan import Planned


def show_plan(
    out: Out, loaded: Loaded, device_name: str | None, usd_per_gpu_hour: float | None, runs: Path | None
) -> None:
    """Make the plan and print it."""
    from dataclasses import asdict

    from golfreg.config.plan import plain_values, plan_to_dict
    from golfreg.runner.cost import predict_cost
    from golfreg.runner.plan import make_plan
    from golfreg.runner.rundir import runs_root

    planned = make_plan(loaded)
    cost = predict_cost(planned, device_name, usd_per_gpu_hour, runs_root(runs))
    cap = planned.plan.limits.cap_bytes
    if cost is not None and cost.artifact_bytes is not None and cost.artifact_bytes > cap:
        planned.warnings.append(f"an artifact of {cost.artifact_bytes:,} bytes is over the cap of {cap:,}")
    estimate = None
    if planned.plan.spec.fit:
        from golfreg.runner.fit_estimate import estimate_fit

        estimate = estimate_fit(planned)
    if out.as_json:
        told = {} if estimate is None else {"fit": {**asdict(estimate), "verdict": estimate.verdict()}}
        out.json(
            {
                "plan": plan_to_dict(planned.plan),
                "observers": [plain_values(vars(c)) for c in planned.observers],
                "origins": planned.origins,
                "parameters": planned.parameters,
                "flops_per_token": planned.flops_per_token,
                "cost": None if cost is None else cost.table(),
                **told,
                "warnings": planned.warnings,
            }
        )
        return
    _plan_tables(out, planned)
    if cost is not None:
        out.table(("what", "value", "from"), cost_rows(cost), "Cost")
    if estimate is not None:
        _fit_table(out, estimate)
    elif planned.plan.spec.fit:
        out.line("what would fit is known once the data is tokenized")
    for warning in planned.warnings:
        out.warn(warning)


def _fit_table(out: Out, estimate: Estimate) -> None:
    rows = [
        (str(r.bits), f"{r.clip_std:g}", *(f"{b:.2f}" for b in r.code_bits), *(f"{n:,}" for n in r.bytes))
        for r in estimate.rungs
    ]
    heads = ("bits", "clip_std", "bits a code, Gaussian", "Laplace", "artifact, Gaussian", "Laplace")
    out.table(heads, rows, "What would fit: an estimate from shapes")
    out.line(estimate.verdict())


def _plan_tables(out: Out, planned: Planned) -> None:
    plan = planned.plan
    chosen = [plan.architecture, *plan.mixers.values(), plan.quantizer, plan.codec, plan.corpus, *planned.observers]
    rows = [(c.kind, c.name, f"{c.distribution} {c.version}", c.reason or c.target) for c in chosen]
    kernels = (plan.kernels | plan.train_kernels).items()
    rows += [("kernel", f"{op}: {k.name}", f"{k.distribution} {k.version}", k.reason) for op, k in kernels]
    out.table(("kind", "name", "from", "target or reason"), rows, "Components")
    out.table(("setting", "value", "origin"), planned.rows(), "Settings")
    limits = plan.limits
    out.table(
        ("what", "value"),
        [
            ("ruleset", plan.spec.ruleset),
            ("cap", f"{limits.cap_bytes:,} bytes"),
            ("training limit", f"{limits.train_seconds:g} s"),
            ("scoring limit", f"{limits.score_seconds:g} s"),
            ("device", f"{plan.device}, {plan.dtype}, compile {'on' if plan.compile else 'off'}"),
            ("dataset", plan.dataset),
            ("parameters", f"{planned.parameters:,}" if planned.parameters else "known once the data is tokenized"),
            ("FLOPs per token", f"{planned.flops_per_token:,}" if planned.flops_per_token else "-"),
            ("spec digest", plan.spec_digest),
        ],
        "Plan",
    )


def cost_rows(cost: Cost) -> list[tuple[str, str, str]]:
    """What, how much, and where the figure comes from."""
    speed = cost.speed
    unknown = "not known"
    peak = f"{speed.peak_flops / 1e12:,.3g} TFLOPS each" if speed.peak_flops else "peak not known"
    rows = [
        ("parameters", f"{cost.parameters:,}", "the model"),
        ("of embedding and head", f"{cost.embedding_parameters:,}", "their roles"),
        ("FLOPs per token", f"{cost.flops_per_token:,}", "forward and backward, as the architecture counts them"),
        ("device", f"{speed.devices} x {speed.device}", peak),
        ("step", f"{1e3 * cost.step_seconds:,.4g} ms" if cost.step_seconds else unknown, speed.basis),
        ("training", f"{cost.train_seconds:,.4g} s" if cost.train_seconds is not None else unknown, "the clock's limit"
         " less the calibration reserve, or `train.steps` steps"),
        ("steps", f"{cost.steps:,}" if cost.steps is not None else unknown, "training over step"),
        ("tokens", f"{cost.tokens:,}" if cost.tokens is not None else unknown, "steps times `train.batch_tokens`"),
        *((f"weights, {role}", f"{size:,} bytes", "") for role, size in cost.weight_bytes.items()),
        ("code", f"{cost.code_bytes:,} bytes", "modules that stages and components import, compressed"),
        ("artifact", f"{cost.artifact_bytes:,} bytes" if cost.artifact_bytes else unknown, cost.artifact_basis),
    ]  # fmt: skip
    if cost.usd is not None:
        rows.append(("price of training", f"{cost.usd:,.2f} USD", "compiling, data, packing and scoring come to it"))
    return rows
