"""Each check finds its fault in a text that has it, and none in a text that has not."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from coa.cli.main import app
from coa.errors import RunNotFound
from coa.pipelines.likeness import vectors
from coa.runtime.runs import Runs
from coa.writing.check import Report, check
from coa.writing.follows import soft_recall
from coa.writing.plan import Outline

LOG = Path(__file__).parents[2] / "examples/documents/lighthouse_log.txt"
RUNNER = CliRunner()

PLAN = Outline.model_validate(
    {
        "title": "The rock",
        "brief": "The year on the rock",
        "words": 66,
        "sections": [
            {
                "id": "1",
                "title": "The lamp",
                "goal": "How the lamp was kept burning",
                "words": 22,
                "key_points": ["the keepers trimmed the wick at midnight", "whale oil burned brightest"],
                "must_mention": ["paraffin"],
            },
            {
                "id": "2",
                "title": "The ferry",
                "goal": "How the ferry brought mail and bread",
                "words": 22,
                "key_points": ["the mail came on Tuesdays", "storms held the ferry in harbour"],
                "never_mention": ["dragon"],
            },
            {
                "id": "3",
                "title": "The seabirds",
                "goal": "Which seabirds nested on the cliffs",
                "words": 22,
                "key_points": ["puffins dug burrows in the turf", "gulls stole eggs"],
            },
        ],
    }
)
LAMP = (
    "Keepers trimmed the wick at midnight to keep the lamp burning. Whale oil burned brightest, better than paraffin."
)
FERRY = "Mail came on Tuesdays when the ferry brought bread too. Storms held the ferry in harbour for days."
BIRDS = "Puffins dug burrows in the turf above the cliffs. Gulls stole eggs wherever other seabirds nested."


def text_of(lamp: str = LAMP, ferry: str = FERRY, birds: str = BIRDS) -> str:
    return f"# The rock\n\n## The lamp\n\n{lamp}\n\n## The ferry\n\n{ferry}\n\n## The seabirds\n\n{birds}\n"


CITED = """# The rock

## The year

The lamp was lit in 1887.[^1] Gales came, and the Halcyon sank [^2]. Nobody slept.

## References

- log.txt: 1,200 characters, SHA-256 abc, 1 place cited
- letters\\_home.txt: 900 characters, SHA-256 def, 1 place cited

[^1]: log.txt, line 3, characters 10–20: “The lamp”

[^2]: letters\\_home.txt, line 9, characters 40–60: “the Halcyon”
"""
LISTED = """# The rock

## The year

The lamp was lit in 1887 [1]. The ship Halcyon sank [2].

## References

1. [1] A log of the rock
2. [2] Letters from home
"""


def names(report: Report) -> set[str]:
    return {finding.check for finding in report.findings}


def test_a_text_that_follows_its_plan_passes():
    report = check(text_of(), 50, PLAN)
    assert not [finding for finding in report.findings if finding.check != "length_score"]
    for name in ("adherence_1", "keypoint_recall", "heading_soft_recall", "completion", "stic_lex_1", "stic_lex_2"):
        assert report.measures[name] == pytest.approx(100 if name[0] in "cs" else 1)
    assert report.likeness == "lexical"
    assert check(text_of()).likeness == "" and "adherence_1" not in check(text_of()).measures


def test_a_section_that_serves_another_one_is_found():
    report = check(text_of(ferry=BIRDS, birds=FERRY), None, PLAN)
    assert report.measures["adherence_1"] == pytest.approx(1 / 3, abs=1e-4)
    found = [finding for finding in report.findings if finding.check == "adherence"]
    assert [(each.where, each.fails) for each in found] == [("The ferry", False), ("The seabirds", False)]
    assert "'The seabirds'" in str(found[0].value)


def test_a_key_point_that_is_not_made_is_found():
    report = check(text_of(birds="Seabirds of many kinds nested on the cliffs in spring."), None, PLAN)
    assert report.measures["keypoint_recall"] == pytest.approx(4 / 6, abs=1e-4)
    missed = [finding.value for finding in report.findings if finding.check == "keypoint"]
    assert missed == ["not found: puffins dug burrows in the turf", "not found: gulls stole eggs"]


def test_the_soft_recall_of_headings_is_that_of_storm():
    # Unrelated headings: cosines are 0, so that card() counts, and the recall is a plain one.
    planned, found = ["lamp", "ferry", "puffin"], ["lamp", "ferry", "granite"]
    assert soft_recall(planned, planned, vectors) == pytest.approx(1)
    assert soft_recall(planned, found, vectors) == pytest.approx(2 / 3)
    assert soft_recall(planned, [], vectors) == 0
    other = text_of().replace("## The lamp", "## Prices").replace("## The seabirds", "## Granite")
    report = check(other, None, PLAN)
    assert "heading_soft_recall" in names(report) and report.measures["heading_soft_recall"] < 0.5


def test_rules_of_any_plan_are_counted_and_the_first_of_two_sections_counts():
    broken = text_of(lamp=LAMP.replace("paraffin", "tallow"), ferry=f"{FERRY} A dragon came.")
    report = check(broken, None, PLAN)
    assert [finding.value for finding in report.findings if finding.check == "rule"] == [
        "once: paraffin",
        "forbid: dragon",
    ]
    assert report.measures["stic_lex_1"] == 0
    again = check(f"{broken}\n## The lamp\n\n{LAMP}\n", None, PLAN)
    assert again.measures["stic_lex_1"] == 0
    partly = check(text_of().replace("## The lamp", "## The light"), None, PLAN)
    assert partly.measures["completion"] == pytest.approx(66.67)
    assert (partly.measures["stic_lex_1"], partly.measures["stic_lex_2"]) == (100, 50)


@pytest.mark.parametrize("text", [CITED, LISTED])
def test_a_text_that_cites_well_passes(text: str):
    report = check(text, sources=["log.txt", "letters_home.txt"] if text is CITED else ())
    assert report.findings == ()
    assert report.measures["id_validity"] == 1 and report.measures["citation_coverage"] == 1


@pytest.mark.parametrize(
    ("text", "name", "fails"),
    [
        (CITED.replace("[^1]: log", "[^3]: log"), "citations", True),
        (LISTED.replace("[2].", "[7]."), "citations", True),
        (CITED.replace("1887.[^1]", "1887.").replace("sank [^2]", "sank"), "citation_coverage", False),
        (CITED.replace("sank [^2]", "sank"), "orphan_reference", False),
        (LISTED.replace(" [2].", "."), "orphan_reference", False),
        (CITED.replace("- log.txt: 1,200 characters, SHA-256 abc, 1 place cited\n", ""), "orphan_reference", False),
        (LISTED + "3. [3] Letters from home\n", "duplicate_reference", True),
        (CITED.replace("[^2].", "[^2][^2]."), "duplicate_mark", False),
        (CITED.replace("letters\\_home.txt, line 9, characters 40–60: “the Halcyon”", "log.txt").replace(
            "log.txt, line 3, characters 10–20: “The lamp”", "log.txt"), "duplicate_note", False),
    ],
)  # fmt: skip
def test_each_fault_of_citations_is_found(text: str, name: str, fails: bool):
    assert (name, fails) in {(finding.check, finding.fails) for finding in check(text).findings}


def test_a_source_that_nothing_cites_is_named():
    report = check(CITED, sources=["log.txt", "diary.txt"])
    assert [(each.check, each.where) for each in report.findings] == [("unused_source", "diary.txt")]
    assert "unused_source" in names(check(text_of(), sources=["diary.txt"]))


def test_marks_in_code_and_in_links_are_no_citations():
    marks = "`a[3]`, `**`, `$$`, `[^9]`, `[x][y]`, [the log](log.txt) and [home][h]"
    text = text_of(lamp=f"{LAMP} See {marks}.\n\n[h]: https://example.org/")
    assert names(check(text)) == set()


@pytest.mark.parametrize(
    ("first", "second", "value"),
    [
        ("Send an e-mail to them.", "The email came.", "e-mail (1) and email (1)"),
        ("A big data base lay there.", "The database was full.", "data base (1) and database (1)"),
        ("Then the Halcyon came in.", "They saw the Halcion leave.", "Halcion (1) and Halcyon (1)"),
    ],
)
def test_two_spellings_of_one_word_are_found(first: str, second: str, value: str):
    found = [each.value for each in check(text_of(lamp=first, ferry=second)).findings if each.check == "variants"]
    assert found == [value]


def test_words_that_only_look_alike_are_no_variants():
    text = text_of(
        lamp="Every day the lamp was lit. It was an everyday sight, may be the best.",
        ferry="Maybe the Station knew. Two Stations answered, and the Keeper with them.",
    )
    assert names(check(text)) == set()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (text_of(lamp=f"{LAMP} See [the log][log]."), "markdown"),
        (text_of(lamp=f"{LAMP} It is $$x."), "markdown"),
        (text_of(lamp="The lamp was lit again. " * 40), "repetition"),
        (text_of(lamp="The lamp was lit again. " * 40), "tail_loop"),
        (text_of(lamp="I'm sorry, but I cannot help with that."), "refusal"),
        (text_of(lamp="Error: rate limit reached."), "error_string"),
        (text_of(lamp=f"**The lamp**\n\n{LAMP}"), "pseudo_heading"),
        (text_of(lamp=f"{LAMP} {FERRY}", birds=f"{BIRDS}\n\n{LAMP} {FERRY}"), "same_paragraph"),
        (text_of(birds=f"{BIRDS} {FERRY}"), "same_sentence"),
        (text_of(lamp="The Halcyon had 40 sailors.", ferry="The Halcyon had 60 sailors."), "consistency"),
        (text_of().replace("# The rock\n", "# The rock\n\n## Contents\n\n- [The lamp](#a)\n- [B](#b)\n- [C](#c)\n"),
         "structure"),
    ],
)  # fmt: skip
def test_each_other_fault_is_found_and_the_clean_text_has_none(text: str, name: str):
    assert name in names(check(text)) and names(check(text_of())) == set()


def test_a_short_paragraph_inside_a_longer_one_stands_there_twice():
    # The share is of the shorter paragraph, wherever it comes first.
    short = (
        "The keepers of the lamp went down to the landing before dawn and waited there for the ferry to bring bread."
    )
    long = " ".join(f"Word{i} of something else went by them here and there number{i}." for i in range(12))
    for first, second in ((short, f"{short} {long}"), (f"{short} {long}", short)):
        assert "same_paragraph" in names(check(text_of(lamp=first, ferry=second)))


def invoke(*arguments: str, code: int = 0) -> str:
    done = RUNNER.invoke(app, list(arguments))
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def test_a_plan_on_the_command_line_says_what_likeness_was_measured_with(tmp_path: Path):
    plan, text = tmp_path / "plan.yaml", tmp_path / "text.md"
    plan.write_text(PLAN.to_yaml().replace("words: 22", "words: 16").replace("words: 66", "words: 48"), "utf-8")
    text.write_text(text_of(ferry=BIRDS, birds=FERRY), "utf-8")
    shown = invoke("check", str(text), "--outline", str(plan))
    assert "adherence_1 0.3333" in shown and "(likeness: lexical)" in shown
    assert "likeness" not in invoke("check", str(text))
    assert "diary.txt: nothing in the text cites it" in invoke("check", str(text), "--source", "papers/diary.txt")


@pytest.mark.slow
def test_likeness_to_the_plan_with_an_embedder(tmp_path: Path):
    plan, text = tmp_path / "plan.yaml", tmp_path / "text.md"
    plan.write_text(PLAN.to_yaml(), "utf-8")
    text.write_text(text_of(), "utf-8")
    shown = invoke("check", str(text), "--outline", str(plan), "--embedder", "minilm")
    assert "adherence_1 1, keypoint_recall 1, heading_soft_recall 1 (likeness: minilm)" in shown


def test_a_text_of_a_run_is_checked_against_its_plan_and_its_sources(tmp_path: Path):
    plan, where = tmp_path / "plan.yaml", ["--run-dir", str(tmp_path / "runs")]
    other = tmp_path / "other.txt"
    other.write_text("Nothing of use stands here.", "utf-8")
    plan.write_text(
        "title: T\nbrief: The year on the rock\nwords: 600\nsections:\n"
        "- {id: '1', title: The light on Gull Stack, goal: the light, words: 300, must_mention: [a walrus]}\n"
        "- {id: '2', title: The Halcyon, goal: the Halcyon, words: 300}\n",
        "utf-8",
    )
    invoke("write", "--outline", str(plan), "--model", "offline", "--source", str(LOG), "--source", str(other), "-q",
           *where)  # fmt: skip
    made = invoke("write", "export", Runs(tmp_path / "runs").list()[0].run_id, *where).strip()
    shown = RUNNER.invoke(app, ["check", made]).stdout
    assert "once: a walrus" in shown and "(likeness: lexical)" in shown
    assert "other.txt: nothing in the text cites it" in shown and f"{LOG.name}: nothing" not in shown
    moved = tmp_path / "moved.md"
    moved.write_text(Path(made).read_text("utf-8"), "utf-8")
    assert "walrus" not in RUNNER.invoke(app, ["check", str(moved)]).stdout
    (Path(made).parent.parent / "manifest.json").write_text("{", "utf-8")
    assert isinstance(RUNNER.invoke(app, ["check", made]).exception, RunNotFound)
