"""How long ``golfreg leaderboard show`` takes on a large leaderboard.

    python bench/leaderboard_show.py --entries 10000

makes a leaderboard of that many entries of three seeds in a temporary directory, each with scores,
sizes, times, digests and settings of its own, from a record of the shipped leaderboard, and times
whole processes: without an index, with one, after one entry changed. Seconds of CPU are those of the
first process and of those that it started to read. ``--keep DIR`` leaves the leaderboard there, or
uses the one that is there.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

SHIPPED = Path(__file__).parents[1] / "leaderboard" / "cpu-smoke"
ARCHITECTURES = ("mamba3", "transformer", "gated-deltanet", "hybrid")
QUANTIZERS = ("int6", "int8", "ternary", "gptq")
CODECS = ("lzma", "zlib", "brotli", "ans")
FIRST_DAY = date(2025, 1, 1)


def fill(template: str, facts: dict[str, object]) -> str:
    """The record with the values of ``section.key`` replaced."""
    lines, section = [], ""
    for line in template.split("\n"):
        if line.startswith("["):
            section = line[1:-1] + "."
        key = section + line.partition(" = ")[0]
        if key in facts:
            value = facts[key]
            line = f"{line.partition(' = ')[0]} = " + (f'"{value}"' if isinstance(value, str) else repr(value))
        lines.append(line)
    return "\n".join(lines)


def make_board(root: Path, entries: int) -> None:
    """Write the leaderboard. About one entry in fifty breaks a rule."""
    template = next(SHIPPED.glob("*/runs/seed_1.toml")).read_text("utf-8")
    draw = random.Random(0)
    for number in range(entries):
        day = FIRST_DAY + timedelta(days=draw.randrange(480))
        make_entry(root / "cpu-smoke" / f"{day}_entry-{number:05d}", template, day, draw)


def make_entry(directory: Path, template: str, day: date, draw: random.Random) -> None:
    """Three records and what they add up to."""
    (directory / "runs").mkdir(parents=True)
    level = 2.2 + draw.expovariate(3)
    architecture, quantizer, codec = draw.choice(ARCHITECTURES), draw.choice(QUANTIZERS), draw.choice(CODECS)
    shared: dict[str, object] = {
        "run.date": f"{day}T{draw.randrange(24):02d}:{draw.randrange(60):02d}:00Z",
        "run.name": directory.name[11:],
        "components.architecture.name": architecture,
        "components.quantizer.name": quantizer,
        "components.codec.name": codec,
        "settings.components.architecture": architecture,
        "settings.components.quantizer": quantizer,
        "settings.components.codec": codec,
        "settings.architecture.d_model": 32 * draw.randint(2, 12),
        "settings.architecture.n_layers": draw.randint(2, 12),
        "settings.train.matrix_lr": round(draw.uniform(0.005, 0.05), 4),
        "settings.train.warmdown_fraction": round(draw.uniform(0.1, 0.9), 3),
        "settings.mixer.mamba3.d_state": 16 * draw.randint(1, 8),
        "settings.quantizer.clip_std": round(draw.uniform(0, 20), 2),
        "settings.codec.dict_size": 2 ** draw.randint(10, 20),
        "train.parameters": draw.randint(500_000, 3_000_000),
    }
    scores, nats, sizes = [], [], []
    for seed in (1, 2, 3):
        facts = {**shared, **seed_facts(seed, level + draw.gauss(0, 0.005), draw)}
        (directory / "runs" / f"seed_{seed}.toml").write_text(fill(template, facts), "utf-8")
        scores.append(facts["score.bits_per_byte"])
        nats.append(facts["score.nats_per_token"])
        sizes.append(facts["sizes.total_bytes"])
    mean = math.fsum(scores) / 3
    if draw.random() < 0.02:
        mean -= 0.1
    std = math.sqrt(math.fsum((score - math.fsum(scores) / 3) ** 2 for score in scores) / 2)
    (directory / "entry.toml").write_text(
        f'schema = 1\nname = "{directory.name[11:]}"\nauthor = "author {draw.randrange(300)}"\ntrack = "cpu-smoke"\n'
        f'ruleset = "cpu-smoke"\ndate = "{day}"\nstatus = "claimed"\nreason = ""\nbased_on = []\n'
        f'techniques = [\n    "ema",\n    "technique-{draw.randrange(50)}",\n]\n\n[declared]\n'
        f"bits_per_byte_mean = {mean!r}\nbits_per_byte_std = {std!r}\n"
        f"nats_per_token_mean = {math.fsum(nats) / 3!r}\nbytes_max = {max(sizes)}\n"
        "seeds = [\n    1,\n    2,\n    3,\n]\n",
        "utf-8",
    )
    (directory / "README.md").write_text(f"# {directory.name[11:]}\n", "utf-8")


def seed_facts(seed: int, bits_per_byte: float, draw: random.Random) -> dict[str, object]:
    """What differs from seed to seed, as a run would record it."""
    tokens, scored = 213_631, 467_909
    nats = bits_per_byte * math.log(2) * scored
    roles = {role: draw.randint(5_000, 300_000) for role in ("embedding", "in_proj", "mlp_down", "mlp_up", "out")}
    roles["scalar"] = draw.randint(1_000, 9_000)
    code, weights, header = draw.randint(20_000, 60_000), sum(roles.values()), draw.randint(1_000, 2_000)
    total = code + weights + header
    return {
        "run.seed": seed,
        "settings.seed": seed,
        "run.spec_digest": f"{draw.getrandbits(64):016x}",
        "score.nats": nats,
        "score.nats_per_token": nats / tokens,
        "score.bits_per_byte": nats / math.log(2) / scored,
        "sizes.code_bytes": code,
        "sizes.weight_bytes": weights,
        "sizes.header_bytes": header,
        "sizes.total_bytes": total,
        "sizes.headroom_bytes": 16_000_000 - total,
        **{f"sizes.by_role.{role}": size for role, size in roles.items()},
        "times.data_seconds": draw.uniform(1, 9),
        "times.train_seconds": draw.uniform(30, 44.9),
        "times.quantize_seconds": draw.uniform(1, 9),
        "times.pack_seconds": draw.uniform(1, 9),
        "times.score_seconds": draw.uniform(5, 59),
        "train.steps": draw.randint(100, 900),
        "train.tokens": draw.randint(100_000, 900_000),
        "train.final_loss": draw.uniform(3, 5),
        "artifact.sha256": f"{draw.getrandbits(256):064x}",
        "artifact.bytes": total,
    }


PROGRAM = """
import atexit, resource, sys
atexit.register(lambda: print(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]), file=sys.stderr))
from golfreg.cli.main import main
main()
"""
"""golfreg, that says at its end how many seconds of CPU its first process took."""


def show(root: Path, cache: Path, *options: str) -> tuple[float, float, float, int]:
    """Seconds of wall clock, seconds of CPU of the first process and of those it started, characters of output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "leaderboard", "show", "--root", str(root), *options],
        env={**os.environ, "GOLFREG_CACHE": str(cache)},
        capture_output=True,
        check=True,
    )
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    first = float(done.stderr.split()[-1])
    return seconds, first, max(0.0, cpu - first), len(done.stdout)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--entries", type=int, default=10_000)
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--keep", type=Path)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = chosen.keep or Path(temporary) / "leaderboard"
        if not root.exists():
            start = time.perf_counter()
            make_board(root, chosen.entries)
            print(f"made {chosen.entries:,} entries in {time.perf_counter() - start:.1f} s at {root}")
            # Files that are two seconds old are read again by the next show, as they should be.
            time.sleep(2.5)
        edited = next((root / "cpu-smoke").glob("*-00000")) / "entry.toml"
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; wall-clock and CPU seconds of whole processes")
        for attempt in range(chosen.repeat):
            cache = Path(temporary) / f"cache_{attempt}"
            for name, prepare, arguments in (
                ("cold", None, ()),
                ("warm", None, ()),
                ("one entry changed", edited, ()),
                ("warm, ten best", None, ("--limit=10",)),
                ("warm, --json", None, ("--json",)),
            ):
                if prepare is not None:
                    prepare.write_text(prepare.read_text("utf-8").replace('"ema"', '"emb"'), "utf-8")
                seconds, first, others, characters = show(root, cache, *arguments)
                cpu = f"{first:5.2f} + {others:5.2f} s of CPU"
                print(f"{name:20s} {seconds:6.2f} s  {cpu}  {characters:,} bytes of output", flush=True)


if __name__ == "__main__":
    main()
