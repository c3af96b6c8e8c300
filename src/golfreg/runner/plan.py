"""Makes the plan of a run: every name resolved, every setting checked, device and kernels chosen."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, fields, replace
from math import prod
from pathlib import Path
from typing import Any

import torch

from golfreg.api.errors import ConfigError, EnvironmentFault, nearest
from golfreg.api.values import Role
from golfreg.config.load import Loaded
from golfreg.config.plan import Chosen, Limits, Plan, plan_to_dict
from golfreg.config.spec import CALIBRATION_SOURCES, RunSpec, TrainSettings
from golfreg.data.cache import dataset_dir_for, fetched_state
from golfreg.data.dataset import open_dataset
from golfreg.data.tokenizers import ByteTokenizer, read_tokenizer, sentencepiece_size
from golfreg.kernels.build import build_model, static_arguments
from golfreg.registry.host import get_host
from golfreg.registry.records import Registered
from golfreg.registry.resolve import load, resolve
from golfreg.registry.settings import config_values, make_config
from golfreg.rules.ruleset import load_ruleset
from golfreg.runner.kernels import choose_all, plain_choice
from golfreg.runner.observing import check_observers, unused_observers
from golfreg.runner.settings import component_settings, unused_tables
from golfreg.score.windows import parse_windows
from golfreg.train.orthogonalize import COEFFICIENTS
from golfreg.train.schedule import check_shapes
from golfreg.train.stage import rounded_parameters

MOST_PROCESSES = 8
"""That train together: the GPUs of one host."""


@dataclass(frozen=True)
class Planned:
    """A plan, and what a user wants to know of it before it runs.

    ``origins``: dotted key to where its value came from. ``parameters`` and ``flops_per_token``
    are None while the vocabulary is not known.
    """

    plan: Plan
    origins: dict[str, str]
    parameters: int | None
    flops_per_token: int | None
    warnings: list[str]
    observers: list[Chosen]
    """Who is told of the run; the plan knows nothing of them."""
    tensors: dict[str, tuple[tuple[int, ...], Role]] = field(default_factory=dict)
    """Shape and role of every parameter; empty while the vocabulary is not known."""

    def rows(self) -> list[tuple[str, str, str]]:
        """Every setting with its value and origin."""
        plan = self.plan
        tables: dict[str, dict[str, Any]] = {
            "": {"ruleset": plan.spec.ruleset, "seed": plan.spec.seed},
            **{f"{name}.": asdict(getattr(plan.spec, name)) for name in ("components", "data", "train", "score")},
            "architecture.": plan.architecture.config,
            **{f"mixer.{name}.": chosen.config for name, chosen in plan.mixers.items()},
            "quantizer.": plan.quantizer.config,
            "codec.": plan.codec.config,
        }
        if plan.spec.fit:
            tables[""]["fit"] = True
        tables[""]["observers"] = ",".join(c.name for c in self.observers) or "none"
        tables |= {f"observer.{c.name}.": c.config for c in self.observers}
        return [
            (prefix + key, str(value), self.origins.get(prefix + key, "default"))
            for prefix, table in tables.items()
            for key, value in table.items()
        ]


def make_plan(loaded: Loaded) -> Planned:
    """Resolve a spec. Every error of plugins and settings appears here, before anything is made."""
    spec = loaded.spec
    origins = {key: origin.text for key, origin in loaded.origins.items()}
    ruleset = load_ruleset(spec.ruleset)
    check_ranges(spec)
    check_observers(loaded)
    device, dtype = resolve_device(spec.train.device, spec.train.dtype)
    check_gpus(device, spec.train.nproc)

    architecture = resolve("architecture", spec.components.architecture)
    chosen_architecture = choose(loaded, architecture, origins, "architecture.")
    target = load(architecture)
    config = chosen_architecture.make_config()
    mixers, ops = {}, {}
    for position, name in enumerate(target.mixers(config)):
        mixer = resolve("mixer", name)
        mixers[name] = choose(loaded, mixer, origins, f"mixer.{name}.", flat=position == 0)
        ops.update({op: plain_choice(resolve("op", op)) for op in mixer.descriptor.ops})  # type: ignore[attr-defined]
    warnings = unused_tables(loaded, set(mixers)) + unused_observers(loaded)
    static = static_arguments((chosen.load(), chosen.make_config()) for chosen in mixers.values())
    described = [architecture.descriptor, *(resolve("mixer", name).descriptor for name in mixers)]
    own: dict[str, list[dict[str, Any]]] = {op: [] for d in described for op in getattr(d, "inline_ops", ())}
    own |= static_arguments([(target, config)])
    kernels, train_kernels = choose_all(
        {op: static.get(op, []) for op in ops}, own, spec.components.kernel, device, dtype
    )
    ops.update({op: plain_choice(resolve("op", op)) for op in kernels})

    quantizer = resolve("quantizer", spec.components.quantizer)
    codec = resolve("codec", spec.components.codec)
    corpus_name, colon, argument = spec.components.corpus.partition(":")
    corpus = resolve("corpus", corpus_name)
    check_argument(corpus, argument if colon else None)
    if ruleset.data.corpora and corpus_name not in ruleset.data.corpora:
        warnings.append(
            f"ruleset `{ruleset.name}` is for the corpus {' or '.join(ruleset.data.corpora)}:"
            f" a record with `{corpus_name}` cannot enter its leaderboard"
        )
    if spec.score.documents not in ruleset.score.documents:
        raise ConfigError(
            f"ruleset `{ruleset.name}` does not allow `score.documents = {spec.score.documents}`",
            f"it allows {', '.join(ruleset.score.documents)}",
        )
    if spec.train.steps and spec.train.seconds:
        warnings.append("`train.seconds` has no effect: `train.steps` is set")
    if spec.train.fake_quant_skip and not spec.train.fake_quant_fraction:
        warnings.append("`train.fake_quant_skip` has no effect: `train.fake_quant_fraction` is 0")
    if spec.train.seconds > ruleset.limits.train_seconds:
        raise ConfigError(
            f"`train.seconds = {spec.train.seconds:g}` is over the {ruleset.limits.train_seconds:g} s"
            f" of ruleset `{ruleset.name}`",
            "choose another ruleset with `--ruleset`",
        )
    chosen_quantizer = choose(loaded, quantizer, origins, "quantizer.")
    if spec.fit:
        from golfreg.pack.fit import check_fit

        check_fit(chosen_quantizer)
    warnings += check_quantization(spec.train, chosen_quantizer.name, load(quantizer))
    plan = Plan(
        spec=spec,
        spec_digest="",
        architecture=chosen_architecture,
        mixers=mixers,
        quantizer=chosen_quantizer,
        quantizer_needs=tuple(sorted(load(quantizer).needs)),
        codec=choose(loaded, codec, origins, "codec."),
        corpus=replace(plain_choice(corpus), argument=argument if colon else None),
        ops=ops,
        kernels=kernels,
        train_kernels=train_kernels,
        limits=ruleset.as_limits(),
        track=ruleset.track,
        device=device,
        dtype=dtype,
        compile=resolve_switch("train.compile", spec.train.compile, device == "cuda"),
        threads=spec.train.threads or len(os.sched_getaffinity(0)),
        dataset=str(
            dataset_dir_for(
                corpus_name,
                argument if colon else None,
                spec.data,
                fetched_state(load(corpus), argument if colon else None),
            )
        ),
    )
    plan = replace(plan, spec_digest=digest(plan))
    tensors, flops = count(plan, target, config)
    parameters = sum(prod(shape) for shape, _ in tensors.values()) if tensors else None
    if tensors:
        rounded_parameters(tensors, spec.train.fake_quant_skip)
    observers = [
        choose(loaded, resolve("observer", name), origins, f"observer.{name}.", flat=False) for name in loaded.observers
    ]
    return Planned(plan, origins, parameters, flops, warnings, observers, tensors)


def choose(loaded: Loaded, component: Registered, origins: dict[str, str], prefix: str, *, flat: bool = True) -> Chosen:
    """A component with its whole configuration; the origin of each value is noted under ``prefix``."""
    if programs := component.descriptor.programs:
        raise ConfigError(
            f"{component.label} runs the program {' and '.join(f'`{p}`' for p in programs)}: a submission runs no"
            " program while it is scored",
            f"choose another {component.kind}; `golfreg bench codecs` compares this one with the others",
        )
    values, where = component_settings(loaded, component, flat=flat)
    if component.kind == "codec" and hasattr(load(component), "narrowed"):
        values = {**values, "codecs": codec_targets(values.get("codecs"), component)}
    config = make_config(load(component), values, f"{component.kind} `{component.name}`")
    for f in fields(config):
        origins[prefix + f.name] = where.get(f.name, "default")
    return replace(plain_choice(component), config=config_values(config))


def codec_targets(names: Any, chooser: Registered) -> Any:
    """The targets of codecs by name; of all others that are installed and run no program if there are no names."""
    if names is None:
        usable = [c for c in get_host().of_kind("codec") if c.target != chooser.target and not c.descriptor.programs]
        return [c.target for c in usable if not c.missing and c.name != "none"]
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return names
    found = [resolve("codec", name) for name in names]
    for component in found:
        if component.descriptor.programs or component.target == chooser.target:
            raise ConfigError(
                f"{chooser.label} cannot choose {component.label}: a submission runs no program while it is scored"
                if component.descriptor.programs
                else f"{chooser.label} cannot choose itself",
                "leave it out of `codec.codecs`",
            )
    return [component.target for component in found]


def resolve_device(device: str, dtype: str) -> tuple[str, str]:
    """``cpu`` or ``cuda`` and the compute type."""
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"`train.device = {device}` is no device", "it is `auto`, `cpu` or `cuda`")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise EnvironmentFault("`train.device = cuda`, but torch finds no GPU", "run with `--device cpu`")
    if dtype not in ("auto", "float32", "bfloat16"):
        raise ConfigError(f"`train.dtype = {dtype}` is not offered", "it is `auto`, `float32` or `bfloat16`")
    return device, ("bfloat16" if device == "cuda" else "float32") if dtype == "auto" else dtype


def check_gpus(device: str, processes: int) -> None:
    """EnvironmentFault if there are fewer GPUs than processes that train on one."""
    if device == "cuda" and processes > torch.cuda.device_count():
        raise EnvironmentFault(
            f"`train.nproc = {processes}`, but torch finds {torch.cuda.device_count()} GPUs",
            f"train with `--nproc {torch.cuda.device_count()}`: the same recipe, in more micro-batches",
        )


def resolve_switch(key: str, value: str, automatic: bool) -> bool:
    """``on``, ``off`` or ``auto``."""
    if value not in ("on", "off", "auto"):
        raise ConfigError(f"`{key} = {value}` is no switch", "it is `on`, `off` or `auto`")
    return automatic if value == "auto" else value == "on"


def check_ranges(spec: RunSpec) -> None:
    """Settings that no component checks. ConfigError with what would be right."""
    train, score, data = spec.train, spec.score, spec.data
    at_least_one = {
        "train.sequence_length": train.sequence_length,
        "train.batch_tokens": train.batch_tokens,
        "train.nproc": train.nproc,
        "train.muon_iterations": train.muon_iterations,
        "score.batch_tokens": score.batch_tokens,
        "data.tokenizer_train_bytes": data.tokenizer_train_bytes,
    }
    for key, value in at_least_one.items():
        if value < 1:
            raise ConfigError(f"`{key} = {value}` is out of range", "it is at least 1")
    for table, name in ((train, "train"), (score, "score"), (data, "data")):
        for f in fields(table):
            value = getattr(table, f.name)
            if isinstance(value, int | float) and value < 0:
                raise ConfigError(f"`{name}.{f.name} = {value}` is out of range", "it is at least 0")
    for key in ("muon_momentum", "muon_momentum_start", "ema_decay", "adam_beta1", "adam_beta2"):
        if getattr(train, key) >= 1:
            raise ConfigError(f"`train.{key} = {getattr(train, key)}` is out of range", "it is below 1")
    if train.nproc > MOST_PROCESSES:
        raise ConfigError(f"`train.nproc = {train.nproc}` is out of range", f"it is at most {MOST_PROCESSES}")
    for key in ("warmdown_fraction", "fake_quant_fraction"):
        if getattr(train, key) > 1:
            raise ConfigError(f"`train.{key} = {getattr(train, key)}` is out of range", "it is at most 1")
    check_shapes(train)
    if train.muon_coefficients not in COEFFICIENTS:
        raise ConfigError(
            f"`train.muon_coefficients = {train.muon_coefficients}` is not known", f"it is {' or '.join(COEFFICIENTS)}"
        )
    if train.order not in ("shuffled", "sequential"):
        raise ConfigError(f"`train.order = {train.order}` is not known", "it is `shuffled` or `sequential`")
    if train.calibration_source not in CALIBRATION_SOURCES:
        raise ConfigError(
            f"`train.calibration_source = {train.calibration_source}` is not known",
            nearest(train.calibration_source, CALIBRATION_SOURCES, "it is one of"),
        )
    if score.documents not in ("isolated", "stream"):
        raise ConfigError(f"`score.documents = {score.documents}` is not known", "it is `isolated` or `stream`")
    parse_windows(score.windows, score.sequence_length or train.sequence_length)


def check_quantization(train: TrainSettings, name: str, target: Any) -> list[str]:
    """Warnings for settings of calibration and late quantization that have no effect with this quantizer.

    ConfigError if it cannot take part in training.
    """
    if train.fake_quant_fraction and not callable(getattr(target, "fake_quant", None)):
        raise ConfigError(
            f"`train.fake_quant_fraction = {train.fake_quant_fraction}`: quantizer `{name}` has no `fake_quant`",
            "choose `gptq` or `int6`, or set it to 0",
        )
    if train.calibration_source != TrainSettings.calibration_source and not target.needs:
        return [f"`train.calibration_source` has no effect: quantizer `{name}` needs no statistics"]
    return []


def check_argument(corpus: Registered, argument: str | None) -> None:
    """Some corpora need an argument after a colon, others take none."""
    wanted = getattr(corpus.descriptor, "argument", None)
    if wanted and not argument:
        raise ConfigError(f"corpus `{corpus.name}` needs an argument", f"write `--corpus {corpus.name}:{wanted}`")
    if argument and not wanted:
        raise ConfigError(f"corpus `{corpus.name}` takes no argument", f"write `--corpus {corpus.name}`")


def digest(plan: Plan) -> str:
    """Names the configuration: all that decides a run but its seed and where its data lies."""
    table = plan_to_dict(plan)
    del table["dataset"], table["spec_digest"], table["spec"]["seed"]
    if table["limits"]["code"] == Limits.code:
        del table["limits"]["code"]  # Configurations from before there was a choice keep their names.
    if not table["spec"]["fit"]:
        del table["spec"]["fit"]
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()[:16]


def vocabulary(plan: Plan) -> tuple[int, int | None] | None:
    """(vocabulary size, BOS) if it is known without reading the corpus."""
    if (plan.dataset_dir / "dataset.toml").exists():
        dataset = open_dataset(plan.dataset_dir)
        return dataset.vocab_size, dataset.bos_id
    tokenizer = plan.spec.data.tokenizer
    if tokenizer == ByteTokenizer.name:
        return ByteTokenizer.vocab_size, ByteTokenizer.bos_id
    if getattr(resolve("corpus", plan.corpus.name).descriptor, "shards", False):
        return None
    size = sentencepiece_size(tokenizer)
    if size is not None:
        return size, 1
    read = read_tokenizer(Path(tokenizer))
    return read.vocab_size, read.bos_id


def count(plan: Plan, target: Any, config: Any) -> tuple[dict[str, tuple[tuple[int, ...], Role]], int | None]:
    """Shapes and roles of the parameters, and FLOPs per token, without allocating the weights; none while the
    vocabulary is not known.

    A quantizer's config that names roles (``check_roles``) is asked whether this model has them.
    """
    known = vocabulary(plan)
    with torch.device("meta"):
        model, context = build_model(
            plan.architecture,
            plan.mixers,
            plan.ops,
            plan.kernels,
            vocab_size=known[0] if known else ByteTokenizer.vocab_size,
            sequence_length=plan.spec.train.sequence_length,
            bos_id=known[1] if known else None,
            device="meta",
            dtype=plan.dtype,
        )
    roles = target.roles(model)
    if check_roles := getattr(plan.quantizer.make_config(), "check_roles", None):
        try:
            check_roles(roles.values())
        except ConfigError as error:
            raise ConfigError(f"quantizer `{plan.quantizer.name}`: {error.message}", error.hint) from error
    if known is None:
        return {}, None
    tensors = {name: (tuple(p.shape), roles.get(name, Role("scalar"))) for name, p in model.named_parameters()}
    return tensors, target.flops_per_token(config, context)
