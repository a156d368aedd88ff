"""Run by vLLM's own interpreter: the backend for CUDA inside a real engine, on a processor.

python inside_cuda.py OUT MODEL NAME=CONFIG-JSON ...

vLLM's scheduler, model runner (its second version, which it takes on CUDA), pages, metadata and FlashAttention are
its own; what is compiled for CUDA is stood in for (`seam`), and the kernels of both run in Triton's interpreter. The
same engine then attends by the masked dense reference, and by vLLM's FlashAttention alone.
"""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

import json
import os
import sys
from pathlib import Path

os.environ.update(TRITON_INTERPRET="1", VLLM_USE_V2_MODEL_RUNNER="1")

import inside
import seam

PROMPTS = [inside.IDS[:330], inside.IDS[100:185]]
PIECE = 192
"""Tokens that are read at once, three blocks: the second prompt is read beside the first one and its reply."""


def main() -> None:
    seam.let_triton_run()
    seam.put_into_flash_attention()
    from vllm.v1.attention.backends.flash_attn import FlashAttentionImpl
    from vllm.v1.attention.backends.registry import register_backend

    from coa.serving import vllm_plugin

    out, model, *methods = sys.argv[1:]
    # A processor has one backend alone, by its own name: ours for CUDA is put in its place.
    vllm_plugin._CPU = vllm_plugin._CUDA
    register_backend(vllm_plugin.BACKEND, vllm_plugin._CUDA)
    from vllm.v1.worker.cpu_worker import CPUWorker
    from vllm.v1.worker.gpu.model_runner import GPUModelRunner

    from coa.serving.sparse import xattention
    from coa.serving.vllm_plugin import cuda
    from coa.serving.vllm_plugin.paged import Paged

    cuda.LONG, plain = 64, xattention._sum
    llm = inside.engine(model, max_num_batched_tokens=PIECE)
    ours = inside.layers(cuda.SparseFlashImpl)
    (runner,) = [type(worker.model_runner) for worker in inside.layers(CPUWorker)]
    assert issubclass(runner, GPUModelRunner), runner

    def under(config: str) -> dict:
        """By the kernels, and by the masked dense reference."""
        found = {}
        for name, kind in (("kernels", cuda.PagedOnGpu), ("reference", Paged)):
            xattention._sum = plain if kind is Paged else xattention._sum_on_gpu
            for layer, paged in zip(ours, inside.bound(config, ours, kind), strict=True):
                layer.paged = paged
            found[name] = replies()
            states = [layer.paged.report.state() for layer in ours]
            found[name] |= {"density": [state["density"] for state in states], "calls": states[0]["calls"]}
        return found

    def replies() -> dict:
        # Read anew: what the cache holds was computed by another method.
        return {"replies": [reply for _, reply in inside.replies(llm, PROMPTS, empty=True, new=5)]}

    found = {name: under(config) for name, config in map(inside.parted, methods)}
    for layer in ours:
        layer.__class__ = FlashAttentionImpl
    found["stock"] = replies()
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
