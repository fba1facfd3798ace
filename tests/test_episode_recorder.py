"""Recorded episodes: files that open, pictures that say what happened, loggers that hold them, training untouched."""

from __future__ import annotations

import json
import struct
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from PIL import Image, ImageDraw

from lightning_twosome.callbacks import EpisodeRecorder
from lightning_twosome.decisions import Decision
from lightning_twosome.errors import UserError
from lightning_twosome.evaluation import PlayedEpisode, TranscriptStep, uniform_policy
from lightning_twosome.recording import RecordedEpisode, record_episodes, with_pictures
from lightning_twosome.recording_files import write_animation, write_gif
from lightning_twosome.recording_frames import draw_episode, fit, font, wrap
from lightning_twosome.rollout import Episode
from lightning_twosome.tasks import Task
from lightning_twosome.vector_env import State, Transition
from tests import toys


class Drawn(toys.Corridor):
    """A corridor that draws its place as a grey level."""

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, render_mode: str | None = None, **settings) -> None:
        super().__init__(**settings)
        self.render_mode = render_mode

    def render(self) -> np.ndarray:
        return np.full((60, 80, 3), 40 * self.place, dtype=np.uint8)


class Unwilling(Drawn):
    """Offers pictures, but its factory does not take ``render_mode``."""

    def __init__(self) -> None:
        super().__init__()


def fit_with(folder: Path, *callbacks, data=None, module=None, **settings):
    trainer = toys.trainer(folder, callbacks=list(callbacks), **settings)
    trainer.fit(module or toys.module(), datamodule=data or toys.data(num_envs=2))
    return trainer


def frames_of(path: Path) -> int:
    with Image.open(path) as image:
        return image.n_frames


# What is recorded


def test_frames_stand_before_each_decision_and_at_the_end():
    (one, other) = record_episodes(toys.TextPolicy(), [Task(Drawn)], [0, 1], 0.99)
    for recorded in (one, other):
        steps = recorded.played.transcript
        assert len(recorded.frames) == len(steps) + 1 == recorded.played.episode.length + 1
        for frame, step in zip(recorded.frames, steps, strict=False):
            assert f"door {frame[0, 0, 0] // 40} of 6" in step.state.decision.prompt
    assert one.environment == "Drawn"
    (long,) = record_episodes(toys.TextPolicy(), [Task(partial(Drawn, slip=1.0))], [0], 0.99, most_pictures=2)
    assert long.played.episode.length == 5 and len(long.frames) == 3, "the first two and the last"


def test_pictures_are_asked_for_where_they_are_offered():
    assert with_pictures(Task(Drawn)).render_mode == "rgb_array"
    assert with_pictures(Task(partial(Drawn, render_mode="rgb_array"))).render_mode == "rgb_array"
    assert with_pictures(Task(toys.Corridor)).render_mode is None
    assert with_pictures(Task(Unwilling)).render_mode is None
    kitchen = with_pictures(Task("twosome/TomatoSalad-v0", {"faithful": True}))
    assert kitchen.render_mode == "rgb_array" and kitchen.unwrapped.faithful
    (recorded,) = record_episodes(toys.TextPolicy(), [Task(Unwilling)], [0], 0.99)
    assert recorded.frames == [] and recorded.played.transcript


def test_a_mixture_shows_each_episodes_own_task():
    tasks = [Task(Drawn), Task(toys.Corridor, name="plain")]
    recorded = record_episodes(toys.TextPolicy(), tasks, list(range(8)), 0.99)
    assert {one.environment for one in recorded} == {"Drawn", "plain"}
    assert all(bool(one.frames) == (one.environment == "Drawn") for one in recorded)


# The pictures


def episode(actions: tuple[str, ...], probabilities: list[float], chosen: int, prompt: str) -> RecordedEpisode:
    state = State(Decision(prompt, actions))
    transition = Transition(state, (-0.5, 1.0), 2, True, False, True)
    made = Episode(0)
    made.record(transition, 0.5)
    played = PlayedEpisode(made, [TranscriptStep(state, probabilities, chosen, 0.25, transition)])
    return RecordedEpisode(played, environment="Corridor")


def pixels(image: Image.Image, colour: str) -> np.ndarray:
    """Where the picture has exactly this colour."""
    return np.argwhere((np.asarray(image) == tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))).all(-1))


def test_bars_are_as_long_as_the_probabilities_and_the_chosen_one_is_marked():
    page, end = draw_episode(episode(("wait", "walk", "run"), [0.25, 0.5, 0.25], 1, "You"), "now", 0.5, 9)
    chosen, others = pixels(page, "#1f6fb2"), pixels(page, "#a9b8c9")
    bar = chosen[chosen[:, 1] > 45]
    width = 600 - 22
    assert bar[:, 1].max() - bar[:, 1].min() == pytest.approx(0.5 * width, abs=2)
    assert others[:, 1].max() - others[:, 1].min() == pytest.approx(0.25 * width, abs=2)
    assert len(set(others[:, 0] // 45)) >= 2, "two other actions"
    assert len(chosen[chosen[:, 1] < 41]), "an arrow at the left"
    assert len(pixels(end, "#23804a")) > 200, "success in green"
    assert page.size == end.size


def test_long_texts_and_many_actions_stay_on_the_page():
    actions = tuple(f"put the {'very ' * 30}heavy box number {i} on the shelf" for i in range(42))
    prompt = "Words and words. " * 40 + "W" * 300
    recorded = episode(actions, [1 / 42] * 42, 41, prompt)
    page = draw_episode(recorded, "later " * 60, 0.5, 9)[0]
    ground = (252, 251, 248)
    edge = np.asarray(page)[:, -27:]
    assert (edge == ground).all(), "the right margin is empty"
    assert (np.asarray(page)[-18:] == ground).all(), "the lower one too"
    assert page.height < 1200
    assert all(font(17).getlength(line) <= 600 for line in wrap(prompt, 17, 600))
    assert fit("short", 17, 600) == "short" and fit(actions[0], 17, 200).endswith("…")


def test_an_episode_of_many_decisions_is_cut():
    recorded = episode(("wait",), [1.0], 0, "You")
    recorded.played.transcript *= 30
    assert len(draw_episode(recorded, "now", 0.5, 5)) == 6


def test_gif_keeps_plain_colours_and_times(tmp_path):
    pictures = [Image.new("RGB", (60, 40), "#fcfbf8") for _ in range(3)]
    for picture, colour in zip(pictures, ("#d8402f", "#1f6fb2", "#23804a"), strict=True):
        ImageDraw.Draw(picture).rectangle((10, 10, 30, 30), fill=colour)
    write_gif(pictures, tmp_path / "e.gif", 0.5)
    with Image.open(tmp_path / "e.gif") as image:
        durations = []
        for number, picture in enumerate(pictures):
            image.seek(number)
            durations.append(image.info["duration"])
            assert (np.asarray(image.convert("RGB")) == np.asarray(picture)).all()
    assert durations == [500, 500, 1000]


def test_an_episode_of_the_kitchen_is_below_a_megabyte(tmp_path):
    most = EpisodeRecorder().most_decisions
    (recorded,) = record_episodes(uniform_policy(), [Task("twosome/TomatoSalad-v0")], [2], 0.99, most_pictures=most)
    pictures = draw_episode(recorded, "before training", 0.99, most)
    assert len(pictures) > 15, "a long one"
    write_animation(pictures, tmp_path / "e.gif", "gif", 1.0)
    assert (tmp_path / "e.gif").stat().st_size < 1_000_000


def test_mp4_where_its_encoder_is_installed(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="the extra video is not installed")
    pictures = [Image.new("RGB", (301, 201), colour) for colour in ("white", "black")]
    write_animation(pictures, tmp_path / "e.mp4", "mp4", 0.5)
    frames, seconds = ffmpeg.count_frames_and_secs(str(tmp_path / "e.mp4"))
    assert frames == 2 + 4 and seconds == pytest.approx(1.5, abs=0.1)


def test_mp4_without_its_encoder_is_refused_before_training(monkeypatch):
    monkeypatch.setattr("lightning_twosome.recording_files.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"'mp4' needs imageio-ffmpeg: pip install 'lightning-twosome\[video\]'"):
        EpisodeRecorder(video_format="mp4")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({"video_format": "avi"}, "'avi'; use 'gif' or 'mp4'"), ({"every_n_epochs": 0}, "every_n_epochs is 0"),
     ({"seconds": 0}, "seconds above 0")],
)  # fmt: skip
def test_wrong_arguments_are_refused(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        EpisodeRecorder(**settings)


# The callback


def test_fit_and_test_write_animations_and_transcripts(tmp_path):
    data = toys.data(Drawn, num_envs=2)
    trainer = fit_with(tmp_path, EpisodeRecorder(2, episodes=2, seconds=0.1), data=data, max_epochs=3)
    trainer.test(trainer.lightning_module, datamodule=data, verbose=False)
    folders = sorted(path.name for path in (tmp_path / "episodes").iterdir())
    assert folders == ["step_000000000", "step_000000016", "step_000000024", "test"]
    for folder in folders:
        there = tmp_path / "episodes" / folder
        assert sorted(path.name for path in there.iterdir()) == [
            "greedy_1.gif", "sampled_1.gif", "sampled_2.gif", "transcript.jsonl", "transcript.md",
        ]  # fmt: skip
        rows = [json.loads(line) for line in (there / "transcript.jsonl").read_text().splitlines()]
        text = (there / "transcript.md").read_text()
        for title, name in (("Sampled episode 2", "sampled_2"), ("Greedy episode 1", "greedy_1")):
            own = [row for row in rows if row["episode"] == title]
            assert f"## {title}: return" in text
            assert frames_of(there / f"{name}.gif") == len(own) + 1
            assert [row["decision"] for row in own] == list(range(1, len(own) + 1))
            assert all(abs(sum(row["probabilities"]) - 1) < 1e-5 for row in own)
            assert all(row["prompt"] in text.replace("\n", " ") for row in own)
            assert own[-1]["terminated"] or own[-1]["truncated"]
    first, last = ((tmp_path / "episodes" / f / "transcript.jsonl").read_text() for f in (folders[0], folders[2]))
    assert json.loads(first.splitlines()[0])["prompt"] == json.loads(last.splitlines()[0])["prompt"], "the same episode"
    assert json.loads(first.splitlines()[0])["probabilities"] != json.loads(last.splitlines()[0])["probabilities"]


def test_each_task_of_a_test_is_recorded(tmp_path):
    data = toys.data(num_envs=2, test_tasks=[Task(toys.Corridor), Task(toys.Buttons, name="red buttons")])
    trainer = toys.trainer(tmp_path, callbacks=[EpisodeRecorder(episodes=0, seconds=0.1)])
    trainer.test(toys.module(), datamodule=data, verbose=False)
    made = {path.name for path in (tmp_path / "episodes/test").iterdir()}
    assert {"Corridor_greedy_1.gif", "red-buttons_greedy_1.gif"} <= made
    assert "## Red-buttons greedy episode 1: return" in (tmp_path / "episodes/test/transcript.md").read_text()


def test_text_alone_where_the_environment_cannot_draw(tmp_path):
    fit_with(tmp_path, EpisodeRecorder(greedy_episodes=0, seconds=0.1), max_epochs=1)
    with Image.open(tmp_path / "episodes/step_000000008/sampled_1.gif") as image:
        assert image.width == 600 + 2 * 28


def test_training_is_the_same_with_and_without(tmp_path):
    """With dropout, which draws from the global generator, and with remembered scores and features."""
    for settings in ({}, {"share_work": False, "language_model": toys.language_model(lora={"lora_dropout": 0.1})}):
        weights, states = [], []
        for callbacks in ([], [EpisodeRecorder(1, seconds=0.1)]):
            module = toys.module(**settings)
            fit_with(tmp_path, *callbacks, module=module, data=toys.data(Drawn, num_envs=2))
            weights.append(toys.trainable(module))
            states.append((torch.get_rng_state().tolist(), np.random.get_state()[2], len(module.agent.features)))
        toys.assert_equal_weights(*weights)
        assert states[0] == states[1]


def test_a_resumed_run_does_not_record_its_start_again(tmp_path):
    fit_with(tmp_path, EpisodeRecorder(), max_epochs=1).save_checkpoint(tmp_path / "one.ckpt")
    recorder = EpisodeRecorder(folder="later")
    trainer = toys.trainer(tmp_path, callbacks=[recorder], max_epochs=2)
    trainer.fit(toys.module(), datamodule=toys.data(num_envs=2), ckpt_path=tmp_path / "one.ckpt", weights_only=True)
    assert [path.name for path in (tmp_path / "later").iterdir()] == ["step_000000016"]


def test_a_run_that_was_killed_after_its_last_iteration_still_records_its_end(tmp_path):
    keeper = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, every_n_epochs=1)
    for folder, path in (("first", None), ("later", tmp_path / "epoch=0.ckpt")):
        recorder = EpisodeRecorder(every_n_epochs=9, folder=folder)
        callbacks = [recorder] if path else [recorder, keeper]
        trainer = toys.trainer(tmp_path, callbacks=callbacks, max_epochs=1, enable_checkpointing=path is None)
        trainer.fit(toys.module(), datamodule=toys.data(num_envs=2), ckpt_path=path, weights_only=True)
    assert [path.name for path in (tmp_path / "later").iterdir()] == ["step_000000008"]


# Loggers


def test_tensorboard_shows_the_animation_and_the_transcript_at_environment_steps(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(tmp_path, name="", version="tb")
    fit_with(tmp_path, EpisodeRecorder(seconds=0.1), logger=[logger, CSVLogger(tmp_path)], max_epochs=1)
    events = EventAccumulator(str(tmp_path / "tb"), size_guidance={"images": 0, "tensors": 0, "scalars": 0}).Reload()
    images = events.Images("episodes/greedy_1")
    assert [image.step for image in images] == [0, 8]
    assert images[1].encoded_image_string == (tmp_path / "episodes/step_000000008/greedy_1.gif").read_bytes()
    texts = events.Tensors("episodes/greedy_1_transcript/text_summary")
    assert [text.step for text in texts] == [0, 8]
    assert texts[1].tensor_proto.string_val[0].decode().startswith("## Greedy episode 1: return")
    assert [scalar.step for scalar in events.Scalars("loss/total")] == [8]


def test_wandb_holds_scalars_videos_and_tables_offline(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="the extra wandb is not installed")
    from lightning.pytorch.loggers import WandbLogger

    wandb.finish()  # the run of another test in this process, which would be taken for this one
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    logger = WandbLogger(project="toys", save_dir=tmp_path, offline=True, settings={"x_disable_stats": True})
    fit_with(tmp_path, EpisodeRecorder(seconds=0.1, episodes=0), logger=logger, max_epochs=2)
    history = wandb_history(tmp_path)
    curve = [(row["trainer/global_step"], row["loss/total"]) for row in history if "loss/total" in row]
    assert [step for step, _ in curve] == [8, 16], "environment steps"
    videos = [row for row in history if "episodes/greedy_1/_type" in row]
    assert [row["trainer/global_step"] for row in videos] == [0, 16]
    (files,) = tmp_path.glob("wandb/offline-run-*/files")
    assert len(list(files.glob("media/videos/episodes/*.gif"))) == 2
    tables = sorted(files.glob("media/table/episodes/*.table.json"))
    assert len(tables) == 2
    table = json.loads(tables[0].read_text())
    assert table["columns"][:4] == ["episode", "seed", "decision", "prompt"] and table["data"]


def wandb_history(folder: Path) -> list[dict]:
    """Rows of an offline run, from the file that `wandb sync` would upload."""
    import wandb
    from wandb.proto import wandb_internal_pb2

    wandb.finish()
    rows, ended, deadline = [], False, time.monotonic() + 60
    while not ended and time.monotonic() < deadline:  # another process writes the file, and goes on after finish
        rows, ended = [], False
        files = list(folder.glob("wandb/offline-run-*/run-*.wandb"))
        for content in log_records(files[0].read_bytes() if files else b""):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            ended = ended or record.WhichOneof("record_type") == "exit"
            items = record.history.item
            if items:
                rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
        time.sleep(0.0 if ended else 0.2)
    return rows


def log_records(content: bytes) -> list[bytes]:
    """Records of a file in LevelDB's log format: blocks of 32 KiB, in them parts of records after 7 bytes each."""
    records, parts, place, block = [], b"", 7, 32768
    while place + 7 <= len(content):
        if block - place % block < 7:  # too little left in the block for another part
            place += block - place % block
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        if kind not in (1, 2, 3, 4) or place + 7 + length > len(content):
            break  # not written to its end yet
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            records.append(parts)
            parts = b""
    return records


@pytest.mark.skipif(sys.platform == "win32", reason="processes start otherwise there")
def test_recorder_can_be_sent_to_other_processes():
    import pickle

    assert pickle.loads(pickle.dumps(EpisodeRecorder(3))).every_n_epochs == 3
