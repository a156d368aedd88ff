"""The command line as a user types it: real processes, real files, the offline engine or a scripted model."""

import json
from pathlib import Path

import pytest

LOG = "examples/documents/lighthouse_log.txt"
KEYS = {"status", "text", "run_id", "model", "documents", "citations", "coverage", "usage", "warnings"}


def test_summarize_prints_the_summary_alone_and_cites_to_the_letter(coa, root: Path):
    log = str(root / LOG)
    ended = coa("summarize", log, "--json", "--words", "120")
    assert ended.code == 0
    answer = ended.json()
    assert answer.keys() == KEYS
    assert answer["status"] == "complete"
    assert answer["coverage"]["read"] == answer["coverage"]["chunks"]
    text = coa("text", log).out
    assert answer["citations"]
    for citation in answer["citations"]:
        assert text[citation["start"] : citation["end"]] == citation["quote"]
        assert text.count("\n", 0, citation["start"]) + 1 == citation["line"]
        start, end = citation["claim"]
        assert answer["text"][start:end]
    assert "no model is configured" in ended.err


def test_ask_finds_the_keeper(coa, root: Path):
    ended = coa("ask", str(root / LOG), "Who keeps the light on Gull Stack?", "--quiet")
    assert ended.code == 0
    assert "Martha Quill" in ended.out
    assert "[1] " in ended.out
    assert ended.err == ""


def test_the_same_command_again_pays_for_nothing_and_resume_and_show_know_the_run(coa, root: Path):
    command = ("ask", str(root / LOG), "Who is Bosun?", "--json", "-q")
    first, second = coa(*command).json(), coa(*command).json()
    assert second["usage"]["calls"] == 0
    assert second["usage"]["calls_from_journal"] == first["usage"]["calls"] > 0
    assert (first["text"], first["citations"]) == (second["text"], second["citations"])
    assert first["run_id"] in coa("runs").out
    shown = json.loads(coa("show", first["run_id"], "--json").out)
    assert shown["status"] == "complete"
    assert [call["role"] for call in shown["calls"]][-1] == "manager"
    assert coa("resume", first["run_id"], "--json", "-q").json()["text"] == first["text"]
    for_people = coa("show", first["run_id"]).out
    assert "query: Who is Bosun?" in for_people
    assert "None" not in for_people
    assert "{" not in for_people
    assert first["run_id"] in coa("runs", "prune", "--days", "0", "--json").json()["removed"]
    assert coa("show", first["run_id"]).code == 5


def test_a_run_that_a_limit_stopped_is_interrupted_and_goes_on(coa, root: Path):
    command = ("summarize", str(root / LOG), "--window", "4096", "-q")
    assert coa(*command, "--max-calls", "1").code == 6
    (run,) = map(json.loads, coa("runs", "--json").out.splitlines())
    assert (run["status"], run["error"].split(":")[0]) == ("interrupted", "BudgetExceeded")
    assert coa("resume", run["run_id"], "-q").code == 0
    assert json.loads(coa("runs", "--json").out)["status"] == "complete"


def test_a_text_in_the_place_of_its_file_is_told_from_one(coa, root: Path):
    text = (root / LOG).read_text()[:5000]
    for command in (("ask", text, "Who?"), ("ask", text, "Who?", "--retrieve", "100"), ("text", text)):
        ended = coa(*command, "-q") if command[0] == "ask" else coa(*command)
        assert ended.code == 5
        assert "pipe it in" in ended.err
        assert len(ended.err) < 500
    assert coa("ask", text).code == 2
    assert coa("search", text, "keeper").code == 5


def test_standard_input_is_a_document_and_its_run_can_be_resumed(coa):
    ended = coa("ask", "-", "What colour is the boat?", "--json", "-q", stdin=b"The boat is green.\r\nSo there.")
    assert "green" in ended.json()["text"]
    assert ended.json()["documents"][0]["path"] == "-"
    assert "green" in coa("resume", ended.json()["run_id"], "-q").out


def test_a_plan_sends_nothing(coa, root: Path):
    ended = coa("plan", "summarize", str(root / LOG), "--model", "openai:gpt-5-mini", "--window", "8192", "--json")
    assert ended.code == 0
    plan = ended.json()
    assert plan["calls"] == plan["chunks"] + 1 > 2
    assert plan["cost_usd"] > 0
    dry = coa("summarize", str(root / LOG), "--dry-run", "--model", "openai:gpt-5-mini", "--window", "8192", "--json")
    assert dry.json() == plan
    assert coa("runs").out == ""


def test_text_is_printed_to_the_byte(coa, tmp_path: Path):
    path = tmp_path / "crlf.txt"
    path.write_bytes("\ufeffOne\r\nzwölf — 字\r\n".encode())
    assert coa("text", str(path)).out == "One\nzwölf — 字\n"
    told = coa("text", str(path), "--json").json()
    assert (told["path"], told["chars"], told["text"]) == (str(path), 14, "One\nzwölf — 字\n")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("summarize",), 2, "Missing argument"),
        (("summarize", "missing.txt"), 5, "there is no file"),
        (("ask", LOG), 2, "a question is missing"),
        (("ask", "Who?"), 2, "a document is missing"),
        (("ask", LOG, " "), 2, "no question"),
        (("summarize", LOG, "--window", "300"), 2, "leaves no room"),
        (("summarize", LOG, "--window", "many"), 2, "--window"),
        (("summarize", LOG, "--model", "gpt"), 2, "openai:NAME"),
        (("summarize", LOG, "--topology", "ring"), 2, "ring"),
        (
            (
                "summarize",
                LOG,
                "--max-cost",
                "1",
                "--model",
                "openai:nobody-knows",
                "--base-url",
                "http://127.0.0.1:9/v1",
            ),
            2,
            "price",
        ),
        (("summarize", LOG, "--max-calls", "1", "--window", "4096"), 6, "limit of 1 calls"),
        (("show", "../../etc"), 5, "no run"),
        (("resume", "nothing"), 5, "no run"),
        (("plan", "nothing"), 2, "'nothing' has no plan"),
        (("plan",), 2, "a command is missing"),
        (("plan", "ask", LOG, "Who?", "--nothing"), 2, "No such option"),
        (("verify", LOG, " "), 2, "a claim is empty"),
        (("runs", "prune", "--days", "-1"), 2, "--days"),
        (("write", "--outline", "missing.yaml"), 5, "there is no file"),
        (("summarize", LOG, "--prices", "1"), 2, "COA_PRICES"),
    ],
)
def test_bad_input_gets_one_line_a_hint_and_its_exit_code(
    coa, root: Path, arguments: tuple[str, ...], code: int, says: str
):
    ended = coa(*(str(root / LOG) if argument == LOG else argument for argument in arguments))
    assert (ended.code, ended.out) == (code, "")
    assert says in ended.err


def test_errors_are_json_on_request(coa):
    ended = coa("summarize", "missing.txt", "--json", "-q")
    assert ended.out == ""
    assert json.loads(ended.err)["error"]["code"] == "InputNotFound"


@pytest.mark.parametrize(
    ("arguments", "says", "command"),
    [
        (("ask", "a.txt", "Who?", "--window", "wide"), "--window", "coa ask"),
        (("eval",), "TASK", "coa eval"),
        (("plan", "ask", "--rownds"), "--rownds", "coa ask"),
    ],
)
def test_what_typer_refuses_is_json_on_request_and_its_text_otherwise(
    coa, arguments: tuple[str, ...], says: str, command: str
):
    ended = coa(*arguments, "--json")
    assert (ended.code, ended.out) == (2, "")
    error = json.loads(ended.err)["error"]
    assert error["code"] == "UsageError"
    assert error["hint"].endswith(f"{command} --help`.")
    assert says in error["message"]
    plain = coa(*arguments)
    assert (plain.code, plain.out) == (2, "")
    assert f"{command} [OPTIONS]" in plain.err
    assert plain.err.endswith(f"Error: {error['message']}\n")


def test_one_bad_file_does_not_stop_the_others_and_the_exit_code_says_partial(coa, root: Path, tmp_path: Path):
    empty = tmp_path / "empty.txt"
    empty.touch()
    ended = coa("ask", str(root / LOG), str(empty), "Who is Bosun?", "--json")
    assert ended.code == 3
    assert ended.json()["status"] == "partial"
    assert "EmptyDocument" in ended.json()["coverage"]["failed"][0]["reason"]
    assert f"not read: {empty}: EmptyDocument" in ended.err


def test_an_unreachable_server_is_exit_code_four(coa, root: Path):
    ended = coa(
        *("summarize", str(root / LOG), "--model", "openai:x", "--base-url", "http://127.0.0.1:9/v1", "--retries", "0")
    )
    assert ended.code == 4
    assert "hint:" in ended.err


def test_settings_come_from_the_environment_too(coa, root: Path, tmp_path: Path):
    ended = coa(
        "summarize", str(root / LOG), "--json", COA_MODEL="offline", COA_WINDOW="4096", COA_RUN_DIR=str(tmp_path / "r")
    )
    assert ended.json()["coverage"]["chunks"] > 3
    assert "no model is configured" not in ended.err
    assert list((tmp_path / "r").iterdir())
    (tmp_path / "typo.toml").write_text('modle = "offline"')
    refused = coa("runs", COA_CONFIG=str(tmp_path / "typo.toml"))
    assert refused.code == 2
    assert "no setting 'modle'" in refused.err
    assert "'model'" in refused.err and "typo.toml" in refused.err


def test_terminal_codes_in_a_document_are_shown_not_obeyed(coa, tmp_path: Path):
    path = tmp_path / "evil.txt"
    path.write_text("The key \x1b[31mis red\x1b[0m and hidden in the tower room.\n" * 3)
    ended = coa("ask", str(path), "Where is the key hidden?", "-q")
    assert "\x1b" not in ended.out
    lib = str(tmp_path / "lib")
    assert coa("index", str(path), "--index", lib, "-q").code == 0
    for how in ((), ("--documents",), ("--context", "500")):
        found = coa("search", lib, "Where is the key hidden?", *how)
        assert "is red" in found.out
        assert "characters 0-" in found.out
        assert "\x1b" not in found.out
    assert "nothing fits in 5 tokens" in coa("search", lib, "Where is the key hidden?", "--context", "5").err


def test_doctor_looks_at_everything_and_never_shows_a_key(coa):
    ended = coa("doctor", OPENAI_API_KEY="sk-secret-0123456789")
    assert ended.code == 0
    assert "OPENAI_API_KEY" in ended.out
    assert "secret" not in ended.out + ended.err
    found = coa("doctor", "--json", "--model", "offline").json()["findings"]
    assert {each["subject"] for each in found} >= {"python", "OPENAI_API_KEY", "run directory", "model"}
    assert not any(each["broken"] for each in found)
    broken = coa("doctor", "--model", "openai:x", "--base-url", "http://127.0.0.1:9/v1")
    assert broken.code == 1
    assert "problem" in broken.out


def test_the_result_can_go_to_a_file(coa, root: Path, tmp_path: Path):
    target = tmp_path / "summary.txt"
    ended = coa("summarize", str(root / LOG), "-o", str(target), "-q")
    assert ended.out == ""
    assert "[1]" in target.read_text()


def test_every_command_and_option_of_the_manual_exists(coa, root: Path):
    manual = (root / "docs" / "cli.md").read_text()
    commands = {line.split("`")[1].split()[1] for line in manual.splitlines() if line.startswith("| `coa ")}
    helps = {command: coa(command, "--help").out for command in commands}
    assert commands <= set(coa("--help").out.split())
    options = {
        word for line in manual.splitlines() if line.startswith("| `--") for word in [line.split("`")[1].split()[0]]
    }
    assert options
    missing = {option for option in options if not any(option in text for text in helps.values())}
    assert not missing
    assert "coa write prompt" not in helps["write"] + coa("write", "--nothing").err
    helps |= {words: coa(*words.split(), "--help").out for words in ("runs prune", "write export", "write status")}
    assert {command for command, text in helps.items() if "--json" not in text} == {"plan"}  # It is its command's.
