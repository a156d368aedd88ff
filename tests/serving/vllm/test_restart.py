"""The server stops in the middle of a chain, and another one, sparse, takes its place."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

import coa
from coa.cli.main import app
from coa.errors import EmptyReply, ProviderUnavailable
from coa.events import StepDone
from coa.serving.vllm.launch import Running, stop
from coa.testing.reader import folder
from tests.serving.vllm.real import accounted, serve

pytestmark = [pytest.mark.slow, pytest.mark.vllm, pytest.mark.timeout(900)]


def test_a_run_outlives_its_server_and_is_finished_by_a_sparse_one(vllm_server: Running, root: Path, tmp_path: Path):
    document = root / "examples" / "documents" / "lighthouse_log.txt"
    options = {
        "model": "vllm:reader", "base_url": f"{vllm_server.found.url}/v1", "window": 4096, "retries": 0,
        "concurrency": 1, "run_dir": str(tmp_path / "runs"),
    }  # fmt: skip
    parts = psutil.Process(vllm_server.process.pid).children(recursive=True)
    assert len(parts) >= 2, "vLLM is several processes"
    done = 0

    def stop_after_three(event: object) -> None:
        nonlocal done
        done += isinstance(event, StepDone)
        if done == 3:
            stop(vllm_server.process)

    question = "What became of the boats on the second day?"
    with pytest.raises(ProviderUnavailable):
        coa.ask(document, question, on_event=stop_after_three, **options)
    assert done >= 3 and not [part for part in parts if part.is_running() and part.status() != psutil.STATUS_ZOMBIE]
    gone = CliRunner().invoke(app, ["vllm", "--check", vllm_server.found.url])
    assert isinstance(gone.exception, ProviderUnavailable) and "does not answer" in gone.exception.message

    port = int(vllm_server.found.url.rpartition(":")[2])
    knobs = {"tau": 0.7, "stride": 8}
    with serve(folder(), name="reader", profile="xattention", settings=knobs, port=port) as sparse:
        assert sparse.found.computes == "xattention (tau=0.7 stride=8 block=128)"
        steps: list[StepDone] = []

        def keep(event: object) -> None:
            if isinstance(event, StepDone):
                steps.append(event)

        with suppress(EmptyReply):  # which such a model may end with; what is read before that is what counts here
            accounted(coa.ask(document, question, on_event=keep, **options))
        usage = steps[-1].usage
        assert 3 <= usage.calls_from_journal < usage.calls_from_journal + usage.calls
        check = ["vllm", "--check", sparse.found.url, "--profile"]
        seen = CliRunner().invoke(app, [*check, "xattention", "--tau", "0.7"])
        assert seen.exit_code == 0 and "xattention (tau=0.7 stride=8" in seen.stdout
        for other in (["quest"], ["xattention", "--tau", "0.9"]):
            assert isinstance(CliRunner().invoke(app, [*check, *other]).exception, ProviderUnavailable)
