"""The page: four tabs, each from a file of its own."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.errors import MissingExtra

if TYPE_CHECKING:
    import gradio as gr

LOOPBACK = "127.0.0.1"
LARGEST_UPLOAD = "5mb"
NOTICE = (
    "Everything runs on this machine, and nothing is sent anywhere. A figure from one picture or 50 images is a "
    "demonstration; for a result, use `sparring audit`."
)
STYLE = "footer {display: none !important} .pixels img {image-rendering: pixelated}"


def page(runs: Path, trust: bool = False) -> gr.Blocks:
    """The whole page.

    Args:
        runs: folder in whose sub-folders finished audits lie; quick audits of the page are written there too.
        trust: models may be named that run code.
    """
    gradio = _gradio()
    from sparring.web.attack_tab import attack_tab
    from sparring.web.audit_tab import audit_tab
    from sparring.web.reports_tab import compare_tab, reports_tab

    with gradio.Blocks(title="sparring", analytics_enabled=False) as blocks:
        gradio.Markdown(f"# sparring\n{NOTICE}")
        with gradio.Tab("Attack a picture"):
            attack_tab(trust)
        with gradio.Tab("Quick audit"):
            audit_tab(runs, trust)
        with gradio.Tab("Reports"):
            reports_tab(runs)
        with gradio.Tab("Compare"):
            compare_tab(runs)
    return blocks


def serve(runs: Path, port: int | None = None, trust: bool = False, browser: bool = False, block: bool = True) -> str:
    """Serve the page on this machine alone; returns its address.

    Args:
        port: None = a free one. browser: open it. block: return only when the server is stopped (Ctrl-C).
    """
    gradio = _gradio()
    _, address, _ = (
        page(runs, trust)
        .queue(max_size=8)
        .launch(
            server_name=LOOPBACK,
            server_port=port,
            share=False,
            inbrowser=browser,
            quiet=True,
            show_error=True,
            max_file_size=LARGEST_UPLOAD,
            enable_monitoring=False,
            prevent_thread_lock=not block,
            theme=gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),  # none from outside
            css=STYLE,
        )
    )
    return str(address)


def _gradio() -> Any:
    if find_spec("gradio") is None:
        raise MissingExtra("the web page", "web")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import gradio

    return gradio
