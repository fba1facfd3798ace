"""Recorded episodes: what the agent sees, weighs and does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lightning_twosome.report.content import Missing, Recording, Section, Text
from lightning_twosome.report.groups import Group
from lightning_twosome.report.runs import Run
from lightning_twosome.report.sections.common import labelled

FILMS = (".gif", ".mp4")


def episodes(groups: Sequence[Group]) -> Section:
    """Of the first run of each group that has any: the recordings before and after training."""
    section = Section("episodes", "Episodes")
    recordings: list[Recording] = []
    for group in groups:
        run = next((run for run in group.runs if _folders(run)), None)
        recordings += [] if run is None else _of_run(run, labelled(group) if group.label else "")
    if not recordings:
        transcripts = [run for group in groups for run in group.runs if (run.folder / "transcript.md").is_file()]
        if transcripts:
            text = (transcripts[0].folder / "transcript.md").read_text(encoding="utf-8")
            section.blocks.append(Recording(f"Transcript of {transcripts[0].name}, by `predict`", text=text))
        section.blocks.append(Missing("Recorded episodes are written by the callback `EpisodeRecorder`."))
        return section
    section.blocks.append(
        Text("How each episode ended; `Play` shows it decision by decision. Seeds are the same each time.")
    )
    section.blocks += recordings
    return section


def _folders(run: Run) -> list[Path]:
    """Folders of recordings, from the first to the last."""
    return sorted(path for path in run.folder.glob("episodes/step_*") if _films(path))


def _films(folder: Path) -> list[Path]:
    return sorted((path for path in folder.iterdir() if path.suffix in FILMS), reverse=True)  # sampled, greedy


def _of_run(run: Run, label: str) -> list[Recording]:
    folders = _folders(run)
    made = []
    for folder in dict.fromkeys((folders[0], folders[-1])):
        steps = int(re.sub(r"\D", "", folder.name) or 0)
        when = (
            f"after {steps:,} environment steps".replace(",", "\N{NARROW NO-BREAK SPACE}")
            if steps
            else "before training"
        )
        text = folder / "transcript.md"
        for number, film in enumerate(_films(folder)):
            kind = "most probable actions" if film.stem.startswith("greedy") else "sampled actions"
            title = ", ".join(part for part in (label, when, kind) if part)
            shown = text.read_text(encoding="utf-8") if number == 0 and text.is_file() else ""
            made.append(Recording(title[:1].upper() + title[1:], film, shown))
    return made
