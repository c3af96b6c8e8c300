"""What the scoring process does once the network is cut (``golfreg.score.worker``).

The order is what makes the score one of the artifact's bytes: the harness and its libraries are
imported from the installation; the validation tokens are read; then the counted code is extracted,
every module of golfreg and of the plugins is served from there and nowhere else, files are closed
off, and only now does code of the artifact run.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import numpy as np
import torch
from safetensors.numpy import save

from golfreg.api.errors import EXIT_BUG, AnswerIsNo, EnvironmentFault, InputError
from golfreg.data.dataset import Dataset, open_dataset
from golfreg.pack.archive import extract_code
from golfreg.pack.container import Container, read_container
from golfreg.pack.modules import counted_packages
from golfreg.score import finder, landlock
from golfreg.score.evaluate import Scored, evaluate
from golfreg.score.guard import Guard
from golfreg.score.places import make_places
from golfreg.score.probe import Probe, ProbeReport, same_answer
from golfreg.score.stateful import Stateful
from golfreg.score.task import CODE_DIR, DOCUMENTS_FILE, RESULT_FILE, Task
from golfreg.score.windows import Windows, parse_windows


def main(task: Task, network: str) -> NoReturn:
    """Score, and leave the answer or the error in the scratch directory. ``network``: how it was cut."""
    guard = Guard(counted_packages())
    guard.install()
    try:
        answer: dict[str, Any] = {"result": _score(task, guard, network)}
    except BaseException as error:
        traceback.print_exc()
        answer = {"error": _explain(error, guard)}
    Path(task.scratch, RESULT_FILE).write_text(json.dumps(answer), "utf-8")
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads and exit handlers of the submission have no more business here.
    os._exit(0)


def _score(task: Task, guard: Guard, network: str) -> dict[str, Any]:
    events = os.fdopen(task.events, "w", encoding="utf-8")

    def tell(phase: str, done: int = 0, total: int = 0) -> None:
        print(json.dumps({"phase": phase, "done": done, "total": total}), file=events, flush=True)

    if task.threads:
        torch.set_num_threads(task.threads)
    dataset = open_dataset(task.dataset)
    tokens = dataset.validation_tokens()
    if len(tokens) < 2:
        raise InputError(f"the validation set of `{task.dataset}` has {len(tokens)} tokens", "nothing can be predicted")
    container = read_container(task.artifact)
    check_fits(container, dataset)
    windows = parse_windows(task.windows, task.sequence_length or container.header.sequence_length)
    device, dtype = _device(task), _dtype(task, container)
    files = _close(task, guard, container)

    clock = time.monotonic
    tell("decode")
    started = clock()
    model = _load(task, device, dtype)
    guard_stops(guard)
    decoded = clock()
    tell("probe")
    scored = Scored(model, component_names(container, guard), dataset.vocab_size, device, dtype)
    isolated = task.documents == "isolated"
    if windows.stateful:
        stateful = Stateful(scored, windows, len(tokens))
        report = Probe(stateful, tokens, dataset.bos_id).run(stateful.pairs, task.batch_tokens, task.probes, isolated)
        report.nats.clear()
    else:
        stateful = None
        report = Probe(scored, tokens, dataset.bos_id).run(windows, task.batch_tokens, task.probes, isolated)
    guard_stops(guard)
    probed = clock()
    tell("score", 0, len(tokens) - 1)
    tally = evaluate(
        scored, tokens, dataset.byte_table, windows, task.batch_tokens, dataset.bos_id,
        progress=lambda done, total: tell("score", done, total),
        check=lambda number, nats_BT: same_answer(scored, report, number, nats_BT),
        audit=stateful.audit if stateful else lambda window, inputs_BT, state, x_BTD: None,
    )  # fmt: skip
    guard_stops(guard)
    ended = clock()
    tell("done")
    score = tally.score()
    if not np.isfinite(score.nats):
        raise AnswerIsNo(f"{scored.name} has {score.nats} nats in all", "a logit is too large to be normalized")
    Path(task.scratch, DOCUMENTS_FILE).write_bytes(save(tally.documents()))
    error = tally.standard_error()
    return {
        "nats": score.nats,
        "tokens": score.tokens,
        "bytes": score.bytes,
        "nats_per_token": score.nats_per_token,
        "bits_per_byte": score.bits_per_byte,
        "documents": score.documents,
        **({} if error is None else {"standard_error": error}),
        "score_seconds": (decoded - started) + (ended - probed),
        "decode_seconds": decoded - started,
        "evaluate_seconds": ended - probed,
        "probe_seconds": probed - decoded,
        "artifact_sha256": container.sha256,
        "artifact_bytes": container.total_bytes,
        "dataset_fingerprint": dataset.fingerprint,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "dtype": str(dtype).removeprefix("torch."),
        "adapts": scored.adapts,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "peak_gpu_memory_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else 0,
        "isolation": "sockets" if network.startswith("none") else "namespace",
        "isolation_network": network,
        "isolation_files": files,
        **_window_facts(windows, len(tokens), task.documents),
        **_probe_facts(report),
    }


def _close(task: Task, guard: Guard, container: Container) -> str:
    """Extract the counted code, serve modules from it alone, close the files off. Returns how files are."""
    code_dir = Path(os.path.realpath(task.scratch), CODE_DIR)
    extract_code(container.code, code_dir)
    tops = {path.partition("/")[0].removesuffix(".py") for path in container.code}
    for top in tops:
        guard.names.setdefault(top, top)
    places = make_places(guard.names, [Path(task.artifact)], Path(task.scratch))
    # Forgotten modules are kept: their functions are this harness.
    _FORGOTTEN.extend(finder.serve(code_dir, guard.names)[1])
    files = landlock.restrict(places.readable_paths(), places.writable_paths())
    guard.watch_files(places, str(code_dir))
    return f"audit hook and {files}" if files == "landlock" else f"audit hook only ({files.removeprefix('none: ')})"


_FORGOTTEN: list[Any] = []


def _load(task: Task, device: torch.device, dtype: torch.dtype) -> Any:
    """Run the archived decoder; this is the first code of the artifact to run."""
    decode = importlib.import_module("golfreg.pack.decode")
    return decode.load_model(Path(task.artifact), str(device), str(dtype).removeprefix("torch."))


def guard_stops(guard: Guard) -> None:
    """AnswerIsNo with the first thing that the submission was refused, even if it caught the refusal."""
    if guard.violations:
        raise AnswerIsNo(
            guard.violations[0], "a score may use the artifact's bytes and the tokens before each target, nothing else"
        )


def check_fits(container: Container, dataset: Dataset) -> None:
    """InputError if the artifact was made for another alphabet than the dataset has."""
    header = container.header
    for what, made, found in (
        ("a vocabulary of", header.vocab_size, dataset.vocab_size),
        ("the document start (BOS)", header.bos_id, dataset.bos_id),
    ):
        if made != found:
            raise InputError(
                f"the artifact was made for {what} {made}; the dataset `{dataset.corpus}` with the tokenizer "
                f"`{dataset.tokenizer}` has {found}",
                "score with the corpus's tokenizer that the artifact was trained with: --tokenizer",
            )


def component_names(container: Container, guard: Guard) -> str:
    """Architecture and mixers, with the plugins that they come from, for messages."""
    header = container.header
    said = []
    for chosen in (header.architecture, *header.mixers.values()):
        top = chosen.target.partition(":")[0].partition(".")[0]
        plugin = f" of plugin `{guard.names.get(top, top)}`" if top != "golfreg" else ""
        if chosen is header.architecture or plugin:
            said.append(f"{chosen.kind} `{chosen.name}`{plugin}")
    return " with ".join(said)


def _device(task: Task) -> torch.device:
    if task.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(task.device)
    except RuntimeError:
        raise EnvironmentFault(f"there is no device `{task.device}`", "write `cpu` or `cuda`") from None


def _dtype(task: Task, container: Container) -> torch.dtype:
    name = container.header.dtype if task.dtype == "auto" else task.dtype
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


def _window_facts(windows: Windows, tokens: int, documents: str) -> dict[str, Any]:
    return {
        "windows": str(windows),
        "sequence_length": windows.length,
        "window_count": windows.count(tokens),
        "documents_mode": documents,
    }


def _probe_facts(report: ProbeReport) -> dict[str, Any]:
    return {
        "probes": report.positions,
        "probed_rows": report.rows,
        "probed_documents": report.documents,
        "largest_move_nats": report.largest_move_nats,
        "tolerance_nats": report.tolerance_nats,
    }


def _explain(error: BaseException, guard: Guard) -> dict[str, Any]:
    """An error as message, hint and exit code. Archived classes are others than ours, so they go by name."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if guard.violations:
        message, hint = guard.violations[0], "a score may use the artifact's bytes and earlier tokens, nothing else"
        return {"message": message, "hint": hint, "exit_code": AnswerIsNo.exit_code}
    if "GolfregError" in names:
        return {
            "message": str(getattr(error, "message", error)),
            "hint": getattr(error, "hint", None),
            "exit_code": int(getattr(error, "exit_code", 2)),
        }
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        said = str(error).splitlines()[0] if str(error) else "an allocation failed"
        return {"message": f"out of memory while scoring: {said}", "hint": "lower `score.batch_tokens`", "exit_code": 2}
    who = _who_raised(error.__traceback__, guard)
    if who is None:
        return {"message": "", "hint": None, "exit_code": EXIT_BUG, "traceback": traceback.format_exc()}
    if isinstance(error, finder.NotCounted):
        return {
            "message": f"{who} needs {error.name}: {error}",
            "hint": "import it while training or decoding too: what was loaded then is counted",
            "exit_code": AnswerIsNo.exit_code,
        }
    closed = "while scoring, files are closed but those of libraries and the artifact; was this one of them?"
    return {
        "message": f"{who} raised {type(error).__name__}: {error}",
        "hint": closed if isinstance(error, OSError) else None,
        "exit_code": AnswerIsNo.exit_code,
    }


def _who_raised(trace: TracebackType | None, guard: Guard) -> str | None:
    """The innermost frame of the submission in a traceback."""
    who = None
    while trace is not None:
        if guard.theirs(trace.tb_frame):
            who = guard.owner(trace.tb_frame)
        trace = trace.tb_next
    return who
