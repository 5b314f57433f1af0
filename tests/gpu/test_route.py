"""Which decoder gets a picture."""

from __future__ import annotations

import itertools

import pytest

from gpu_pack.gpu.route import _mix, on_engines


def test_the_hash_is_splitmix64s():
    """Its published first outputs."""
    assert [_mix(seed) for seed in (0, 1234567)] == [0xE220A8397B1DCDAF, 6457827717110365317]


@pytest.mark.parametrize(("load", "share"), [(0, 0), (0.0, 0), (0.1, 0.1), (0.5, 0.5), (0.75, 0.75), (1, 1), (1.0, 1)])
@pytest.mark.parametrize("step", [1, 2, 1000, 1 << 32, 3 << 40])
def test_the_share_of_keys_is_the_load(load, share, step):
    """Whatever the keys have in common."""
    count = 5000
    taken = sum(on_engines(key * step, load) for key in range(count))
    assert taken / count == pytest.approx(share, abs=0.025 if 0 < load < 1 else 0)


def test_a_key_goes_where_it_always_went():
    """Or runs that earlier versions began are resumed with other bytes."""
    assert [key for key in range(20) if on_engines(key, 0.25)] == [3, 10, 18]
    assert [on_engines(key, 0.5) for key in (2**64 - 1, 2**63, 10**18)] == [False, True, False]


def test_a_higher_load_only_adds_keys():
    taken = [{key for key in range(1000) if on_engines(key, load / 10)} for load in range(11)]
    assert all(fewer < more for fewer, more in itertools.pairwise(taken))
