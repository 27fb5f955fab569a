"""The tab where one picture is attacked."""

from __future__ import annotations

from typing import Any

import gradio as gr

from sparring.attack import AttackInfo
from sparring.attacks import attacks, find
from sparring.errors import SparringError
from sparring.threat import Threat
from sparring.web.forms import Field, fields_of, spec_of
from sparring.web.one_picture import Seen, attack, drawn, load, sample, uploaded
from sparring.zoo import list_models

DEFENSES = ["", "jpeg:quality=75", "bits:1", "bits:4", "median:size=3"]
EPS = {"Linf": (0.3, 1.0, 0.005), "L2": (2.0, 10.0, 0.05), "L1": (10.0, 100.0, 0.5), "L0": (25.0, 200.0, 1.0)}
"norm -> default, largest and step of eps on digits with pixels in [0, 1]"
BUTTONS = ["download", "fullscreen"]
"of a picture; not the one that shares it elsewhere"
SOURCES = ["sample", "upload", "draw"]


def attack_tab(trust: bool) -> None:
    """Fill the tab.

    Each input says that it is interactive: Gradio cannot know, as the button that reads them is drawn with the form.
    """
    with gr.Row():
        with gr.Column(scale=1):
            model = gr.Dropdown(
                [one.name for one in list_models()],
                value="mnist-cnn",
                label="Model",
                allow_custom_value=True,
                elem_id="model",
                interactive=True,
                info="a shipped model, or a spec such as hf:DIR" + (" or net.py:build" if trust else ""),
            )
            defense = gr.Dropdown(
                DEFENSES, value="", label="Defense", allow_custom_value=True, elem_id="defense", interactive=True
            )
            source = gr.Radio(SOURCES, value="sample", label="Picture", elem_id="source", interactive=True)
            number = gr.Slider(0, 999, 0, step=1, label="Sample", elem_id="sample", interactive=True)
            upload = gr.Image(type="filepath", label="Upload", visible=False, height=200, interactive=True)
            drawing = gr.Sketchpad(
                type="numpy",
                label="Draw a digit",
                visible=False,
                canvas_size=(280, 280),
                layers=False,
                interactive=True,
            )
            source.change(
                lambda kind: [gr.update(visible=kind == one) for one in SOURCES], source, [number, upload, drawing]
            )
        with gr.Column(scale=1):
            chosen = gr.Dropdown(attack_names(), value="pgd", label="Attack", elem_id="attack", interactive=True)
            norm = gr.Radio(
                [str(one) for one in find("pgd").norms], value="Linf", label="Norm", elem_id="norm", interactive=True
            )
            default, most, step = EPS["Linf"]
            eps = gr.Slider(0, most, default, step=step, label="eps", elem_id="eps", interactive=True)
            target = gr.Textbox(
                "", label="Target class (number; empty = any other)", elem_id="target", interactive=True
            )
            seed = gr.Number(0, precision=0, label="Seed", minimum=0, interactive=True)
        with gr.Column(scale=1):
            gr.Markdown("**Parameters**")

            @gr.render(inputs=chosen)  # type: ignore[untyped-decorator]
            def form(name: str) -> None:
                info = find(name)
                known = fields_of(info)
                inputs = [component(field) for field in known]
                start = gr.Button("Attack", variant="primary", elem_id="start")
                start.click(
                    run,
                    [
                        model,
                        defense,
                        source,
                        number,
                        upload,
                        drawing,
                        chosen,
                        norm,
                        eps,
                        target,
                        seed,
                        trusting,
                        *inputs,
                    ],
                    [clean, change, adversarial, before, after, sentence, margins],
                )

    trusting = gr.State(trust)
    sentence = gr.Markdown(elem_id="sentence")
    with gr.Row(elem_classes="pixels"):
        clean = gr.Image(label="Clean", format="png", interactive=False, buttons=BUTTONS)
        change = gr.Image(label="Change, scaled to its largest", format="png", interactive=False, buttons=BUTTONS)
        adversarial = gr.Image(label="Adversarial", format="png", interactive=False, buttons=BUTTONS)
    with gr.Row():
        before = gr.Label(label="Before", elem_id="before")
        after = gr.Label(label="After", elem_id="after")
        margins = gr.Plot(label="Margin of each judged point: above 0 it fools")
    chosen.change(norms_of, chosen, norm)
    norm.change(range_of, norm, eps)


def attack_names() -> list[str]:
    """The attacks that can be tried on one picture."""
    return [info.name for info in attacks() if tried_alone(info)]


def tried_alone(info: AttackInfo) -> bool:
    """It needs nothing but a model and a picture."""
    return "individual" in info.scope


def norms_of(name: str) -> Any:
    """The norms of an attack, for the radio buttons."""
    known = [str(one) for one in find(name).norms]
    return gr.update(choices=known, value="Linf" if "Linf" in known else known[0])


def range_of(norm: str) -> Any:
    """The range of eps under a norm."""
    default, most, step = EPS[norm]
    return gr.update(value=default, maximum=most, step=step)


def component(field: Field) -> Any:
    """The input of a field."""
    if field.kind == "switch":
        return gr.Checkbox(bool(field.default), label=field.name)
    if field.kind == "choice":
        return gr.Dropdown(list(field.choices), value=str(field.default), label=field.name)
    if field.kind in ("integer", "number") and field.default is not None:  # a number field cannot be empty
        return gr.Number(
            field.default,
            label=field.name,
            precision=0 if field.kind == "integer" else None,
            minimum=field.low,
            maximum=field.high,
        )
    return gr.Textbox(field.default or "", label=field.name, placeholder="chosen by the attack")


def run(
    model: str,
    defense: str,
    source: str,
    number: int,
    upload: str | None,
    drawing: Any,
    name: str,
    norm: str,
    eps: float,
    target: str,
    seed: int,
    trust: bool,
    *values: Any,
) -> tuple[Any, ...]:
    """What the button does. A mistake of the user becomes one line on the page."""
    try:
        net = load(model.strip(), (defense or "").strip(), trust)
        label: int | None = None
        if source == "sample":
            x, label = sample(int(number))
        elif source == "upload":
            if not upload:
                raise gr.Error("Upload a picture first.", print_exception=False)
            x = uploaded(upload, net)
        else:
            x = drawn(drawing["composite"] if isinstance(drawing, dict) else drawing, net)
        threat = Threat(norm, float(eps))
        aim = int(target) if target.strip() else None
        seen = attack(net, x, label, spec_of(find(name), values), threat, aim, int(seed or 0))
    except (SparringError, ValueError) as error:
        raise gr.Error(" ".join(str(error).split()), print_exception=False) from None
    return seen.clean, seen.change, seen.adversarial, seen.before, seen.after, f"### {seen.sentence}", plot(seen)


def plot(seen: Seen) -> Any:
    """The margin over the forward passes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 3), layout="constrained")
    axes = figure.subplots()
    if seen.margins:
        axes.plot(*zip(*seen.margins, strict=True), marker=".", linewidth=1)
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set_xlabel("forward passes")
    axes.set_ylabel("margin")
    return figure
