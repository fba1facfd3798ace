"""The page: sections through a template in which everything is escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from lightning_twosome import __version__
from lightning_twosome.report.content import Block, Panel, Recording, Section, Series
from lightning_twosome.report.drawing import key, svg
from lightning_twosome.report.estimates import number

MEDIA = {".gif": "image/gif", ".png": "image/png", ".mp4": "video/mp4"}


def render(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The report as one HTML document without scripts and without anything to fetch."""
    environment = Environment(
        loader=PackageLoader("lightning_twosome.report", "template"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["alike"] = lambda blocks: [(name, list(part)) for name, part in groupby(blocks, kind)]
    environment.filters["code"] = code
    style = Markup(environment.get_template("style.css").render())  # noqa: S704 - the package's own file
    helpers = {
        "svg": lambda figure, index: Markup(svg(figure, index)),  # noqa: S704 - serialised from a tree, so escaped
        "key": key, "data_rows": data_rows, "film": film, "numbered": Numbers(),
    }  # fmt: skip
    page = environment.get_template("page.html")
    return page.render(
        title=title, subtitle=subtitle, sections=sections, version=__version__, style=style, **helpers
    )  # fmt: skip


def code(text: str) -> Markup:
    """Text whose parts between backticks are set as code."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


@dataclass
class Numbers:
    """Counts tables and figures, each on their own."""

    counts: dict[str, int] = field(default_factory=dict)

    def __call__(self, name: str) -> str:
        """``Table 1``, ``Table 2``, ..."""
        self.counts[name] = self.counts.get(name, 0) + 1
        return f"{name} {self.counts[name]}"


def kind(block: Block) -> str:
    """The name of the template's macro for a block."""
    return type(block).__name__.lower()


def data_rows(panel: Panel) -> list[list[str]]:
    """The numbers behind what counts in a panel: line, x, y, interval."""
    rows = []
    for series in panel.series:
        if series.look != "faint":
            rows += [[series.label, number(x, 0), number(y), _interval(series, i)] for i, (x, y) in _pairs(series)]
    return rows


def _pairs(series: Series) -> list[tuple[int, tuple[float, float]]]:
    return list(enumerate(zip(series.x, series.y, strict=True)))


def _interval(series: Series, index: int) -> str:
    return f"[{number(series.low[index])}, {number(series.high[index])}]" if series.low else ""


def film(recording: Recording) -> dict[str, Any] | None:
    """A recording as data URIs: the film, which nobody has to watch, and its last picture, which says how it went."""
    if recording.film is None:
        return None
    content = recording.film.read_bytes()
    media = MEDIA[recording.film.suffix]
    if media.startswith("video"):
        return {"video": _uri(media, content)}
    still = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        image.seek(getattr(image, "n_frames", 1) - 1)
        width, height = image.size
        image.convert("RGB").save(still, format="PNG", optimize=True)
    return {
        "image": _uri(media, content),
        "still": _uri("image/png", still.getvalue()),
        "width": width,
        "height": height,
    }


def _uri(media: str, content: bytes) -> str:
    return f"data:{media};base64,{base64.b64encode(content).decode('ascii')}"


def write_page(path: Path, text: str) -> None:
    """Write the page, and the folder it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
