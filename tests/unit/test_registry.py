"""The register of attacks: complete columns, unique names, specs that are read or refused in one clear line."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from torch import Tensor

import sparring as sp
import sparring.attack
import sparring.attacks
from sparring.attack import REGISTRY, Attack, AttackInfo, build, register
from sparring.attacks import find
from sparring.bout import Bout
from sparring.cli.attack.attacks import markdown_table
from sparring.errors import InputError, SparringError
from sparring.model import LEVELS
from sparring.norms import L2, NORMS, Linf

INFOS = sp.attacks()
ISSUE_2 = ["fgsm", "r-fgsm", "bim", "ilcm", "pgd", "mifgsm", "apgd-ce", "apgd-dlr", "apgd-t", "apgd-l1", "square"]


def test_the_attacks_of_the_ground_floor_are_registered() -> None:
    assert set(ISSUE_2) <= {info.name for info in INFOS}
    assert [info.name for info in INFOS] == sorted(info.name for info in INFOS)


SURVEY = """
    FGSM [66]; JSMA [147]; L-BFGS [175]; POBA-GA [29]; AutoZoom [182]; DeepFool [132]; LaVAN [91]; Universal
    Adversarial Networks (UAN) [73]; Expectation Over Transformation (EOT) [6]; Local Search Attack (LSA) [136];
    Natural Evolutionary Strategies (NES) [86]; Boundary Attack (BA) [15]; CW Attack [23]; GenAttack [3]; BIM
    and ILCM [98]; Momentum Iterative Method (M-BIM) [44]; Zeroth-Order Optimization (ZOO) [31]; Hot-Cold Attack
    [152]; Projected Gradient Descent (PGD) [123]; UPSET [156]; ANGRI [156]; Elastic-Net Attack (EAD) [30];
    Hop-Skip-Jump Attack (HSJ) [27]; Robust Physical Perturbations (RP2) [51]; Ground-Truth Attack [20];
    OptMargin [76]; One-Pixel Attack [171]; BPDA [5]; SPSA [183]; Spatially Transformed Network (stAdv) [189];
    AdvGAN [188]; Houdini [34]; Adversarial Transformation Networks (ATNs) [9]
"""
"the table of Machado et al. (arXiv:2009.03728), as printed: name and number in its references"


def test_all_attacks_of_the_survey_are_registered() -> None:
    """33 rows. BIM and ILCM share one, and so do the three of Carlini and Wagner."""
    wanted = [" ".join(name.split()) for name in SURVEY.split(";")]
    assert len(wanted) == 33
    assert {info.survey for info in INFOS if info.survey} == set(wanted)
    assert sum(bool(info.survey) for info in INFOS) == 33 + 1 + 2


@pytest.mark.parametrize("info", [info for info in INFOS if info.survey], ids=lambda info: info.name)
def test_the_table_says_file_paper_and_peers_of_the_attacks_of_the_survey(info: AttackInfo) -> None:
    cells = [cell.strip() for cell in markdown_table([info]).splitlines()[-1].strip("|").split(" | ")]
    paper, file, peers = cells[-3:]
    assert re.fullmatch(r"\[\S+\]\(https://\S+\)", paper)
    path = Path(sparring.__file__).parent / file.strip("`")
    assert f'"{info.name}"' in path.read_text(encoding="utf-8")
    assert peers == (", ".join(info.peers) or "-")


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_every_column_is_filled_with_a_known_word(info: AttackInfo) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", info.name)
    assert info.title
    assert info.sees in LEVELS
    assert info.norms
    assert set(info.norms) <= set(NORMS)
    assert info.aim in ("budget", "minimum", "both", "own")
    assert info.scope
    assert set(info.scope) <= {"individual", "universal", "generative"}
    assert info.visibility
    assert set(info.visibility) <= {"optimal", "visible", "physical"}
    assert info.specificity
    assert set(info.specificity) <= {"targeted", "untargeted"}
    assert info.approach in ("gradient", "score", "decision", "approximation")
    assert 2013 <= info.year <= 2030
    assert re.match(r"(arXiv:\d{4}\.\d{4,5}|doi:10\.|openreview:\S+)", info.paper)
    assert info.knowledge
    assert len(info.summary) > 10
    assert not info.summary.startswith("Attack(")
    assert issubclass(info.cls, Attack)
    assert info.cls.info is info


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_an_entry_can_be_written_as_json_with_the_schema_of_its_fields(info: AttackInfo) -> None:
    read = json.loads(json.dumps(info.to_dict()))
    assert set(read["fields"]) == {field.name for field in fields(info.cls)}  # type: ignore[arg-type]
    assert read["norms"] == [str(norm) for norm in info.norms]
    for name, schema in read["fields"].items():
        assert "default" in schema, f"{info.name}.{name}: every field has a default, and the schema knows it"


def test_names_and_aliases_are_unique() -> None:
    names = [name for info in INFOS for name in (info.name, *info.aliases)]
    assert len(names) == len(set(names))
    assert set(names) <= set(REGISTRY)


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_every_name_alias_and_way_to_write_it_is_found(info: AttackInfo) -> None:
    for name in (info.name, *info.aliases, info.name.upper(), info.name.replace("-", "_"), f" {info.name} "):
        assert find(name) is info
        assert sp.attack(name) == info.cls()


def test_lists_by_access_norm_and_column() -> None:
    def names(**columns: Any) -> set[str]:
        return {info.name for info in sp.attacks(**columns)}

    assert "square" in names(sees="score", norm="L2")
    assert "pgd" not in names(sees="score")
    assert names(norm="L0") == names(norm=sp.L0)
    assert "fgsm" in names(norm="L0")
    assert "pgd" not in names(norm="l0")
    assert names(random=True, sees="gradient") >= {"pgd", "r-fgsm"}
    assert "bim" not in names(random=True)
    assert names(specificity="targeted") >= {"pgd"}
    assert names(peers="foolbox") >= {"fgsm", "pgd"}
    assert names(sees="decision", norm="L0", random=False) <= names(sees="decision")
    assert {info.name for info in sp.attacks()} == names()


def test_the_modules_of_these_names_can_be_called() -> None:
    assert sparring.attack("pgd") == sp.PGD()
    assert sparring.attacks(norm="L0") == sp.attacks(norm="L0")
    assert str(inspect.signature(sparring.attack)).startswith("(spec: 'str', *, surrogates:")
    assert str(inspect.signature(sparring.attack)).endswith("-> 'Attack'")


@pytest.mark.long
@pytest.mark.parametrize(
    "code",
    [
        "import sparring.attack; sparring.attack('pgd')",
        "import sparring; sparring.attack('pgd'); sparring.attack('fgsm')",
        "import sparring.attacks; sparring.attacks(sees='score')",
        "from sparring import PGD, attack; attack(PGD().spec)",
    ],
)
def test_the_catalogue_is_whole_whatever_is_imported_first(code: str) -> None:
    show = "import sparring.attacks as a; print(len(a.attacks()))"
    run = subprocess.run([sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True)
    assert int(run.stdout) == len(INFOS)


def test_one_attack_is_imported_without_the_others() -> None:
    code = "import sys, sparring; sparring.FGSM; print('sparring.attacks.gradient.cw_l2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


# --- specs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "meant"),
    [
        ("pgd", sp.PGD()),
        ("pgd:", sp.PGD()),
        ("PGD:steps=100,restarts=5", sp.PGD(steps=100, restarts=5)),
        ("pgd: steps = 7 , step = 1/30 ", sp.PGD(steps=7, step=1 / 30)),
        ("pgd:random-start=false,loss=DLR", sp.PGD(random_start=False, loss="dlr")),  # type: ignore[arg-type]
        ("pgd:step=none,view=eot5", sp.PGD(view="eot5")),  # type: ignore[arg-type]
        ("madry:steps=3", sp.PGD(steps=3)),
    ],
)
def test_specs_are_read(spec: str, meant: Attack) -> None:
    assert sp.attack(spec) == meant


@pytest.mark.parametrize(
    ("attack", "spec"),
    [
        (sp.PGD(), "pgd"),
        (sp.PGD(steps=100, restarts=5), "pgd:steps=100,restarts=5"),
        (sp.PGD(random_start=False, loss="margin", view="eot3"), "pgd:loss=margin,random_start=False,view=eot3"),  # type: ignore[arg-type]
    ],
)
def test_specs_name_what_differs_from_the_defaults_and_round_trip(attack: Attack, spec: str) -> None:
    assert attack.spec == spec
    assert sp.attack(spec) == attack
    assert build(attack.info, json.loads(json.dumps(attack.settings()))) == attack


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("pgdx", r"no attack is called 'pgdx'; did you mean pgd"),
        ("", r"no attack is called ''; there are .*fgsm"),
        ("zzzzzz", r"there are .*pgd"),
        ("pgd:steps", r"'steps' in 'pgd:steps' is not understood; write field=value"),
        ("pgd:stepz=3", r"pgd has no field 'stepz'; it has steps, step, restarts"),
        ("pgd:info=3", r"pgd has no field 'info'"),
        ("pgd:run=3", r"pgd has no field 'run'"),
        ("pgd:steps=many", r"pgd: steps='many'"),
        ("pgd:steps=0", r"pgd: steps='0'.*greater than 0"),
        ("pgd:steps=2.5", r"pgd: steps='2.5'"),
        ("pgd:step=1/0", r"not a number"),
        ("pgd:loss=hinge", r"no loss is called 'hinge'; there are ce, margin"),
        ("pgd:view=eot0", r"view 'eot0' is not known; write eot20"),
        ("pgd:random_start=perhaps", r"random_start='perhaps'"),
        ("r-fgsm:alpha=1.5", r"alpha.*less than or equal to 1"),
    ],
)
def test_specs_that_do_not_fit_are_refused_in_one_clear_line(spec: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        sp.attack(spec)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, SparringError)


def test_attacks_refuse_fields_that_they_do_not_have() -> None:
    with pytest.raises(ValueError, match="stepz"):
        sp.PGD(stepz=3)  # type: ignore[call-arg]


def test_attacks_are_hashable_values() -> None:
    assert len({sp.PGD(), sp.PGD(steps=40), sp.PGD(steps=41), sp.BIM()}) == 3
    assert repr(sp.PGD(steps=3)).startswith("PGD(steps=3, ")


# --- what an attack refuses -----------------------------------------------------------------------------------


def test_norms_and_radii_that_an_attack_does_not_know_are_refused(tiny: Any) -> None:
    net, x, y = tiny
    with pytest.raises(InputError, match=r"pgd works under L1, L2, Linf, not L0"):
        sp.PGD()(net, x, y, ("L0", 3))
    with pytest.raises(InputError, match=r"pgd needs a radius: Threat\('L2', eps="):
        sp.PGD()(net, x, y, ("L2", None))


@pytest.fixture
def tiny() -> Any:
    from sparring.testing.fixtures import pair

    paper = pair()
    return paper.net, paper.x, paper.y


# --- one's own attack -----------------------------------------------------------------------------------------


def test_two_attacks_of_one_name_are_refused_and_the_first_stays() -> None:
    with patch.dict(REGISTRY), pytest.raises(ValueError, match="two attacks are called 'madry'"):

        @register("mine", title="Mine", sees="gradient", norms=(Linf,), paper="none", year=2024, aliases=("madry",))
        class Mine(Attack):
            """Does nothing."""

            def run(self, bout: Bout) -> Tensor | None:
                return None

    assert find("madry").cls is sp.PGD


def test_an_own_attack_is_found_once_registered() -> None:
    with patch.dict(REGISTRY):

        @register("lazy", title="Lazy", sees="decision", norms=(L2,), paper="none", year=2024, approach="decision")
        class Lazy(Attack):
            """Looks at the clean image only."""

            tries: int = 3

            def run(self, bout: Bout) -> Tensor | None:
                return None

        assert sp.attack("lazy:tries=4") == Lazy(tries=4)
        assert "lazy" in {info.name for info in sp.attacks(sees="decision", norm="L2")}
