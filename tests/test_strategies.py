"""configs/strategy: each is instantiated as the command line does it; what cannot run here says so."""

from types import SimpleNamespace

import jsonargparse
import lightning as L
import pytest
import yaml
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, ModelParallelStrategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning_utilities.core.imports import RequirementCache

from lightning_twosome.errors import UserError
from tests import toys
from tests.cli_runs import ROOT

FOLDER = ROOT / "configs/strategy"


def trainer(name):
    """The Trainer of an overlay, on two processes of a CPU."""
    content = yaml.safe_load((FOLDER / name).read_text())["trainer"]
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(L.Trainer, "trainer")
    parsed = parser.parse_object({"trainer": content | {"accelerator": "cpu", "devices": 2, "logger": False}})
    return parser.instantiate(parsed).trainer


@pytest.mark.parametrize(("name", "kind"), [("ddp.yaml", DDPStrategy), ("fsdp.yaml", ModelParallelStrategy)])
def test_strategy(name, kind):
    made = trainer(name)
    assert isinstance(made.strategy, kind) and made.world_size == 2


@pytest.mark.skipif(bool(RequirementCache("deepspeed")), reason="it is installed")
def test_deepspeed_cannot_run_here_and_says_so():
    strategy = yaml.safe_load((FOLDER / "deepspeed.yaml").read_text())["trainer"]["strategy"]
    assert strategy["class_path"].endswith(f".{DeepSpeedStrategy.__name__}")
    with pytest.raises(MisconfigurationException, match="you must have DeepSpeed installed"):
        DeepSpeedStrategy(**strategy["init_args"])


def test_every_strategy_is_tested():
    assert {path.name for path in FOLDER.iterdir()} == {"ddp.yaml", "fsdp.yaml", "deepspeed.yaml"}


def test_deepspeed_skips_no_steps():
    module = toys.module(target_kl=0.1)
    strategy = object.__new__(DeepSpeedStrategy)  # which cannot be made without DeepSpeed
    module._trainer = SimpleNamespace(precision="32-true", strategy=strategy)
    with pytest.raises(UserError, match="model.target_kl=0.1 skips steps by taking gradients away"):
        module.on_train_start()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"critic": "adapted"}, "model.critic='adapted' cannot be trained where ModelParallelStrategy spreads"),
        ({"frozen_layers": 1}, "model.frozen_layers=1 skips layers that the other processes gather"),
    ],
)
def test_what_cannot_be_sharded_is_refused(settings, sentence):
    module = toys.module()
    module.hparams.update(settings)
    with pytest.raises(UserError, match=sentence):
        module._shard(mesh=None)
