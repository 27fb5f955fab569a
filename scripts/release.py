"""Build a release and try it as a stranger would.

python scripts/release.py    wheel and source archive in dist/, the wheel installed in a clean environment and used,
                             the list of what it brings (SBOM, CycloneDX) beside it, known holes looked up

Exit code 1 if a step fails. Where the service with the known holes is not reachable, that is said, and is no failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
FIRST_USE = "audit --model mnist-cnn-distilled --n 20 --eps 0.3 --suite quick --claim fgsm:0.3=88% --out run"


def environment(folder: Path, *packages: str) -> Path:
    """Make a virtual environment with these packages; gives its bin folder."""
    venv.create(folder, with_pip=True)
    call(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
    return folder / "bin"


def call(*words: str | Path, cwd: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command, print what it is first, and what it printed if it failed."""
    print("$", *words, flush=True)
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True)
    if check and done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        raise SystemExit(1)
    return done


def holes(answer: str) -> str:
    """What pip-audit found, a line for each known hole, and how many packages it could not look up."""
    packages = json.loads(answer)["dependencies"] if answer.strip() else []
    lines = [
        f"{package['name']} {package['version']}: {', '.join(hole['id'] for hole in package['vulns'])}"
        for package in packages
        if package.get("vulns")
    ]
    known = sum("vulns" in package for package in packages)
    lines.append(f"{len(lines)} of {known} packages with known holes; {len(packages) - known} could not be looked up")
    return "\n".join(lines)


def main() -> None:
    constraints = ROOT / "constraints.txt"
    for old in DIST.glob("sparring-*"):
        old.unlink()
    with tempfile.TemporaryDirectory() as where:
        home = Path(where)
        tools = environment(home / "tools", "build", "cyclonedx-bom", "pip-audit")
        call(tools / "python", "-m", "build", "--outdir", DIST, ROOT)
        (wheel,) = DIST.glob("sparring-*.whl")
        user = environment(home / "user", "-c", str(constraints), str(wheel))
        print(call(user / "sparring", "--version", cwd=home).stdout.strip())
        print(call(user / "sparring", *FIRST_USE.split(), cwd=home).stdout.strip().splitlines()[-1])
        call(user / "sparring", "verify", "run", cwd=home)
        sbom = DIST / f"{wheel.name.split('-py3')[0]}.cdx.json"
        call(tools / "cyclonedx-py", "environment", user / "python", "--output-file", sbom)
        (packages,) = (home / "user" / "lib").glob("python3*/site-packages")
        known = call(tools / "pip-audit", "--path", packages, "--format", "json", check=False)
        print(holes(known.stdout))
    print("in dist/:", *sorted(path.name for path in DIST.iterdir()))


if __name__ == "__main__":
    main()
