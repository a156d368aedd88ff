"""What a source file defines and what it names: by its syntax tree for Python, by careful patterns for the rest."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from coa.code.languages import language_of

_WORD = re.compile(r"[A-Za-z_]\w{2,}")
_MODIFIERS = (
    r"(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|override|virtual|inline|pub"
    r"|open|sealed|data|const|unsafe|extern|partial)\b(?:\([^)\n]{0,40}\))?[ \t]+){0,6}"
)
_NAMED = re.compile(
    rf"^[ \t]*{_MODIFIERS}(?:class|interface|struct|enum|trait|protocol|record|object|module|type|namespace|impl"
    r"|function\*?|func|fun|fn|def|defp|sub|message|service|macro|union|const|let|var|val)[ \t]+"
    r"(?:\([^)\n]{0,80}\)[ \t]*)?([A-Za-z_$][\w$]*)",
    re.MULTILINE,
)
_TYPED = re.compile(
    rf"^[ \t]*{_MODIFIERS}[A-Za-z_][\w:<>,.\[\]*&? ]{{0,80}}?[ \t*&]([A-Za-z_]\w*)[ \t]*"
    r"\([^;{}\n]{0,300}\)[^;\n(){}]{0,60}\{",
    re.MULTILINE,
)
_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+([A-Za-z_]\w*)", re.MULTILINE)
_TYPED_LANGUAGES = frozenset({"java", "c", "csharp", "dart"})
_STATEMENTS = frozenset("if for while switch return else catch do new throw sizeof when foreach lock using".split())  # noqa: SIM905
_IMPORT = re.compile(
    r"^[ \t]*(?:from|import|use|using|require|require_relative|include|#[ \t]*include|export|const|let|var)\b[^\n]*",
    re.MULTILINE,
)
_PATH = re.compile(r"[\w@][\w./:@\\-]*\w")
_LONGEST_LINE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What a file defines, which modules or files it names as imports, and every word of its code."""

    defined: frozenset[str]
    imported: frozenset[str]


def outline(path: str, text: str) -> Outline:
    """The definitions and imports of a source file, whether or not its syntax is right."""
    if language_of(path) == "python" and (tree := _parsed(text)) is not None:
        return Outline(defined=frozenset(_defined(tree)), imported=frozenset(_imported(tree)))
    return Outline(defined=frozenset(_matched(path, text)), imported=imports(text))


def imports(text: str) -> frozenset[str]:
    """What looks like the name of a module or a path in lines that begin like an import."""
    lines = (match[0][:_LONGEST_LINE] for match in _IMPORT.finditer(text))
    return frozenset(path for line in lines if _brings_in(line) for path in _PATH.findall(line)[1:])


def words(text: str) -> list[str]:
    """The identifiers of a piece of code, in order."""
    return _WORD.findall(text)


def _brings_in(line: str) -> bool:
    """A variable counts only where it takes what ``require`` or ``import`` returns."""
    declares = line.lstrip().startswith(("const", "let", "var", "export"))
    return not declares or "require" in line or "import" in line or " from " in line


def _parsed(text: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _defined(tree: ast.Module) -> Iterator[str]:
    """Classes and functions at any depth that a class or module holds, and names assigned at the top."""
    todo: list[ast.stmt] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        if isinstance(node, ast.ClassDef | ast.If | ast.Try | ast.With):
            todo += node.body
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from [module] if module else []
            yield from (f"{module}.{alias.name}".lstrip(".") for alias in node.names)


def _matched(path: str, text: str) -> Iterator[str]:
    lines = "\n".join(line for line in text.split("\n") if len(line) <= _LONGEST_LINE)
    yield from _NAMED.findall(lines)
    yield from _DEFINE.findall(lines)
    if language_of(path) in _TYPED_LANGUAGES:
        yield from (name for name in _TYPED.findall(lines) if name not in _STATEMENTS)
