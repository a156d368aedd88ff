"""The reader's tokenizer, its batches and a few steps of training, with real torch and transformers."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coa.errors import CorruptFile

np = pytest.importorskip("numpy", reason="needs numpy: the full test run installs it")
torch = pytest.importorskip("torch", reason="needs torch: the full test run installs it")
pytest.importorskip("transformers", reason="needs transformers: the full test run installs it")

from coa.serving.base import Message, Request  # noqa: E402
from coa.testing.reader import batches, load, matching, schedule, tasks, train  # noqa: E402
from coa.testing.reader.batches import Form, encoded  # noqa: E402
from coa.testing.reader.documents import PLAIN, write  # noqa: E402
from coa.testing.reader.prompting import TEMPLATE  # noqa: E402
from coa.testing.reader.tasks import SHARES, chat, plain, reading  # noqa: E402
from coa.testing.reader.tokenizer import EOS, build, ids  # noqa: E402
from coa.testing.reader.world import World, names  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
SMALL = ["--steps", "4", "--tokens", "192", "--width", "64", "--layers", "2", "--inner", "64", "--head-dim", "64"]


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
        middle, line, first = (
            tokenizer.encode(f"{before}{name}", add_special_tokens=False).ids for before in (" ", "a\n", "")
        )
        assert len(middle) == len(first) == 2
        assert line[-2:] == middle


@given(text=st.text(alphabet=st.sampled_from("ab Kazun\n.:[]<>1\u00e9"), max_size=60))
@settings(max_examples=300, deadline=None)
def test_pieces_from_memory_are_those_of_the_tokenizer(text: str) -> None:
    assert ids(text) == build().encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("form", [form for _, _, form, _ in SHARES], ids=lambda form: form.__name__)
def test_pieces_from_memory_are_the_same_for_whole_exercises(form: tasks.Form) -> None:
    for seed in range(30):
        prompt = form(World(random.Random(seed)), 1024).turns[0].prompt
        assert ids(prompt) == build().encode(prompt, add_special_tokens=False).ids


def test_only_answers_weigh() -> None:
    exercise = reading(World(random.Random(2)), 300)
    ids, weights = encoded(exercise)
    said = [token for token, weight in zip(ids, weights, strict=True) if weight]
    assert said.count(EOS) == len(exercise.turns)
    assert build().decode(said).split() == " ".join(turn.answer for turn in exercise.turns).split()


def test_a_batch_foretells_its_answers() -> None:
    batch = batches.make(3, 0, Form(tokens=256, rows=4, reach=256))
    flat = batch.ids.reshape(-1)
    assert flat[batch.before + 1].tolist() == batch.targets.tolist()
    assert int((batch.targets == EOS).sum()) == len(batch.kinds)


def test_positions_never_go_back_and_jump_within_reach_behind_sentences_only() -> None:
    far = 0
    for number in range(8):
        batch = batches.make(3, number, Form(tokens=256, rows=4, reach=4096))
        steps = np.diff(batch.positions, axis=1)
        assert bool((steps >= 1).all()) and int(batch.positions.max()) < 4096
        before = batch.ids[:, :-1][steps > 1]
        assert {build().decode([token]) for token in before.tolist()} <= {"."}
        far += len(before)
    assert far > 0


def test_makers_hand_out_the_same_batches_in_order() -> None:
    def form(step: int) -> Form:
        return Form(tokens=128, rows=1 + step % 2, reach=128)

    with batches.Makers(5, form, 2, 2) as makers:
        made = [makers.next() for _ in range(6)]
    for step, batch in enumerate(made, start=2):
        assert batch.ids.tolist() == batches.make(5, step, form(step)).ids.tolist()


def test_lengths_grow_and_the_rate_falls() -> None:
    lengths = [max(schedule.form(1, step, at, 65536).tokens for step in range(50)) for at in (0.0, 0.3, 0.6, 0.9)]
    assert lengths == sorted(lengths) and lengths[0] == 128 and lengths[-1] == 4096
    short = [schedule.form(1, step, 1.0, 4096, rows="short").tokens for step in range(50)]
    assert set(short) == {256, 512, 1024}
    assert schedule.rate(0, 0.0) < schedule.rate(500, 0.1) == 1.0
    assert schedule.rate(5000, 1.0) == pytest.approx(schedule.LOWEST)


def trained(out: Path, *also: str) -> None:
    assert train.main(["--out", str(out), "--device", "cpu", "--processes", "0", *SMALL, *also]) == 0


def test_training_stopped_and_resumed_gives_the_same_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "LOG_EVERY", 1)
    trained(tmp_path / "whole")
    learn = train.Trainer._learn
    calls = 0

    def stops(self: train.Trainer, batch: batches.Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
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
    assert (tmp_path / "cut" / "training.svg").read_text().count("polyline") == 2


@pytest.mark.parametrize("width", ["64", "256"])
def test_transformers_computes_what_training_did(tmp_path: Path, width: str) -> None:
    trained(tmp_path, "--head-dim", width)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    network = train.Network(train.Shape(**state["shape"]))
    network.load_state_dict({name: weight.bfloat16().float() for name, weight in state["network"].items()})
    model, tokenizer = load(tmp_path)
    ids = tokenizer(plain("Kazun lives in Toral.", "Where does Kazun live?"), return_tensors="pt").input_ids
    with torch.inference_mode():
        ours = network.logits(network(ids, torch.arange(ids.shape[1])[None]))
        assert (ours - model(ids).logits).abs().max() < 1e-3


MATCHING = train.Shape(vocabulary=build().get_vocab_size(), layers=2)


def continued(network: train.Network) -> tuple[int, int]:
    """Of values whose sentence stands in the text, how many first pieces are foretold, and of how many."""
    right = asked = 0
    for seed in range(10):
        text = write(World(random.Random(seed), held_out=True), tokens=300, facts=6, questions=6, mix=PLAIN)
        for ask in text.asked:
            stated = ask.fact.sentence.removesuffix(f"{ask.fact.value}.").strip()
            if ask.fact.sentence not in str(text) or len(ids(stated)) < train.Shape(vocabulary=0).kv_heads:
                continue
            prompt = ids(f"{plain(str(text), ask.question)} {stated}")
            with torch.no_grad():
                hidden = network(torch.tensor([prompt]), torch.arange(len(prompt))[None])
                found = int(network.logits(hidden[0, -1]).argmax())
            right, asked = right + (found == ids(f" {ask.fact.value}")[0]), asked + 1
    return right, asked


def test_heads_that_match_find_what_is_stated_before_any_training() -> None:
    torch.manual_seed(1)
    network = train.Network(MATCHING)
    assert continued(network)[0] == 0
    matching.begin(network)
    right, asked = continued(network)
    assert asked >= 20 and right >= 0.85 * asked
    with pytest.raises(ValueError, match="wide"):
        matching.begin(train.Network(train.Shape(vocabulary=9, head_dim=64)))


@pytest.mark.parametrize("hold", ["1", "0"])
def test_heads_that_match_stay_while_they_are_held(tmp_path: Path, hold: str) -> None:
    trained(tmp_path, "--start", "matching", "--hold", hold)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    torch.manual_seed(1)
    network = train.Network(train.Shape(**state["shape"]))
    matching.begin(network)
    before = network.state_dict()["layers.1.q.weight"]
    moved = (state["network"]["layers.1.q.weight"] - before).abs().amax(1)
    still = len(before) // 2
    assert bool((moved[still:] > 1e-4).all())
    assert bool((moved[:still] > 0).any()) == (hold == "0")


def test_another_reader_is_not_taken_for_the_measured_one(tmp_path: Path) -> None:
    trained(tmp_path)
    weights = tmp_path / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(CorruptFile, match="damaged"):
        load(tmp_path)
    with pytest.raises(CorruptFile, match="no reader"):
        load(tmp_path / "nowhere")


def test_the_template_says_what_training_said(tmp_path: Path) -> None:
    trained(tmp_path)
    _, tokenizer = load(tmp_path)
    user = {"role": "user", "content": "Text: Kazun owes 12.\nQuestion: How much does Kazun owe?"}
    request = Request(messages=(Message(role="user", content=user["content"]),), role="worker", max_tokens=9)
    rendered = tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
    assert rendered == "<s>" + chat(request)
    said = {"role": "assistant", "content": "Kazun owes 12."}
    again = tokenizer.apply_chat_template([user, said, user], tokenize=False, add_generation_prompt=True)
    assert again == f"<s>{chat(request)} Kazun owes 12.</s>\n{user['content']}\nAnswer:"
    assert tokenizer.chat_template == TEMPLATE
