"""A RAG backend that embeds the library: put documents in, search them, ask, and watch the answer come.

    pip install fastapi uvicorn
    python examples/rag_service/service.py --folder lib --port 8000 --model offline

The routes are in README.md. One process, one index; `create_app` mounts the same in a service of your own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from statuses import body_of, status_of

import coa
from coa.documents import load
from coa.events import CallDone, Event, Retrying, RunFinished, RunStarted, StepDone, TextPiece, Warned
from coa.retrieval.base import Hit
from coa.retrieval.index import Index

MB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may cost. A client may ask for less, never for more."""

    upload_bytes: int = 50 * MB
    max_calls: int = 60
    max_tokens: int = 400_000
    deadline: float = 120.0


class Question(BaseModel):
    """What is asked, and what it may cost."""

    model_config = ConfigDict(extra="forbid")

    question: str
    retrieve: int = Field(4_000, ge=1, le=200_000, description="Tokens of passages that are read")
    max_calls: int | None = Field(None, ge=0)
    max_tokens: int | None = Field(None, ge=0)
    deadline: float | None = Field(None, gt=0)


class Library:
    """The index, and the lock that lets one request at a time change it."""

    def __init__(self, folder: Path, embedder: str | None) -> None:
        self.folder = folder
        self._index = Index.create(folder, embedder=embedder)
        self._writing = asyncio.Lock()

    def close(self) -> None:
        self._index.close()

    async def put(self, name: str, data: bytes, limits: Limits) -> dict[str, Any]:
        bounds = coa.Limits(file_bytes=limits.upload_bytes)
        document = await asyncio.to_thread(load, data, path=name, limits=bounds)
        async with self._writing:
            added = await asyncio.to_thread(self._index.add, [document])
        return {"name": name, "chars": len(document.text), "indexed": bool(added), "warnings": document.warnings}

    async def remove(self, name: str) -> bool:
        async with self._writing:
            return await asyncio.to_thread(self._index.remove, name)

    async def sources(self) -> list[dict[str, Any]]:
        return [asdict(source) for source in await asyncio.to_thread(lambda: self._index.sources)]

    async def search(self, query: str, k: int, where: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        return [_hit(hit) for hit in await self._index.search(query, k, where=where)]


def create_app(
    folder: Path,
    *,
    model: str = "offline",
    base_url: str | None = None,
    embedder: str | None = None,
    limits: Limits = Limits(),
) -> FastAPI:
    """The service over one folder: the index and the journals of its runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        app.state.library = Library(folder, embedder)
        yield
        app.state.library.close()

    app = FastAPI(title="RAG backend", lifespan=lifespan)
    app.add_exception_handler(coa.CoaError, _coa_error)
    app.add_exception_handler(RequestValidationError, _invalid)

    _add_documents(app, limits)
    _add_questions(app, folder, limits, {"model": model, "base_url": base_url})
    return app


def _add_documents(app: FastAPI, limits: Limits) -> None:
    """Routes that change the library, and that look into it."""

    @app.put("/documents/{name:path}")
    async def put(name: str, request: Request) -> JSONResponse:
        data = await _body(request, limits.upload_bytes)
        return JSONResponse(await app.state.library.put(name, data, limits), status_code=201)

    @app.get("/documents")
    async def documents() -> list[dict[str, Any]]:
        return await app.state.library.sources()

    @app.delete("/documents/{name:path}", status_code=204)
    async def remove(name: str) -> None:
        if not await app.state.library.remove(name):
            raise coa.errors.InputNotFound(f"there is no document {name!r}", hint="GET /documents lists them.")

    @app.get("/search")
    async def search(
        q: str, k: Annotated[int, Query(ge=1, le=100)] = 10, where: str | None = None
    ) -> list[dict[str, Any]]:
        return await app.state.library.search(q, k, _filter(where))


def _add_questions(app: FastAPI, folder: Path, limits: Limits, model: dict[str, str | None]) -> None:
    """The route that answers; every request is a run with limits of its own."""

    @app.post("/ask")
    async def ask(asked: Question) -> StreamingResponse:
        events = coa.stream.ask(
            folder,
            asked.question,
            retrieve=asked.retrieve,
            **model,
            run_dir=folder / "runs",
            max_calls=_least(asked.max_calls, limits.max_calls),
            max_tokens=_least(asked.max_tokens, limits.max_tokens),
            deadline=_least(asked.deadline, limits.deadline),
        )
        # What goes wrong before the first event gets a status of its own; later the 200 is sent already.
        first = await anext(events)
        return StreamingResponse(_sse(first, events), media_type="text/event-stream")


async def _body(request: Request, most: int) -> bytes:
    """The body, refused as soon as it is too long, whatever its header says."""
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > most:
            raise coa.errors.InputTooLarge(f"the document is longer than {most} bytes", hint="Split it.")
    return bytes(data)


def _filter(where: str | None) -> Mapping[str, Any] | None:
    try:
        wanted: Any = None if where is None else json.loads(where)
    except ValueError:
        wanted = where
    if wanted is not None and not isinstance(wanted, dict):
        raise coa.errors.UsageError(f"{where!r} is no filter", hint='where={"year": {"gte": 2020}}')
    return cast("dict[str, Any] | None", wanted)


def _least(asked: Any, limit: Any) -> Any:
    return limit if asked is None else min(asked, limit)


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        "doc": hit.span.doc,
        "path": hit.path,
        "start": hit.span.start,
        "end": hit.span.end,
        "page": hit.page,
        "section": list(hit.section),
        "quote": hit.text,
        "score": hit.score,
        "parts": dict(hit.parts),
    }


async def _sse(first: Event, events: AsyncGenerator[Event, None]) -> AsyncIterator[str]:
    """Server-sent events. A client that goes away ends the run: its finished calls are kept for the next time."""
    try:
        yield _event(first)
        async for event in events:
            yield _event(event)
    except coa.CoaError as error:
        yield _line("error", body_of(error) | {"status": status_of(error)})
    finally:
        await events.aclose()


def _event(event: Event) -> str:
    match event:
        case RunStarted():
            return _line("started", {"run_id": event.run_id, "model": event.model, "steps": event.steps})
        case StepDone():
            return _line("step", {"done": event.done, "steps": event.steps, "outcome": event.outcome})
        case TextPiece():
            return _line("text", {"text": event.text, "start": event.start})
        case Retrying():
            return _line("retrying", {"wait": event.wait, "reason": event.reason})
        case Warned():
            return _line("warning", {"message": event.message})
        case CallDone():
            return _line("call", {"role": event.role, "from_journal": event.from_journal})
        case RunFinished():
            return _line("answer", event.answer.to_dict())
        case _:
            return ""


def _line(name: str, data: Mapping[str, Any]) -> str:
    # JSON holds no line break: a document cannot end the event and begin another.
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def _coa_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, coa.CoaError)
    wait = getattr(error, "retry_after", None)
    headers = {"Retry-After": str(int(wait) + 1)} if wait else None
    return JSONResponse(body_of(error), status_code=status_of(error), headers=headers)


def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    body = {"error": "UsageError", "message": f"{place}: {first['msg']}", "hint": "GET /docs describes the requests."}
    return JSONResponse(body, status_code=400)


def main() -> None:
    import uvicorn

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--model", default="offline")
    parser.add_argument("--base-url")
    parser.add_argument("--embedder")
    parser.add_argument("--max-calls", type=int, default=Limits.max_calls)
    parser.add_argument("--upload-bytes", type=int, default=Limits.upload_bytes)
    args = parser.parse_args()
    limits = Limits(max_calls=args.max_calls, upload_bytes=args.upload_bytes)
    app = create_app(args.folder, model=args.model, base_url=args.base_url, embedder=args.embedder, limits=limits)
    uvicorn.run(app, host="127.0.0.1", port=args.port)


if __name__ == "__main__":
    main()
