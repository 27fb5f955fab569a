"""Two workers against one: the same report, and how much sooner it is there.

    python benchmarks/audit_workers.py [IMAGES] [--ray | --slurm cluster=local]

The second audit is shared between two processes, two Ray workers or two Slurm jobs. All run `sparring audit` on digits
that come with the package, with one thread a process. Measured is the wall time of the whole command, its start and the
report included. Exit code 1 if the reports differ in anything but times.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

START = "import sys; from sparring.cli import main; sys.argv[0] = 'sparring'; main()"
SUITE = """
name: workers
stages:
  - pgd:steps=40,loss=margin
  - apgd-ce:steps=50
  - square:queries=300
"""


def audit(workers: int, n: int, folder: Path, *cluster: str) -> tuple[float, dict[str, Any]]:
    """Seconds, and the report less what tells the time."""
    out, suite = folder / f"workers{workers}", folder / "suite.yaml"
    suite.write_text(SUITE)
    words = ["audit", "--model", "mnist-cnn-pgd", "--n", n, "--eps", 0.3, "--suite", suite, "--shard-size", 50]
    words += ["--workers", workers, "--out", out, "--quiet", *cluster]
    began = time.perf_counter()
    command = [sys.executable, "-c", START, *map(str, words)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    seconds = time.perf_counter() - began
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    for name in ("seconds", "created", "seal", "shards"):
        report.pop(name, None)
    for one in report["attacks"]:
        del one["seconds"]
    return seconds, report


def main() -> int:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    cluster = sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        one, alone = audit(1, n, Path(folder))
        two, together = audit(2, n, Path(folder), *cluster)
    same = alone == together
    print(f"{n} images, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    kind = " ".join(["two workers", *cluster])
    print(f"one worker {one:.1f} s, {kind} {two:.1f} s: {one / two:.2f} times as fast")
    print("the same report" if same else "THE REPORTS DIFFER")
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
