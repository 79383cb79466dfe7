"""What a terminal gets: nothing that steers it, and nothing that ends a command that has done its work."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydnn.cli.printing.terminal import Outlet, fitted, guarded_streams, harmless, tell, width

RAYDNN = [sys.executable, "-m", "raydnn"]


class FullDisk(io.RawIOBase):
    """A stream that takes nothing."""

    def writable(self) -> bool:
        return True

    def write(self, _data: object) -> int:
        raise OSError(28, "No space left on device")


def shown_on_a_terminal(columns: int, *command: str) -> str:
    """What a command writes to a terminal of so many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env={**environment, "TERM": "xterm"}
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # the process has closed the terminal
            break
        if not piece:
            break
        shown += piece
    process.wait(60)
    os.close(master)
    return shown.decode()


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "L", "Po"])))
def test_nothing_harmless_steers_a_terminal(text: str) -> None:
    shown = harmless(text)
    steering = {chr(code) for code in (*range(32), *range(0x7F, 0xA0))} - {"\n", "\t"}
    assert not set(shown) & (steering | set("\u202e\u2066\u2067\u2068\u200f\ud800\u2028"))
    assert shown == text or "\\" in shown


def test_ordinary_text_stays() -> None:
    text = "größer → 東京\t'نیم\u200cفاصله' 👩\u200d🔬\n"
    assert harmless(text) == text


def test_a_message_with_escapes_is_told_with_them_visible(capsys: pytest.CaptureFixture[str]) -> None:
    with guarded_streams():
        tell("no \x1b[31mluck\x9b0m\r\u202e", err=True)
    assert capsys.readouterr().err == "no \\x1b[31mluck\\x9b0m\\x0d\\u202e\n"


def test_data_for_a_program_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    with guarded_streams():
        tell("a,\x1b[31m,\r", exact=True)
    assert capsys.readouterr().out == "a,\x1b[31m,\r\n"


@pytest.mark.parametrize(
    ("encoding", "shown"), [("latin-1", "é ·  -> ?"), ("ascii", "? -  -> ?"), ("utf-8", "é ·  → 東")]
)
def test_characters_that_the_encoding_lacks_are_replaced(encoding: str, shown: str) -> None:
    raw = io.BytesIO()
    outlet = Outlet(io.TextIOWrapper(raw, encoding), patient=False)
    with guarded_streams():
        outlet.write("é ·  → 東")
    assert raw.getvalue().decode(encoding) == shown


def test_a_patient_outlet_outlasts_a_full_disk() -> None:
    stream = io.TextIOWrapper(io.BufferedWriter(FullDisk()), "utf-8")
    Outlet(stream, patient=True).write("lost")


@given(st.text(st.characters(categories=["L", "So", "Mn"]), max_size=40), st.integers(2, 30))
def test_a_fitted_line_fits(text: str, columns: int) -> None:
    assert width(fitted(text, columns)) <= columns
    assert width(text) > columns or fitted(text, columns) == text


def test_a_live_line_is_erased_whole_by_what_comes_next(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    outlet = Outlet(io.TextIOWrapper(raw, "utf-8"), patient=True)
    columns = iter([40, 20])
    monkeypatch.setattr("raydnn.cli.printing.terminal.columns_of_terminal", lambda: next(columns))
    outlet.show_live("x" * 39)
    outlet.show_live("東" * 15)
    outlet.write("warning\n")
    outlet.write("more\n")
    assert (
        raw.getvalue().decode() == "x" * 39 + "\r\x1b[J" + "東" * 15 + "\r\x1b[1A\x1b[J" + "warning\nmore\n"
    )


@pytest.mark.parametrize(
    ("shell", "code"),
    [
        ("{} components optimizer > /dev/full", 5),
        ("{} components optimizer -o csv > /dev/full", 5),
        ("{} components optimizer >&-", 0),
        ("{} components nothing 2>&-", 2),
        ("{} components nothing 2>/dev/full", 2),
        ("{} components optimizer <&- >&- 2>&-", 0),
        ("{} --help >&-", 0),
    ],
)
def test_a_terminal_that_takes_nothing(shell: str, code: int) -> None:
    done = subprocess.run(
        ["sh", "-c", shell.format(" ".join(RAYDNN))], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    told = "the output cannot be written: No space left on device\n"
    assert done.stderr == (told if code == 5 else "")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    shell = f"{' '.join(RAYDNN)} components optimizer -o json | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[\n0\n", "")


def test_a_file_never_takes_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    code = (
        "from raydnn.cli.printing.terminal import open_missing_streams\n"
        "open_missing_streams()\n"
        f"print(open({str(tmp_path / 'table')!r}, 'w').fileno() > 2, file=open({str(tmp_path / 'said')!r}, 'w'))\n"
    )
    subprocess.run(["sh", "-c", f'{sys.executable} -c "$0" <&- >&- 2>&-', code], check=True)
    assert (tmp_path / "said").read_text() == "True\n"


@pytest.mark.parametrize("columns", [80, 40])
def test_a_terminal_shows_no_line_that_is_too_long(columns: int) -> None:
    shown = shown_on_a_terminal(columns, *RAYDNN, "components", "optimizer", "adam")
    assert "weight_decay" in shown
    assert "\x1b" not in shown
