"""How many small faults, put into the code on purpose, do the fast tests find?

    nice python benchmarks/reliability/mutation.py [AREA ...] [--sample N] [--seed S]

Each mutant is one module with one change (a comparison, a bound, a sign, a condition, a constant, a left-out call, a
returned value), compiled in a forked process, which then runs the tests of its area until one fails. Words in messages
and decorators are not changed.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.util
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
HEAVY = (
    "pytest",
    "hypothesis",
    "regex",
    "typer",
    "langgraph.graph",
    "openai",
    "pypdf",
    "reportlab.pdfgen.canvas",
    "docx",
)
_REWRITTEN = "ignore::pytest.PytestAssertRewriteWarning"
LONGEST = 120
"""Seconds after which a mutant counts as found: it hangs."""


@dataclass(frozen=True, kw_only=True)
class Area:
    """Modules, and the tests that ought to notice any change in them."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


def journal(*names: str) -> tuple[str, ...]:
    return tuple(f"coa.runtime.journal.{name}" for name in names)


AREAS = {
    "journal": Area(
        modules=journal("base", "damage", "memory", "schema", "sqlite"),
        tests=("tests/runtime/test_journal_damage.py", "tests/runtime/test_journal.py"),
    ),
    "limits": Area(
        modules=tuple(f"coa.runtime.{name}" for name in ("budget", "limiter", "retry", "stall")),
        tests=("tests/runtime/test_limits_exact.py", "tests/runtime/test_limits.py", "tests/runtime/test_stall.py"),
    ),
    "split": Area(modules=("coa.split",), tests=("tests/test_split_places.py", "tests/test_split.py")),
    "load": Area(
        modules=tuple(f"coa.documents.{name}" for name in ("load", "decode", "archive")),
        tests=("tests/documents/test_load_exact.py", "tests/documents/test_load.py"),
    ),
}

Mutation = Callable[[ast.AST], ast.AST]

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
SUMS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.Pow: ast.Mult,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change: the node's number in the walk of its module, and which of its changes."""

    module: str
    node: int
    change: int
    line: int
    what: str


def changes(node: ast.AST) -> list[ast.AST]:
    """The changed versions of one node."""
    changed = _expression(node) or _statement(node)
    return [changed] if changed is not None else []


def _expression(node: ast.AST) -> ast.AST | None:
    match node:
        case ast.Compare(left=left, ops=[op], comparators=right) if type(op) in COMPARISONS:
            return ast.Compare(left=left, ops=[COMPARISONS[type(op)]()], comparators=right)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in SUMS:
            return ast.BinOp(left=left, op=SUMS[type(op)](), right=right)
        case ast.BoolOp(op=op, values=values):
            return ast.BoolOp(op=ast.Or() if isinstance(op, ast.And) else ast.And(), values=values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return operand
        case ast.Constant(value=bool() as value):
            return ast.Constant(value=not value)
        case ast.Constant(value=int() | float() as value):
            return ast.Constant(value=value + 1)
        case _:
            return None


def _statement(node: ast.AST) -> ast.AST | None:
    match node:
        case ast.If() | ast.IfExp():
            turned = copy.copy(node)
            turned.test = ast.UnaryOp(op=ast.Not(), operand=node.test)
            return turned
        case ast.Return(value=ast.Constant(value=None)):
            return None
        case ast.Return(value=ast.AST()):
            return ast.Return(value=ast.Constant(value=None))
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.AugAssign() | ast.Raise():
            return ast.Pass()
        case ast.Continue() | ast.Break():
            return ast.Break() if isinstance(node, ast.Continue) else ast.Continue()
        case _:
            return None


def mutants(module: str) -> Iterator[Mutant]:
    """Every mutant of a module, none in what only a type checker reads."""
    tree = ast.parse(source(module))
    decorators = {
        inner for node in ast.walk(tree) for top in getattr(node, "decorator_list", ()) for inner in ast.walk(top)
    }
    for number, node in enumerate(ast.walk(tree)):
        for change, changed in enumerate(changes(node)):
            what = f"{_shown(node)}  ->  {_shown(changed)}"
            if node not in decorators and "TYPE_CHECKING" not in what:
                yield Mutant(module=module, node=number, change=change, line=getattr(node, "lineno", 0), what=what)


def _shown(node: ast.AST) -> str:
    return ast.unparse(ast.fix_missing_locations(node)).splitlines()[0]


def source(module: str) -> str:
    """The text of a module, which is not imported for it."""
    return (ROOT / (module.replace(".", "/") + ".py")).read_text()


def mutated(mutant: Mutant) -> ast.Module:
    """The module's tree with the change in it."""
    tree = ast.parse(source(mutant.module))
    target = list(ast.walk(tree))[mutant.node]
    changed = changes(target)[mutant.change]

    class Put(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return ast.copy_location(changed, node) if node is target else self.generic_visit(node)

    return ast.fix_missing_locations(Put().visit(tree))


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from a changed tree, all others as usual."""

    def __init__(self, mutant: Mutant) -> None:
        self._module, self._tree = mutant.module, mutated(mutant)

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin="mutant")

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._tree, str(module.__name__), "exec"), module.__dict__)


def found(area: Area, mutant: Mutant | None) -> bool:
    """Run the tests in a fork; whether one of them failed, or the clock ran out."""
    child = os.fork()
    if child == 0:
        os.setsid()
        run_tests(area, mutant)
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status != 0
        time.sleep(0.05)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def run_tests(area: Area, mutant: Mutant | None) -> None:
    """In the fork: import the changed module, run the tests, leave with their code."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(null, stream)
    code = 1
    try:
        import pytest
        from hypothesis import settings

        settings.register_profile("mutation", database=None, derandomize=True, deadline=None, max_examples=40)
        settings.load_profile("mutation")
        if mutant is not None:
            sys.meta_path.insert(0, Finder(mutant))
        code = int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-W", _REWRITTEN, *area.tests]))
    finally:
        os._exit(code)


def survivors(name: str, area: Area, most: int, seed: int) -> tuple[int, int, int]:
    """Run an area's mutants; print those that no test finds; return (all there are, run, found)."""
    every = [mutant for module in area.modules for mutant in mutants(module)]
    chosen = every if len(every) <= most else random.Random(seed).sample(every, most)
    if found(area, None):
        raise SystemExit(f"{name}: the tests fail without any change")
    hits = 0
    for mutant in chosen:
        if found(area, mutant):
            hits += 1
        else:
            print(f"  {name}: not found: {mutant.module}:{mutant.line}: {mutant.what}", flush=True)
    print(
        f"{name}: {hits} of {len(chosen)} found ({100 * hits / len(chosen):.0f} %), of {len(every)} there are",
        flush=True,
    )
    return len(every), len(chosen), hits


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the areas named, or all; a table of their scores at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("areas", nargs="*", help=f"of {', '.join(AREAS)}; all where none is named")
    parser.add_argument("--sample", type=int, default=10_000, help="most mutants of an area, drawn at random")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(arguments)
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    for heavy in HEAVY:
        with suppress(ImportError):
            importlib.import_module(heavy)
    rows = {name: survivors(name, AREAS[name], args.sample, args.seed) for name in args.areas or AREAS}
    print("\n| area | mutants | run | found | score |\n|---|---|---|---|---|")
    for name, (there, run, hits) in rows.items():
        print(f"| {name} | {there} | {run} | {hits} | {100 * hits / run:.0f} % |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
