"""Arrows point down: no module imports one above it, and no two import each other. And the rules for attack files.

Every import counts, wherever it stands: inside functions and for types, too.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import sparring

ROOT = Path(sparring.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
ATTACKS = [path for path in sorted((ROOT / "attacks").rglob("*.py")) if path.name != "__init__.py"]

FLOORS = (
    {"errors", "_callable", "_version", "_lazy", "durations", "accounts"},
    {"spec", "shares", "storage", "class_numbers", "default_dtype", "seeds", "splitmix"},
    {"rng", "checkpoint", "budget", "outputs", "data"},
    {"kernels"},
    {"norms"},
    {"ball"},
    {"threat"},
    {"losses", "model", "result"},
    {"referee", "zoo", "optimality", "preprocess", "bounds"},
    {"bout"},
    {"attack"},
    {"blocks", "batches"},
    {"attacks"},
    {"generators"},
    {"defenses", "export", "interop", "minimum", "testing", "crosscheck", "serve"},
    {"scale", "plugins", "fitting", "substitute"},
    {"certify"},
    {"audit", "poisoning"},
    {"attestation", "reproduce"},
    {"web"},
    {"cli"},
    {"__main__"},
)
"""The rooms of the package from the ground up. A room may import from the floors below its own."""

INSIDE = {
    "audit": (
        {"suites", "statistics"},
        {"inputs", "training_data"},
        {"probes"},
        {"cascade"},
        {"checks"},
        {"report"},
        {"run"},
        {"api"},
    ),
    "cli": (
        {"blame", "console"},
        {"app", "bills"},
        {"options", "tables", "progress", "pictures", "threads"},
        {"epochs"},
        {"loading"},
        {"exclusions", "audit"},
        {"attack", "train", "generate", "crosscheck", "models", "data", "checks", "certify", "defend", "serve"}
        | {"poison", "web"},
        {"reproduce"},
    ),
}
"""The floors inside the two largest rooms."""


def name_of(path: Path) -> str:
    """The dotted name of a module within the package: "audit.run.plan"; a folder's own file is the folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path): path for path in MODULES}


@cache
def imports_of(path: Path) -> frozenset[str]:
    """The modules of this package that a module imports from, anywhere in it; "" is the package itself."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            wanted = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in wanted:
            package, _, rest = name.partition(".")
            if package == "sparring":
                found.add(rest if rest in NAMES else rest.rpartition(".")[0])
    return frozenset(found)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_names_of_the_package_itself_that_stand_below_are_imported(path: Path) -> None:
    assert "" not in imports_of(path) or name_of(path) in ("", "__main__"), "import from where a thing is defined"


def test_no_two_modules_import_each_other() -> None:
    graph = {name: imports_of(path) - {"", name} for name, path in NAMES.items() if name}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


def floor(room: str, floors: tuple[set[str], ...]) -> int:
    return next(i for i, rooms in enumerate(floors) if room in rooms)


def room_of(path: Path) -> str:
    return name_of(path).partition(".")[0]


def test_every_room_has_its_floor() -> None:
    rooms = {room_of(path) for path in MODULES} - {""}
    assert rooms <= set().union(*FLOORS), "a new room? give it a floor in FLOORS"
    assert sum(map(len, FLOORS)) == len(set().union(*FLOORS))
    for house, floors in INSIDE.items():
        inner = {path.relative_to(ROOT / house).parts[0].removesuffix(".py") for path in (ROOT / house).rglob("*.py")}
        assert inner - {"__init__"} <= set().union(*floors), f"a new room in {house}? give it a floor in INSIDE"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)
    if not room:
        return  # it names what the floors offer, and loads none of it (test_import_time.py)
    for other in imports_of(path) - {""}:
        below = other.partition(".")[0]
        if below != room:
            assert floor(below, FLOORS) < floor(room, FLOORS), f"{name_of(path)} imports {other}, which is not below"


@pytest.mark.parametrize("path", [p for p in MODULES if room_of(p) in INSIDE and "." in name_of(p)], ids=name_of)
def test_imports_point_down_inside_the_large_rooms(path: Path) -> None:
    house, _, rest = name_of(path).partition(".")
    room = rest.partition(".")[0]
    for other in imports_of(path):
        home, _, inner = other.partition(".")
        below = inner.partition(".")[0]
        if home == house and below not in ("", room):
            lower, own = floor(below, INSIDE[house]), floor(room, INSIDE[house])
            assert lower < own, f"{name_of(path)} imports {other}, which is not below"


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
    """One class with one method, `run`; others in the file may only change its fields.

    An attack that learns has a net and a loss instead; how the fitted one attacks is the same for all.
    """
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    methods = [item.name for each in classes for item in each.body if isinstance(item, ast.FunctionDef)]
    assert methods in (["run"], [], ["net", "loss"], ["net", "loss", "point"]), f"methods: {methods}"
    public = [each for each in classes if not each.name.startswith("_")]
    assert public
    names = {each.name for each in public}
    presets = [each for each in public if not any(isinstance(item, ast.FunctionDef) for item in each.body)]
    for each in presets if len(public) > 1 else ():
        bases = {ast.unparse(base) for base in each.bases}
        assert not methods or bases & names, f"{each.name} is no preset of the search in this file"
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
