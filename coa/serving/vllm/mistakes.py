"""What can be known to fail before a server is started, which takes minutes."""

from __future__ import annotations

import socket
from pathlib import Path

from coa.errors import ModelError, UsageError
from coa.serving.sparse.config import GPU_HEAD_SIZES, SparseConfig, check_block
from coa.serving.sparse.heads import read_rows
from coa.serving.vllm.arithmetic import architecture_of
from coa.serving.vllm.interpreter import Interpreter

WRITTEN_AGAINST = "0.32"
"""The vLLM whose inner interfaces our plug-in uses."""
CPU_HEAD_SIZES = frozenset({32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512})


def check_interpreter(found: Interpreter, sparse: SparseConfig | None) -> None:
    """Whether that vLLM can run here, and run the method.

    Raises:
        ModelError: it finds no device that it was built for.
        UsageError: our plug-in was written against another version, for other devices or other blocks.
    """
    if found.device == "":
        raise ModelError(
            f"the vLLM of {found.python} finds no GPU, or other device that it was built for",
            hint="nvidia-smi shows GPU and driver; COA_VLLM_PYTHON may name a Python with a build for processors.",
        )
    if sparse is not None and found.version and not f"{found.version}.".startswith(f"{WRITTEN_AGAINST}."):
        raise UsageError(
            f"{found.python} has vLLM {found.version}; sparse attention needs {WRITTEN_AGAINST}",
            hint=f"pip install 'vllm=={WRITTEN_AGAINST}.*', or leave the profile out: dense runs with any version.",
        )
    if sparse is not None and found.device not in (None, "cpu", "cuda"):
        raise UsageError(
            f"that vLLM runs on {found.device!r}; sparse attention needs CUDA or a processor",
            hint="Leave the profile out.",
        )
    if sparse is not None and found.device == "cuda":
        check_block(sparse.block)


def check_model(model: str, found: Interpreter, sparse: SparseConfig | None) -> None:
    """Whether a model's folder is there and fits the build and the table of heads; a name on a hub is not looked up.

    Raises:
        UsageError: it is not, or does not.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        if model.startswith((".", "/", "~")):
            raise UsageError(f"there is no folder {model!r}", hint="Give a model's folder or its name on a hub.")
        return
    if not (folder / "config.json").is_file():
        raise UsageError(f"there is no config.json in {model!r}", hint="Give the folder that holds a model's files.")
    try:
        shape = architecture_of(str(folder))
    except UsageError:
        return  # Not a plain Llama or Qwen: vLLM knows more kinds than the plan does.
    if found.cpu and shape.head_dim not in CPU_HEAD_SIZES:
        raise UsageError(
            f"the heads of {model!r} are {shape.head_dim} wide, which vLLM on a processor cannot compute",
            hint=f"It can: {', '.join(map(str, sorted(CPU_HEAD_SIZES)))}.",
        )
    if sparse is not None and found.device == "cuda" and shape.head_dim not in GPU_HEAD_SIZES:
        raise UsageError(
            f"the heads of {model!r} are {shape.head_dim} wide, which sparse attention on a GPU does not know",
            hint=f"It knows {', '.join(map(str, GPU_HEAD_SIZES))}; leave the profile out.",
        )
    if sparse is not None and sparse.heads_file is not None:
        read_rows(Path(sparse.heads_file), shape.layers, shape.kv_heads)
    if sparse is not None and sparse.thresholds_file is not None:
        read_rows(Path(sparse.thresholds_file), shape.layers, shape.heads)


def check_port(host: str, port: int) -> None:
    """Whether a server may listen there.

    Raises:
        UsageError: it may not.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except (OSError, OverflowError):
            raise UsageError(
                f"{host}:{port} cannot be listened on", hint="Another program may have it; give --port."
            ) from None
