"""Arrows point down: no room of the package imports from one above it. And the house rules for attack files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import sparring

ROOT = Path(sparring.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
ATTACKS = [path for path in sorted((ROOT / "attacks").rglob("*.py")) if path.name != "__init__.py"]

FLOORS = (
    {"errors", "_callable"},
    {"class_numbers", "default_dtype", "seeds"},
    {"rng", "checkpoint", "budget", "outputs", "data"},
    {"kernels"},
    {"norms"},
    {"ball", "threat"},
    {"losses", "model", "result"},
    {"referee", "zoo", "optimality", "defended"},
    {"bout"},
    {"attack"},
    {"blocks", "batches"},
    {"attacks"},
    {"generators"},
    {"defenses", "export", "minimum", "testing"},
    {"scale"},
    {"audit"},
    {"reproduce"},
    {"cli", "web"},
)
"""The rooms of the package from the ground up. A room may import from the floors below its own."""

LAZY = {("attack", "attacks"), ("defended", "defenses")}
"""The arrows that point up, inside functions: looking up an attack or a stage fills the register first."""


def floor(room: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if room in rooms)


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_rooms(tree: ast.AST) -> Iterator[str]:
    """The rooms that a module imports from, anywhere in it; "" for the package itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            whole = node.module or ""
            names = [f"{whole}.{alias.name}" for alias in node.names] if whole == "sparring" else [whole]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "sparring":
                yield rest.partition(".")[0]


def test_every_room_has_its_floor() -> None:
    rooms = {room_of(path) for path in MODULES} - {"__init__"}
    assert rooms <= set().union(*FLOORS), "a new room? give it a floor in FLOORS"
    assert sum(map(len, FLOORS)) == len(set().union(*FLOORS))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return  # it names what the floors offer, and loads none of it (test_import_time.py)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for other in imported_rooms(tree):
        if other in ("", "__version__"):  # the package itself is there for its version only
            used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_package(node.value)}
            assert used <= {"__version__", room}, f"{path.name} reaches through the top of the package for {used}"
        elif other != room and (room, other) not in LAZY:
            assert floor(other) < floor(room), (
                f"{path.relative_to(ROOT)} ({room}) imports from {other}, which is not below"
            )


def _is_package(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "sparring"


@pytest.mark.parametrize(("room", "above"), sorted(LAZY))
def test_a_lazy_arrow_is_inside_functions_only(room: str, above: str) -> None:
    tree = ast.parse((ROOT / f"{room}.py").read_text(encoding="utf-8"))
    assert above not in set().union(*(set(imported_rooms(node)) for node in tree.body if not _holds_code(node)))


def _holds_code(node: ast.AST) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.ClassDef))


# --- house rules ----------------------------------------------------------------------------------------------


@pytest.fixture(params=ATTACKS, ids=lambda path: path.stem)
def source(request: pytest.FixtureRequest) -> str:
    text: str = request.param.read_text(encoding="utf-8")
    return text


def test_there_are_attack_files() -> None:
    assert len(ATTACKS) >= 10


def test_an_attack_file_is_short(source: str) -> None:
    assert source.count("\n") <= 150


def test_an_attack_file_says_idea_paper_differences_and_failures(source: str) -> None:
    said = ast.get_docstring(ast.parse(source)) or ""
    assert re.search(r"(arXiv:\d{4}\.\d{4,5}|doi:10\.\d+|openreview:\S+)", said), "the paper"
    assert "iffers from" in said, "where it differs from the paper or the reference code"
    assert re.search(r"[Ff]ails on|[Ff]ails", said), "how it fails"


def test_an_attack_file_holds_one_search(source: str) -> None:
    """One class with one method, `run`; others in the file may only change its fields."""
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    methods = [item.name for each in classes for item in each.body if isinstance(item, ast.FunctionDef)]
    assert methods in (["run"], []), f"methods: {methods}"
    public = [each for each in classes if not each.name.startswith("_")]
    assert public
    assert len(public) == 1 or all(not isinstance(item, ast.FunctionDef) for each in public for item in each.body)
    for each in public:
        assert ast.get_docstring(each)


FORBIDDEN = {
    "print": r"\bprint\(",
    "a global random source": r"torch\.(manual_seed|rand\b|randn\b|randint\b|randperm\b|rand_like|randn_like|bernoulli)"
    r"|\brandom\.|np\.random|numpy\.random|\.(normal_|uniform_|random_|bernoulli_)\(",
    "moving to a device": r"\.to\([^)]*device|\.cuda\(|\.cpu\(",
    "a targeted branch": r"\.targeted\b|isinstance\([^)]*(Targeted|Untargeted)\)",
    "best-so-far bookkeeping": r"\bbest_\w+",
    "a norm branch": r"\bif [^\n]*\bnorm\b\s*(==|is|in)\b",
    "reaching behind the bout": r"\._model\b|\._referee\b",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_an_attack_file_leaves_bookkeeping_to_the_referee(source: str, what: str) -> None:
    code = ast.unparse(_without_docstrings(ast.parse(source)))
    assert not re.search(FORBIDDEN[what], code), f"{what} does not belong into an attack file"


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_neither_prints_nor_reseeds(path: Path) -> None:
    """Only the command line's frame prints, one line on stderr when it fails; all else is for rich and logging."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    if path != ROOT / "cli" / "app.py":
        assert "print" not in calls
    for seeding in (
        "torch.manual_seed",
        "torch.random.manual_seed",
        "random.seed",
        "np.random.seed",
        "numpy.random.seed",
    ):
        forked = "fork_rng" in path.read_text(encoding="utf-8")  # inside a fork the caller's generator is safe
        assert seeding not in calls or forked, f"{seeding} changes the caller's random state"
