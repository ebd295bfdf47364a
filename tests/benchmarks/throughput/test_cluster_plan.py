"""The plan for clusters: all-reduces by hand, and what its tables have to say."""

import math

import pytest

from benchmarks.harness import bench
from benchmarks.throughput import cluster_plan as plan
from benchmarks.throughput.cluster_plan import HOP_S, LEAST_STEP_S, NVLINK, Network

BEST = Network("best", 250_000, 3, 1, batch=128, epochs=1, cpu="", step_s=0.008)


def test_an_all_reduce_by_hand() -> None:
    # A ring of two sends all bytes once; 2 log2(2) = 2 hops.
    assert plan.reduce_seconds(450, 2, 1.0) == pytest.approx(450 / NVLINK + 2 * HOP_S)
    # Two nodes of eight: 2 x 7/8 inside, 2 x 1/2 between; 2 log2(16) = 8 hops.
    assert plan.reduce_seconds(800, 16, 100.0) == pytest.approx(1400 / NVLINK + 8 + 8 * HOP_S)


def test_a_step_by_hand() -> None:
    assert plan.step_seconds(BEST, 128, 1, 1.0) == 0.008
    # 32 images a GPU: a quarter of the work, 1 MB of gradients, and 2 x 3 small sums of 2 log2(4) = 4 hops.
    hops = 4 * HOP_S
    wanted = 0.002 + 1.5 * 1e6 / NVLINK + hops + 6 * hops
    assert plan.step_seconds(BEST, 32, 4, 1.0) == pytest.approx(wanted)
    # Fewer images a GPU make it no faster, and no step is shorter than the launch of its kernels.
    assert plan.step_seconds(BEST, 16, 4, 1.0) == plan.step_seconds(BEST, 32, 4, 1.0)
    assert plan.step_seconds(BEST, 1, 1, 1.0) == 0.002
    assert plan.step_seconds(Network("tiny", 1, 0, 1, 64, 1, "", 1e-5), 64, 1, 1.0) == LEAST_STEP_S


def test_the_networks_are_those_of_the_released_weights() -> None:
    networks = {network.name: network for network in plan.read_networks(bench.RESULTS)}
    assert list(networks) == ["tiny", "mid", "best"]
    assert [network.parameters for network in networks.values()] == [54_896, 881_935, 3_791_415]
    best, mid = networks["best"], networks["mid"]
    assert best.cpu == "" and mid.cpu.endswith("1 core)")
    assert best.step_s / best.macs == pytest.approx(mid.step_s / mid.macs)
    assert math.isclose(best.gradient_bytes, 4 * best.parameters)
