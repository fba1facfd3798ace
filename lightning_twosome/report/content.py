"""What a report consists of, without how it looks: sections of sentences, tables, figures and recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Look = Literal["solid", "faint", "dashed"]


@dataclass(frozen=True)
class Series:
    """One line or row of points of a panel.

    Attributes:
        label: What it is called in the key.
        x: Places, rising.
        y: Values.
        low: Lower ends of the intervals, empty for none.
        high: Upper ends.
        colour: Index into the palette, which also chooses the marker.
        look: "solid" is what counts, "faint" stands behind it, "dashed" is what it is compared with.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    colour: int = 0
    look: Look = "solid"


@dataclass(frozen=True)
class Level:
    """A horizontal line with its name, such as the optimum."""

    value: float
    label: str


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: The quantity, with its unit.
        x_label: What it is drawn against.
        series: The lines.
        levels: Horizontal lines.
        points: Whole numbers on the x axis, each with a marker and an interval, instead of a line with a band.
        from_zero: The y axis begins at 0.
    """

    title: str
    x_label: str
    series: Sequence[Series]
    levels: Sequence[Level] = ()
    points: bool = False
    from_zero: bool = False


@dataclass(frozen=True)
class Figure:
    """Panels side by side under one caption.

    Attributes:
        name: Stem of its file and its id in the page.
        caption: What is shown, over how many, and what the intervals are.
        panels: The axes.
        data: The numbers of the solid lines are printed below it, to be read out or copied.
        columns: Most panels side by side in a PNG.
    """

    name: str
    caption: str
    panels: Sequence[Panel]
    data: bool = False
    columns: int = 2


@dataclass(frozen=True)
class Table:
    """Rows of text.

    Attributes:
        name: Its id in the page.
        caption: What is shown, over how many, and what the intervals are.
        columns: Heads of the columns.
        rows: Cells; the first of each row is its head. A row of one cell is a heading for those below it.
        numeric: The cells after the first are figures, and stand to the right.
        strong: Indices of the rows that are what counts.
    """

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: bool = True
    strong: Sequence[int] = ()


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Missing:
    """What the runs lack for a section, and what makes it."""

    text: str


@dataclass(frozen=True)
class Listing:
    """A text file to fold out."""

    title: str
    text: str


@dataclass(frozen=True)
class Recording:
    """A played episode: a picture or film, a text to fold out, or both.

    Attributes:
        title: Which episode it is.
        film: GIF, PNG or MP4.
        text: Its transcript.
    """

    title: str
    film: Path | None = None
    text: str = ""


Block = Text | Missing | Table | Figure | Listing | Recording


@dataclass
class Section:
    """A heading with what stands under it."""

    name: str
    title: str
    blocks: list[Block] = field(default_factory=list)

    def figures(self) -> list[Figure]:
        """The figures in their order."""
        return [block for block in self.blocks if isinstance(block, Figure)]
