import pytest

from golfreg.train.throughput import Throughput, peak_flops


@pytest.mark.parametrize(
    ("device", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA H200", 989.4),
        ("NVIDIA GeForce GT", None),
    ],
)
def test_the_peak_of_a_device_is_known_by_its_name_or_left_out(device, tera):
    assert peak_flops(device) == (None if tera is None else pytest.approx(tera * 1e12))


def test_utilization_is_the_models_work_over_what_all_devices_could_do():
    assert Throughput(10**8, 2 * 989.4e12).utilization(1.9788e6) == pytest.approx(0.1)
    assert Throughput(10**8, None).utilization(1e6) is None
