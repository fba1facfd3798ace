"""Several processes on a CPU, with copies (DDP) or shards (FSDP2) of the model: the run of one process with all of it.

Two processes here; four, and what takes longer, behind the marker ``slow``.
"""

import pytest
import torch

from tests import distributed_run, toys
from tests.processes import finish, start

pytestmark = pytest.mark.timeout(600)  # seconds on a free machine, minutes on one that others use as well

QUICK = ("ddp failure", "ddp mended", "ddp mixture", "ddp plain", "ddp stopping", "ddp from=ddp",
         "fsdp stopping")  # fmt: skip


def several(folder, processes, *names):
    """What each process reports."""
    finish(folder, start(folder, processes, "tests.distributed_run", *names))
    reports = [torch.load(folder / f"processes{processes}_rank{r}.pt", weights_only=True) for r in range(processes)]
    for path in folder.glob("processes*.pt"):
        path.unlink()
    return reports


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def runs(folder):
    """What both processes report."""
    return several(folder, 2, *QUICK)


@pytest.fixture(scope="module")
def alone(folder):
    """The same in one process."""
    names = ("plain", "stopping")
    return {name: distributed_run.run(f"ddp {name}", folder / "alone", 1) for name in names}


def assert_same_run(ours, alone):
    """Weights to 1e-5 and every logged metric of every iteration."""
    assert ours["weights"].keys() == alone["weights"].keys()
    for name, weight in alone["weights"].items():
        torch.testing.assert_close(ours["weights"][name], weight, rtol=1e-5, atol=1e-5)
    assert (ours["steps"], ours["env_steps"]) == (alone["steps"], alone["env_steps"])
    assert len(ours["logged"]) == len(alone["logged"])
    for logged, expected in zip(ours["logged"], alone["logged"], strict=True):
        assert logged.keys() == expected.keys()
        for name, value in expected.items():
            assert logged[name] == pytest.approx(value, rel=1e-3, abs=2e-5), name


@pytest.mark.parametrize("name", ["ddp plain", "ddp stopping", "ddp from=ddp", "ddp mixture", "fsdp stopping"])
def test_both_processes_have_the_same_weights_and_metrics(runs, name):
    first, second = (run[name] for run in runs)
    toys.assert_equal_weights(first["weights"], second["weights"])
    assert first["results"].keys() == second["results"].keys()
    assert (first["steps"], first["env_steps"]) == (second["steps"], second["env_steps"])
    assert first["logged"] == second["logged"]


def test_processes_collect_different_halves_of_the_same_rollouts(runs, alone):
    halves = [run["ddp plain"] for run in runs]
    for iteration in range(3):
        both = torch.cat([half["actions"][iteration] for half in halves], dim=1)
        assert torch.equal(both, alone["plain"]["actions"][iteration])
        rows = [iter(half["prompts"][iteration]) for half in halves]
        merged = [next(rows[half]) for _ in range(4) for half in (0, 0, 1, 1)]
        assert merged == alone["plain"]["prompts"][iteration]
    assert halves[0]["prompts"] != halves[1]["prompts"]


@pytest.mark.parametrize("name", ["ddp plain", "ddp stopping", "fsdp stopping"])
def test_two_processes_train_as_one(runs, alone, name):
    """In one step an iteration as in several, whose decisions the processes then exchange."""
    assert_same_run(runs[0][name], alone[name.split()[1]])
    assert runs[0][name]["sharded"] == name.startswith("fsdp")


def test_advantages_are_normalised_over_both_processes(runs):
    for first, second in zip(runs[0]["ddp plain"]["normal"], runs[1]["ddp plain"]["normal"], strict=True):
        both = torch.cat([first, second])
        assert both.mean().abs() < 1e-5 and (both.std(unbiased=False) - 1).abs() < 1e-4
        assert first.mean().abs() > 1e-4, "a process's own mean is not 0"


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_the_stop_by_kl_is_decided_alike(runs, alone, kind):
    stops = [[logged["policy/update_stopped"] for logged in run[f"{kind} stopping"]["logged"]] for run in runs]
    assert stops[0] == stops[1] and 1.0 in stops[0]
    assert stops[0] == [logged["policy/update_stopped"] for logged in alone["stopping"]["logged"]]


def test_two_processes_resume_exactly(runs):
    """From the middle of an iteration, each with its own episodes and windows."""
    for run in runs:
        whole, resumed = run["ddp stopping"], run["ddp from=ddp"]
        toys.assert_equal_weights(whole["weights"], resumed["weights"])
        assert whole["env_steps"] == resumed["env_steps"]
        assert whole["actions"][-1].tolist() == resumed["actions"][-1].tolist()
        assert len(whole["logged"]) == 3 and len(resumed["logged"]) == 2
        assert whole["logged"][-1] == resumed["logged"][-1]
        # The resumed iteration's own means over its batches are, of those before the checkpoint, the first process's.
        kept = ("rollout/", "lr/", "value/")
        first, second = ({k: v for k, v in r["logged"][-2].items() if k.startswith(kept)} for r in (whole, resumed))
        assert first == second


def assert_same_end(resumed, alone):
    """Weights and the last iteration's metrics."""
    last = {name: resumed[name][-1:] if name == "logged" else resumed[name] for name in resumed}
    assert_same_run(last, alone | {"logged": alone["logged"][-1:]})


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_one_process_goes_on_from_a_checkpoint_of_two(runs, alone, folder, kind):
    """From the middle of an iteration, whose rest is learned as by one process."""
    resumed = distributed_run.run(f"ddp from={kind}", folder, 1)
    assert_same_end(resumed, alone["stopping"])
    assert torch.equal(resumed["actions"][-1], alone["stopping"]["actions"][-1])


def test_tasks_of_a_mixture_are_logged_over_both_processes(runs):
    results = runs[0]["ddp mixture"]["results"]
    assert {
        f"{stage}/{task}/return" for stage in ("rollout", "val") for task in ("corridor", "Buttons")
    } <= results.keys()


def test_both_processes_hear_of_an_environment_that_fails_in_one(runs):
    assert runs[0]["ddp failure"] == runs[1]["ddp failure"]
    assert "Environment 'Fragile' raised KeyError" in runs[0]["ddp failure"]
    assert "it was environment 2 after reset(seed=" in runs[0]["ddp failure"]


def test_they_go_on_exactly_from_the_checkpoint_it_left(runs):
    """The environment that would fail is else the same."""
    for run in runs:
        mended, plain = run["ddp mended"], run["ddp plain"]
        toys.assert_equal_weights(mended["weights"], plain["weights"])
        assert 1 <= len(mended["actions"]) < 3 == len(plain["actions"])
        assert torch.equal(mended["actions"][-1], plain["actions"][-1])


@pytest.mark.slow
class TestLong:
    """Four processes, every change of their number and of strategy, and sharded weights wherever forwards differ."""

    NAMES = tuple(f"{kind} {name}" for kind in ("ddp", "fsdp") for name in ("plain", "stopping"))

    @pytest.fixture(scope="class")
    def four(self, folder):
        return several(folder, 4, *self.NAMES)

    @pytest.mark.parametrize("name", NAMES)
    def test_four_processes_train_as_one(self, four, alone, name):
        for run in four:
            assert_same_run(run[name], alone[name.split()[1]])
            toys.assert_equal_weights(run[name]["weights"], four[0][name]["weights"])

    @pytest.mark.parametrize("kind", ["ddp", "fsdp"])
    def test_two_or_four_processes_go_on_from_one(self, alone, folder, kind):
        for processes in (2, 4):
            run = several(folder, processes, f"{kind} from=alone/ddp")[0]
            assert_same_end(run[f"{kind} from=alone/ddp"], alone["stopping"])

    def test_sharded_weights_wherever_forwards_differ(self, folder, alone, runs):
        """An environment that fails, recordings, decisions in chunks."""
        names = ("fsdp failure", "fsdp mended", "fsdp recorded", "fsdp chunked", "ddp chunked")
        first, second = several(folder, 2, *names)
        assert first["fsdp failure"] == second["fsdp failure"] == runs[0]["ddp failure"]
        for name in ("fsdp mended", "fsdp recorded"):
            for weight, value in alone["plain"]["weights"].items():
                torch.testing.assert_close(first[name]["weights"][weight], value, rtol=1e-5, atol=1e-5)
        for weight, value in first["ddp chunked"]["weights"].items():
            torch.testing.assert_close(first["fsdp chunked"]["weights"][weight], value, rtol=1e-5, atol=1e-5)
        written = [path.name for path in (folder / "fsdp" / "episodes").glob("*/*.jsonl")]
        assert len(written) == 3
