"""``golfreg plugins``: what is installed, what failed to load and why, and whether a component keeps its contract."""

from __future__ import annotations

import dataclasses
import difflib
from typing import TYPE_CHECKING, Annotated

import typer

from golfreg.api import KINDS, AnswerIsNo, UnknownComponentError
from golfreg.api.links import docs_link
from golfreg.cli import complete, new_plugin
from golfreg.cli.component_status import facts, status, target_failures, target_faults, typed
from golfreg.cli.out import Out, plain

if TYPE_CHECKING:
    from golfreg.registry.host import Host
    from golfreg.registry.records import Registered
    from golfreg.testing import Outcome

app = typer.Typer(
    help="Components that are installed, and plugins that failed to load.\n\n"
    "Example: golfreg plugins list --kind codec",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Kind = Annotated[
    str | None,
    typer.Option(
        "--kind",
        autocompletion=complete.kinds,
        help=complete.KIND_NAMES,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(kind: Kind = None, as_json: AsJson = False) -> None:
    """List every component with its provider, and every plugin that failed with its cause.

    Imports plugins' descriptions only, never their implementations.

    Example: golfreg plugins list --kind codec --json
    """
    from golfreg.registry.host import DISABLE_VARIABLE, get_host
    from golfreg.registry.resolve import check_kind

    if kind is not None:
        check_kind(kind)
    out = Out(as_json)
    host = get_host()
    shown = [c for each in KINDS for c in host.of_kind(each) if kind in (None, each)]
    faults = target_faults(host.components)
    failures = [*host.failures, *target_failures(host, faults)]
    if as_json:
        out.json(
            {
                "components": [facts(c, host, faults) for c in shown],
                "failures": [
                    {
                        "plugin": f.plugin,
                        "distribution": f.provider.distribution,
                        "version": f.provider.version,
                        "module": f.provider.module,
                        "component": f.component,
                        "stage": f.stage,
                        "error": f.error,
                        "hint": f.hint,
                    }
                    for f in failures
                ],
                "disabled": [{"plugin": p.entry_point, "distribution": p.distribution} for p in host.disabled],
            }
        )
    else:
        out.table(
            ("kind", "name", "summary", "distribution", "status"),
            [
                (c.kind, typed(c), c.descriptor.summary, f"{c.distribution} {c.version}", status(c, host, faults))
                for c in shown
            ],
        )
        if failures:
            out.table(
                ("plugin", "distribution", "stage", "error", "hint"),
                [
                    (f.plugin, f"{f.provider.distribution} {f.provider.version}", f.stage, f.error, f.hint)
                    for f in failures
                ],
                title="Failed to load",
            )
            out.talk(f"{docs_link('errors#a-plugin-does-not-load')} says what each stage means and where to look")
        if host.disabled:
            names = ", ".join(sorted({p.distribution for p in host.disabled}))
            out.talk(f"{DISABLE_VARIABLE} disables {plain(names)}")
    if host.unused_disables:
        out.warn(f"{DISABLE_VARIABLE} names {', '.join(host.unused_disables)}, which no installed plugin is called")


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(help="Name of a component, as in `plugins list`.", autocompletion=complete.components(None))
    ],
    kind: Kind = None,
    as_json: AsJson = False,
) -> None:
    """Show one component: provider, target, and every setting with its type, default and meaning.

    Imports the implementation.

    Example: golfreg plugins show mamba3 --kind mixer
    """
    from golfreg.cli.show_component import details, print_details
    from golfreg.registry.host import get_host

    out = Out(as_json)
    host = get_host()
    named = _named(host, name, kind)
    faults = target_faults(named)
    found = [details(c, facts(c, host, faults)) for c in named]
    if as_json:
        out.json(found)
    else:
        for item in found:
            print_details(out, item)


@app.command()
def check(
    name: Annotated[
        str, typer.Argument(help="Name of a component, as in `plugins list`.", autocompletion=complete.components(None))
    ],
    kind: Kind = None,
    argument: Annotated[str | None, typer.Option(help="Argument of a corpus: what follows its colon.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the conformance kit over one component. Exit code 1 if a check fails.

    Example: golfreg plugins check zstd --kind codec
    """
    from golfreg.registry.host import get_host
    from golfreg.registry.resolve import resolve
    from golfreg.testing.kit import run_checks

    out = Out(as_json)
    outcomes = [
        (component, outcome)
        for component in _named(get_host(), name, kind)
        for outcome in run_checks(resolve(component.kind, name, op=component.op), argument=argument)
    ]
    if as_json:
        out.json(
            [{"kind": c.kind, "name": c.name, "op": c.op, **dataclasses.asdict(outcome)} for c, outcome in outcomes]
        )
    else:
        out.table(
            ("kind", "name", "check", "result", "reason"),
            [(c.kind, typed(c), o.check, _result(o), o.reason) for c, o in outcomes],
        )
    failed = [o for _, o in outcomes if not o.passed]
    if failed and not as_json:
        out.table(("failed check", "what to do"), [(o.check, o.advice) for o in failed])
        out.talk(f"{docs_link('reference/protocols')} says what a component of each kind provides")
    if unchecked := [o for _, o in outcomes if not o.checked]:
        out.warn(f"{len(unchecked)} of {len(outcomes)} checks had nothing to look at: {unchecked[0].reason}")
    if failed:
        raise AnswerIsNo(f"{len(failed)} of {len(outcomes)} checks failed", hint=failed[0].advice or failed[0].reason)


app.command()(new_plugin.new)


def _result(outcome: Outcome) -> str:
    return "failed" if not outcome.passed else "passed" if outcome.checked else "not checked"


def _named(host: Host, name: str, kind: str | None) -> list[Registered]:
    """Every component of that name; kinds share names, and a conflict is shown rather than refused."""
    from golfreg.registry.resolve import check_kind, resolve

    if kind is not None:
        check_kind(kind)
        found = host.named(kind, name)
        return found or [resolve(kind, name, host=host)]
    found = [c for c in host.components if c.name == name]
    if not found:
        near = difflib.get_close_matches(name, sorted({c.name for c in host.components}), 3)
        guess = f"did you mean {' or '.join(f'`{n}`' for n in near)}? " if near else ""
        failures = "; ".join(str(f) for f in host.failures if name in (f.plugin, f.provider.distribution))
        raise UnknownComponentError(
            f"no component is named `{name}`" + (f"; {failures}" if failures else ""), f"{guess}`golfreg plugins list`"
        )
    return found
