"""Ask `coa serve` with OpenAI's own client: a file with a question, the progress of the reading, the cited answer.

python examples/chat_client.py [ADDRESS]    ADDRESS as `coa serve` prints it; without one, a server is started
"""

import base64
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from openai import OpenAI

BOOK = Path(__file__).parent / "documents" / "lighthouse_log.txt"


def question_about(path: Path, question: str) -> list[dict[str, object]]:
    data = "data:;base64," + base64.b64encode(path.read_bytes()).decode()
    file = {"type": "file", "file": {"filename": path.name, "file_data": data}}
    return [{"role": "user", "content": [file, {"type": "text", "text": question}]}]


def ask(address: str) -> None:
    messages = question_about(BOOK, "Who keeps the light on Gull Stack?")
    with OpenAI(base_url=address, api_key="none") as client:
        for chunk in client.chat.completions.create(model="coa/ask", messages=messages, stream=True):
            print(chunk.choices[0].delta.content or "", end="")
            told = getattr(chunk, "coa", {})
            if progress := told.get("progress"):
                print(f"step {progress['done']} of {progress['steps']}", file=sys.stderr)
            for citation in told.get("citations", ()):
                print(f"\n[{citation['marker']}] line {citation['line']}: {citation['quote']}", end="")
    print()


@contextmanager
def started() -> Iterator[str]:
    command = [sys.executable, "-m", "coa", "serve", "--model", "offline", "--port", "0", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


if __name__ == "__main__":
    if sys.argv[1:]:
        ask(sys.argv[1])
    elif find_spec("uvicorn") is None:
        print("This example starts a server: pip install 'chain-of-agents[serve]'")
    else:
        with started() as address:
            ask(address)
