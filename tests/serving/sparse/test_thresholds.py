"""A threshold for each head: found by halves, kept in a table, used by every carrier."""

# pyright: basic

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="sparse attention needs torch")

from coa.errors import UsageError  # noqa: E402
from coa.serving.sparse import blocks, xattention  # noqa: E402
from coa.serving.sparse.config import SparseConfig  # noqa: E402
from coa.serving.sparse.heads import read_rows, title_of, write_rows  # noqa: E402
from coa.serving.sparse.policy import Policy  # noqa: E402
from coa.serving.sparse.thresholds import head_thresholds, lowered  # noqa: E402
from coa.serving.vllm.interpreter import Interpreter  # noqa: E402
from coa.serving.vllm.launch import Launch  # noqa: E402
from coa.serving.vllm.mistakes import check_model  # noqa: E402
from coa.serving.vllm.profiles import THRESHOLDS_FILE  # noqa: E402


@pytest.mark.parametrize("guilty", [set(), {(0, 1)}, {(0, 1), (3, 7)}, {(1, 0), (1, 1), (1, 2)}])
def test_only_the_heads_that_need_everything_keep_it(guilty: set[tuple[int, int]]):
    taus = torch.ones((4, 8))
    asked = 0

    def holds(tried: Any) -> bool:
        nonlocal asked
        asked += 1
        return not any(tried[head] < 1 for head in guilty)

    heads = [(layer, head) for layer in range(4) for head in range(8)]
    assert set(lowered(taus, heads, 0.9, holds)) == set(heads) - guilty
    assert {tuple(head) for head in (taus == 1).nonzero().tolist()} == guilty
    assert asked <= 1 + 2 * 5 * len(guilty), "halving, not one head after the other"


def test_heads_that_only_cost_too_much_together_are_not_all_lowered():
    taus = torch.ones((1, 8))
    found = lowered(taus, [(0, head) for head in range(8)], 0.5, lambda tried: int((tried < 1).sum()) <= 5)
    assert len(found) == int((taus < 1).sum()) == 5


def test_each_head_goes_by_its_own_threshold():
    draw = torch.Generator().manual_seed(2)
    query, key = (torch.randn((heads, 256, 32), generator=draw) * 2 for heads in (4, 2))
    taus = torch.tensor([1.0, 0.3, 0.9, 0.01])
    together = xattention.kept_blocks(query, key, tau=taus, block=32, stride=4)
    for head, tau in enumerate(taus.tolist()):
        assert torch.equal(together[head], xattention.kept_blocks(query, key, tau=tau, block=32, stride=4)[head])
    assert torch.equal(together[0], blocks.causal(256, 256, 32))
    kept = together.sum((1, 2)).tolist()
    assert kept[0] > kept[2] > kept[1] > kept[3] >= int(blocks.forced(256, 256, 32).sum())


def table(path: Path, rows: list[list[float]]) -> Path:
    write_rows(path, rows, "block=32 stride=4")
    return path


def test_a_table_is_read_as_it_was_written(tmp_path: Path):
    path = table(tmp_path / "table.tsv", [[1.0, 0.95], [0.3, 0.01]])
    assert read_rows(path, 2, 2) == [[1.0, 0.95], [0.3, 0.01]] and title_of(path) == {"block": 32, "stride": 4}
    policy = Policy.of(SparseConfig(method="xattention", thresholds_file=str(path)), 2, 2, 1)
    assert torch.equal(policy.tau(1), torch.tensor([0.3, 0.01]))
    with pytest.raises(UsageError, match="the model has 3 layers of 2 heads"):
        Policy.of(SparseConfig(method="xattention", thresholds_file=str(path)), 3, 2, 1)


def test_workers_that_share_heads_have_the_whole_table_between_them(tmp_path: Path):
    taus = [[head / 10 for head in range(1, 9)]]
    scores = table(tmp_path / "heads.tsv", [[0.9, 0.1, 0.2, 0.8]])
    path = table(tmp_path / "taus.tsv", taus)
    whole = Policy.of(SparseConfig(method="lserve", heads_file=str(scores), thresholds_file=str(path)), 1, 8, 4)
    for ranks in (1, 2, 4, 8):
        parts = [whole.part(rank, ranks) for rank in range(ranks)]
        assert torch.allclose(torch.cat([part.tau(0) for part in parts]), torch.tensor(taus[0]))
        streams = torch.cat([part.streams[0] for part in parts])
        # With more workers than key-value heads, two keep the same one.
        assert torch.equal(streams, whole.streams[0].repeat_interleave(max(1, ranks // 4)))


def test_a_layer_whose_heads_all_attend_in_full_has_no_mask(tmp_path: Path):
    path = table(tmp_path / "table.tsv", [[1.0, 1.0], [1.0, 0.01]])
    policy = Policy.of(SparseConfig(method="xattention", thresholds_file=str(path), block=32, stride=4), 2, 2, 1)
    query, key = torch.randn((2, 128, 16)), torch.randn((1, 128, 16))
    assert policy.mask(query, key, 0) is None
    mask = policy.mask(query, key, 1)
    assert mask is not None and int(mask[1].sum()) < int(mask[0].sum()) == 128 * 129 // 2


def test_the_launcher_takes_the_table_in_the_models_folder_and_its_blocks(tmp_path: Path):
    path = table(tmp_path / THRESHOLDS_FILE, [[0.5, 0.5]])
    found = Launch(model=str(tmp_path), profile="xattention").sparse
    assert found is not None and found.thresholds_file == str(path) and (found.block, found.stride) == (32, 4)
    assert found.settings == f"tau={THRESHOLDS_FILE} stride=4 block=32"
    turned = Launch(model=str(tmp_path), profile="xattention", settings={"tau": 0.8}).sparse
    assert turned is not None and turned.settings == "tau=0.8 stride=16 block=128"
    given = Launch(model="tiny", profile="xattention", thresholds=path).sparse
    assert given is not None and given.thresholds_file == str(path)
    with pytest.raises(UsageError, match="has no 'tau'"):
        _ = Launch(model="tiny", profile="quest", thresholds=path).sparse


@pytest.mark.slow
def test_thresholds_cost_no_more_together_than_was_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    transformers = pytest.importorskip("transformers", reason="a model of transformers carries the masks")
    from coa.serving.sparse.hf import sparse
    from coa.serving.sparse.profiler import main
    from coa.serving.vllm import tiny

    folder = tiny.make(tmp_path / "model")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    ids = torch.randint(300, 1000, (1, 300), generator=torch.Generator().manual_seed(1))
    config = SparseConfig(method="xattention", block=32, stride=8)

    @torch.inference_mode()
    def loss() -> float:
        return float((model(ids).logits - whole).pow(2).mean())

    with torch.inference_mode():
        whole = model(ids).logits
    shape = (tiny.LAYERS, tiny.HEADS)
    with sparse(model, Policy(config=config, taus=torch.full(shape, 0.3))):
        most = loss()
    found = head_thresholds(model, loss, config, budget=most / 4, ladder=(0.3,))
    with sparse(model, Policy(config=config, taus=found)):
        assert loss() <= most / 4
    assert 0 < int((found < 1).sum()) < found.numel()
    assert main([str(folder), "--thresholds", "--tokens", "300", "--n", "1", "--block", "32", "--stride", "8"]) == 0
    written = folder / THRESHOLDS_FILE
    assert title_of(written) == {"block": 32, "stride": 8} and "nats each" in capsys.readouterr().out
    sparse_config = Launch(model=str(folder), profile="xattention").sparse
    check_model(str(folder), Interpreter(python="python"), sparse_config)
    write_rows(written, [[0.5] * tiny.KV_HEADS] * tiny.LAYERS)
    with pytest.raises(UsageError, match=f"layers of {tiny.HEADS} heads"):
        check_model(str(folder), Interpreter(python="python"), sparse_config)
