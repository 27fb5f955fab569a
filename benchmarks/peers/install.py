"""Build `.venv-peers`, the isolated environment in which peers and sparring are compared in one process.

    python3 benchmarks/peers/install.py                 # into .venv-peers beside this repository's .venv
    python3 benchmarks/peers/install.py --into /tmp/peers

Installs what the peers need (requirements.txt), then each peer of peers.txt with --no-deps, then sparring itself
(editable), and checks that each imports. A peer that cannot be had is skipped with the reason: the
benchmarks that need it say so too. Running it again only installs what is missing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def run(*command: str | Path) -> str:
    """Run a command; '' if it went well, else its last line of output (pip's own chatter left out)."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=ROOT)
    if done.returncode == 0:
        return ""
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip() and "WARNING" not in line]
    return lines[-1].strip() if lines else f"exit code {done.returncode}"


def peers() -> list[tuple[str, str]]:
    """(requirement, module) of each peer in peers.txt."""
    lines = (HERE / "peers.txt").read_text().splitlines()
    pairs = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return [(requirement, module) for requirement, module in pairs]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=ROOT / ".venv-peers", help="the folder of the environment")
    args = parser.parse_args()
    python = args.into / "bin" / "python"
    if not python.exists():
        venv.create(args.into, with_pip=True)
    tested = ROOT / "constraints.txt"  # the versions that sparring is tested with, torch among them
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint", tested)

    print("installing what the peers need", flush=True)
    if reason := run(*pip, "-r", HERE / "requirements.txt"):
        print(f"the peers' environment cannot be built: {reason}")
        return 1
    missing = 0
    for requirement, module in [*peers(), ("sparring", "sparring")]:
        source = ("--editable", ".") if module == "sparring" else ("--no-deps", requirement)
        check = f"from peers import shims; shims.install(); import {module}"
        reason = run(*pip, *source) or run(
            python, "-c", f"import sys; sys.path.insert(0, {str(HERE.parent)!r}); {check}"
        )
        missing += bool(reason)
        print(f"  {requirement:<40} {'skipped: ' + reason if reason else 'ok'}", flush=True)
    print(f"{args.into}: {'all there' if not missing else f'{missing} skipped'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
