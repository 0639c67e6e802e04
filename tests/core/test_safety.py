"""What harden must not do, held by reading its own source: run what a file says, unpickle, call home."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import harden
from harden.errors import HardenError, InputError, SettingsError
from harden.parsing import parse_json, parse_toml, read_text

ROOT = Path(harden.__file__).parent
UNPICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
NETWORK = {"socket", "urllib", "http", "requests", "httpx", "aiohttp", "ftplib", "smtplib", "telnetlib", "xmlrpc"}
RUNNING = {"eval", "exec", "compile", "__import__"}
PROCESSES = {"subprocess", "os.system", "os.popen", "pty"}


def trees():
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def dotted(node):
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield dotted(node.func), node


def named(call, name):
    found = next((k.value for k in call.keywords if k.arg == name), None)
    return found.value if isinstance(found, ast.Constant) else found


def problems(tree):
    banned = UNPICKLING | NETWORK | PROCESSES
    found = [f"imports {name}" for name in imports(tree) if {name, name.split(".")[0]} & banned]
    for name, call in calls(tree):
        if name in RUNNING or name in PROCESSES:
            found.append(f"calls {name}")
        if name == "torch.load" and named(call, "weights_only") is not True:
            found.append("torch.load without weights_only=True")
        if named(call, "allow_pickle") is True:
            found.append(f"{name} with allow_pickle=True")
        if named(call, "trust_remote_code") is True:
            found.append(f"{name} with trust_remote_code=True")
        if named(call, "shell") is True:
            found.append(f"{name} with shell=True")
    return found


def test_the_source_neither_unpickles_nor_runs_texts_nor_calls_home():
    found = {str(path): bad for path, tree in trees() if (bad := problems(tree))}
    assert not found


@pytest.mark.parametrize(
    "text",
    ["import pickle", "from urllib.request import urlopen", "eval('1')", "torch.load(f)", "import subprocess",
     "torch.load(f, weights_only=False)", "np.load(f, allow_pickle=True)", "os.system('ls')",
     "load_dataset(x, trust_remote_code=True)"],
)  # fmt: skip
def test_the_check_itself_sees_each(text):
    assert problems(ast.parse(text))


def test_files_are_read_up_to_a_limit(tmp_path):
    path = tmp_path / "big.toml"
    path.write_text("#" * 200)
    with pytest.raises(SettingsError, match=r"too large.*200 bytes"):
        read_text(path, 100, SettingsError)
    with pytest.raises(InputError, match="No such file"):
        read_text(tmp_path / "absent")
    path.write_bytes(b"\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        read_text(path)


@pytest.mark.parametrize("depth", [70, 5000, 200_000])
def test_documents_are_nested_up_to_a_limit(depth):
    for parse, text in [(parse_json, "[" * depth + "]" * depth), (parse_toml, "a = " + "[" * depth + "]" * depth)]:
        with pytest.raises(HardenError, match="nested too deeply"):
            parse(text, "here")
    assert parse_json("[" * 60 + "]" * 60, "here")


@pytest.mark.parametrize("text", ["a = " + "9" * 5000, "a", "a = 1\na = 2", "\0"])
def test_odd_toml_is_one_error(text):
    with pytest.raises(SettingsError, match="not valid TOML"):
        parse_toml(text, "here", SettingsError)


def test_onnx_runtime_leaves_no_identifier_at_home(tmp_path):
    """ONNX Runtime writes a device identifier when it is imported, before it sends anything; harden forbids both."""
    # The variables of a build server would silence it, too, and hide that harden does not.
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "SYSTEMROOT")}
    environment = {**kept, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    code = "from harden.runtime.sessions import Session; import onnxruntime"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert not [path for path in tmp_path.rglob("*") if path.name in ("deviceid", "onnxruntime.db")]
