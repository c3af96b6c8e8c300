"""``golfreg kernels``: what kernels take of a GPU."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golfreg.api.errors import ConfigError, EnvironmentFault, PluginError, nearest
from golfreg.cli import complete
from golfreg.cli.out import Out, plain

if TYPE_CHECKING:
    from golfreg.registry.records import Registered

app = typer.Typer(
    help="Look at kernels.\n\nExample: golfreg kernels inspect mamba3_siso --arch sm_90",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def _group() -> None:
    pass


@app.command()
def inspect(
    op: Annotated[
        str,
        typer.Argument(
            help="Name of an op: `golfreg plugins list --kind op`.", autocompletion=complete.components("op")
        ),
    ],
    arch: Annotated[
        str, typer.Option("--arch", help="GPU architecture, such as sm_90 (H100) or sm_80 (A100).")
    ] = "sm_90",
    kernel: Annotated[
        list[str] | None, typer.Option("--kernel", help="Only this kernel; may be given several times.")
    ] = None,
    configuration: Annotated[
        list[str] | None, typer.Option("--configuration", help="Only this one; may be given several times.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compile every Triton kernel of an op, without a GPU: shared memory, registers and spills.

    Kernels without Triton have nothing to compile and are left out. The first time takes seconds for
    each kernel; Triton keeps what it compiled.

    Example: golfreg kernels inspect mamba3_siso --arch sm_90 --configuration bfloat16
    """
    from golfreg.kernels.inspect import architecture, inspect_kernel
    from golfreg.registry.resolve import load, resolve

    out, number = Out(as_json), architecture(arch)
    found: list[dict[str, Any]] = []
    with out.console(stderr=True).status("compiling") as status:
        for component in named_kernels(resolve("op", op).name, kernel):
            target = load(component)
            if not hasattr(target, "configurations"):
                if kernel:
                    raise PluginError(
                        f"kernel `{component.name}` of `{op}` does not say what to compile",
                        "a kernel in Triton says it with `configurations`: golfreg.api.protocols",
                    )
                continue
            usages = inspect_kernel(
                target, number, tuple(configuration or ()), lambda text: status.update(f"compiling {plain(text)}")
            )
            found += [{"implementation": component.name, **dataclasses.asdict(usage)} for usage in usages]
    if not found:
        raise EnvironmentFault(f"no installed kernel of `{op}` is made of Triton kernels that can be compiled")
    if as_json:
        out.json({"op": op, "arch": arch, "kernels": found})
    else:
        numbers = ("warps", "registers", "spilled B", "shared B", "programs")
        rows = [
            (f["implementation"], f["configuration"], f["kernel"], f["warps"], f["registers"], f["spilled_bytes"],
             f"{f['shared_bytes']:,}", f["programs"])
            for f in found
        ]  # fmt: skip
        out.table(("kernel", "configuration", "function", *numbers), rows, f"{op} on {arch}", right=numbers)
        out.talk("registers and spilled bytes are of one thread; programs: how many a multiprocessor holds at once")


def named_kernels(op: str, names: list[str] | None) -> list[Registered]:
    """The op's kernels whose libraries are here, or those named. ConfigError for one that it does not have."""
    from golfreg.registry.host import get_host

    registered = {c.name: c for c in get_host().of_kind("kernel") if c.op == op}
    for name in names or ():
        if name not in registered:
            raise ConfigError(f"op `{op}` has no kernel `{name}`", nearest(name, registered, f"kernels of `{op}`"))
    return [registered[n] for n in dict.fromkeys(names)] if names else [c for c in registered.values() if not c.missing]
