"""``golfreg bench kernels``: every kernel of an op, errors first, then times against what the machine can do."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from golfreg.api.errors import AnswerIsNo, ConfigError
from golfreg.cli import complete
from golfreg.cli.kernels import named_kernels
from golfreg.cli.out import Out, plain


def kernels(
    op: Annotated[
        str | None,
        typer.Argument(help="Name of an op; all ops, if none is named.", autocompletion=complete.components("op")),
    ] = None,
    kernel: Annotated[
        list[str] | None, typer.Option("--kernel", help="Only this one; may be given several times.")
    ] = None,
    shape: Annotated[
        str, typer.Option("--shape", help="Sizes that differ from the op's own, as in batch=32,length=4096.")
    ] = "",
    dtype: Annotated[str, typer.Option("--dtype", help="auto, float32 or bfloat16.")] = "auto",
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile", help="Also time the reference under torch.compile; on a GPU by default."
        ),
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="Of each timing.", min=0.0, max=600.0)] = 1.0,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds that one kernel may take.", min=1.0)] = 600.0,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the roofline: FILE.svg or FILE.png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure every kernel of an op: errors against float64, time, memory, and what the machine allows.

    Each kernel has a process of its own. One that is not right is not timed, and the exit code is 1. Fractions are of
    the roofline: the least time for the bytes and operations that the op counts, at the copy bandwidth
    and the matrix rate measured on this machine before.

    Example: golfreg bench kernels mamba3_siso --shape batch=32,length=4096 --plot roofline.svg
    """
    from golfreg.registry.host import get_host
    from golfreg.registry.resolve import load, resolve

    if op is None and (shape or kernel):
        raise ConfigError("`--shape` and `--kernel` are of one op", "name the op: `golfreg plugins list --kind op`")
    ops = [resolve("op", name) for name in ([op] if op else sorted(c.name for c in get_host().of_kind("op")))]
    named = {one.name: [k.name for k in named_kernels(one.name, kernel)] for one in ops}

    from golfreg.kernels.bench import bench_op, measure_machine, parse_sizes, smaller
    from golfreg.kernels.measure import Request
    from golfreg.plots.file import check_format, save_plot
    from golfreg.runner.plan import resolve_device

    out = Out(as_json)
    if plot is not None:
        check_format(plot)
    device, dtype = resolve_device(device, dtype)
    found: list[dict[str, Any]] = []
    with out.console(stderr=True).status("measuring the machine") as status:
        machine = measure_machine(device, dtype, seconds, timeout)
        for component in ops:
            target = load(component)
            sizes = target.workload().sizes[device] if hasattr(target, "workload") else {}
            if shape and not sizes:
                raise ConfigError(f"op `{component.name}` has no workload, so `--shape` means nothing")
            chosen = parse_sizes(shape, sizes, component.name)
            exact = smaller(chosen, target.workload().exact) if chosen else {}
            found.append(
                bench_op(
                    component.name, target, named[component.name], machine,
                    Request(component.name, "", device, dtype, chosen, exact, seconds=seconds),
                    compile_reference=device == "cuda" if compiled is None else compiled, timeout=timeout,
                    tell=lambda text: status.update(f"measuring {plain(text)}"),
                )
            )  # fmt: skip
    document = {"machine": dataclasses.asdict(machine), "versions": _versions(), "ops": found}
    if plot is not None:
        from golfreg.cli.roofline import roofline

        save_plot(plot, roofline(document))
    if as_json:
        out.json(document)
    else:
        out.talk(
            f"{machine.device}, {dtype}: copies {machine.copy_bytes_per_second / 1e9:.4g} GB/s, "
            f"matrix products {machine.product_operations_per_second / 1e12:.4g} TFLOP/s"
        )
        for one in found:
            show(out, one)
    _answer(found)


def show(out: Out, one: dict[str, Any]) -> None:
    """The tables of one op: the kernels, and the error of each output and gradient."""
    numbers = ("error", "allowed", "forward ms", "of roof", "with gradients ms", "of roof ", "peak MiB", "registers",
               "spilled B", "shared B")  # fmt: skip
    title = " ".join((one["op"], *(f"{k}={v}" for k, v in one["sizes"].items())))
    out.table(("kernel", *numbers, "result"), [_row(k) for k in one["kernels"]], title, right=numbers)
    named = {k["kernel"]: k["errors"] for k in one["kernels"] if k.get("errors")}
    if named:
        rows = [(name, *(_error(errors.get(name)) for errors in named.values())) for name in next(iter(named.values()))]
        sizes = " ".join(f"{k}={v}" for k, v in one["exact_sizes"].items())
        out.table(("relative error", *named), rows, f"{one['op']} {sizes}", right=tuple(named))


def _row(k: dict[str, Any]) -> tuple[object, ...]:
    taken = k.get("resources") or []
    most = [
        f"{max(r[name] for r in taken):,}" if taken else "-" for name in ("registers", "spilled_bytes", "shared_bytes")
    ]
    peak = f"{k['peak_bytes'] / 2**20:,.0f}" if k.get("peak_bytes") else "-"
    errors = [e for e in (*k.get("errors", {}).values(), k.get("worst_case_error")) if e is not None]
    worst = f"{max(errors):.2e}" if errors else "-"
    allowed = f"{k['tolerance']:.0e}" if "tolerance" in k else "-"
    return (k["kernel"], worst, allowed, *_times(k.get("forward")), *_times(k.get("both")), peak, *most, _result(k))


def _times(times: dict[str, Any] | None) -> tuple[str, str]:
    if times is None:
        return "-", "-"
    spread = f"{times['median_ms']:.3f} ({times['quarter_ms']:.3f} to {times['three_quarters_ms']:.3f})"
    return spread, f"{times['fraction']:.0%}" if "fraction" in times else "-"


def _error(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.2e}"


def _result(k: dict[str, Any]) -> str:
    if k["error"]:
        return f"failed: {k['error']}"
    if k["refusal"]:
        return f"cannot run here: {k['refusal']}"
    if k["right"] and "untimed" in k:
        return f"right, not timed: {k['untimed']}"
    return "right" if k["right"] else f"wrong: {', '.join(k['wrong'][:3])}"


def _answer(found: list[dict[str, Any]]) -> None:
    bad = [(one["op"], k) for one in found for k in one["kernels"] if k["error"] or k.get("right") is False]
    if bad:
        op, k = bad[0]
        raise AnswerIsNo(
            f"{len(bad)} of {sum(len(one['kernels']) for one in found)} kernels are not right: "
            f"`{k['kernel']}` of `{op}`, {_result(k)}",
            f"`golfreg plugins check {k['kernel'].partition(',')[0]} --kind kernel` tells more",
        )


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("golfreg", "torch", "triton"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
