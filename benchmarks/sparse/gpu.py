"""Sparse prefill and decode on one CUDA device, beside dense attention of the same inputs. Rows of JSON, as they come.

python benchmarks/sparse/gpu.py --out DIR [--lengths 32768,131072,524288,1048576] [--seconds 150] [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from triton.runtime.errors import OutOfResources

sys.path.insert(0, str(Path(__file__).parent))
from inputs import structured

from coa.serving.sparse import blocks, kernels, quest, reference, xattention
from coa.serving.sparse.prefill import xattend

HEADS, KV_HEADS, DIM, BLOCK = 32, 8, 128, 128
TRIED = ((64, 4, 2), (64, 4, 3), (64, 8, 2), (64, 8, 3), (64, 8, 4), (128, 8, 2), (128, 8, 3))
"""Keys at once, warps, stages of the kernel for prefill."""


class Rows:
    def __init__(self, out: Path, seconds: float) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.file, self.end = out / "sparse.jsonl", time.monotonic() + seconds

    def add(self, **row: object) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)

    @property
    def left(self) -> float:
        return self.end - time.monotonic()


def timed(work, times: int) -> float:
    """Milliseconds of one call: the median of ``times``, after one call to warm up if there are several."""
    if times > 1:
        work()
    taken = []
    for _ in range(times):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        taken.append(start.elapsed_time(end))
    return sorted(taken)[len(taken) // 2]


def dense(query, key, value, backend) -> None:
    with sdpa_kernel(backend):
        F.scaled_dot_product_attention(query[None], key[None], value[None], is_causal=True, enable_gqa=True)


def check(rows: Rows) -> None:
    """The kernels against plain PyTorch, on ragged lengths and with queries at the end of a longer sequence."""
    for queries, keys in ((1000, 1000), (1024, 4096), (640, 2048 + 640)):
        query, key, value = structured(8, 2, keys, DIM, seed=1, device="cuda", dtype=torch.bfloat16)
        query = query[:, -queries:].contiguous()
        ours = xattention.block_scores(query, key, block=BLOCK)
        plain = xattention.block_scores(query.cpu().float(), key.cpu().float(), block=BLOCK).cuda()
        kept = xattention.select(ours, 0.9, queries, keys, BLOCK)
        chosen = kernels.choose(ours, 0.9, queries, keys, BLOCK)
        many = (chosen.counts - kept.sum(-1)).abs()
        truth = reference.attention(query, key, value, blocks.expand(kept, queries, keys, BLOCK))
        listed = kernels.prefill(query, key, value, kernels.listed_ascending(kept), block=BLOCK)
        full, density = xattend(query, key, value, tau=1.0)
        rows.add(
            what="check", queries=queries, keys=keys,
            scores=float((ours - plain).abs().max()), kept_blocks_that_differ=int(many.sum()), kept=int(kept.sum()),
            attention=float((listed.float() - truth.float()).abs().max()),
            tau_1=float((full.float() - reference.attention(query, key, value).float()).abs().max()), density_1=density,
        )  # fmt: skip


def recalled(query, key, tau: float, sample: int = 16) -> float:
    """Share of the true attention that falls on kept blocks: the last block of queries of four heads, in rows."""
    tokens, found = query.shape[1], []
    for head in range(4):
        one, own = query[head : head + 1], key[head * KV_HEADS // HEADS][None]
        for end in (tokens, tokens // 2 // BLOCK * BLOCK):
            rows = one[:, end - BLOCK : end]
            scores = xattention.block_scores(rows, own[:, :end], block=BLOCK)
            kept = xattention.select(scores, tau, BLOCK, end, BLOCK)
            mask = blocks.expand(kept, BLOCK, end, BLOCK)
            found.append(reference.recall(rows[:, -sample:], own[:, :end], mask[:, -sample:]).mean())
    return float(torch.stack(found).mean())


def prefill(rows: Rows, tokens: int, step: dict[str, int]) -> None:
    query, key, value = structured(HEADS, KV_HEADS, tokens, DIM, seed=tokens, device="cuda", dtype=torch.bfloat16)
    times = 5 if tokens <= 2**17 else 1
    for tau in (0.9, 0.95):
        torch.cuda.reset_peak_memory_stats()
        share: list[float] = []
        took = timed(lambda tau=tau, share=share: share.append(xattend(query, key, value, tau=tau)[1]), times)
        rows.add(
            what="prefill", method="xattention", tokens=tokens, tau=tau, ms=took, density=share[-1],
            recall=recalled(query, key, tau), peak_gb=torch.cuda.max_memory_allocated() / 1e9, **step,
        )  # fmt: skip
    parts(rows, query, key, value, times)
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION):
        if rows.left < 25 and tokens > 2**19 and backend is not SDPBackend.FLASH_ATTENTION:
            continue
        try:
            took = timed(lambda backend=backend: dense(query, key, value, backend), min(times, 3))
        except RuntimeError as error:
            rows.add(what="prefill", method=backend.name, tokens=tokens, error=str(error)[:200])
            continue
        rows.add(what="prefill", method=backend.name, tokens=tokens, ms=took)


def parts(rows: Rows, query, key, value, times: int) -> None:
    """Where the time goes, on the first four heads."""
    some, shared, values = query[:4], key[:1], value[:1]
    tokens = query.shape[1]
    scores = xattention.block_scores(some, shared, block=BLOCK)
    chosen = kernels.choose(scores, 0.9, tokens, tokens, BLOCK)
    rows.add(
        what="parts of four heads", tokens=tokens,
        estimate_ms=timed(lambda: xattention.block_scores(some, shared, block=BLOCK), times),
        choose_ms=timed(lambda: kernels.choose(scores, 0.9, tokens, tokens, BLOCK), times),
        attend_ms=timed(lambda: kernels.prefill(some, shared, values, chosen, block=BLOCK), times),
    )  # fmt: skip


def tune(rows: Rows, tokens: int = 2**15) -> None:
    query, key, value = structured(HEADS, KV_HEADS, tokens, DIM, seed=3, device="cuda", dtype=torch.bfloat16)
    scores = xattention.block_scores(query, key, block=BLOCK)
    for tau in (0.9, 1.0):
        chosen = kernels.choose(scores, min(tau, 0.99999), tokens, tokens, BLOCK)
        if tau == 1.0:
            chosen = kernels.listed_ascending(blocks.causal(tokens, tokens, BLOCK, query.device).expand(scores.shape))
        for step, warps, stages in TRIED:
            try:
                took = timed(
                    lambda c=chosen, s=step, w=warps, g=stages: kernels.prefill(
                        query, key, value, c, block=BLOCK, step=s, warps=w, stages=g
                    ),
                    3,
                )
            except OutOfResources as error:  # Of shared memory: this shape of the kernel does not fit.
                rows.add(what="tune", step=step, warps=warps, stages=stages, error=str(error)[:120])
                continue
            work = 4 * float(chosen.counts.sum()) * BLOCK * BLOCK * DIM
            rows.add(what="tune", tau=tau, step=step, warps=warps, stages=stages, ms=took, tflops=work / took / 1e9)


def decode(rows: Rows, tokens: int, budget: int = 4096, page: int = 16) -> None:
    query, key, value = structured(HEADS, KV_HEADS, tokens, DIM, seed=tokens, device="cuda", dtype=torch.bfloat16)
    asked = query[:, -1].contiguous()
    low, high = quest.page_bounds(key, page)

    def chosen() -> torch.Tensor:
        scores = kernels.shared_page_scores(asked, low, high)
        return scores.topk(budget // page, sorted=False).indices

    def sparse() -> torch.Tensor:
        return kernels.decode(asked, key, value, chosen(), page)

    def whole() -> torch.Tensor:
        return F.scaled_dot_product_attention(asked[None, :, None], key[None], value[None], enable_gqa=True)

    pages = chosen()
    plain = quest.page_scores(asked.float(), low.float(), high.float()).view(KV_HEADS, -1, low.shape[1]).amax(1)
    off = float((kernels.shared_page_scores(asked, low, high) - plain)[:, :-1].abs().max())
    differ = float(
        (sparse().float() - quest.decode(asked.float(), key.float(), value.float(), pages, page)).abs().max()
    )
    mask = quest.token_mask(pages, HEADS, tokens, page)
    rows.add(
        what="decode", tokens=tokens, budget=budget, page=page, dense_ms=replayed(whole), quest_ms=replayed(sparse),
        recall=float(reference.recall(asked[:, None], key, mask).mean()), scores_differ=off, outputs_differ=differ,
        choose_ms=replayed(chosen), attend_ms=replayed(lambda: kernels.decode(asked, key, value, pages, page)),
    )  # fmt: skip


def replayed(work) -> float:
    """Milliseconds of one call, fifty of them replayed as a CUDA graph."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return timed(lambda: [graph.replay() for _ in range(50)], 3) / 50


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lengths", default="32768,131072,524288,1048576")
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--tune", action="store_true")
    options = parser.parse_args()
    rows = Rows(options.out, options.seconds)
    rows.add(what="device", name=torch.cuda.get_device_name(), torch=torch.__version__)
    lengths = [int(length) for length in options.lengths.split(",") if length]
    with torch.inference_mode():
        if options.check:
            check(rows)
        if options.tune:
            tune(rows)
        for tokens in lengths:
            if rows.left > 0:
                decode(rows, tokens)
                torch.cuda.empty_cache()
        for tokens in lengths:
            if rows.left > 0:
                prefill(rows, tokens, {})
                torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
