"""What the report shows beyond its headline: remedies, paths of the attacks, certificates; on a page, as text."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.inputs.certificates import radii_of
from sparring.audit.report.formats.tables import markdown
from sparring.audit.report.html.page import render
from sparring.audit.report.report import Report
from sparring.cli.audit.show import print_report
from sparring.errors import InputError

THREAT = sp.Threat("Linf", 0.05)
Images = tuple[Tensor, Tensor]
SUITE = ["fgsm", "pgd:steps=5", "square:queries=20"]


class Hot(nn.Module):
    """Logits so far apart that the cross-entropy rounds to nothing."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = 1e5 * self.net(x)
        return logits


@pytest.fixture(scope="module")
def hot(small_net: nn.Module, small_images: Images) -> Report:
    return sp.audit(Hot(small_net), small_images, THREAT, suite=SUITE, claims=["fgsm=0.95"])


def test_a_remedy_is_shown_with_both_figures(hot: Report, capsys: pytest.CaptureFixture[str]) -> None:
    (tried,) = hot.tried
    assert hot.cause == tried.code == "loss-saturation"
    assert tried.oblivious.value == 1.0
    assert tried.adaptive.value < 0.9
    document = hot.to_dict()
    before, after = f"{tried.oblivious.value:.1%}".replace("%", " %"), f"{tried.adaptive.value:.1%}".replace("%", " %")
    (row,) = [line for line in markdown(document).splitlines() if "(`loss-saturation`)" in line and line[0] == "|"]
    assert row == f"| {tried.what} (`loss-saturation`) | {before} | {after} |"
    page = render(document)
    section = page[page.index('<section id="remedies"') :].partition("</section>")[0]
    assert tried.what in section
    assert f'<span class="value">{before}</span>' in section
    assert f'<span class="value">{after}</span>' in section
    print_report(document, None)
    said = capsys.readouterr().out
    assert (
        f"remedy tried: {tried.what} (loss-saturation)\n  {tried.adaptive} survive with it, {before} without it" in said
    )


def test_nothing_is_said_of_remedies_where_none_was_needed(small_report: Report) -> None:
    document = small_report.to_dict()
    assert document["adaptive"] == []
    assert 'id="remedies"' not in render(document)
    assert "remedy tried" not in markdown(document)


def test_success_and_margin_against_passes(small_report: Report) -> None:
    found = small_report.to_dict()["over_queries"]
    assert [one["attack"] for one in found["attacks"]] == [one.stage.title for one in small_report.attacks[1:4]]
    rows = torch.arange(found["n"])  # all but the last image are right
    for one, outcome in zip(found["attacks"], small_report.attacks[1:4], strict=True):
        assert one["broken"] == sorted(one["broken"])
        assert one["broken"][-1] == int(outcome.result.success[torch.isin(outcome.rows, rows)].sum())
        assert one["most"] == int(outcome.result.queries.max())
        known = [share for share in one["headway"] if share is not None]
        assert known == sorted(known)
        assert 0 <= known[0] <= known[-1] <= 1
    fgsm = found["attacks"][0]["headway"]
    (deepest,) = {share for share in fgsm if share is not None and share > 0}  # one step, one gain
    start = small_report.start[:-1].double()
    assert deepest == pytest.approx(float((0.5 / -start).clamp(max=1).nanmedian()), rel=1e-4)  # 0.05 x 10 pixels


def test_a_page_has_every_figure(small_report: Report) -> None:
    page = render(small_report.to_dict())
    for name in ("curve", "curves", "passes", "matrix", "classes", "distances", "survival", "gallery"):
        assert f'<section id="{name}"' in page
        assert f'<a href="#{name}">' in page
    assert len(re.findall('<svg class="chart wide"', page)) == 6
    assert len(page.encode()) < 3_000_000


# --- certificates -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exact(small_net: nn.Module, small_images: Images) -> Tensor:
    """The true radii of the linear net: its margin over five pixels up and five down; 0 where it is wrong."""
    x, y = small_images
    with torch.no_grad():
        logits = small_net(x)
    other = logits.scatter(1, y[:, None], -torch.inf).amax(1)
    return ((logits.gather(1, y[:, None])[:, 0] - other) / 10).clamp(min=0).double()


def test_sound_certificates_make_a_bracket(
    small_net: nn.Module, small_images: Images, exact: Tensor, tmp_path: Path
) -> None:
    radii = exact * 0.999
    np.save(tmp_path / "radii.npy", radii.numpy())
    (tmp_path / "radii.txt").write_text("\n".join(map(str, radii.tolist())))
    assert torch.equal(radii_of(tmp_path / "radii.npy", 24), radii)
    assert torch.equal(radii_of(tmp_path / "radii.txt", 24), radii)
    report = sp.audit(small_net, small_images, THREAT, suite=SUITE, certified=tmp_path / "radii.npy")
    assert report.certified is not None
    assert report.certified.hits == int((radii >= 0.05).sum())
    assert 0 < report.certified.hits <= report.robust.hits
    assert "certificate-broken" not in {doubt.code for doubt in report.doubts}
    document = report.to_dict()
    assert "Certified accuracy" in render(document)
    assert "| certified accuracy, a lower bound |" in markdown(document)
    assert document["certified"]["hits"] == report.certified.hits


def test_a_certificate_that_an_attack_breaks_is_told(small_net: nn.Module, small_images: Images, exact: Tensor) -> None:
    report = sp.audit(small_net, small_images, THREAT, suite=SUITE, certified=exact * 1.5)
    (doubt,) = [doubt for doubt in report.doubts if doubt.code == "certificate-broken"]
    assert "broken inside their radius" in doubt.message


@pytest.mark.parametrize("radii", [[0.1] * 3, [-0.1] * 24, [float("nan")] * 24, "missing.npy"])
def test_radii_that_make_no_sense_are_one_line(radii: object) -> None:
    with pytest.raises(InputError) as error:
        radii_of(radii, 24)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
