"""The formulas of long positions, by hand; no model."""

from __future__ import annotations

import math

import numpy as np
import pytest

from coa.errors import UsageError
from coa.retrieval.longembed import positions as at


def test_grouped_recurrent_and_interpolated_ids() -> None:
    assert at.grouped(7, 3).tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert at.recurrent(7, 3).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert at.interpolated(4, 2).tolist() == [0.0, 0.5, 1.0, 1.5]
    assert [at.stretch(n, 512) for n in (0, 1, 512, 513, 1024, 1025, 32_768)] == [1, 1, 1, 2, 2, 3, 64]
    for n in (511, 512):
        assert at.grouped(n, at.stretch(n, 512)).tolist() == at.recurrent(n, 512).tolist() == list(range(n))


def test_rows_between_two_positions_are_mixed_by_their_distance() -> None:
    table = np.array([[0.0, 10.0], [4.0, 20.0], [8.0, 40.0]], dtype=np.float32)
    rows = at.interpolated_rows(table, 12, 4)
    for n in range(12):
        p = n / 4
        a = min(math.floor(p), 2)
        w = p - math.floor(p)
        assert rows[n] == pytest.approx((1 - w) * table[a] + w * table[min(a + 1, 2)])
    assert rows[::4].tolist() == table.tolist()
    assert rows[-1].tolist() == table[-1].tolist()
    assert at.interpolated_rows(table, 3, 1).tolist() == table.tolist()


def test_ntk_bases_are_the_published_ones() -> None:
    assert [at.ntk_factor(s) for s in (1, 2, 3, 4, 5, 8, 16)] == [1, 3, 5, 5, 10, 10, 20]
    d = 16
    plain = 10_000.0 ** (-np.arange(0, d, 2) / d)
    for factor in (3, 5, 10):
        wanted = (10_000.0 * factor) ** (-np.arange(0, d, 2) / d)
        assert at.ntk_frequencies(plain.astype(np.float32), factor) == pytest.approx(wanted, rel=1e-5)


def test_self_extend_keeps_near_distances_and_groups_far_ones() -> None:
    assert at.self_extend(4096, 512) == (9, 64)
    assert [at.self_extend_distance(r, 9, 64) for r in (0, 5, 63, -63)] == [0, 5, 63, -63]
    assert at.self_extend_distance(64, 9, 64) == 64 // 9 + 64 - 64 // 9 == 64
    assert at.self_extend_distance(4095, 9, 64) == 4095 // 9 + 64 - 7 == 512
    assert at.self_extend_distance(-4095, 9, 64) == -512
    for native, n in ((64, 65), (64, 1000), (512, 32_768)):
        group, window = at.self_extend(n, native)
        assert at.self_extend_distance(n - 1, group, window) <= native
        assert group == 1 or at.self_extend_distance(n - 1, group - 1, window) > native
    with pytest.raises(UsageError):
        at.self_extend(100, 7)


def test_queries_are_scaled_beyond_the_native_length_only() -> None:
    assert at.attention_factor(512, 512) == at.attention_factor(3, 512) == at.attention_factor(1, 512) == 1.0
    assert at.attention_factor(4096, 512) == pytest.approx(math.log(4096) / math.log(512))


@pytest.mark.parametrize("n", [1, 9, 10, 11, 20, 25, 99])
def test_parallel_windows_are_full_and_cover_everything(n: int) -> None:
    found = at.parallel_windows(n, 10)
    assert {i for start, end in found for i in range(start, end)} == set(range(n))
    assert all(end - start == min(10, n) for start, end in found)
    assert len(found) == max(1, -(-n // 10))
    assert [start for start, _ in found[:-1]] == list(range(0, 10 * (len(found) - 1), 10))


@pytest.mark.parametrize("n", [1, 10, 11, 25, 99])
def test_overlapping_windows_use_each_token_once(n: int) -> None:
    found = at.overlapping_windows(n, 10, 4)
    used = [i for _, end, first in found for i in range(first, end)]
    assert used == list(range(n))
    assert all(end - start <= 10 and (first == start == 0 or first - start == 4) for start, end, first in found)
    with pytest.raises(UsageError):
        at.overlapping_windows(n, 10, 10)
