"""Whatever goes wrong while a file is written, the one before it is kept."""

import errno
import os
import resource

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_twosome import files
from lightning_twosome.durable_checkpoint import DurableCheckpointIO
from lightning_twosome.errors import UserError
from lightning_twosome.files import replace_file
from lightning_twosome.loggers import RunLogger
from tests import toys
from tests.cli_runs import rows
from tests.test_resume import run


@pytest.fixture
def written(tmp_path):
    """A checkpoint with a good content."""
    path = tmp_path / "last.ckpt"
    DurableCheckpointIO().save_checkpoint({"good": torch.ones(3)}, path)
    return path


def assert_kept(path):
    assert torch.load(path, weights_only=True)["good"].tolist() == [1, 1, 1]
    assert [file.name for file in path.parent.iterdir()] == [path.name], "half a file must not stay"


@pytest.fixture
def full_disk():
    """The system refuses files of more than 10 kB in the middle of writing."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_file_that_the_system_cuts_off(written, full_disk):
    with pytest.raises(UserError, match=r"last.ckpt' cannot be written \(File too large\): the one before it is kept"):
        DurableCheckpointIO().save_checkpoint({"bad": torch.ones(10_000)}, written)
    assert_kept(written)


class FullDisk:
    """A file on a disk that is full after half of what is written."""

    def __init__(self, path, mode):
        self.file = open(path, mode)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def write(self, content):
        self.file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_ends_a_run_with_one_sentence_and_the_last_checkpoint_goes_on(tmp_path, monkeypatch):
    folder = tmp_path / "kept"

    class Filling(ModelCheckpoint):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 2:
                monkeypatch.setattr(files, "open", FullDisk, raising=False)

    checkpoint = Filling(folder, filename="last", every_n_epochs=1, save_on_train_epoch_end=True,
                         enable_version_counter=False)  # fmt: skip
    with pytest.raises(UserError) as error:
        run(tmp_path, checkpoint=checkpoint)
    assert str(error.value) == (
        f"The checkpoint '{folder}/last.ckpt' cannot be written (No space left on device): the one before it is kept; "
        "make room or choose a folder that can be written, then --ckpt_path last goes on from there."
    )
    assert os.listdir(folder) == ["last.ckpt"]
    monkeypatch.undo()
    assert torch.load(folder / "last.ckpt", weights_only=True)["epoch"] == 1
    assert run(tmp_path, ckpt_path=folder / "last.ckpt")["env_steps"] == 64


def test_a_folder_that_may_only_be_read(written, monkeypatch):
    if os.geteuid() == 0:  # who may write everywhere

        def refuse(path, mode):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        monkeypatch.setattr(files, "open", refuse, raising=False)
    else:
        written.parent.chmod(0o500)
    with pytest.raises(UserError, match=r"cannot be written \(Permission denied\)"):
        DurableCheckpointIO().save_checkpoint({"bad": torch.ones(3)}, written)
    written.parent.chmod(0o700)
    assert_kept(written)


def test_the_file_and_its_folder_reach_the_disk_around_the_renaming(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: done.append(os.fstat(descriptor).st_mode & 0o040000))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("renamed"), replace(*paths)))
    replace_file(tmp_path / "new" / "file", b"content")
    assert done == [0, "renamed", 0o040000]
    assert (tmp_path / "new/file").read_bytes() == b"content"


def test_every_module_brings_it_along_and_a_chosen_writer_stays(tmp_path):
    class Own(DurableCheckpointIO):
        """One of a user's."""

    trainer = toys.trainer(tmp_path, max_epochs=1)
    trainer.fit(toys.module(), toys.data())
    assert type(trainer.strategy.checkpoint_io) is DurableCheckpointIO
    trainer = toys.trainer(tmp_path, max_epochs=1, plugins=[Own()])
    trainer.fit(toys.module(), toys.data())
    assert type(trainer.strategy.checkpoint_io) is Own


def test_metrics_are_whole_where_a_new_column_comes_and_the_run_is_killed(tmp_path, monkeypatch):
    logger = RunLogger(tmp_path)
    logger.log_metrics({"loss": 1.0}, step=1)

    def killed(*paths):
        raise SystemExit

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(SystemExit):
        logger.log_metrics({"loss": 2.0, "kl": 3.0}, step=2)
    assert rows(tmp_path) == [{"loss": "1.0", "step": "1"}]


def test_a_row_that_was_cut_off_is_made_again(tmp_path):
    logger = RunLogger(tmp_path)
    logger.log_metrics({"a": 0.125, "step_time": 2.0}, step=1)
    path = tmp_path / "metrics.csv"
    path.write_text("a,step,value\n0.125,1,2.5\n0.25,2,3.")  # killed while it wrote 3.75
    resumed = RunLogger(tmp_path, resume_step=2)
    resumed.log_metrics({"a": 0.25, "value": 3.75}, step=2)
    assert [row["value"] for row in rows(tmp_path)] == ["2.5", "3.75"]


def test_metrics_that_cannot_be_written_say_so(tmp_path, full_disk):
    logger = RunLogger(tmp_path)
    with pytest.raises(UserError, match=r"metrics.csv' cannot be written \(File too large\): make room"):
        logger.log_metrics({"x" * 20_000: 1.0}, step=1)


def test_a_run_killed_between_a_checkpoint_and_its_row_logs_the_row(tmp_path):
    """Lightning logs an iteration after it has saved it; the evaluation's row of the same step is there already."""
    whole = RunLogger(tmp_path / "whole")
    checkpoint = ModelCheckpoint(tmp_path, filename="kept-{epoch}", save_top_k=-1, monitor=None, every_n_epochs=1,
                                 save_on_train_epoch_end=True)  # fmt: skip
    run(tmp_path, checkpoint=checkpoint, logger=whole, max_epochs=2)
    expected = rows(tmp_path / "whole")
    header, *lines = (tmp_path / "whole/metrics.csv").read_text().splitlines(keepends=True)
    (tmp_path / "killed").mkdir()
    for written in (lines, lines[:-1]):
        (tmp_path / "killed/metrics.csv").write_text(header + "".join(written))
        killed = RunLogger(tmp_path / "killed", resume_step=32)
        run(tmp_path, ckpt_path=tmp_path / "kept-epoch=1.ckpt", logger=killed, max_epochs=2)
        assert rows(tmp_path / "killed") == expected
