"""Run by vLLM's own interpreter: the backend for CUDA, chosen, made, fed and asked by vLLM's code for CUDA.

python as_on_cuda.py OUT MODEL

No GPU: vLLM is told that it has one of the ninth generation, what is compiled for it is stood in for (`seam`), and
our kernels run in Triton's interpreter.
"""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

os.environ.update(TRITON_INTERPRET="1", VLLM_NO_USAGE_STATS="1")
LAYERS = 4
LONG = 64
"""Queries from which on a prompt is read sparsely here."""

import seam  # noqa: E402
import torch  # noqa: E402
from batches import HEADS, SIZE, Batch, layer  # noqa: E402

from coa.serving.sparse.config import SparseConfig  # noqa: E402
from coa.serving.vllm_plugin import CONFIG_VARIABLE  # noqa: E402


def on_cuda():
    """vLLM's platform for CUDA, as far as it asks torch about the GPU."""
    seam.put_in()
    torch.cuda.get_device_capability = lambda *_: (9, 0)
    torch.cuda.get_device_name = lambda *_: "a GPU of the ninth generation"
    import vllm.platforms
    from vllm.platforms.cuda import NonNvmlCudaPlatform

    vllm.platforms._current_platform = NonNvmlCudaPlatform()


def told(model, *more, method="xattention"):
    """vLLM's configuration, from the command line that our launcher would give it."""
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.plugins import load_general_plugins
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    from coa.serving.vllm.interpreter import Interpreter
    from coa.serving.vllm.launch import Launch

    launch = Launch(model=model, profile=method, extra=("--dtype", "bfloat16", *more))
    found = Interpreter(python="python", version="0.32.0", device="cuda", plugin=True)
    os.environ.update(launch.environment(found, Path(os.devnull)))
    load_general_plugins()
    arguments = make_arg_parser(FlexibleArgumentParser()).parse_args(launch.command(found)[3:])
    return AsyncEngineArgs.from_cli_args(arguments).create_engine_config()


def refused(config, **more):
    """What vLLM says when such a layer is made; None where it is made."""
    try:
        layer(config, **more)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def chosen(model):
    """Which class the launcher's command line leads to, and what it promises."""
    config = told(model)
    made = layer(config)
    return {
        "backend": ".".join(made.attn_backend.full_cls_name()),
        "named": made.backend.name,
        "impl": type(made.impl).__name__,
        "flash": made.impl.vllm_flash_attn_version,
        "writes_in_forward": made.attn_backend.forward_includes_kv_cache_update,
        "graphs": {method: graphs(model, method) for method in ("xattention", "quest", "streaming", "lserve")},
    }


def graphs(model, method):
    """What becomes of vLLM's own way to capture graphs, where nobody forbids it."""
    config = told(model, "--no-enforce-eager", method=method)
    made = layer(config)
    support = made.attn_backend.get_builder_cls().get_cudagraph_support(config, made.get_kv_cache_spec(config))
    before = config.compilation_config.cudagraph_mode.name
    after = config.compilation_config.resolve_cudagraph_mode_and_sizes(support, made.attn_backend.__name__)
    return [before, support.name, after.name]


BATCHES = {
    "one prompt": [(150, 150)],
    "a piece of one": [(96, 224)],
    "a crooked piece": [(83, 150)],
    "prompts and single tokens": [(130, 130), (1, 77), (1, 1), (70, 100), (20, 90)],
    "single tokens": [(1, 100), (1, 33), (1, 180)],
}


SMALL = SparseConfig(block=32, stride=8, tau=0.5, sink=8, recent=40, budget=64, dense_layers=0)


def under(method):
    """What the launcher would leave in the environment."""
    os.environ[CONFIG_VARIABLE] = method.to_json()


def asked(model):
    """How far each method is from the dense reference under its own masks, in each kind of batch."""
    config, found = told(model), {}
    table = str(Path(model, "full_attention_heads.tsv"))
    for name, method in {
        "tau 1": replace(SMALL, method="xattention", tau=1.0),
        "xattention": replace(SMALL, method="xattention"),
        "streaming": replace(SMALL, method="streaming"),
        "quest": replace(SMALL, method="quest"),
        "lserve": replace(SMALL, method="lserve", heads_file=table),
    }.items():
        under(method)
        found[name] = {kind: apart(layer(config), config, Batch(requests)) for kind, requests in BATCHES.items()}
    return found


def apart(made, config, batch, dtype=torch.float32):
    """The largest difference, the density that was counted, and whether vLLM's own attention was asked."""
    seam.CALLS.clear()
    out = batch.ask(made, config, dtype)
    true = batch.true(lambda query, key: seen(made.impl.paged.policy, query, key))
    report = made.impl.paged.report
    return {
        "apart": float((out[: len(true)] - true).abs().max()),
        "padding_untouched": bool(out[len(true) :].isnan().all()),
        "density": report.state()["density"],
        "calls": report.calls,
        "own": "fwd" in seam.CALLS,
    }


def seen(policy, query, key):
    """What a method lets each query see on a GPU: whole blocks in prompts, tokens where one is written."""
    from coa.serving.sparse import blocks, reference, streaming, xattention

    config, (heads, queries, _), keys = policy.config, query.shape, key.shape[1]
    if queries == 1:
        return policy.mask(query, key, 0)
    # Blocks of queries begin where blocks of keys do: rows of nothing are put before the first.
    extra = (keys - queries) % config.block
    asked = torch.nn.functional.pad(query, (0, 0, extra, 0))

    def tokens(kept):
        return blocks.expand(kept, queries + extra, keys, config.block)[..., extra:, :]

    mask = reference.causal_tokens(queries, keys).expand(heads, -1, -1)
    if config.method in ("xattention", "lserve") and queries >= LONG:
        mask = tokens(xattention.kept_blocks(asked, key, tau=config.tau, block=config.block, stride=config.stride))
    if policy.streams is None:
        return mask
    near = tokens(
        streaming.kept_blocks(queries + extra, keys, sink=config.sink, recent=config.recent, block=config.block)
    )
    return torch.where(policy.streams[0].repeat_interleave(heads // len(key))[:, None, None], near, mask)


def shapes(model):
    """Full and sparse choices for other heads, layouts of the cache, numbers, and rows of padding."""
    config, batch = told(model), BATCHES["prompts and single tokens"]
    under(replace(SMALL, method="xattention"))
    return {
        "heads of 128, one for all": apart(layer(config, kv_heads=1, size=128), config, Batch([(70, 100)])),
        "heads of 32, each its own": apart(layer(config, kv_heads=4, size=32), config, Batch([(70, 100)])),
        "the other layout": apart(layer(config), config, Batch(batch, layout="LBHNC")),
        "padded": apart(layer(config), config, Batch(batch, padding=9)),
        "requests of nothing": apart(layer(config), config, Batch([(70, 100), (1, 50), (0, 0), (0, 0)])),
        "16-bit floats": apart(layer(config), config, Batch([(70, 100)]), torch.float16),
    }


def others(model):
    """What is left to vLLM's own attention, and comes out as it does there: the difference, and that it was asked."""
    from vllm.v1.attention.backend import AttentionType

    config = told(model)
    under(replace(SMALL, method="streaming"))

    def compared(made, batch, mask_of=lambda query, key: None):
        seam.CALLS.clear()
        out = batch.ask(made, config)
        return [float((out - batch.true(mask_of)).abs().max()), "fwd" in seam.CALLS, reported(made)]

    def window(query, key):
        return seam.visible(query.shape[1], key.shape[1], True, 19, -1)[None]

    def everything(query, key):
        return torch.ones(1, query.shape[1], key.shape[1], dtype=torch.bool)

    prompts = [(70, 70), (30, 30)]
    return {
        "window": compared(layer(config, per_layer_sliding_window=20), Batch([(70, 100), (1, 90)]), window),
        "encoder": compared(layer(config, attn_type=AttentionType.ENCODER_ONLY), Batch(prompts), everything),
        "looks ahead": compared(layer(config), Batch(prompts, causal=False), everything),
        "draft": compared(layer(config, f"model.layers.{LAYERS}.self_attn.attn"), Batch([(70, 100)])),
        "pictures": compared(layer(config), Batch([(70, 100)], more={"mm_prefix_query_range_tensor": torch.zeros(1)})),
        "window behind": compared(layer(config), Batch([(70, 100)], more={"rswa_prefix_lens": torch.zeros(1)})),
    }


def reported(made):
    """Calls that were counted as ours."""
    return made.impl.paged.report.calls if made.impl.paged is not None else 0


def shared(model):
    """A layer that reads the pages of another: what it gets is written by that one alone."""
    config, first = told(model), "model.layers.0.self_attn.attn"
    under(replace(SMALL, method="xattention"))
    writer = layer(config)
    reader = layer(config, "transformer.h.1.attn", kv_sharing_target_layer_name=first)
    batch = Batch([(83, 150), (1, 40)])
    batch.ask(writer, config)
    seam.CALLS.clear()
    out = batch.ask_again(reader, config, writer.kv_cache)
    true = batch.true(lambda query, key: seen(reader.impl.paged.policy, query, key))
    return [float((out - true).abs().max()), list(seam.CALLS)]


def ranks(model):
    """Which heads stream for each of two workers that share four key-value heads, and what a table of two becomes."""
    from coa.serving.vllm_plugin import layers

    config = told(model)
    config.parallel_config.tensor_parallel_size, found = 2, []
    under(replace(SMALL, method="streaming", heads_file=str(Path(model, "full_attention_heads.tsv"))))
    for rank in range(2):
        layers.get_tensor_model_parallel_rank = lambda rank=rank: rank
        made = layer(config, heads=2, kv_heads=1)
        found.append([made.impl.paged.policy.streams.tolist(), apart(made, config, Batch([(70, 130), (1, 77)]))])
    return found


def nothing(model):
    """What comes out of a call without metadata, as vLLM makes it to measure memory, and of one that wants 8 bits."""
    config = told(model)
    made = layer(config)
    out = torch.full((3, HEADS, SIZE), 5.0)
    made.impl.forward(made, out, out, out, made.kv_cache, None, out)
    batch = Batch([(70, 100)])
    batch.ask(made, config)
    try:
        batch.ask_again(made, config, made.kv_cache, scale=torch.ones(1))
    except NotImplementedError as error:
        return [float(out.abs().max()), str(error)]


def refusals(model):
    """What vLLM says to layers that we cannot compute."""
    config = told(model)
    under(replace(SMALL, method="xattention"))
    found = {
        "sinks": refused(config, sinks=torch.zeros(HEADS)),
        "cap": refused(config, logits_soft_cap=30.0),
        "alibi": refused(config, alibi_slopes=[0.5] * HEADS),
        "narrow": refused(config, size=80),
        "wide": refused(config, size=256),
    }
    under(replace(SMALL, method="xattention", block=96))
    found["block"] = refused(config)
    under(replace(SMALL, method="xattention"))
    config.cache_config.cache_dtype = "fp8"
    found["fp8"] = refused(config)
    config.cache_config.cache_dtype = "auto"
    config.parallel_config.decode_context_parallel_size = 2
    found["dcp"] = refused(config)
    return found


def main():
    on_cuda()
    from coa.serving.vllm_plugin import cuda

    cuda.LONG = LONG
    out, model = sys.argv[1:]
    parts = (chosen, asked, shapes, others, shared, ranks, nothing, refusals)
    Path(out).write_text(json.dumps({part.__name__: part(model) for part in parts}, indent=1))


if __name__ == "__main__":
    main()
