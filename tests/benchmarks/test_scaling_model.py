import pytest

from benchmarks.scaling_model import Cluster, Work, predict_step

# 100 GMACs an image at 1,000 GMACs a second: 2 images in 0.2 s. 40 MB of gradients are 4 buckets.
WORK = Work(gmacs_an_image=100, images=2, gradient_bytes=40e6)
CLUSTER = Cluster(
    gpus_a_node=4,
    gmacs_a_second=1000,
    node_gbytes_a_second=1.0,
    network_gbytes_a_second=0.1,
    latency_seconds=0.001,
    bucket_bytes=10e6,
    images_a_second=100,
)


def test_one_gpu_talks_to_nobody():
    step = predict_step(WORK, CLUSTER, 1)
    assert step.seconds == pytest.approx(0.2)
    assert step.efficiency == 1


def test_two_gpus_of_a_machine_hide_all_but_the_last_bucket():
    # 2 * 1/2 * 40 MB at 1 GB/s: 0.04 s; 4 buckets of 2 messages: 0.008 s. Backward: 0.133 s.
    step = predict_step(WORK, CLUSTER, 2)
    assert step.all_reduce == pytest.approx(0.048)
    assert step.exposed == pytest.approx(0.048 / 4)
    assert step.efficiency == pytest.approx(0.2 / 0.212)


def test_between_machines_the_network_is_what_counts():
    # 2 * 7/8 * 40 MB at 0.1 GB/s: 0.7 s; 4 * 14 messages: 0.056 s; two thirds of 0.2 s hide.
    step = predict_step(WORK, CLUSTER, 8)
    assert step.all_reduce == pytest.approx(0.756)
    assert step.exposed == pytest.approx(0.756 - 0.4 / 3)


def test_norms_wait_in_both_passes():
    # 3 layers, 2 passes, up and down a tree of 2 and of 8 leaves: 1 and 3 messages each way.
    work = Work(gmacs_an_image=100, images=2, gradient_bytes=0, norms=3)
    assert predict_step(work, CLUSTER, 2).norms == pytest.approx(0.012)
    assert predict_step(work, CLUSTER, 8).norms == pytest.approx(0.036)


def test_slow_reading_limits_and_hides_the_rest():
    slow = Cluster(gmacs_a_second=1000, images_a_second=4)
    step = predict_step(WORK, slow, 8)
    assert step.seconds == pytest.approx(0.5)
    assert step.efficiency == 1  # a GPU alone would wait as long
