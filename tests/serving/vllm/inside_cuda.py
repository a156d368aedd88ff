"""Run by vLLM's own interpreter: the backend for CUDA inside a real engine, on a processor.

python inside_cuda.py OUT MODEL NAME=CONFIG-JSON ...

vLLM's scheduler, pages, metadata and FlashAttention are its own; what is compiled for CUDA is stood in for (`seam`),
and our kernels run in Triton's interpreter. The same engine then attends by the masked dense reference, and by
vLLM's FlashAttention alone.
"""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

import json
import os
import sys
from pathlib import Path

os.environ.update(TRITON_INTERPRET="1")

import inside
import seam

IDS = inside.IDS[:330]
PIECE = 192
"""Tokens of a prompt that are read at once: three blocks."""


def main() -> None:
    seam.put_into_flash_attention()
    from vllm.v1.attention.backends.flash_attn import FlashAttentionImpl
    from vllm.v1.attention.backends.registry import register_backend

    from coa.serving import vllm_plugin

    out, model, *methods = sys.argv[1:]
    # A processor has one backend alone, by its own name: ours for CUDA is put in its place.
    vllm_plugin._CPU = vllm_plugin._CUDA
    register_backend(vllm_plugin.BACKEND, vllm_plugin._CUDA)
    from coa.serving.vllm_plugin import cuda
    from coa.serving.vllm_plugin.paged import Paged

    cuda.LONG = 64
    llm = inside.engine(model, max_num_batched_tokens=PIECE)
    ours = inside.layers(cuda.SparseFlashImpl)

    def under(config: str) -> dict:
        """By the kernels, and by the masked dense reference."""
        found = {}
        for name, kind in (("kernels", cuda.PagedOnGpu), ("reference", Paged)):
            for layer, paged in zip(ours, inside.bound(config, ours, kind), strict=True):
                layer.paged = paged
            found[name] = inside.read(llm, IDS)
            states = [layer.paged.report.state() for layer in ours]
            found[name] |= {"density": [state["density"] for state in states], "calls": states[0]["calls"]}
        return found

    found = {name: under(config) for name, config in map(inside.parted, methods)}
    for layer in ours:
        layer.__class__ = FlashAttentionImpl
    found["stock"] = inside.read(llm, IDS)
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
