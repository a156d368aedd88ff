"""The reference scorer against scoring one by one, on a small Llama made on the spot."""

from pathlib import Path

import pytest

from coa.agents.fence import Fence
from coa.attribution.base import Segment
from coa.attribution.local import LocalScorer
from coa.attribution.prompting import PlainPrompting
from coa.errors import UsageError
from coa.prompts import Prompts
from coa.serving.echo import plain_text
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch", reason="needs torch: the full test run installs it")
    transformers = pytest.importorskip("transformers", reason="needs transformers: the full test run installs it")
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
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    scorer = LocalScorer(folder, prompting(), ANSWER)
    coalitions = [frozenset(i for i in range(5) if bits >> i & 1) for bits in range(32)]
    rows = await scorer.logprobs(coalitions)

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
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


async def test_a_folder_without_a_model_is_refused(folder: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="holds no model"):
        await LocalScorer(tmp_path, prompting(), ANSWER).logprobs([frozenset()])


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
