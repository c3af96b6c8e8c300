import pytest

from golfreg.leaderboard.challenge.logs import read_log


def test_the_reference_log_gives_every_figure(log):
    facts = read_log("train_seed7.log", log(7, 1.23456789, code=5_000).encode())
    assert (facts.seed, facts.name_seed, facts.key, facts.complete_runs) == (7, 7, 7, 1)
    assert [(m.tag, m.bits_per_byte, m.seconds) for m in facts.metrics] == [
        ("final_int8_zlib_roundtrip", 1.23456789, 1.401)
    ]
    assert (facts.total_bytes, facts.model_bytes, facts.code_bytes) == (15_900_000, 15_895_000, 5_000)
    assert (facts.train_seconds, facts.steps, facts.parameters) == (600.038, 13_780, 17_059_912)
    assert facts.milliseconds_per_step == pytest.approx(43.544)
    assert facts.settings["train_seq_len"] == "1024"


def test_echoed_source_is_not_output(log):
    source = 'print(f"final_int6 val_loss:{a:.4f} val_bpb:{b:.4f}")\nfinal_x = "val_loss:1.0 val_bpb:0.1"\n'
    facts = read_log("train.log", (source + log(code=5_000)).encode())
    assert [metric.bits_per_byte for metric in facts.metrics] == [1.2]


@pytest.mark.parametrize(
    ("line", "tag", "bpb", "seconds"),
    [
        ("legal_ttt_exact val_loss:1.88976776 val_bpb:1.11922988", "legal_ttt", 1.11922988, None),
        ("quantized_ttt_phased val_loss:2.76 val_bpb:1.07134229 eval_time:332086ms", "quantized_ttt_phased",
         1.07134229, 332.086),
        ("final_sliding val_loss:2.9869 val_bpb:1.1565 (stride=16, T=0.90) eval_time:429311ms", "final_sliding",
         1.1565, 429.311),
        ("final_sliding_window_eval_exact stride:64 val_loss:1.95 val_bpb:1.15555486", "final_sliding_window_eval",
         1.15555486, None),
        ("final_int8_zlib_roundtrip_exact sliding val_loss:2.02 sliding val_bpb:1.19709881",
         "final_int8_zlib_roundtrip sliding", 1.19709881, None),
        ("final_INT7_zlib_roundtrip val_loss:2.0784 val_bpb:1.2353", "final_INT7_zlib_roundtrip", 1.2353, None),
        ("1776142723.207 quantized_sliding_window val_loss:2.80 val_bpb:1.08553523 eval_time:83990ms",
         "quantized_sliding_window", 1.08553523, 83.99),
    ],
)  # fmt: skip
def test_the_final_scores_of_the_variants_are_read(line, tag, bpb, seconds):
    (metric,) = read_log("a.log", line.encode()).metrics
    assert (metric.tag, metric.bits_per_byte, metric.seconds) == (tag, bpb, seconds)


@pytest.mark.parametrize(
    "line",
    [
        "step:100/20000 val_loss:2.1 val_bpb:1.25 train_time:4000ms step_avg:40.00ms",
        "diagnostic quantized val_loss:2.35 val_bpb:1.07405660 eval_time:63234ms",
        "pre-quantization post-ema val_loss:2.81 val_bpb:1.08995907 eval_time:6003ms",
        "ttt_sliding:done val_loss=1.889768 val_bpb=1.119230 elapsed=409.8s",
        "    final_int8 val_loss:1.0 val_bpb:0.5",
        "final" + "_" * 3000 + " val_loss:1.0 val_bpb:0.5",
    ],
)
def test_other_scores_are_not_final_ones(line):
    assert read_log("a.log", line.encode()).metrics == ()


def test_the_last_of_several_runs_counts(log):
    facts = read_log("train.log", (log(1, 1.3, code=5_000) + log(2, 1.2, code=6_000)).encode())
    assert (facts.complete_runs, facts.seed, facts.code_bytes) == (2, 2, 6_000)
    assert [metric.bits_per_byte for metric in facts.metrics] == [1.2]


def test_calibration_on_training_data_is_told_from_calibration_on_generated_text():
    hessians = "GPTQ:collected 67 Hessians in 12.7s\n"
    assert read_log("a.log", hessians.encode()).calibrate_seconds == 12.7
    facts = read_log("a.log", ("gptq:generated 64 sequences in 198.3s\n" + hessians).encode())
    assert (facts.calibrate_seconds, facts.generated_seconds) == (None, 198.3)


def test_a_block_of_hyperparameters_is_read_without_what_a_run_has_of_its_own():
    block = "Hyperparameters:\n  seed: 42\n  vocab_size: 8192\n  run_id: abc\n  data_dir: /x\n  muon_wd: 0.1\n====\n"
    facts = read_log("a.log", block.encode())
    assert facts.seed == 42
    assert facts.settings == {"vocab_size": "8192", "muon_wd": "0.1"}


def test_packed_code_is_told_from_plain():
    facts = read_log("a.log", b"Code size (uncompressed): 121884 bytes\nCode size (compressed): 27310 bytes\n")
    assert (facts.code_bytes, facts.code_plain_bytes) == (27_310, 121_884)


def test_the_total_of_a_budget_line_is_read():
    line = "artifact:15.92MB ternary:64880640(14239486B) fp:2513744(2537376B) code:70853\nbudget:15993853/16000000 x\n"
    facts = read_log("a.log", line.encode())
    assert (facts.total_bytes, facts.code_bytes) == (15_993_853, 70_853)


@pytest.mark.parametrize("data", [b"", b"\0" * 100_000, b"\xff" * 1000, b"seed:" + b"9" * 100_000, b"final " * 50_000])
def test_anything_is_read_without_a_crash(data):
    facts = read_log("\x1b[2Jseed5.log", data)
    assert facts.metrics == ()
    assert facts.name.isprintable()


def test_utf_16_is_read(log):
    assert read_log("a.log", log(code=5_000).encode("utf-16")).metrics[0].bits_per_byte == 1.2
