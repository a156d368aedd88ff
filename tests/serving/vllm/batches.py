"""Batches of requests as vLLM hands them to a backend for CUDA, in its own pages, and what they should get."""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

from dataclasses import dataclass, field, replace

import torch

HEADS, KV_HEADS, SIZE = 4, 2, 64
PAGE = 16


def layer(config, name="model.layers.0.self_attn.attn", *, heads=HEADS, kv_heads=KV_HEADS, size=SIZE, **more):
    """A layer of attention, as vLLM makes it for a model."""
    from vllm.config import set_current_vllm_config
    from vllm.model_executor.layers.attention import Attention
    from vllm.utils.torch_utils import set_default_torch_dtype

    config.compilation_config.static_forward_context.pop(name, None)
    with set_current_vllm_config(config), set_default_torch_dtype(config.model_config.dtype):
        return Attention(
            heads, size, size**-0.5, num_kv_heads=kv_heads, cache_config=config.cache_config, prefix=name, **more
        )


@dataclass
class Batch:
    """Requests, each with so many new tokens at the end of so many; rows of padding behind them."""

    requests: list[tuple[int, int]]
    padding: int = 0
    layout: str = "LBNHC"
    causal: bool = True
    more: dict = field(default_factory=dict)
    seed: int = 0
    drawn: list = field(default_factory=list)

    def draw(self, layer, dtype):
        """Make queries, keys and values of each request, (heads, tokens, head size)."""
        chance = torch.Generator().manual_seed(self.seed)
        self.drawn = []
        for new, length in self.requests:
            shapes = (layer.num_heads, new), (layer.num_kv_heads, length), (layer.num_kv_heads, length)
            # Not noise alone: keys near a query, and the first ones, are looked at more than the rest.
            query, key, value = (
                torch.randn((*shape, layer.head_size), generator=chance).cumsum(1) / 4 for shape in shapes
            )
            self.drawn.append([part.to(dtype) for part in (query, key, value)])

    def ask(self, layer, config, dtype=torch.float32):
        """Attend to pages that were just written, as vLLM does in one step: (tokens, heads, head size)."""
        from vllm.forward_context import set_forward_context
        from vllm.model_executor.layers.attention.attention import unified_kv_cache_update

        self.draw(layer, dtype)
        self.spec = replace(layer.get_kv_cache_spec(config) or full(layer), dtype=dtype, block_size=PAGE)
        layer.kv_cache, self.tables = self.pages(layer.layer_name, config)
        made = layer.attn_backend.get_builder_cls()
        self.builder = made(self.spec, [layer.layer_name], config, torch.device("cpu"))
        for of_request, where, (new, length) in zip(self.drawn, self.slots(), self.requests, strict=True):
            old = slice(0, length - new)
            key, value = (rows(part[:, old]) for part in of_request[1:])
            layer.impl.do_kv_cache_update(layer, key, value, layer.kv_cache, where[old])
        _, key, value = self.fresh()
        name = layer.layer_name
        with set_forward_context({name: None}, config, slot_mapping={name: self.where()}):
            unified_kv_cache_update(key, value, name)
        return self.ask_again(layer, config, layer.kv_cache)

    def ask_again(self, layer, config, kv_cache, scale=None):
        """Attend to pages that are there."""
        from vllm.forward_context import set_forward_context
        from vllm.model_executor.layers.attention.attention import unified_attention_with_output

        layer.kv_cache = kv_cache
        query, key, value = self.fresh()
        out = torch.full_like(query, float("nan"))
        with set_forward_context({layer.layer_name: self.described()}, config, slot_mapping={}):
            unified_attention_with_output(query, key, value, out, layer.layer_name, output_scale=scale)
        return out

    def slots(self):
        """Where each token of each request lies."""
        return [table.repeat_interleave(PAGE) * PAGE + torch.arange(PAGE).repeat(len(table)) for table in self.tables]

    def where(self):
        """Where the new tokens of all requests lie."""
        each = zip(self.slots(), self.requests, strict=True)
        return torch.cat([slots[length - new : length] for slots, (new, length) in each])

    def fresh(self):
        """Queries, keys and values of the new tokens, (tokens, heads, head size), and padding."""
        both = zip(self.drawn, self.requests, strict=True)
        last = [[rows(part[:, part.shape[1] - new :]) for part in parts] for parts, (new, _) in both]
        return [self.padded(torch.cat(each)) for each in zip(*last, strict=True)]

    def padded(self, given):
        return torch.cat([given, torch.full((self.padding, *given.shape[1:]), 7.0, dtype=given.dtype)])

    def pages(self, name, config):
        """A cache as vLLM makes it, full of what is not to be read, and pages in it for each request, in no order."""
        from vllm.v1.core.kv_cache_utils import get_kv_cache_configs
        from vllm.v1.kv_cache_interface import KVCacheLayout, create_kv_cache_views

        spec = self.spec
        config.cache_config.kv_cache_layout = self.layout
        needed = [-(-length // PAGE) for _, length in self.requests]
        (made,) = get_kv_cache_configs(config, [{name: spec}], [max(1024, sum(needed)) * spec.page_size_bytes])
        (where,) = made.kv_cache_tensors
        memory = torch.zeros(where.size, dtype=torch.int8)
        (cache,) = create_kv_cache_views(memory, spec, made.num_blocks_of(where), KVCacheLayout[self.layout], where)
        cache.fill_(1000)
        some = torch.randperm(len(cache), generator=torch.Generator().manual_seed(self.seed))
        return cache, some[: sum(needed)].split(needed)

    def described(self):
        """What vLLM's own builder makes of the batch."""
        from vllm.v1.attention.backend import CommonAttentionMetadata

        new, lengths = (torch.tensor(part, dtype=torch.int32) for part in zip(*self.requests, strict=True))
        starts = torch.nn.functional.pad(new.cumsum(0), (1, 0)).int()
        table = torch.nn.utils.rnn.pad_sequence(list(self.tables), batch_first=True).int()
        common = CommonAttentionMetadata(
            query_start_loc=starts, query_start_loc_cpu=starts, seq_lens=lengths, num_reqs=len(new),
            num_actual_tokens=int(new.sum()), max_query_len=int(new.max()), max_seq_len=int(lengths.max()),
            block_table_tensor=table, slot_mapping=self.where(), causal=self.causal,
        )  # fmt: skip
        return replace(self.builder.build(0, common), **self.more)

    def true(self, mask_of):
        """The dense reference under masks of (heads, queries, keys), None for all that came before."""
        from coa.serving.sparse import reference

        some = [part for part, (new, _) in zip(self.drawn, self.requests, strict=True) if new]
        return torch.cat([rows(reference.attention(*part, mask_of(*part[:2]))) for part in some])


def rows(part):
    """(heads, tokens, head size) -> (tokens, heads, head size)."""
    return part.transpose(0, 1)


def full(layer):
    """Pages of a layer for which vLLM keeps none."""
    from vllm.v1.kv_cache_interface import FullAttentionSpec

    return FullAttentionSpec(
        block_size=PAGE, num_kv_heads=layer.num_kv_heads, head_size=layer.head_size, dtype=torch.float32
    )
