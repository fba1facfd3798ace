"""Draw what learning rates of actor and critic do: return after training and what the language model still knows.

    lightning-twosome study configs/studies/stability.yaml
    python -m benchmarks.stability_map studies/stability/results.csv --picture map.png

A field is the mean (of the return) or median (of the perplexity) over the seeds of one pair, as numbers in a table and
as colours in the picture.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from lightning_twosome.report.drawing import DPI, SETTINGS

PAIR = re.compile(r"actor (?P<actor>[\d.e-]+), critic (?P<critic>[\d.e-]+)")
PANELS = {
    "return": ("discounted return, mean", "mean"),
    "after/perplexity": ("perplexity after training, median", "median"),  # one seed of five may lose all it knew
}
WORST = 10.0  # perplexity that has the darkest colour


def fields(results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Means or medians over seeds by actor's rate (rows) and critic's rate (columns), for each panel; both rise."""
    pairs = results[results.method.str.fullmatch(PAIR)]
    rates = pairs.method.str.extract(PAIR).astype(float)
    return {
        column: pairs.assign(actor=rates.actor, critic=rates.critic).pivot_table(column, "actor", "critic", how)
        for column, (_, how) in PANELS.items()
    }


def table(maps: dict[str, pd.DataFrame]) -> str:
    """Return and, in brackets, perplexity, as Markdown."""
    returns, perplexities = maps.values()
    lines = [
        "| actor's rate | " + " | ".join(f"critic {rate:g}" for rate in returns.columns) + " |",
        "|---" * (len(returns.columns) + 1) + "|",
    ]
    for actor in returns.index:
        cells = (f"{returns.loc[actor, c]:.3f} ({_short(perplexities.loc[actor, c])})" for c in returns.columns)
        lines.append(f"| {actor:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _short(perplexity: float) -> str:
    return f"{perplexity:.2f}" if perplexity < 100 else f"{perplexity:.0f}"


def draw(maps: dict[str, pd.DataFrame], path: Path) -> None:
    """Two maps side by side, pale where training went well."""
    with rc_context(SETTINGS):
        canvas = Figure(figsize=(6.2, 2.6), layout="constrained", facecolor="white")
        for axes, (column, values) in zip(canvas.subplots(1, 2), maps.items(), strict=True):
            best = column == "return"
            colours, limits = ("Blues_r", (0, 1)) if best else ("Oranges", (2, WORST))
            axes.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1], origin="lower", aspect="auto")
            for (row, place), value in np.ndenumerate(values.to_numpy()):
                dark = value < 0.5 if best else value > 0.6 * WORST
                text = f"{value:.3f}" if best else _short(value)
                axes.text(place, row, text, ha="center", va="center", color="white" if dark else "black")
            axes.set_xticks(range(len(values.columns)), [f"{rate:g}" for rate in values.columns])
            axes.set_yticks(range(len(values)), [f"{rate:g}" for rate in values.index])
            axes.set(xlabel="critic's learning rate", ylabel="actor's learning rate")
            axes.set_title(PANELS[column][0], loc="left")
            axes.grid(False)
        canvas.savefig(path, dpi=DPI)


def main() -> None:
    """Read the command line, print the table and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="results.csv of the study")
    parser.add_argument("--picture", type=Path, help="draw the maps here")
    arguments = parser.parse_args()
    maps = fields(pd.read_csv(arguments.results))
    print(table(maps))
    if arguments.picture:
        draw(maps, arguments.picture)


if __name__ == "__main__":
    main()
