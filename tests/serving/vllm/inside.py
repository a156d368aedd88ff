"""Run by vLLM's own interpreter: log-probabilities of one prompt and its reply, under stock attention or each method.

python inside.py MODEL OUT [NAME=CONFIG-JSON ...]
"""

import gc
import json
import os
import sys
from pathlib import Path

os.environ.update(VLLM_CPU_KVCACHE_SPACE="1", VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_NO_USAGE_STATS="1")
IDS = [(i * i * 7 + i * 13) % 900 + 50 for i in range(700)]


def main() -> None:
    from vllm import LLM, SamplingParams
    from vllm.inputs import TokensPrompt

    model, out, *methods = sys.argv[1:]
    llm = LLM(
        model=model,
        dtype="float32",
        max_model_len=2048,
        max_num_seqs=4,
        enforce_eager=True,
        disable_log_stats=True,
        enable_prefix_caching=True,
    )
    sampling = SamplingParams(max_tokens=8, temperature=0, prompt_logprobs=0, logprobs=0, ignore_eos=True)
    plain = SamplingParams(max_tokens=8, temperature=0, logprobs=0, ignore_eos=True)

    def measured() -> dict[str, list[float]]:
        done = llm.generate([TokensPrompt(prompt_token_ids=IDS)], sampling)[0]
        first = [next(iter(entry.values())).logprob for entry in done.prompt_logprobs[1:]]
        reply = [next(iter(entry.values())).logprob for entry in done.outputs[0].logprobs]
        cold, warm = replied(True), replied(False)
        return {"prompt": first, "reply": reply, "cold": cold[1], "warm": warm[1], "cached": [cold[0], warm[0]]}

    def replied(empty: bool) -> tuple[int, list[float]]:
        """Tokens of the prompt that came from the prefix cache, and log-probabilities of the reply."""
        # Prompts whose log-probabilities are wanted are never read from the cache; this one may be.
        if empty:
            assert llm.reset_prefix_cache()
        done = llm.generate([TokensPrompt(prompt_token_ids=IDS)], plain)[0]
        return done.num_cached_tokens, [next(iter(entry.values())).logprob for entry in done.outputs[0].logprobs]

    found = (
        {"stock": measured()}
        if not methods
        else {name: under(config, measured) for name, config in map(parted, methods)}
    )
    Path(out).write_text(json.dumps(found))


def parted(argument: str) -> tuple[str, str]:
    name, _, config = argument.partition("=")
    return name, config


def under(config: str, measured):
    """The same model with another policy in each of its layers."""
    from coa.serving.sparse.config import SparseConfig
    from coa.serving.sparse.policy import Policy
    from coa.serving.vllm_plugin.cpu import SparseCPUImpl

    gc.unfreeze()  # vLLM hides what it has made from the collector.
    layers = [thing for thing in gc.get_objects() if type(thing) is SparseCPUImpl]
    policy = Policy.of(SparseConfig.from_json(config), len(layers), layers[0].num_kv_heads)
    layers = [layer.paged for layer in layers]
    for layer in layers:
        layer.policy = policy
        layer.report.kept = layer.report.allowed = 0
    found = measured()
    found["density"] = sum(layer.report.kept for layer in layers) / sum(layer.report.allowed for layer in layers)
    return found


if __name__ == "__main__":
    main()
