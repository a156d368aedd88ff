"""Run by vLLM's own interpreter: log-probabilities of one prompt and its reply, under stock attention and each method.

python inside.py OUT MODEL [NAME=CONFIG-JSON ...]

One engine, started with our plug-in. For stock attention its layers are given back the class that vLLM itself would
have put there: pages, metadata and all around them are the same.
"""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

import gc
import json
import os
import sys
from pathlib import Path

os.environ.update(VLLM_CPU_KVCACHE_SPACE="1", VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_NO_USAGE_STATS="1")
IDS = [(i * i * 7 + i * 13) % 900 + 50 for i in range(700)]


def main() -> None:
    out, model, *methods = sys.argv[1:]
    llm = engine(model)

    def measured() -> dict[str, list[float]]:
        found = read(llm, IDS)
        (cold,), (warm,) = replies(llm, [IDS], empty=True), replies(llm, [IDS], empty=False)
        return found | {"cold": cold[1], "warm": warm[1], "cached": [cold[0], warm[0]]}

    found = {"stock": stock(measured)} | {name: under(config, measured) for name, config in map(parted, methods)}
    Path(out).write_text(json.dumps(found | {"window": window(llm.llm_engine.vllm_config)}))


def window(config) -> float:
    """How far a layer with a window of its own is from the dense reference under that window."""
    from batches import Batch, layer
    from seam import visible

    made, batch = layer(config, per_layer_sliding_window=20), Batch([(70, 100), (1, 90)], layout="LBHNC")
    out = batch.ask(made, config)
    true = batch.true(lambda query, key: visible(query.shape[1], key.shape[1], True, 19, -1)[None])
    return float((out - true).abs().max())


def engine(model: str, **more):
    from vllm import LLM

    return LLM(
        model=model,
        dtype="float32",
        max_model_len=2048,
        max_num_seqs=4,
        enforce_eager=True,
        disable_log_stats=True,
        enable_prefix_caching=True,
        **more,
    )


def read(llm, ids: list[int]) -> dict[str, list[float]]:
    """Log-probabilities of a prompt and its reply."""
    (done,) = asked(llm, [ids], prompt_logprobs=0)
    return {"prompt": likely(done.prompt_logprobs[1:]), "reply": likely(done.outputs[0].logprobs)}


def replies(llm, prompts: list[list[int]], *, empty: bool, new: int = 8) -> list[tuple[int, list[float]]]:
    """Tokens of each prompt that came from the prefix cache, and log-probabilities of the replies."""
    # Prompts whose log-probabilities are wanted are never read from the cache; these may be.
    if empty:
        assert llm.reset_prefix_cache()
    return [(done.num_cached_tokens, likely(done.outputs[0].logprobs)) for done in asked(llm, prompts, max_tokens=new)]


def asked(llm, prompts: list[list[int]], **more):
    from vllm import SamplingParams
    from vllm.inputs import TokensPrompt

    sampling = SamplingParams(**({"max_tokens": 8, "temperature": 0, "logprobs": 0, "ignore_eos": True} | more))
    return llm.generate([TokensPrompt(prompt_token_ids=ids) for ids in prompts], sampling)


def likely(entries) -> list[float]:
    return [next(iter(entry.values())).logprob for entry in entries]


def parted(argument: str) -> tuple[str, str]:
    name, _, config = argument.partition("=")
    return name, config


def layers(kind: type) -> list:
    """What computes attention in each layer of the engine."""
    gc.unfreeze()  # vLLM hides what it has made from the collector.
    return [thing for thing in gc.get_objects() if type(thing) is kind]


def stock(measured):
    """The same engine with vLLM's own attention."""
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackendImpl

    from coa.serving.vllm_plugin.cpu import SparseCPUImpl

    ours = layers(SparseCPUImpl)
    calls = [layer.paged.report.calls for layer in ours]
    for layer in ours:
        layer.__class__ = CPUAttentionBackendImpl
    found = measured()
    assert ours and calls == [layer.paged.report.calls for layer in ours], "ours was asked"
    for layer in ours:
        layer.__class__ = SparseCPUImpl
    return found


def under(config: str, measured):
    """The same engine, each layer bound anew to another policy."""
    from coa.serving.vllm_plugin.cpu import PagedInDouble, SparseCPUImpl

    ours = layers(SparseCPUImpl)
    for layer, paged in zip(ours, bound(config, ours, PagedInDouble), strict=True):
        layer.paged = paged
    found = measured()
    reports = [layer.paged.report for layer in ours]
    ran = {(report.state()["method"], report.state()["settings"]) for report in reports}
    density = sum(report.kept for report in reports) / sum(report.allowed for report in reports)
    return found | {"density": density, "ran": sorted(ran)}


def bound(config: str, ours: list, kind: type) -> list:
    """What computes each layer, by a policy."""
    from coa.serving.sparse.config import SparseConfig
    from coa.serving.sparse.policy import Policy

    policy = Policy.of(SparseConfig.from_json(config), len(ours), ours[0].num_heads, ours[0].num_kv_heads)
    return [kind(policy, len(ours), layer.head_size, layer.scale) for layer in ours]


if __name__ == "__main__":
    main()
