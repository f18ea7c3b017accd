"""The first five minutes: the demo as a newcomer meets it."""

from __future__ import annotations

import csv
import re
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

from crucible_ray.api.demo import prepare_demo
from crucible_ray.cli.main import main
from tests.cli.console import COMMAND, crucible

FIRST_LINE_S, FIRST_TRIAL_S, REPORT_S = 1.0, 25.0, 60.0
PEAK_BYTES = 2 << 30


class Watched:
    """A demo whose lines are timed, and whose memory is summed over all its processes."""

    def __init__(self, cwd: Path) -> None:
        began_s = time.monotonic()
        self.lines: list[tuple[float, str]] = []
        self.peak_bytes = 0
        self._over = threading.Event()
        with subprocess.Popen(
            [*COMMAND, "demo"], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as demo:
            watcher = threading.Thread(target=self._watch, args=(psutil.Process(demo.pid),))
            watcher.start()
            assert demo.stdout is not None
            for line in demo.stdout:
                self.lines.append((time.monotonic() - began_s, line.decode("utf-8").rstrip("\n")))
            self._over.set()
            watcher.join()
        self.code = demo.returncode

    def _watch(self, root: psutil.Process) -> None:
        while not self._over.wait(0.25):
            total = 0
            for process in [root, *root.children(recursive=True)]:
                try:
                    # Shared pages are counted once: Ray's processes map the same object store.
                    total += process.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            self.peak_bytes = max(self.peak_bytes, total)

    def when(self, pattern: str) -> float:
        """Seconds until a line with the pattern."""
        return next(at_s for at_s, line in self.lines if re.search(pattern, line))

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)


@pytest.mark.ray
@pytest.mark.slow
def test_the_demo_keeps_its_times_and_ends_on_one_screen(tmp_path: Path) -> None:
    demo = Watched(tmp_path)
    assert demo.code == 0, demo.text
    assert demo.lines[0][0] < FIRST_LINE_S
    assert (
        demo.when(r"\b[1-9]\d*% \(") < FIRST_TRIAL_S + 5.0
    )  # the progress line that shows it comes every 5 s
    assert demo.when("^Report: ") < REPORT_S
    assert demo.peak_bytes < PEAK_BYTES
    for part in (
        r"Estimated cost: \$[\d.]+ .*\(simulated\)",
        r"Power: at least 0\.\d+ to 0\.\d+ with 100 items",
        r"One question as every model gets it \(item addition/0, expected C\):\n  user \| What is 115 \+ 75\?",
        r"starting Ray \.\.\. \d+ s \(usually 5 to 20\)",
        r"client 0 is killed on purpose at 4\d %",
        r"Trials 600/600   (\d+ failed   )?0 lost   \$0\.\d+ (\(.* of it held by .*\) )?of \$0\.\d+ estimated \(simulated\)",
        r"  client actor killed on purpose at 4\d %: \d+ trials handed back, 0 lost, 0 doubled",
        r"  \d+ x 429 obeyed, \d+ retries",
        r"ensemble_3model - single_model   \+\d\.\d points \[.*\], p = \.\d+   paired, 100 items x 3",
        r"\n  a pooled t-test would have said p .* for this difference\n",
        r"  planted in the simulator: \+4\.0, inside the interval",
        r"Bound by: .*     Next: crucible-ray reproduce results/demo-1/exp_",
        r"  export OPENAI_API_KEY=\.\.\.\n  crucible-ray check .*\n  crucible-ray run ",
    ):
        assert re.search(part, demo.text), f"{part}\n{demo.text}"
    # Ours begin in known ways; a line of Ray's, or of one of its workers, would not.
    foreign = re.compile(
        r"\((raylet|pid=|ClientActor|autoscaler|gcs)|\b(INFO|WARNING|ERROR)\b|ray::|Traceback", re.I
    )
    assert not [line for _, line in demo.lines if foreign.search(line)]
    assert "\x1b" not in demo.text
    (folder,) = (tmp_path / "results" / "demo-1").glob("exp_*")
    rows = list(csv.DictReader((folder / "results.csv").read_text().splitlines()))
    assert sorted(int(row["trial"]) for row in rows) == list(range(600))
    again = crucible("reproduce", str(folder), "--clients", "4", cwd=tmp_path)
    assert (again.returncode, again.stdout.count("identical")) == (0, 2)


def test_every_demo_gets_a_folder_of_its_own_with_an_experiment_for_ones_own_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crucible.toml").write_text('[models.gemini_flash]\nprovider = "simulated"\naccuracy = 0.1\n')
    from crucible_ray.api.demo import OWN_KEY_FILE, fresh_folder

    assert [fresh_folder(Path("results")).name for _ in range(3)] == ["demo-1", "demo-2", "demo-3"]
    (tmp_path / "own_key.py").write_text(OWN_KEY_FILE)
    assert main(["check", "own_key.py"]) == 0
    assert "600 trials" in capsys.readouterr().out


def test_the_demo_is_the_same_whatever_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = prepare_demo({}).plan
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crucible.toml").write_text(
        '[run]\nseed = 5\n[models.gemini_flash]\nprovider = "simulated"\naccuracy = 0.1\n'
    )
    assert prepare_demo({"EXPERIMENT_SEED": "7"}).plan == plan


def test_a_demo_that_cannot_write_says_so_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["demo", "--in-process", "--quiet", "--output-dir", str(tmp_path / "file")]) == 5
    assert (
        capsys.readouterr().err
        == f"Error: Cannot write to {tmp_path / 'file'}: Not a directory. Mend that, then resume.\n"
    )
