"""Training logs of the challenge: the figures of the run that a log ends with.

A log may echo its script first, hold several runs, and end with several scores. A line counts only
where it begins as the reference script and its descendants print it, so that echoed source is not
taken for output. Seconds, bytes and counts are as logged.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace

from golfreg.leaderboard.challenge import tolerant

MAX_LINE = 2_000
MAX_METRICS = 50
MAX_SETTINGS = 500
_STAMP = re.compile(r"^\d{10}\.\d+ ")
_METRIC = re.compile(
    r"(?P<tag>(?:final|quantized|legal_ttt|post_quant|ttt_final)[A-Za-z0-9_.+-]{0,60})(?P<about>[^(\"'{}]{0,80}?)"
    r"[ :]val_loss[:=] ?(?P<nats>\d{1,4}\.\d{1,12})(?: \w+)?[ ,]+val_bpb[:=] ?"
    r"(?P<bpb>\d{1,3}\.\d{1,12})(?P<rest>.{0,200})"
)
_SECONDS = re.compile(r"\b(?:eval_)?time:(\d{1,10})ms")
_LINES: dict[str, re.Pattern[str]] = {
    "parameters": re.compile(r"(?:model_params:|(?:[A-Za-z-]+ (?:LLM )?\| )?params:)\s*(\d[\d,]{0,15})\b"),
    "seed": re.compile(r"seed:\s*(\d{1,18})\s*$"),
    "seed_short": re.compile(r".{0,20}\bparams:.* s:(\d{1,18})\s*$"),
    "stop": re.compile(r"stopping_early: wallclock_cap train_time: ?(\d{1,12})ms(?: step: ?(\d{1,9})/)?"),
    "step": re.compile(r"step:(\d{1,9})/\d{1,9} .*?\btrain_time:(\d{1,12})ms(?: step_avg:(\d{1,9}\.\d{1,6})ms)?"),
    "short_step": re.compile(r"(\d{1,9})/\d{1,9} (?:train|val)_loss: "),
    "code": re.compile(r"Code size(?: \(compressed\))?: (\d{1,9}) bytes"),
    "code_plain": re.compile(r"Code size \(uncompressed\): (\d{1,9}) bytes"),
    "model": re.compile(r"(?:Serialized model \S{1,60}:|\S{1,20} model:) (\d{1,12}) bytes"),
    "total": re.compile(r"Total submission size(?: \S{1,60})?: (\d{1,12}) bytes"),
    "total_inline": re.compile(r".{0,80}\| Total submission: (\d{1,12}) bytes"),
    "code_inline": re.compile(r"(?:Raw model: .{0,60}\| Code: |artifact:.{0,120} code:)(\d{1,9})\b"),
    "budget": re.compile(r"budget:(\d{1,12})/\d{1,12} "),
    "hessians": re.compile(r"(?:GPTQ|gptq):collected .{0,60}? in (\d{1,6}\.\d{1,3})s"),
    "generated": re.compile(r"(?:GPTQ|gptq):generated .{0,60}? in (\d{1,6}\.\d{1,3})s"),
    "score_total": re.compile(r"total_eval_time: ?(\d{1,7}\.\d{1,3})s"),
}
_SETTING = re.compile(r"  ([a-z][a-z0-9_]{0,60}): (.{0,200})")
_PAIRS = re.compile(r"(?:[a-z][a-z0-9_]{1,60}:[^\s:]{1,80})(?: [a-z][a-z0-9_]{1,60}:[^\s:]{1,80})+")
_NAME_SEED = re.compile(r"seed[_-]?(\d{1,18})(?!\d)|_s(\d{1,18})\.(?:txt|log)$", re.IGNORECASE)
_OF_THE_RUN = re.compile(
    r"seed|run_id|.*(?:path|dir|files|file|logfile|rank|device|world_size|main_process|eval_only).*"
)
"""Settings that differ from seed to seed by their nature."""


@dataclass(frozen=True)
class Metric:
    """One final score. ``seconds``: of that pass, where the line says so."""

    tag: str
    nats_per_token: float
    bits_per_byte: float
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class LogFacts:
    """The last run of a log that has a score, or what there is. None: not said.

    ``calibrate_seconds``: on training data; ``generated_seconds``: making calibration text with the
    model, and gathering from it. ``code_plain_bytes``: of the script before packing, where both are said.
    ``complete_runs``: how many runs of this log ended with a score.
    """

    name: str
    digest: str = ""
    complete_runs: int = 0
    seed: int | None = None
    metrics: tuple[Metric, ...] = ()
    parameters: int | None = None
    steps: int | None = None
    train_seconds: float | None = None
    milliseconds_per_step: float | None = None
    calibrate_seconds: float | None = None
    generated_seconds: float | None = None
    score_total_seconds: float | None = None
    total_bytes: int | None = None
    model_bytes: int | None = None
    code_bytes: int | None = None
    code_plain_bytes: int | None = None
    settings: dict[str, str] = field(default_factory=dict)
    tokenizer_files: str = ""
    """Names of tokenizer and data, as echoed."""

    @property
    def name_seed(self) -> int | None:
        """The seed in the file's name."""
        match = _NAME_SEED.search(self.name)
        return int(match[1] or match[2]) if match else None

    @property
    def key(self) -> int | None:
        """The seed that the log goes by: its name's, else what it says."""
        return self.seed if self.name_seed is None else self.name_seed

    @property
    def passes_seconds(self) -> float | None:
        """All final passes together, or what the log says they took; None where no time is said."""
        if self.score_total_seconds is not None:
            return self.score_total_seconds
        said = [metric.seconds for metric in self.metrics if metric.seconds is not None]
        return sum(said) if said else None


def read_log(name: str, data: bytes) -> LogFacts:
    """The figures of a log, whatever is in it."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    reader = _LogReader(name)
    for line in data.decode(encoding, errors="replace").splitlines():
        if line and len(line) <= MAX_LINE:
            reader.take(_STAMP.sub("", line).rstrip())
    return replace(reader.result(), digest=hashlib.sha256(data).hexdigest())


class _LogReader:
    """Reads line by line; a new ``model_params`` after a score begins another run."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.complete: list[LogFacts] = []
        self.begin()

    def begin(self) -> None:
        self.values: dict[str, float] = {}
        self.metrics: list[Metric] = []
        self.settings: dict[str, str] = {}
        self.tokenizer_files = ""
        self.in_block = False

    def take(self, line: str) -> None:
        if self.in_block or line.startswith("  "):
            self._setting(line)
        if line[:1].isspace():
            return
        if match := _METRIC.match(line):
            self._metric(match)
            return
        for kind, pattern in _LINES.items():
            if found := pattern.match(line):
                self._value(kind, found)
                if kind not in ("parameters", "seed_short"):
                    return
        if line.startswith(("val_bpb:enabled", "val_bpb_enabled")):
            self.tokenizer_files += f" {line}"
        elif line.startswith("Hyperparameters"):
            self.in_block = True
        elif "steps" not in self.values and _PAIRS.fullmatch(line):
            self._keep(pair.split(":", 1) for pair in line.split(" "))

    def _setting(self, line: str) -> None:
        match = _SETTING.fullmatch(line) if self.in_block else None
        if match:
            self._keep([[match[1], match[2].strip()]])
        elif line[:1] != " ":
            self.in_block = False

    def _keep(self, pairs: object) -> None:
        for name, value in pairs:  # type: ignore[attr-defined]
            if name == "seed" and value.isdigit():
                self.values["seed"] = int(value)
            if len(self.settings) < MAX_SETTINGS and not _OF_THE_RUN.fullmatch(name):
                self.settings[name] = value
            if name in ("tokenizer_path", "datasets_dir", "val_bytes_files"):
                self.tokenizer_files += f" {value}"

    def _metric(self, match: re.Match[str]) -> None:
        tag, nats, bpb = match["tag"], float(match["nats"]), float(match["bpb"])
        seconds = _SECONDS.search(match["rest"])
        if "sliding" in match["about"] and "sliding" not in tag:
            tag += " sliding"
        if "_exact" in tag:
            tag = tag.replace("_exact", "")
            for place, metric in enumerate(self.metrics):
                if abs(metric.bits_per_byte - bpb) <= 1e-4 and (metric.tag == tag or metric.bits_per_byte == bpb):
                    self.metrics[place] = replace(metric, nats_per_token=nats, bits_per_byte=bpb)
                    return
        if len(self.metrics) < MAX_METRICS:
            self.metrics.append(Metric(tag, nats, bpb, float(seconds[1]) / 1000 if seconds else None))

    def _value(self, kind: str, found: re.Match[str]) -> None:
        if kind == "parameters":
            if self.metrics:
                self.complete.append(self._facts())
                self.begin()
            self.values["parameters"] = int(found[1].replace(",", ""))
        elif kind in ("stop", "step"):
            self.values["train_ms"] = int(found[1 if kind == "stop" else 2])
            if kind == "step" or found[2]:
                self.values["steps"] = int(found[2 if kind == "stop" else 1])
            if kind == "step" and found[3]:
                self.values["step_ms"] = float(found[3])
        elif kind == "short_step":
            self.values["steps"] = int(found[1])
        else:
            name = {"seed_short": "seed", "total_inline": "total", "budget": "total", "code_inline": "code"}
            self.values[name.get(kind, kind)] = float(found[1])
            if kind == "total_inline" and (model := _LINES["model"].match(found[0])):
                self.values["model"] = float(model[1])

    def _facts(self) -> LogFacts:
        values = self.values
        whole = {name: int(values[name]) for name in values if name not in ("step_ms",)}
        train = values["train_ms"] / 1000 if "train_ms" in values else None
        steps = whole.get("steps")
        average = 1000 * train / steps if train and steps else values.get("step_ms")
        generated = values.get("generated")
        hessians = values.get("hessians")
        return LogFacts(
            name=self.name,
            seed=whole.get("seed"),
            metrics=tuple(self.metrics),
            parameters=whole.get("parameters"),
            steps=steps,
            train_seconds=train,
            milliseconds_per_step=None if average is None else round(average, 3),
            calibrate_seconds=hessians if generated is None else None,
            generated_seconds=None if generated is None else max(generated, hessians or 0.0),
            score_total_seconds=values.get("score_total"),
            total_bytes=whole.get("total"),
            model_bytes=whole.get("model"),
            code_bytes=whole.get("code"),
            code_plain_bytes=whole.get("code_plain"),
            settings=self.settings,
            tokenizer_files=self.tokenizer_files[:2_000],
        )

    def result(self) -> LogFacts:
        last = self._facts()
        if last.metrics or not self.complete:
            self.complete.append(last)
        runs = sum(bool(run.metrics) for run in self.complete)
        return replace(self.complete[-1], complete_runs=runs, name=tolerant.printable(self.name))
