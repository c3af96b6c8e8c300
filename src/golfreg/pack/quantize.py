"""The quantize stage: trained weights to sections."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from golfreg.api.errors import InputError, PluginError
from golfreg.api.values import Budget, Role, Section
from golfreg.config.job import Job
from golfreg.config.plan import Chosen, Plan
from golfreg.data.dataset import open_dataset
from golfreg.kernels.build import build_model
from golfreg.pack.attribution import section_bytes, totals
from golfreg.pack.container import write_container
from golfreg.pack.header import Header
from golfreg.pack.sections import save_sections

SECTIONS_FILE = "sections.bin"
Measure = Callable[[Header, list[Section]], tuple[int, dict[str, int]]]


def run(job: Job) -> dict[str, Any]:
    """Quantize ``model.safetensors`` into ``sections.bin``; how many weights became codes, and at how many bits."""
    plan = job.plan
    if plan.threads:
        torch.set_num_threads(plan.threads)
    header = make_header(plan)
    weights = read_tensors(job.run_dir / "model.safetensors")
    roles = model_roles(header, weights)
    statistics: dict[str, dict[str, torch.Tensor]] = {}
    if plan.quantizer_needs:
        for key, value in read_tensors(job.run_dir / "statistics.safetensors").items():
            statistic, _, name = key.partition("/")
            statistics.setdefault(statistic, {})[name] = value
    quantizer = plan.quantizer
    facts: dict[str, Any] = {}
    device = "cuda" if plan.device == "cuda" and torch.cuda.is_available() else "cpu"
    measure = _measure(job)
    told: list[str] = []
    budget = make_budget(job, header, measure, device, told)

    def quantize(chosen: Chosen) -> list[Section]:
        chosen_header = dataclasses.replace(header, quantizer=chosen)
        own = dataclasses.replace(budget, pack_bytes=lambda sections: measure(chosen_header, sections)[0])
        found: list[Section] = chosen.load().quantize(weights, roles, statistics, own, chosen.make_config())
        return found

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        if plan.spec.fit:
            from golfreg.pack.fit import fit  # Here: code that is loaded counts.

            fitted = fit(
                quantizer, weights, roles, budget.cap_bytes, quantize,
                lambda chosen, sections: measure(dataclasses.replace(header, quantizer=chosen), sections), budget.tell,
            )  # fmt: skip
            quantizer, sections, facts = fitted.quantizer, fitted.sections, {"fit": fitted.facts}
        else:
            sections = quantize(quantizer)
    for text in dict.fromkeys(str(warning.message) for warning in said):
        job.tell("note", text=text)
    _check(quantizer, weights, sections)
    save_sections(job.run_dir / SECTIONS_FILE, dataclasses.replace(header, quantizer=quantizer), sections)
    return _facts(weights, sections) | facts | ({"told": told} if told else {})


def make_budget(job: Job, header: Header, measure: Measure, device: str, told: list[str]) -> Budget:
    """What the quantizer may spend, by the plan's cap and codec. ``told``: gets what it tells the user."""
    codec, config = job.plan.codec.load(), job.plan.codec.make_config()

    def tell(text: str) -> None:
        told.append(text)
        job.tell("note", text=text)

    return Budget(
        job.plan.limits.cap_bytes,
        lambda sections: measure(header, sections)[0],
        device,
        (lambda section: codec.cost_table(section, config)) if callable(getattr(codec, "cost_table", None)) else None,
        tell,
    )


def make_header(plan: Plan) -> Header:
    """The header of the plan's artifact."""
    dataset = open_dataset(plan.dataset_dir)
    return Header(
        architecture=plan.architecture, mixers=plan.mixers, ops=plan.ops, kernels=plan.kernels,
        quantizer=plan.quantizer, codec=plan.codec,
        vocab_size=dataset.vocab_size, sequence_length=plan.spec.train.sequence_length, bos_id=dataset.bos_id,
        dtype=plan.dtype,
    )  # fmt: skip


def model_roles(header: Header, weights: dict[str, torch.Tensor]) -> dict[str, Role]:
    """The role of every parameter, from a model without memory. Errors if the weights are another model's."""
    model, _ = build_model(
        header.architecture, header.mixers, header.ops, header.kernels,
        vocab_size=header.vocab_size, sequence_length=header.sequence_length, bos_id=header.bos_id,
        device="meta", dtype=header.dtype,
    )  # fmt: skip
    name = header.architecture.name
    parameters = dict(model.named_parameters())
    if kept := sorted(model.state_dict(keep_vars=True).keys() - dict(model.named_parameters(remove_duplicate=False))):
        raise PluginError(
            f"architecture `{name}` keeps the buffer `{kept[0]}`, which no artifact stores",
            "make it a parameter, or register it with persistent=False",
        )
    if other := sorted(parameters.keys() ^ weights.keys()):
        raise InputError(f"model.safetensors is not of architecture `{name}`: `{other[0]}` is in one of them only")
    for key, parameter in parameters.items():
        if parameter.shape != weights[key].shape:
            raise InputError(
                f"model.safetensors is not of architecture `{name}`: `{key}` has the shape {list(weights[key].shape)}, "
                f"the model's {list(parameter.shape)}"
            )
    roles: dict[str, Role] = header.architecture.load().roles(model)
    if other := sorted(parameters.keys() ^ roles.keys()):
        raise PluginError(f"architecture `{name}`: `roles` and the parameters differ in `{other[0]}`")
    return roles


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, on the CPU. InputError if it is missing or damaged."""
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"`{path}` cannot be read: {error}", "run the stage that writes it again") from None


def _measure(job: Job) -> Measure:
    """The size that the artifact would have, with the code known so far and all that may come to it; by role too."""
    codec, config, code_bytes = job.plan.codec.load(), job.plan.codec.make_config(), job.code_bytes

    def measure(header: Header, sections: list[Section]) -> tuple[int, dict[str, int]]:
        nonlocal code_bytes
        if code_bytes is None:
            # Here, because a script has the answer and need not hold what finds it.
            from golfreg.pack.estimate import estimated_code_bytes

            code_bytes = estimated_code_bytes(job)
        streams = codec.encode(sections, config)
        layouts = [s.layout for s in sections]
        shares = [size for size, _ in section_bytes(layouts, streams, [s.data for s in sections])]
        whole = len(write_container(header, layouts, streams, b"")) + code_bytes
        return whole, totals(layouts, shares, lambda y: y.role)

    return measure


def _check(quantizer: Chosen, weights: dict[str, torch.Tensor], sections: list[Section]) -> None:
    decoded = quantizer.load().dequantize(sections, quantizer.make_config())
    if other := sorted(decoded.keys() ^ weights.keys()):
        raise PluginError(f"quantizer `{quantizer.name}` does not give back `{other[0]}`, or gives it unasked")
    for name, weight in weights.items():
        if decoded[name].shape != weight.shape or not torch.isfinite(decoded[name]).all():
            raise PluginError(
                f"quantizer `{quantizer.name}` gives back `{name}` as {list(decoded[name].shape)}, "
                f"or with values that are not finite; it was {list(weight.shape)}"
            )


def _facts(weights: dict[str, torch.Tensor], sections: list[Section]) -> dict[str, Any]:
    parameters = sum(weight.numel() for weight in weights.values())
    elements = {
        part: sum(s.layout.count for s in sections if s.layout.part == part) for part in ("codes", "scale", "raw")
    }
    stored = sum(s.data.nbytes for s in sections)
    return {
        "parameters": parameters,
        "sections": len(sections),
        "codes": elements["codes"],
        "scales": elements["scale"],
        "raw": elements["raw"],
        "uncompressed_bytes": stored,
        "uncompressed_bits_per_parameter": 8 * stored / max(parameters, 1),
    }
