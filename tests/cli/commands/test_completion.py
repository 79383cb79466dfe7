"""What a shell is told to complete commands with, and what it then gets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from raydnn.cli.commands.completion import SHELLS
from raydnn.cli.main import COMMANDS
from raydnn.spec.catalogue.kinds import components
from raydnn.store.run import create_run


def _completed(*words: str) -> list[str]:
    """What Tab offers for the last word, as bash asks for it."""
    asked = {"_RAYDNN_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words)}
    done = subprocess.run(
        [sys.executable, "-m", "raydnn"],
        env={**os.environ, **asked, "COMP_CWORD": str(len(words) - 1)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_commands_runs_and_components_are_completed(tmp_path: Path) -> None:
    resolved = {"metric": "validation_loss", "mode": "min"}
    for name in ("one", "other"):
        create_run(str(tmp_path), name, "", resolved)
    assert set(_completed("raydnn", "c")) == {name for name in COMMANDS if name.startswith("c")}
    storage = ("--storage", str(tmp_path))
    assert set(_completed("raydnn", "results", "top", *storage, "o")) == {"one", "other"}
    assert "latest" in _completed("raydnn", "status", *storage, "l")
    assert _completed("raydnn", "results", "show", "--storage", str(tmp_path / "none"), "o") == []
    adams = [name for name in components("optimizer") if name.startswith("adam")]
    assert _completed("raydnn", "components", "optimizer", "adam") == adams


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_takes_its_script(cli, tmp_path: Path, shell: str) -> None:
    outcome = cli("completion", shell)
    assert outcome.code == 0
    assert "_RAYDNN_COMPLETE" in outcome.out
    if shutil.which(shell):
        script = tmp_path / "script"
        script.write_text(outcome.out)
        subprocess.run([shell, "-n", str(script)], check=True)


def test_bash_completes_with_it(cli, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(cli("completion", "bash").out)
    folder = str(Path(sys.executable).parent)
    asked = f"source {script}; COMP_WORDS=(raydnn comple); COMP_CWORD=1; _raydnn_completion raydnn comple raydnn; "
    done = subprocess.run(
        ["bash", "--norc", "-c", f'{asked} echo "${{COMPREPLY[@]}}"'],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["completion"]


def test_another_shell_is_refused(cli) -> None:
    outcome = cli("completion", "tcsh")
    assert outcome.code == 2
    assert "'bash', 'zsh', 'fish'" in outcome.err
