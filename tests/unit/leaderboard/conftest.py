import hashlib
from datetime import UTC, datetime

import pytest

from golfreg.config.record import record_to_toml
from golfreg.leaderboard.add import add
from golfreg.testing.records import changed, example_record

NOW = datetime(2026, 5, 2, tzinfo=UTC)


@pytest.fixture
def now():
    return NOW


@pytest.fixture
def make_run(tmp_path):
    """Write a finished run directory: its artifact, and a record that is true of it."""

    def make(seed=1, name=None, record=None, **score):
        run_dir = tmp_path / (name or f"run_{seed}")
        run_dir.mkdir()
        record = record or example_record(seed, **score)
        data = f"{run_dir.name}".encode().ljust(record.sizes.total_bytes, b"\0")
        (run_dir / "artifact.golfreg").write_bytes(data)
        record = changed(record, "artifact", sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
        (run_dir / "record.toml").write_text(record_to_toml(record), "utf-8")
        return run_dir

    return make


@pytest.fixture
def make_entry(tmp_path, make_run):
    """Add an entry of one or more runs to ``tmp_path / "board"`` and return its directory."""
    count = iter(range(10_000))

    def make(name, *bits_per_byte, **options):
        runs = [make_run(seed, f"entry_{next(count)}", bits_per_byte=bpb) for seed, bpb in enumerate(bits_per_byte, 1)]
        options = {"author": "A. Uthor", "now": NOW} | options
        return add(runs, tmp_path / "board", name=name, **options).directory

    return make
