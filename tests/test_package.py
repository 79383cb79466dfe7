"""What a fresh clone must be: its layout, its pinned dependencies, and a package that never unpickles or evaluates."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "raydnn"
FOLDERS = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))
MODULES = sorted(PACKAGE.rglob("*.py"))
TOP_LEVEL = {
    *("pyproject.toml", "README.md", "raydnn", "jobs", "tests", "cluster"),
    *("Makefile", "constraints.txt", "LICENSE", ".ci", ".gitignore"),
}
BANNED_CALLS = {
    *("pickle.load", "pickle.loads", "cloudpickle.load", "cloudpickle.loads", "marshal.loads", "shelve.open"),
    *("joblib.load", "pandas.read_pickle", "yaml.load", "eval", "exec", "os.system", "Tuner.restore"),
}
BANNED_ARGUMENTS = {"weights_only": False, "allow_pickle": True, "shell": True}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_top_level_holds_nothing_else() -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout")
    found = {line.split("/", 1)[0] for line in listed.stdout.splitlines()}
    assert found == TOP_LEVEL


def test_the_layers_name_every_folder_and_module(project: dict[str, Any]) -> None:
    layers = next(c for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers")["layers"]
    modules = {path.stem for path in (ROOT / "raydnn").glob("*.py") if not path.stem.startswith("__")}
    assert set(layers) == {f"raydnn.{name}" for name in modules | {folder.name for folder in FOLDERS}}


def test_tests_mirror_the_package() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("*.py"))}
    assert folders - {"benchmarks", "chaos"} <= {folder.name for folder in FOLDERS}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text()))


def test_what_make_and_ci_run_is_there(project: dict[str, Any]) -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    makefile = (ROOT / "Makefile").read_text().splitlines()
    assert {"demo", "test", "check", "bench", "clean"} <= {line.split(":")[0] for line in makefile}
    assert version("raydnn") == project["project"]["version"]


def test_what_is_pinned_is_what_the_project_asks_for(project: dict[str, Any]) -> None:
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            (pin,) = requirement.specifier
            assert pin.operator == "==", line
            pins[_plain(requirement.name)] = pin.version
    extras = project["project"]["optional-dependencies"].values()
    for text in [*project["project"]["dependencies"], *(text for extra in extras for text in extra)]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins[_plain(requirement.name)]), text


def test_importing_raydnn_imports_nothing_heavy() -> None:
    code = (
        "import sys, raydnn; print([n for n in ('torch', 'ray', 'pyarrow', 'pydantic') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled_or_evaluated(module: Path) -> None:
    assert list(banned(module.read_text())) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle\npickle.load(file)",
        "import pickle as p\np.loads(text)",
        "from pickle import load\nload(file)",
        "import yaml\nyaml.load(text)",
        "eval('1 + 1')",
        "import torch\ntorch.load(path, weights_only=False)",
        "import torch\ntorch.load(path)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "from ray import tune\ntune.Tuner.restore(path)",
    ],
)
def test_the_ban_finds_what_it_bans(code: str) -> None:
    assert len(list(banned(code))) == 1


def banned(code: str) -> Iterator[str]:
    """Every call in `code` that could run what is stored, as `LINE: call`."""
    tree = ast.parse(code)
    names = _imported_names(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        first, dot, rest = ast.unparse(node.func).partition(".")
        called = names.get(first, first) + dot + rest
        given = {each.arg: each.value for each in node.keywords if each.arg}
        wrong = any(
            isinstance(value := given.get(name), ast.Constant) and value.value is bad
            for name, bad in BANNED_ARGUMENTS.items()
        )
        unsafe_torch = called == "torch.load" and "weights_only" not in given
        if wrong or unsafe_torch or any(f".{called}".endswith(f".{ban}") for ban in BANNED_CALLS):
            yield f"{node.lineno}: {ast.unparse(node)}"


def _imported_names(tree: ast.AST) -> dict[str, str]:
    """Local name → what it stands for: `p` → `pickle`, `load` → `pickle.load`."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.asname: each.name for each in node.names if each.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    return names


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_command_line_prints_across_one_border(module: Path) -> None:
    calls = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call)
    }
    own = {"print"} if module.name in ("download.py", "user_code.py") else set()  # they run on workers, too
    assert not calls & ({"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"} - own)


RETIRED = {
    "below",
    "find_runs",
    "fitting",
    "handing",
    "places",
    "prepared",
    "starts",
    "turns",
    "whereabouts",
}
"""Words that meant two things each, or were not the field's."""


def test_words_that_were_given_up_name_nothing() -> None:
    names = {path.stem for path in PACKAGE.rglob("*.py")}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.arg):
                names.add(node.arg)
    assert {name for name in names if name.lower() in RETIRED} == set()
