"""The pipelines behind an OpenAI-compatible HTTP API: an ASGI application without a framework, and ``coa serve``.

`app.App` is the application, `listen.serve` runs it under uvicorn (extra ``serve``). A request's way: `app` checks who
asks, `body` reads no more than allowed, `chat` makes a task and documents of it, `replying` carries the run out and
ends it when the client goes away, `wire` writes the objects.
"""
