"""The reference scorer against scoring one by one, on a small Llama made on the spot."""

import random
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from coa.agents.fence import Fence
from coa.attribution.base import Segment
from coa.attribution.local import LocalScorer
from coa.attribution.prompting import PlainPrompting
from coa.attribution.weights import LocalModel
from coa.errors import UsageError
from coa.prompts import Prompts
from coa.serving.echo import plain_text
from coa.testing import reader
from coa.testing.reader.documents import Mix, write
from coa.testing.reader.world import World
from coa.types import Span

pytestmark = pytest.mark.slow

TEXTS = [
    "The ferry left at six.",
    "Odalys hid the ledger.",
    "It listed zinc, copper and tin.",
    "Nobody came.",
    "雨が降った。",
]
ANSWER = "Odalys hid it. It listed zinc – 銅も."


def _torch() -> Any:
    return import_module("torch")


def _transformers() -> Any:
    return import_module("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch: Any = pytest.importorskip("torch", reason="needs torch: the full test run installs it")
    transformers: Any = pytest.importorskip("transformers", reason="needs transformers: the full test run installs it")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    path = tmp_path_factory.mktemp("llama")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(TEXTS * 20, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(path)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(path)
    return path


def prompting() -> PlainPrompting:
    segments = [Segment(span=Span(doc="d", start=0, end=0), text=text, tokens=8) for text in TEXTS]
    fence = Fence(token="0" * 16, tag="zzz")
    return PlainPrompting(segments=segments, question="Who hid it?", fence=fence, prompts=Prompts())


async def test_batches_give_what_one_by_one_scoring_gives(folder: Path):
    torch, transformers = _torch(), _transformers()
    scorer = LocalScorer(LocalModel(folder), prompting(), ANSWER)
    coalitions = [frozenset(i for i in range(5) if bits >> i & 1) for bits in range(32)]
    rows = await scorer.logprobs(coalitions)

    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    answer = tokenizer(" " + ANSWER, add_special_tokens=False)["input_ids"]
    for coalition, row in zip(coalitions, rows, strict=True):
        prompt = tokenizer(plain_text(prompting().messages(coalition)))["input_ids"]
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        naive = logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None])[:, 0].numpy()
        assert row.shape == (len(answer),) == (len(scorer.offsets),)
        assert abs(row - naive).max() < 1e-4
    assert len({round(float(row.sum()), 4) for row in rows}) > 16  # the context does change the score
    assert scorer.offsets[0] == 0 and list(scorer.offsets) == sorted(scorer.offsets)
    assert scorer.offsets[-1] < len(ANSWER)


async def test_beginnings_computed_once_give_what_one_by_one_scoring_gives():
    """On the shipped reader, over rounds like those of a search: scored as a trie, in batches, and each for itself."""
    where = reader.folder()
    here = World(random.Random("tries"), held_out=True)
    text = write(here, tokens=400, facts=6, questions=1, mix=Mix(absent=0.0, updated=0.0, injected=0.0, two_hop=0.0))
    segments = [Segment(span=Span(doc="d", start=0, end=0), text=each, tokens=8) for each in text.sentences]
    ask, fence = text.asked[0], Fence(token="0" * 16, tag="zzz")
    shown = PlainPrompting(segments=segments, question=ask.question, fence=fence, prompts=Prompts())
    n, rng = len(segments), random.Random(0)
    everything = frozenset(range(n))
    rounds = [
        [everything, frozenset[int](), *(everything - {i} for i in range(n))],
        [frozenset(i for i in range(n) if rng.random() < 0.5) for _ in range(16)],
        [frozenset(range(i)) for i in range(n)],
        [everything],
    ]
    trie, apart = LocalModel(where, batch_tokens=1500), LocalModel(where, reuse=False)
    held = _held_at_once(trie)
    together, alone = LocalScorer(trie, shown, ask.answer), LocalScorer(apart, shown, ask.answer)
    values: list[float] = []
    for coalitions in rounds:
        rows = await together.logprobs(coalitions)
        for coalition, row in zip(coalitions, rows, strict=True):
            (one,) = await alone.logprobs([coalition])
            assert abs(row - one).max() <= 1e-4
            values.append(float(row.sum()))
    assert max(values) - min(values) > 5  # what the text says does change the score
    assert held and max(held) <= 1500
    assert trie.usage.prompt_tokens == apart.usage.prompt_tokens and trie.usage.calls == sum(map(len, rounds))
    assert apart.usage.cached_tokens == 0 and trie.usage.cached_tokens > 0.4 * trie.usage.prompt_tokens


def _held_at_once(model: LocalModel) -> list[int]:
    """Rows times tokens of every pass with more than one row, as the model really sees them."""
    passes: list[int] = []

    def watch(_module: Any, _positional: Any, named: dict[str, Any]) -> None:
        rows, mask = len(named["input_ids"]), named.get("attention_mask")
        if rows > 1 and mask is not None:
            passes.append(rows * mask.shape[1])

    model.module.register_forward_pre_hook(watch, with_kwargs=True)
    return passes


async def test_layers_that_forget_are_never_cut_back(folder: Path, tmp_path: Path):
    """A model with a sliding window gives the same whether or not beginnings may be kept: they are not."""
    torch, transformers = _torch(), _transformers()
    config = transformers.MistralConfig(
        vocab_size=512,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=16,
    )
    torch.manual_seed(0)
    transformers.MistralForCausalLM(config).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    model = LocalModel(tmp_path)
    coalitions = [frozenset(i for i in range(5) if bits >> i & 1) for bits in range(32)]
    rows = await LocalScorer(model, prompting(), ANSWER).logprobs(coalitions)
    assert model.usage.cached_tokens == 0
    alone = LocalScorer(LocalModel(tmp_path, reuse=False), prompting(), ANSWER)
    for coalition, row in zip(coalitions, rows, strict=True):
        (one,) = await alone.logprobs([coalition])
        assert abs(row - one).max() <= 1e-4


async def test_a_template_that_writes_blanks_before_a_reply_has_them_scored_too():
    """The reader's template ends in ``Answer:`` and continues with a blank: so do the tokens of the answer."""
    scorer = LocalScorer(LocalModel(reader.folder()), prompting(), "Kazun lives in Toral.")
    tokenizer = LocalModel(reader.folder()).tokenizer
    (row,) = await scorer.logprobs([frozenset()])
    assert len(row) == len(tokenizer(" Kazun lives in Toral.", add_special_tokens=False).input_ids)
    assert scorer.offsets[0] == 0


async def test_a_folder_without_a_model_is_refused(folder: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="holds no model"):
        await LocalScorer(LocalModel(tmp_path), prompting(), ANSWER).logprobs([frozenset()])


async def test_a_trace_runs_on_a_local_model(folder: Path, tmp_path: Path):
    import coa
    from coa.attribution.trace import TraceOptions, trace
    from coa.config import Settings

    source = tmp_path / "s.txt"
    source.write_text(" ".join(TEXTS), "utf-8")
    given = Settings(model="offline", run_dir=tmp_path / "runs")
    options = TraceOptions(scorer=f"hf:{folder}")
    found = await trace("Who hid it?", ANSWER, [coa.load(source)], given, options)
    assert found.kind == "logprobs" and found.search.calls > 0 and len(found.claims) == 2
    assert found.usage.calls == found.search.calls and 0 < found.usage.cached_tokens < found.usage.prompt_tokens
