"""The codec `golf`: exact, near its ideal, bounded in what it takes, and honest about what a code costs."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from golfreg.api import InputError, Layout, Section, Stream
from golfreg.api.codec import NoConfig
from golfreg.api.protocols import CostedCodec
from golfreg.builtin.codecs.golf import golf
from golfreg.builtin.codecs.golf_encode import Batch, filled_up, grades_of, rans
from golfreg.builtin.codecs.golf_tables import LOW, WHOLE, Decoder, frequencies
from golfreg.pack.attribution import entropy_bits
from golfreg.runner.codec_bench import ideal_bits

HERE = Path(__file__).parent


def helper() -> ModuleType:
    spec = importlib.util.spec_from_file_location("random_sections", HERE / "random_sections.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def codes(values: np.ndarray, name: str = "w", role: str = "qkv", highest: int = 31) -> Section:
    array = np.clip(np.rint(values), -highest, highest).astype(np.int8)
    return Section(Layout(name, "codes", role, array.shape, "int8", "", (-highest, highest)), array)


def scaled(rows: int, columns: int, seed: int = 0, spread: float = 0.4) -> np.ndarray:
    draw = np.random.default_rng(seed)
    scale_C = np.exp(draw.normal(0, spread, columns))
    return 2.4 * draw.standard_t(8, (rows, columns)) * scale_C


def round_trip(sections: list[Section]) -> list[Stream]:
    streams = golf.encode(sections, NoConfig())
    arrays = golf.decode(streams, [s.layout for s in sections], NoConfig())
    for section, array in zip(sections, arrays, strict=True):
        assert array.shape == section.data.shape
        assert array.astype(section.data.dtype, copy=False).tobytes() == section.data.tobytes(), section.layout
    return streams


def size(streams: list[Stream]) -> int:
    return sum(len(s.data) for s in streams)


def random_trips(count: int, seed: int) -> None:
    make, draw = helper().random_section, np.random.default_rng(seed)
    left = count
    while left:
        n = min(int(draw.integers(1, 12)), left)
        round_trip([make(draw, i) for i in range(n)])
        left -= n


def test_random_sections_of_odd_shapes_come_back_exactly() -> None:
    random_trips(60, 0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_random_sections_come_back_exactly() -> None:
    random_trips(10_000, 1)


def test_constant_codes_take_no_bits() -> None:
    assert size(round_trip([codes(np.full((300, 200), 7.0))])) < 80


def test_scales_of_columns_are_worth_what_they_should_be() -> None:
    sections = [codes(scaled(512, 256, seed), f"w{seed}") for seed in range(2)]
    taken, order_0 = 8 * size(round_trip(sections)), sum(entropy_bits(s.data) for s in sections)
    # An artifact of this size pays about half a percent for its tables and classes.
    assert taken < 0.975 * order_0
    assert taken < 1.012 * ideal_bits(sections)


def test_codes_without_structure_take_their_entropy_and_little_more() -> None:
    section = codes(np.random.default_rng(0).normal(0, 2.4, (512, 256)))
    assert 8 * size(round_trip([section])) < 1.005 * entropy_bits(section.data)


def test_columns_that_depend_on_each_other_are_predicted() -> None:
    draw = np.random.default_rng(0)
    mixed = draw.normal(0, 1, (4096, 12)) @ draw.normal(0, 2, (12, 32)) + draw.normal(0, 3, (4096, 32))
    section = codes(mixed, role="embedding", highest=127)
    assert 8 * size(round_trip([section])) < 0.9 * entropy_bits(section.data)


def test_rows_that_are_almost_equal_take_little() -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(0, 10, (600, 64))
    values[100:300] = values[100] + draw.normal(0, 0.4, (200, 64))
    section = codes(values, role="embedding", highest=127)
    assert 8 * size(round_trip([section])) < 0.83 * entropy_bits(section.data)


def test_repeated_matrices_are_left_to_lzma() -> None:
    section = codes(np.random.default_rng(0).integers(-31, 32, (64, 64)))
    twice = codes(np.tile(section.data, (4, 1)), "v")
    assert size(round_trip([twice])) < 1.3 * size(round_trip([section]))


def test_a_cost_table_adds_up_to_what_the_codes_take() -> None:
    assert isinstance(golf, CostedCodec)
    for section in (codes(scaled(500, 400)), codes(np.random.default_rng(1).normal(0, 2, (400, 300)))):
        table = golf.cost_table(section, NoConfig())
        assert table.context_RC.shape == section.data.shape
        assert table.bits.dtype == np.float32
        assert np.isfinite(table.bits).all()
        bits = float(table.bits[table.context_RC, section.data.astype(int) - table.lowest].sum())
        assert bits == pytest.approx(8 * size(round_trip([section])), rel=0.01)


def test_what_is_no_matrix_of_codes_has_no_cost_table() -> None:
    scales = Section(Layout("w", "scale", "qkv", (4,), "float16"), np.ones(4, np.float16))
    wide = Section(Layout("w", "codes", "qkv", (2,), "int16", "", (-300, 300)), np.zeros(2, np.int16))
    for section in (scales, wide):
        with pytest.raises(InputError, match="cost"):
            golf.cost_table(section, NoConfig())


@pytest.mark.parametrize("lanes", [1, 2, 64])
def test_rans_gives_back_every_batch_in_order_and_lanes_go_on_in_the_next_stream(lanes: int) -> None:
    draw = np.random.default_rng(lanes)
    counts = draw.integers(0, 50, (3, 256)) * (draw.random((3, 256)) < 0.3)
    counts[2] = 0
    counts[2, 9] = 1
    tables = frequencies(grades_of(counts))
    assert (tables.sum(1) == WHOLE).all()
    streams: list[list[Batch]] = [[], []]
    for i, n in enumerate((1, 1000, 3, 257)):
        which = draw.integers(0, 3, n).astype(np.uint16)
        symbols = np.array([draw.choice(256, p=tables[t] / WHOLE) for t in which], np.uint8)
        streams[i % 2].append(Batch(which, symbols, tables))
    state_L = np.full(lanes, LOW, np.int64)
    second = rans(state_L, streams[1])
    first = rans(state_L, streams[0])
    decoder = Decoder()
    for data, n_new, batches in ((filled_up(state_L) + first, lanes, streams[0]), (second, 0, streams[1])):
        decoder.begin(data, n_new)
        decoder.use(tables)
        for batch in batches:
            assert (decoder.take(batch.tables.astype(np.int64) * WHOLE) == batch.symbols).all()
        decoder.finish()
    decoder.check_lanes()


def test_frequencies_are_those_of_the_format() -> None:
    grades = np.zeros((1, 256), np.uint8)
    grades[0, 10:14] = [127, 119, 103, 1]
    assert frequencies(grades)[0, 9:15].tolist() == [0, 40329, 20164, 5041, 1, 0]


@pytest.mark.slow
def test_five_million_codes_a_second_are_decoded_even_on_a_busy_core() -> None:
    sections = [codes(scaled(1024, 1024, seed), f"w{seed}") for seed in range(4)]
    streams = golf.encode(sections, NoConfig())
    started = time.process_time()
    golf.decode(streams, [s.layout for s in sections], NoConfig())
    assert time.process_time() - started < 4 * 1024**2 / 5e6


def test_lanes_are_paid_for_once_and_go_on_only_where_there_are_some() -> None:
    draw = np.random.default_rng(0)
    sections = [codes(draw.normal(0, 3, (512, 400)), role, role) for role in ("qkv", "out", "mlp_up")]
    together, alone = round_trip(sections), [round_trip([s])[0] for s in sections]
    assert [s.data[1] > 0 for s in together] == [True, False, False]
    assert size(together) < sum(len(s.data) for s in alone)
    with pytest.raises(InputError, match="ends early"):
        golf.decode([Stream((0,), together[1].data)], [sections[1].layout], NoConfig())


def test_a_stream_of_another_form_is_refused_by_its_first_byte() -> None:
    section = codes(scaled(64, 64))
    (stream,) = golf.encode([section], NoConfig())
    with pytest.raises(InputError, match="form 1"):
        golf.decode([Stream((0,), b"\1" + stream.data[1:])], [section.layout], NoConfig())


def test_the_decoder_does_not_load_the_encoder() -> None:
    program = (
        "import sys, golfreg.builtin.codecs.golf; print([m for m in sys.modules if m.startswith('golfreg.builtin')])"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "golf_tables" in loaded
    assert "encode" not in loaded
    assert "_fit" not in loaded


FUZZ = """
import importlib.util, json, random, resource, signal, sys, time
import numpy as np
resource.setrlimit(resource.RLIMIT_AS, (1_000_000_000, 1_000_000_000))
from golfreg.api import InputError
from golfreg.api.codec import NoConfig
from golfreg.builtin.codecs.golf import MODELLED, golf
spec = importlib.util.spec_from_file_location("random_sections", sys.argv[1])
made = importlib.util.module_from_spec(spec); spec.loader.exec_module(made)
count, seed = int(sys.argv[2]), int(sys.argv[3])
draw, numbers = random.Random(seed), np.random.default_rng(seed)
originals = []
while len(originals) < 5:
    sections = [made.random_section(numbers, i, 3000) for i in range(int(numbers.integers(1, 6)))]
    streams = golf.encode(sections, NoConfig())
    if any(s.data and s.data[0] == MODELLED for s in streams):
        originals.append((streams, [s.layout for s in sections]))
found = {"refused": 0, "accepted": 0, "slowest_seconds": 0.0}
def late(*_): raise TimeoutError("over 10 s")
signal.signal(signal.SIGALRM, late)
for number in range(count):
    streams, layouts = draw.choice(originals)
    changed = made.mutant(draw, streams)
    started = time.monotonic()
    signal.alarm(10)
    try:
        arrays = golf.decode(changed, layouts, NoConfig())
        assert [a.shape for a in arrays] == [y.shape for y in layouts]
        found["accepted"] += 1
    except InputError as error:
        assert error.message.isprintable() and len(error.message) < 500
        found["refused"] += 1
    except BaseException as error:
        raise RuntimeError(f"mutant {number} of seed {seed}: {type(error).__name__}: {error}") from error
    finally:
        signal.alarm(0)
    found["slowest_seconds"] = max(found["slowest_seconds"], time.monotonic() - started)
print(json.dumps(found))
"""


def fuzz(count: int, seed: int) -> dict[str, float]:
    command = [sys.executable, "-c", FUZZ, str(HERE / "random_sections.py"), str(count), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3000)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout))


def test_mutated_streams_are_refused_or_decode_to_their_layouts() -> None:
    found = fuzz(100, 0)
    assert found["refused"] > 50


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_mutated_streams_are_refused_or_decode_to_their_layouts() -> None:
    assert fuzz(10_000, 1)["refused"] > 5000
