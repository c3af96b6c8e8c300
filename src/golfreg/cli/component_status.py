"""What the list of components says of each: how it is typed, whether it can be used, where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from golfreg.registry.host import Host
    from golfreg.registry.records import Failure, Registered


def typed(component: Registered) -> str:
    """The name as a user types or reads it: `jsonl:PATH`, `triton (mamba3_siso)`."""
    argument = getattr(component.descriptor, "argument", None)
    if component.op:
        return f"{component.name} ({component.op})"
    return f"{component.name}:{argument}" if argument else component.name


def target_faults(components: Iterable[Registered]) -> dict[str, str]:
    """Targets that are not there, as far as that can be seen without importing them, with what is wrong."""
    from golfreg.registry.check import target_fault

    targets = dict.fromkeys(c.target for c in components if not c.missing)
    return {target: fault for target in targets if (fault := target_fault(target))}


def target_failures(host: Host, faults: Mapping[str, str]) -> list[Failure]:
    from golfreg.registry.records import Failure

    return [
        Failure(c.provider, "target", faults[c.target], f"report it to the author of {c.distribution}", c.label)
        for c in host.components
        if c.target in faults and not c.missing
    ]


def status(component: Registered, host: Host, faults: Mapping[str, str]) -> str:
    if rivals := host.rivals(component):
        return f"conflict with {', '.join(str(c.provider) for c in rivals)}"
    if component.missing:
        return f"missing {', '.join(component.missing)}"
    if component.missing_programs:
        return f"missing the program {', '.join(component.missing_programs)}"
    if component.target in faults:
        return faults[component.target]
    if component.descriptor.programs and component.kind != "corpus":
        return f"ok, but not in a run: it runs {', '.join(component.descriptor.programs)}"
    return "ok"


def facts(component: Registered, host: Host, faults: Mapping[str, str]) -> dict[str, Any]:
    descriptor = component.descriptor
    return {
        "kind": component.kind,
        "name": component.name,
        "op": component.op,
        "argument": getattr(descriptor, "argument", None),
        "summary": descriptor.summary,
        "target": component.target,
        "requires": list(descriptor.requires),
        "programs": list(descriptor.programs),
        "defaults": dict(getattr(descriptor, "defaults", {})),
        "plugin": component.provider.entry_point,
        "distribution": component.distribution,
        "version": component.version,
        "module": component.module,
        "status": status(component, host, faults),
    }
