"""Run by an interpreter that has Triton, without a GPU: our kernels compiled for GPUs, as the backend calls them.

python compiled.py OUT
"""

# pyright: basic, reportMissingImports=false

import inspect
import json
import sys
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from coa.serving.sparse import kernels
from coa.serving.sparse.config import GPU_BLOCKS, GPU_HEAD_SIZES

SHARED = {80: 166_912, 86: 101_376, 90: 232_448}
"""Bytes of shared memory that a program may have, by compute capability (CUDA's programming guide)."""
POINTERS = {"query": "bf16", "key": "bf16", "value": "bf16", "out": "bf16", "numbers": "i32", "counts": "i32",
            "products": "bf16", "found": "fp32"}  # fmt: skip
FLOATS = ("scale", "factor")


def compiled(kernel, capability, warps, stages=3, **constants):
    """Bytes of shared memory that it takes; the assembler has accepted it."""
    names = kernel.arg_names
    signature = {name: "constexpr" if name in constants else typed(name) for name in names}
    # Tensors begin, and their rows and heads, at multiples of sixteen, as torch makes them.
    even = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if name in POINTERS or "_" in name}
    source = ASTSource(
        fn=kernel, signature=signature, attrs=even, constexprs={(names.index(k),): v for k, v in constants.items()}
    )
    options = {"num_warps": warps, "num_stages": stages}
    done = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    return done.metadata.shared if "cubin" in done.asm else None


def typed(name):
    return f"*{POINTERS[name]}" if name in POINTERS else "fp32" if name in FLOATS else "i32"


def main():
    usual = {name: one.default for name, one in inspect.signature(kernels.prefill).parameters.items()}

    def prefill(capability, block, dim):
        step = min(usual["step"], block)
        sizes = {"BLOCK": block, "STEP": step, "DIM": dim}
        return compiled(kernels._prefill, capability, usual["warps"], usual["stages"], **sizes)

    widest = max(GPU_HEAD_SIZES)
    found = {
        "prefill": {f"{each}": [prefill(each, max(GPU_BLOCKS), widest), most] for each, most in SHARED.items()},
        "narrow": [prefill(90, block, min(GPU_HEAD_SIZES)) for block in GPU_BLOCKS],
        "sums": compiled(kernels._softmax_block_sums, 90, 4, STRIDE=16, PER=8, WIDE=1024),
        "too wide": [prefill(90, max(GPU_BLOCKS), 2 * widest), max(SHARED.values())],
    }
    Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
