"""Peak memory of an audit that is kept in a folder: 1,000 against 10,000 MNIST images. It should not grow.

    python benchmarks/audit_memory.py            # needs the MNIST files: SPARRING_DATA=DIR, or in the data folder

Each audit runs in a process of its own with a cheap suite (FGSM alone), from the images to all files of the report;
what is measured is the most memory that the process ever held (resident set). Exit code 1 if the larger one takes over
10 % more.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COUNTS = (1000, 10000)
MOST = 1.10


def audit(n: int) -> dict[str, float]:
    """One audit in this process: megabytes at the peak and before any image was read, and seconds."""
    import torch

    import sparring as sp

    torch.set_num_threads(1)
    began = time.perf_counter()
    model, images = sp.load_model("mnist-cnn-pgd"), sp.load_data("mnist", n=n)
    before = _peak()
    with tempfile.TemporaryDirectory() as folder:
        report = sp.audit(model, images, sp.Threat("Linf", 0.3), suite=["fgsm"], folder=Path(folder, "run"))
        report.save(Path(folder, "run"))
    return {"n": report.n, "before": before, "peak": _peak(), "seconds": time.perf_counter() - began}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    if len(sys.argv) > 1:
        print(json.dumps(audit(int(sys.argv[1]))))
        return 0
    peaks = []
    for n in COUNTS:
        done = subprocess.run([sys.executable, __file__, str(n)], capture_output=True, text=True, check=True)
        one = json.loads(done.stdout.splitlines()[-1])
        peaks.append(one["peak"])
        print(
            f"{n:6d} images: peak {one['peak']:6.1f} MB, {one['before']:.1f} MB before the first image, "
            f"{one['seconds']:.0f} s",
            flush=True,
        )
    ratio = peaks[-1] / peaks[0]
    print(f"ratio {ratio:.3f}, at most {MOST:.2f} is allowed: {'ok' if ratio <= MOST else 'TOO MUCH'}")
    return int(ratio > MOST)


if __name__ == "__main__":
    sys.exit(main())
