"""What outsiders rely on: the names, what an import loads, and that the documentation runs."""

import asyncio
import inspect
import pickle
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import coa
from coa.config import Options, Settings
from tests.processes import Processes

ROOT = Path(__file__).parents[1]
HEAVY = ("openai", "langgraph", "litellm", "numpy", "faiss", "torch", "tiktoken", "pypdf", "sentence_transformers")
PUBLIC = """
Aggregation Answer Choice Chunk Citation CoaError Coverage Document Limits Message Model Pair Place Plan Query
Reply Request Settings Source Span Task Trace TraceOptions Unread Usage Verification aggregate aio ask complete
errors events index load plan resume stream summarize testing trace trace_run verify verify_pair write
""".split()  # noqa: SIM905


def test_the_public_names_are_these_and_sorted():
    assert coa.__all__ == PUBLIC == sorted(PUBLIC)
    for name in PUBLIC:
        assert getattr(coa, name) is not None
    assert set(PUBLIC) <= set(dir(coa))
    with pytest.raises(AttributeError):
        _ = coa.nothing  # type: ignore[attr-defined]


def test_no_module_hides_a_public_function():
    for path in (ROOT / "coa").iterdir():
        name = path.stem
        if name in PUBLIC:
            assert name in ("aio", "errors", "events", "stream", "testing"), f"the module {name!r} hides coa.{name}"


@pytest.mark.parametrize("start", ["import coa", "import coa.__main__ as m; sys.argv[1:] = ['--help']; m.main()"])
def test_nothing_heavy_is_loaded(start: str):
    code = f"import atexit, sys\natexit.register(lambda: print(' '.join(sys.modules), file=sys.stderr))\n{start}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "coa" in loaded
    assert not loaded & set(HEAVY)


WHO_LOADS = """
import asyncio, sys, threading
import coa

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "langgraph.graph":
            print(name, threading.current_thread() is threading.main_thread())

sys.meta_path.insert(0, Watch())
asyncio.run(coa.aio.ask("examples/documents/lighthouse_log.txt", "Who is Bosun?", model="offline", journal=False))
"""


@pytest.mark.slow
def test_the_first_run_of_a_service_does_not_stop_its_event_loop_to_load_langgraph():
    done = subprocess.run([sys.executable, "-c", WHO_LOADS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["langgraph.graph False"]


def test_the_python_of_the_readme_runs(tmp_path: Path):
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", snippet], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Martha Quill" in done.stdout


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_every_example_runs(processes: Processes, path: Path):
    ended = processes.run(path, anew=True)
    assert ended.code == 0, ended.err
    assert len(ended.out.strip()) > 20


def test_the_commands_of_the_readme_exist():
    commands = set(re.findall(r"^\$? ?coa (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    module, main = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["coa"].split(":")
    code = f"import sys; from {module} import {main}; sys.argv = ['coa', '--help']; sys.exit({main}())"
    helped = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert commands
    assert all(f"  {command} " in helped for command in commands)


def test_options_are_the_settings_and_what_is_spelt_wrong_is_told():
    taken, set_to = get_type_hints(Options), Settings.model_fields
    assert taken.keys() == set_to.keys() - {"model"}
    wider = {"fallback", "run_dir"}  # A list, a path as text: what Settings makes its own of.
    assert {name for name, kind in taken.items() if kind != set_to[name].annotation | None} == wider
    with pytest.raises(coa.errors.UsageError, match="max_cots") as raised:
        coa.ask("book.txt", "Who?", **{"max_cots": 1})
    assert "'max_cost'" in raised.value.hint


@pytest.mark.parametrize("name", [name for name in coa.aio.__all__ if name != "Limiter"])
def test_the_blocking_functions_are_their_twins_and_can_be_sent_to_another_process(name: str):
    blocking, twin = getattr(coa, name), getattr(coa.aio, name)
    assert inspect.signature(blocking) == inspect.signature(twin)
    assert not inspect.iscoroutinefunction(blocking)
    assert pickle.loads(pickle.dumps(blocking)) is blocking


@pytest.mark.parametrize("source", [b"The key is red.", 5, None, ["book.txt", b"The key is red."]])
def test_what_is_no_source_is_refused_with_the_way_to_make_one(source: Any):
    with pytest.raises(coa.errors.UsageError) as raised:
        coa.ask(source, "What is red?")
    assert "coa.load" in raised.value.hint


async def test_the_blocking_functions_work_inside_a_running_loop(tmp_path: Path):
    path = tmp_path / "note.txt"
    path.write_text("The lamp is green tonight. The sea is calm.")
    assert asyncio.get_running_loop()
    assert "green" in coa.ask(path, "What colour is the lamp?").text


async def test_a_stream_ends_with_the_answer_and_its_progress_never_goes_back(tmp_path: Path):
    path = tmp_path / "book.txt"
    path.write_text("The lamp is lit every night by the keeper. " * 2000)
    events = [event async for event in coa.stream.summarize(path, window=4096)]
    assert isinstance(events[0], coa.events.RunStarted)
    assert isinstance(events[-1], coa.events.RunFinished)
    steps = [event.done for event in events if isinstance(event, coa.events.StepDone)]
    assert steps == list(range(1, events[0].steps + 1))


async def test_a_stream_passes_errors_on(tmp_path: Path):
    with pytest.raises(coa.errors.InputNotFound):
        async for _ in coa.stream.summarize(tmp_path / "missing.txt"):
            pass
