"""What a file defines and imports, in several languages, and which files a place needs."""

from __future__ import annotations

import pytest

from coa.code.definitions import imports, outline
from coa.code.ranking import ranked
from coa.documents.document import Document


@pytest.mark.parametrize(
    ("path", "text", "defined"),
    [
        ("a.py", "class A:\n  def m(self): ...\nB: int = 3\nasync def c(): ...\n", {"A", "m", "B", "c"}),
        ("broken.py", "class A:\n  def m(self:\n", {"A", "m"}),
        ("a.ts", "export default class Boat {}\nexport const tide = (x) => x\ninterface I {}\n", {"Boat", "tide", "I"}),
        ("a.java", "public class Boat {\n  private static int weigh(Boat b) {\n    if (x) {\n", {"Boat", "weigh"}),
        ("a.go", "func (q *Quay) Assign(s Ship) error {\ntype Ship struct {\n", {"Assign", "Ship"}),
        ("a.rs", "pub(crate) fn weigh(x: u8) -> u8 {\nimpl Boat {\n", {"weigh", "Boat"}),
        ("a.c", "#define DEPTH 3\nstatic double clearance(double t) {\n  while (x) {\n", {"DEPTH", "clearance"}),
        ("a.rb", "module Port\n  def dock\n", {"Port", "dock"}),
    ],
)
def test_definitions(path: str, text: str, defined: set[str]):
    assert outline(path, text).defined == defined


def test_imports_of_several_languages():
    assert "harbour.tides" in outline("a.py", "from harbour.tides import clearance\n").imported
    assert "./tides" in imports("import { clearance } from './tides'\n") or "tides" in imports(
        "import { clearance } from './tides'\n"
    )
    assert "quay.h" in imports('#include "quay.h"\n')
    assert not imports("const x = compute(y)\n")


def test_hostile_sources_do_no_harm():
    assert outline("a.py", "(" * 50_000).defined == frozenset()
    assert outline("a.py", 'x = "\\d"\n').defined == {"x"}
    assert outline("a.java", "a " * 100_000 + "\n" + "int f(" * 300).defined == frozenset()


def file(path: str, text: str) -> Document:
    return Document(id=path, path=path, text=text, sha256=path)


def test_what_defines_the_names_of_the_code_before_comes_first():
    others = [
        file("harbour/letters.py", "def greeting(captain): ...\n"),
        file("harbour/ships.py", "class Ship:\n    def is_long(self): ...\n"),
        file("harbour/berths.py", "class Quay:\n    def assign_berth(self, ship, number): ...\n"),
        file("other/unrelated.py", "def nothing_of_it(): ...\n"),
    ]
    before = "from harbour.berths import Quay\n\ndef admit(quay: Quay, ship: Ship):\n"
    found = [each.id for each in ranked(before, "harbour/master.py", others)]
    assert found == ["harbour/berths.py", "harbour/ships.py", "harbour/letters.py"]


def test_a_name_that_everybody_defines_says_little():
    many = [file(f"x/m{i}.py", "def run(): ...\n") for i in range(30)]
    one = file("y/special.py", "def hoist(): ...\n")
    assert ranked("run()\nhoist()\n", "main.py", [*many, one])[0].id == "y/special.py"
