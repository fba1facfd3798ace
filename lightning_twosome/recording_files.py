"""Pictures of an episode as an animation: GIF by Pillow, MP4 where imageio-ffmpeg is installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from PIL import Image

from lightning_twosome.errors import UserError

VideoFormat = Literal["gif", "mp4"]
FLAT, SHADES = 64, 64  # colours of a palette: the most frequent ones exactly, and some spread over the rest
FRAMES_A_SECOND = 4  # of an MP4, whose pictures are repeated as long as they stand


def check_format(video_format: str) -> None:
    """Refuse what cannot be written here.

    Raises:
        UserError: The format is unknown, or needs a package that is not installed.
    """
    if video_format not in ("gif", "mp4"):
        raise UserError(f"EpisodeRecorder.video_format is {video_format!r}; use 'gif' or 'mp4'.")
    if video_format == "mp4" and find_spec("imageio_ffmpeg") is None:
        raise UserError(
            "EpisodeRecorder.video_format 'mp4' needs imageio-ffmpeg: pip install 'lightning-twosome[video]', or use "
            "'gif'."
        )


def write_animation(pictures: Sequence[Image.Image], path: Path, video_format: VideoFormat, seconds: float) -> None:
    """Write the pictures, each shown for ``seconds`` and the last one twice as long."""
    if video_format == "mp4":
        write_mp4(pictures, path, seconds)
    else:
        write_gif(pictures, path, seconds)


def write_gif(pictures: Sequence[Image.Image], file: Path | IO[bytes], seconds: float) -> None:
    """Write a GIF whose pictures share one palette, so that little changes from one to the next."""
    palette = _palette(pictures)
    indexed = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    durations = [round(seconds * 1000)] * (len(pictures) - 1) + [round(2000 * seconds)]
    indexed[0].save(
        file, format="GIF", save_all=True, append_images=indexed[1:], duration=durations, loop=0, optimize=False
    )


def _palette(pictures: Sequence[Image.Image]) -> Image.Image:
    """The colours of up to eight pictures of the episode: large plain areas keep theirs, small things a similar one."""
    chosen = [pictures[i] for i in sorted({round(x) for x in np.linspace(0, len(pictures) - 1, 8)})]
    width, height = chosen[0].size
    sheet = Image.new("RGB", (width, height * len(chosen)))
    for row, picture in enumerate(chosen):
        sheet.paste(picture, (0, row * height))
    counted: Any = sheet.getcolors(maxcolors=sheet.width * sheet.height)
    flat = [colour for _, colour in sorted(counted, reverse=True)[:FLAT]]
    spread: Any = sheet.quantize(SHADES, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).getpalette()
    shades = [tuple(spread[i : i + 3]) for i in range(0, len(spread), 3)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([channel for colour in dict.fromkeys(flat + shades) for channel in colour])
    return palette


def write_mp4(pictures: Sequence[Image.Image], path: Path, seconds: float) -> None:
    """Write an H.264 video, readable by every browser."""
    import imageio_ffmpeg  # type: ignore[import-untyped]

    width, height = (size - size % 2 for size in pictures[0].size)  # the codec wants even sizes
    repeats = max(1, round(seconds * FRAMES_A_SECOND))
    writer = imageio_ffmpeg.write_frames(
        str(path), (width, height), fps=FRAMES_A_SECOND, codec="libx264", macro_block_size=2, ffmpeg_log_level="error"
    )
    writer.send(None)
    for number, picture in enumerate(pictures):
        pixels = np.ascontiguousarray(np.asarray(picture.crop((0, 0, width, height))))
        for _ in range(repeats * (2 if number == len(pictures) - 1 else 1)):
            writer.send(pixels)
    writer.close()
