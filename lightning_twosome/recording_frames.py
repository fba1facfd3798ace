"""A decision as a picture for people: what the environment drew, beside what the agent read, weighed and chose.

+--------------------+---------------------------------------------+
|                    |  Tomato Salad, after 5120 environment steps |
|  the environment's |  DECISION 3   STEP 12   RETURN   VALUE      |
|  own frame         |  the prompt, wrapped                        |
|  (left out where   |  > the chosen action                  71 %  |
|  it cannot draw)   |    ==========================               |
|                    |    another action                     29 %  |
+--------------------+---------------------------------------------+
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from lightning_twosome.evaluation import TranscriptStep
from lightning_twosome.recording import Picture, RecordedEpisode
from lightning_twosome.rollout import Episode

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

INK, PALE, PAPER, LINE = "#24272e", "#6b7079", "#fcfbf8", "#dedbd3"
BAR, CHOSEN, TRACK = "#a9b8c9", "#1f6fb2", "#ece9e2"
GOOD, BAD = "#23804a", "#b4473c"
MARGIN, PANEL = 28, 600
SCENE_WIDTH, SCENE_HEIGHT = 480, 600
TEXT, LEADING, ROW = 17, 25, 45
MOST_ACTIONS = 10


def draw_episode(recorded: RecordedEpisode, subtitle: str, gamma: float, most_decisions: int) -> list[Image.Image]:
    """The pictures of an episode, one a decision and one of its end, all of one size.

    Args:
        recorded: The episode.
        subtitle: What stands below the environment's name.
        gamma: Discount per primitive step, for the running return.
        most_decisions: Decisions that are drawn; of a longer episode the first ones and the end.
    """
    steps = recorded.played.transcript
    running, before = Episode(recorded.played.episode.seed), []
    for step in steps:
        before.append((running.length, running.duration, running.discounted_return))
        running.record(step.transition, gamma)
    shown = steps[:most_decisions]
    height = max([_panel_height(step) for step in shown] + [_scene_size(recorded.frames)[1] + 2 * MARGIN, 360])
    pictures = [
        _Page(recorded, subtitle, height, number).decision(step, *before[number], last=steps[number - 1 : number])
        for number, step in enumerate(shown)
    ]
    return [*pictures, _Page(recorded, subtitle, height, len(steps)).end()]


def _panel_height(step: TranscriptStep) -> int:
    lines = len(wrap(step.state.decision.prompt, TEXT, PANEL))
    actions = len(step.state.decision.actions)
    rows = min(actions, MOST_ACTIONS) + (0.6 if actions > MOST_ACTIONS else 0)
    return int(2 * MARGIN + 150 + lines * LEADING + 24 + rows * ROW + 34)


def _scene_size(frames: list[Picture]) -> tuple[int, int]:
    """The environment's frame as large as there is place for, never larger than it was drawn."""
    if not frames:
        return 0, 0
    height, width = frames[0].shape[:2]
    scale = min(SCENE_WIDTH / width, SCENE_HEIGHT / height, 1.0 if width > 200 else SCENE_WIDTH / width)
    return round(width * scale), round(height * scale)


class _Page:
    """One picture; things are put on its panel from top to bottom."""

    def __init__(self, recorded: RecordedEpisode, subtitle: str, height: int, number: int) -> None:
        width, scene_height = _scene_size(recorded.frames)
        self.recorded, self.subtitle = recorded, subtitle
        self.left = MARGIN + (width + MARGIN if width else 0)
        self.image = Image.new("RGB", (self.left + PANEL + MARGIN, height), PAPER)
        self.canvas = ImageDraw.Draw(self.image)
        self.y = MARGIN
        if width:
            frame = recorded.frames[min(number, len(recorded.frames) - 1)]
            scene = Image.fromarray(frame).resize((width, scene_height), Image.Resampling.LANCZOS)
            self.image.paste(scene, (MARGIN, MARGIN))

    def decision(
        self, step: TranscriptStep, number: int, duration: int, so_far: float, last: list[TranscriptStep]
    ) -> Image.Image:
        """The page of a decision, with what the one before it brought."""
        figures = {"decision": str(number + 1), "step": str(duration), "return so far": f"{so_far:+.3f}"}
        self._header({**figures, "value of the state": f"{step.value:+.3f}"})
        self._paragraph(step.state.decision.prompt)
        self._actions(step)
        if last:
            reward = sum(last[0].transition.step_rewards)
            text = fit(f"before: {last[0].state.decision.actions[last[0].action]}", 14, PANEL - 90)
            bottom = self.image.height - MARGIN + 4
            self.canvas.text((self.left, bottom), text, PALE, font(14), anchor="ls")
            color = GOOD if reward > 0 else BAD if reward < 0 else PALE
            self.canvas.text((self.left + PANEL, bottom), f"{reward:+.3f}", color, font(14, bold=True), anchor="rs")
        return self.image

    def end(self) -> Image.Image:
        """The page after the last decision."""
        episode = self.recorded.played.episode
        self._header(
            {
                "decisions": str(episode.length),
                "steps": str(episode.duration),
                "return": f"{episode.discounted_return:+.3f}",
                "sum of rewards": f"{episode.undiscounted_return:+.3f}",
            }
        )
        words = {None: ("The episode is over.", INK), True: ("Success.", GOOD), False: ("No success.", BAD)}
        text, color = words[episode.success]
        self.canvas.text((self.left, self.y + 14), text, color, font(34, bold=True))
        self.y += 76
        self._history()
        return self.image

    def _history(self) -> None:
        """The actions taken with what each brought; of many the last ones."""
        steps = list(enumerate(self.recorded.played.transcript, start=1))
        room = max(1, int(self.image.height - MARGIN - self.y) // LEADING)
        if len(steps) > room:
            steps = steps[len(steps) - room + 1 :]
            self.canvas.text((self.left, self.y), "…", PALE, font(14))
            self.y += LEADING
        for number, step in steps:
            reward = sum(step.transition.step_rewards)
            text = fit(step.state.decision.actions[step.action], 15, PANEL - 170)
            color = GOOD if reward > 0 else BAD if reward < 0 else PALE
            self.canvas.text((self.left, self.y), str(number), PALE, font(15))
            self.canvas.text((self.left + 36, self.y), text, INK, font(15))
            self.canvas.text(
                (self.left + PANEL - 80, self.y), f"{step.probabilities[step.action]:.0%}", PALE, font(15), anchor="ra"
            )
            self.canvas.text((self.left + PANEL, self.y), f"{reward:+.3f}", color, font(15), anchor="ra")
            self.y += LEADING

    def _header(self, figures: dict[str, str]) -> None:
        name = fit(self.recorded.environment, 20, PANEL, bold=True)
        self.canvas.text((self.left, self.y - 4), name, INK, font(20, bold=True))
        self.canvas.text((self.left, self.y + 24), fit(self.subtitle, 14, PANEL), PALE, font(14))
        self.y += 18
        for column, (label, value) in enumerate(figures.items()):
            x = self.left + column * PANEL / 4
            self.canvas.text((x, self.y + 42), label, PALE, font(13))
            self.canvas.text((x, self.y + 60), value, INK, font(21))
        self.y += 100
        self.canvas.line((self.left, self.y, self.left + PANEL, self.y), LINE, 1)
        self.y += 16

    def _paragraph(self, text: str) -> None:
        for line in wrap(text, TEXT, PANEL):
            self.canvas.text((self.left, self.y), line, INK, font(TEXT))
            self.y += LEADING
        self.y += 16

    def _actions(self, step: TranscriptStep) -> None:
        """The actions in the environment's order; of many the most probable ones and the chosen one."""
        order = sorted(range(len(step.probabilities)), key=lambda a: (a != step.action, -step.probabilities[a]))
        for action in sorted(order[:MOST_ACTIONS]):
            self._action(step.state.decision.actions[action], step.probabilities[action], action == step.action)
        if rest := order[MOST_ACTIONS:]:
            share = sum(step.probabilities[action] for action in rest)
            text = f"and {len(rest)} more, together {share:.1%}"
            self.canvas.text((self.left + 22, self.y), text, PALE, font(14))

    def _action(self, text: str, probability: float, chosen: bool) -> None:
        color, left, right = CHOSEN if chosen else BAR, self.left + 22, self.left + PANEL
        if chosen:
            top = self.y + 3
            self.canvas.polygon([(self.left, top), (self.left, top + 14), (self.left + 12, top + 7)], fill=CHOSEN)
        words = fit(text, 16, PANEL - 22 - 80, bold=chosen)
        self.canvas.text((left, self.y), words, INK, font(16, bold=chosen))
        self.canvas.text((right, self.y), f"{probability:.1%}", INK, font(16, bold=chosen), anchor="ra")
        y = self.y + 25
        self.canvas.rounded_rectangle((left, y, right, y + 8), 4, fill=TRACK)
        length = probability * (right - left)
        if length >= 1:
            self.canvas.rounded_rectangle((left, y, left + max(length, 4), y + 8), min(4, length / 2), fill=color)
        self.y += ROW


# Text of a measured width


@lru_cache(maxsize=32)
def font(size: int, bold: bool = False) -> FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and knows most alphabets."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def wrap(text: str, size: int, width: float) -> list[str]:
    """Lines of at most ``width`` pixels, broken between words; a word that is wider stands alone, shortened."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and font(size).getlength(longer) > width:
                lines.append(fit(line, size, width))
                longer = word
            line = longer
        lines.append(fit(line, size, width))
    return lines


def fit(text: str, size: int, width: float, bold: bool = False) -> str:
    """The text, shortened with an ellipsis where it is wider."""
    measured = font(size, bold)
    if measured.getlength(text) <= width:
        return text
    while text and measured.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
