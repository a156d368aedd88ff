"""Masks of sparse attention against the dense reference, their exact limits, and what they keep of structure."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="sparse attention needs torch")
pytestmark = pytest.mark.slow

from coa.errors import UsageError  # noqa: E402
from coa.serving.sparse import blocks, quest, reference, streaming, vertical, xattention  # noqa: E402
from coa.serving.sparse.config import SparseConfig  # noqa: E402
from coa.serving.sparse.prefill import xattend  # noqa: E402

SHAPES = [(200, 200), (64, 256), (70, 203), (1, 100), (128, 128)]
"""Queries and keys: ragged lengths, and queries at the end of a longer sequence."""


def drawn(queries: int, keys: int, heads: int = 6, kv_heads: int = 2, dim: int = 16):
    draw = torch.Generator().manual_seed(queries * 1000 + keys)
    return (
        torch.randn((heads, queries, dim), generator=draw),
        torch.randn((kv_heads, keys, dim), generator=draw),
        torch.randn((kv_heads, keys, dim), generator=draw),
    )


def focused(tokens: int, dim: int = 64, needle: int = 300):
    """One head that looks at the first token, at its neighbours, and from its second half at one far place."""
    draw = torch.Generator().manual_seed(7)
    place = torch.cat(
        [f(torch.arange(tokens)[:, None] * torch.randn(16, generator=draw) / 40) for f in (torch.cos, torch.sin)], 1
    )
    key, query = torch.zeros(tokens, dim), torch.zeros(tokens, dim)
    key[:, :32], query[:, :32] = place / 4, place * 20
    key[0, 32], query[:, 32] = 1.0, 100.0
    key[needle : needle + 16, 33], query[tokens // 2 :, 33] = 1.0, 110.0
    noise = torch.randn(2, tokens, dim, generator=draw) * 0.05
    return (query + noise[0])[None], (key + noise[1])[None]


def test_the_reference_is_torchs_own_attention():
    query, key, value = drawn(50, 50)
    own = torch.nn.functional.scaled_dot_product_attention(
        query[None], key[None], value[None], is_causal=True, enable_gqa=True
    )[0]
    assert torch.allclose(reference.attention(query, key, value), own, atol=1e-5)


@pytest.mark.parametrize(("queries", "keys"), SHAPES)
def test_xattention_that_keeps_everything_is_dense(queries: int, keys: int):
    query, key, value = drawn(queries, keys)
    out, density = xattend(query, key, value, tau=1.0, block=32, stride=8)
    assert density == 1.0
    assert torch.allclose(out, reference.attention(query, key, value), atol=1e-5)


@pytest.mark.parametrize(("queries", "keys"), SHAPES)
def test_blocks_that_are_kept_are_causal_and_hold_the_queries_own(queries: int, keys: int):
    query, key, _ = drawn(queries, keys)
    kept = xattention.kept_blocks(query, key, tau=0.3, block=32, stride=8)
    assert not (kept & ~blocks.causal(queries, keys, 32)).any()
    assert (kept | ~blocks.forced(queries, keys, 32)).all()
    tokens = blocks.expand(kept, queries, keys, 32)
    own = torch.arange(queries), keys - queries + torch.arange(queries)
    assert tokens[:, own[0], own[1]].all()
    assert not (tokens & ~reference.causal_tokens(queries, keys)).any()


@pytest.mark.parametrize(("queries", "keys"), SHAPES)
def test_rows_before_the_queries_bring_them_to_a_border_and_change_nothing(queries: int, keys: int):
    query, key, value = drawn(queries, keys)
    extra = blocks.rows_before(queries, keys, 32)
    padded = torch.nn.functional.pad(query, (0, 0, extra, 0))
    assert (keys - queries - extra) % 32 == 0
    kept = blocks.causal(queries + extra, keys, 32).expand(6, -1, -1)
    # What the kernel wants: the last block of each list is the one that the queries stand in.
    own = (keys - queries - extra) // 32 + torch.arange(kept.shape[1])
    assert torch.equal(kept[0].int().cumsum(-1).argmax(-1), own)
    out = reference.attention(padded, key, value, blocks.expand(kept, queries + extra, keys, 32))[:, extra:]
    assert torch.allclose(out, reference.attention(query, key, value), atol=1e-5)


def test_decoding_without_copies_of_shared_keys_is_the_reference():
    query, key, value = drawn(1, 203)
    mask = torch.rand(6, 1, 203, generator=torch.Generator().manual_seed(5)) < 0.4
    for seen in (None, mask | (torch.arange(203) == 202)):
        found = reference.decode(query, key, value, seen, 0.25)
        assert torch.allclose(found, reference.attention(query, key, value, seen, 0.25), atol=1e-5)


@pytest.mark.parametrize(("queries", "keys"), SHAPES)
def test_estimates_of_a_stride_of_one_are_the_true_attention_of_blocks(queries: int, keys: int):
    query, key, _ = drawn(queries, keys)
    scores = xattention.block_scores(query, key, block=16, stride=1)
    weights = torch.nn.functional.pad(reference.probabilities(query, key, None), (0, -keys % 16, 0, -queries % 16))
    true = weights.unflatten(1, (-1, 16)).unflatten(3, (-1, 16)).sum((2, 4))
    assert torch.allclose(scores, true, atol=1e-4)


def test_slices_of_the_map_give_the_same_scores_as_the_whole():
    query, key, _ = drawn(300, 500)
    whole = xattention.block_scores(query, key, block=32, stride=8)
    sliced = xattention.block_scores(query, key, block=32, stride=8, entries=600)
    assert torch.allclose(sliced, whole, atol=1e-6)


def test_selection_takes_the_fewest_blocks_that_hold_tau():
    scores = torch.tensor([[[4.0, 1.0, 3.0, 2.0]]])
    kept = xattention.select(scores, 0.8, 8, 32, 8)
    assert kept.tolist() == [[[True, False, True, True]]], "first and own block hold 6 of 10, the best other one 3 more"
    assert xattention.select(scores, 0.55, 8, 32, 8).tolist() == [[[True, False, False, True]]]


def test_structured_attention_is_found_where_streaming_loses_it():
    query, key = focused(1024)
    kept = xattention.kept_blocks(query, key, tau=0.95, block=32, stride=8)
    tokens = blocks.expand(kept, 1024, 1024, 32)
    stream = streaming.token_mask(1024, 1024, sink=32, recent=128)
    late = slice(600, None)
    assert reference.recall(query, key, tokens)[0, late].mean() > 0.93
    assert reference.recall(query, key, stream)[0, late].mean() < 0.7
    assert blocks.density(kept, 1024, 1024, 32) < 0.3
    slashes = vertical.kept_blocks(query, key, gamma=0.95, block=32)
    assert reference.recall(query, key, blocks.expand(slashes, 1024, 1024, 32))[0, late].mean() > 0.93


@pytest.mark.parametrize(("queries", "keys"), SHAPES)
def test_a_bound_of_a_page_is_never_below_a_product_with_one_of_its_keys(queries: int, keys: int):
    query, key, _ = drawn(queries, keys)
    low, high = quest.page_bounds(key, 16)
    bound = quest.page_scores(query[:, -1], low, high)
    products = query[:, -1:] @ key.repeat_interleave(3, dim=0).transpose(1, 2)
    best = torch.nn.functional.pad(products[:, 0], (0, -keys % 16), value=float("-inf")).unflatten(1, (-1, 16)).amax(-1)
    assert (bound >= best - 1e-4).all()


@pytest.mark.parametrize("budget", [48, 96, 10_000])
def test_decoding_over_pages_is_the_reference_under_their_mask(budget: int):
    query, key, value = drawn(1, 203)
    low, high = quest.page_bounds(key, 16)
    pages = quest.chosen_pages(quest.page_scores(query[:, -1], low, high), 2, budget, 16)
    assert pages.shape == (2, min(13, budget // 16))
    out = quest.decode(query[:, -1], key, value, pages, 16)
    true = reference.attention(query, key, value, quest.token_mask(pages, 6, 203, 16))
    assert torch.allclose(out, true[:, 0], atol=1e-5)
    if budget > 203:
        assert torch.allclose(out, reference.attention(query, key, value)[:, 0], atol=1e-5)


def test_streaming_sees_everything_up_to_sink_and_recent_and_no_further():
    dense = reference.causal_tokens(100, 100)
    differs = (streaming.token_mask(100, 100, sink=8, recent=24) != dense).any(-1)
    assert differs.nonzero()[0].item() == 32
    kept = streaming.kept_blocks(100, 100, sink=8, recent=24, block=16)
    assert not (streaming.token_mask(100, 100, sink=8, recent=24) & ~blocks.expand(kept, 100, 100, 16)).any()


def test_a_table_of_heads_is_read_and_one_of_another_model_refused(tmp_path: Path):
    table = tmp_path / "full_attention_heads.tsv"
    table.write_text("0.9\t0.1\n1.2\t-0.3\n0.5\t0.4\n")
    scores = streaming.read_heads(table, layers=3, kv_heads=2)
    assert scores.max() == 1 and scores.min() == 0
    assert streaming.streaming_heads(scores, 0.5).tolist() == [[False, True], [False, True], [False, True]]
    with pytest.raises(UsageError, match="3 x 2, the model has 4 layers of 2"):
        streaming.read_heads(table, layers=4, kv_heads=2)
    table.write_text("not numbers\n")
    with pytest.raises(UsageError, match="no table of heads"):
        streaming.read_heads(table, layers=3, kv_heads=2)


def test_a_configuration_survives_its_journey_and_nonsense_is_refused():
    config = SparseConfig(method="lserve", tau=0.8, heads_file="heads.tsv")
    assert SparseConfig.from_json(config.to_json()) == config
    for broken in ("{", "[]", '{"methud": "quest"}', '{"method": "fast"}', '{"tau": 0}', '{"stride": 48}'):
        with pytest.raises(UsageError):
            SparseConfig.from_json(broken)
