"""All benchmarks, one after the other: builds the peers' environment first. This is `make bench`.

    python3 benchmarks/run.py            # on the shipped nets and digits; about an hour on two cores
    python3 benchmarks/run.py --full     # also on the reference nets of $SPARRING_DATA, and the 1,000-image parity

Each script also runs alone; see its own --help. A benchmark that lacks its data or its peers says so and is skipped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / ".venv-peers" / "bin" / "python"

QUICK = (
    "pgd_overhead.py --net mnist-cnn-pgd --peers",
    "minimum_norm_overhead.py --net mnist-cnn --steps 60 --rounds 3",
    "attack_parity.py --net mnist-cnn-pgd --n 200",
    "autoattack_parity.py --net mnist-cnn-pgd --n 200",
    "minimum_norm_peers.py --net mnist-cnn,mnist-cnn-pgd --n 50",
    "minimum_norm_curve.py --net mnist-cnn-pgd --n 20 --passes 1000",
    "published_figures.py --only jsma,deepfool,ead --n 5 --live",
    "league.py --models mnist-cnn --n 20 --queries 100,300",
    "audit_workers.py 100",
    "low_precision.py --n 60 --turns 2",
)
FULL = (
    "pgd_overhead.py --net trades",
    "attack_parity.py --net trades --losses 2",
    "attack_parity.py --net plain --eps 0.1",
    "autoattack_parity.py --net trades",
    "autoattack_parity.py --net plain --eps 0.1",
    "autoattack_parity.py --net mnist-cnn-pgd --n 1000",
    "minimum_norm_table.py --live --cache runs/peers.json",
    "minimum_norm_peers.py --n 500 --cache runs/peers.json",
    "minimum_norm_curve.py --n 100 --cache runs/peers.json --figure",
    "published_figures.py --n 20 --live",
    "league.py --adba --n 200",
    "league.py --n 100",
    "black_box_peers.py distance --n 50",
    "league_peers.py --n 20",
    "league_peers.py --square --n 100",
    "black_box_peers.py time",
    "transfer.py",
    "audit_workers.py 400",
    "audit_memory.py",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the reference nets and 1,000 images too (hours)")
    args = parser.parse_args()
    built = subprocess.run([sys.executable, HERE / "peers" / "install.py"], check=False).returncode
    python = PEERS if built == 0 else Path(sys.executable)
    failed = 0
    for line in QUICK + (FULL if args.full else ()):
        script, *options = line.split()
        print(f"\n=== {line}", flush=True)
        failed += subprocess.run([python, HERE / script, *options], check=False).returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
