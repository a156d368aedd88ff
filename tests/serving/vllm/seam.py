"""What only vLLM's build for CUDA has, in plain PyTorch: its compiled attention over pages, and what fills them.

Everything else of vLLM's FlashAttention is Python, and lies in its build for processors, too. The stand-ins are put
where the compiled functions would be, so that vLLM's own callers of them run.
"""

# pyright: basic, reportMissingImports=false

import sys
from itertools import pairwise
from types import ModuleType, SimpleNamespace

import torch

CALLS: list[str] = []
"""Which of the compiled functions were asked for."""


def put_in() -> None:
    """Where vLLM looks for its compiled functions."""
    for name in ("_C_stable_libtorch", "vllm_flash_attn._vllm_fa2_C", "vllm_flash_attn._vllm_fa3_C"):
        sys.modules[f"vllm.{name}"] = ModuleType(name)
    torch.ops._vllm_fa3_C = SimpleNamespace(fwd=fwd, get_scheduler_metadata=lambda *_: None)
    torch.ops._C_cache_ops = SimpleNamespace(reshape_and_cache_flash=reshape_and_cache_flash)


def let_triton_run() -> None:
    """For vLLM's own kernels, too, which on a processor it runs with a Triton that compiles for processors."""
    from triton.backends import backends

    backends["cpu"] = SimpleNamespace(driver=SimpleNamespace(is_active=lambda: True))


def put_into_flash_attention() -> None:
    """Where vLLM's module of FlashAttention has them on CUDA; on a processor it leaves them out."""
    put_in()
    from vllm._custom_ops import reshape_and_cache_flash as write
    from vllm.v1.attention.backends import flash_attn
    from vllm.vllm_flash_attn import flash_attn_varlen_func, get_scheduler_metadata

    flash_attn.flash_attn_varlen_func, flash_attn.reshape_and_cache_flash = flash_attn_varlen_func, write
    flash_attn.get_scheduler_metadata = get_scheduler_metadata
    flash_attn.get_flash_attn_version = lambda *_, **__: 3


def fwd(*given):
    """FlashAttention's third version: attention of each request, over its pages or over what is given."""
    q, k, v, out, starts_q, starts_k = (given[i] for i in (0, 1, 2, 6, 7, 8))
    lengths, table, scale, causal, left, right = (given[i] for i in (11, 14, 23, 24, 25, 26))
    CALLS.append("fwd")
    starts = starts_q.tolist()
    for request, (start, end) in enumerate(pairwise(starts)):
        if end == start:
            continue
        if table is None:
            held = slice(*starts_k[request : request + 2].tolist())
            key, value = k[held], v[held]
        else:
            length = int(lengths[request])
            pages = table[request, : -(-length // k.shape[1])].long()
            key, value = (part[pages].flatten(0, 1)[:length] for part in (k, v))
        out[start:end] = dense(q[start:end], key, value, scale, visible(end - start, len(key), causal, left, right))
    return out, None, None, None


def dense(query, key, value, scale, seen):
    """All are (tokens, heads, head size)."""
    group = query.shape[1] // key.shape[1]
    key, value = (part.repeat_interleave(group, 1).double() for part in (key, value))
    logits = torch.einsum("qhd,khd->hqk", query.double(), key) * scale
    return torch.einsum("hqk,khd->qhd", logits.masked_fill(~seen, float("-inf")).softmax(-1), value).to(query.dtype)


def visible(queries, keys, causal, left, right):
    """Bool, (queries, keys); ``left`` and ``right`` are a window's tokens, -1 for no border."""
    ahead = torch.arange(keys)[None, :] - (keys - queries + torch.arange(queries))[:, None]
    seen = ahead <= 0 if causal else torch.ones_like(ahead, dtype=torch.bool)
    seen = seen & (-ahead <= left) if left >= 0 else seen
    return seen & (ahead <= right) if right >= 0 else seen


def reshape_and_cache_flash(key, value, key_cache, value_cache, slot_mapping, *_):
    """Write keys and values where the slots say; both caches are (blocks, block size, heads, head size)."""
    CALLS.append("reshape_and_cache_flash")
    used = slot_mapping >= 0
    slots = slot_mapping[used]
    for given, cache in ((key, key_cache), (value, value_cache)):
        size = cache.shape[1]
        cache[slots // size, slots % size] = given[: used.numel()][used].to(cache.dtype)
