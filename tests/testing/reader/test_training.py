"""The reader's tokenizer, its batches and a few steps of training, with real torch and transformers."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coa.errors import CorruptFile

torch = pytest.importorskip("torch", reason="needs torch: the full test run installs it")
pytest.importorskip("transformers", reason="needs transformers: the full test run installs it")

from coa.testing.reader import batches, load, train  # noqa: E402
from coa.testing.reader.batches import Stage, encoded  # noqa: E402
from coa.testing.reader.tasks import plain, reading  # noqa: E402
from coa.testing.reader.tokenizer import EOS, build  # noqa: E402
from coa.testing.reader.world import World, names  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
TINY = (Stage(steps=4, tokens=96, batch=2, reach=512),)


@given(text=st.text(max_size=80))
@settings(max_examples=300, deadline=None)
def test_any_text_comes_back(text: str) -> None:
    if "<" in text or "▁" in text or not text.isprintable():
        text = text.translate({ord("<"): "", ord("▁"): ""})
    tokenizer = build()
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_every_name_is_two_pieces_wherever_it_stands() -> None:
    tokenizer = build()
    for name in random.Random(1).sample(names(False), 300) + random.Random(1).sample(names(True), 300):
        middle, start = (tokenizer.encode(f"{before}{name}", add_special_tokens=False).ids for before in ("", "a\n"))
        assert len(middle) == 2
        assert start[-2:] == middle


def test_only_answers_weigh() -> None:
    exercise = reading(World(random.Random(2)), 300)
    ids, weights = encoded(exercise)
    said = [token for token, weight in zip(ids, weights, strict=True) if weight]
    assert said.count(EOS) == len(exercise.turns)
    assert build().decode(said).split() == " ".join(answer for _, answer in exercise.turns).split()


def test_positions_never_go_back_and_jump_within_reach() -> None:
    made = batches.Batches((Stage(steps=8, tokens=96, batch=4, reach=4096),), seed=3)
    far = 0
    for number in range(8):
        steps = made[number].positions.diff(dim=1)
        assert bool((steps >= 1).all()) and int(made[number].positions.max()) < 4096
        far += int((steps > 1).sum())
    assert far > 0


def trained(out: Path) -> None:
    parser = ["--out", str(out), "--device", "cpu", "--workers", "0"]
    assert train.main(parser) == 0


def test_training_stopped_and_resumed_gives_the_same_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "STAGES", TINY)
    monkeypatch.setattr(train, "LOG_EVERY", 1)
    trained(tmp_path / "whole")
    learn = train.Trainer._learn
    calls = 0

    def stops(self: train.Trainer, batch: batches.Batch) -> tuple[float, int, int]:
        nonlocal calls
        calls += 1
        if calls == 3:
            self.keep()
            raise KeyboardInterrupt
        return learn(self, batch)

    monkeypatch.setattr(train.Trainer, "_learn", stops)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut")
    monkeypatch.setattr(train.Trainer, "_learn", learn)
    trained(tmp_path / "cut")
    whole, cut = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert whole == cut
    rows = [json.loads(line) for line in (tmp_path / "cut" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]


def test_transformers_computes_what_training_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "STAGES", TINY)
    trained(tmp_path)
    network = train.Network(train.Shape(vocabulary=build().get_vocab_size()))
    network.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True)["network"])
    model, tokenizer = load(tmp_path)
    ids = tokenizer(plain("Kazun lives in Toral.", "Where does Kazun live?"), return_tensors="pt").input_ids
    with torch.inference_mode():
        ours = network.logits(network(ids, torch.arange(ids.shape[1])[None]))
        assert (ours - model(ids).logits).abs().max() < 1e-3


def test_another_reader_is_not_taken_for_the_measured_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "STAGES", TINY)
    trained(tmp_path)
    weights = tmp_path / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(CorruptFile, match="damaged"):
        load(tmp_path)
    with pytest.raises(CorruptFile, match="no reader"):
        load(tmp_path / "nowhere")
