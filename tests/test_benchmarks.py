"""Benchmarks: both sides of the speed figures act and learn alike; tables of environments and latency are whole."""

import gymnasium as gym
import pytest

from benchmarks import environments, iteration, latency, profiling
from lightning_twosome.errors import UserError
from tests.toys import Buttons

TINY = ["--models", "tiny", "--tasks", "twosome/TomatoSalad-v0", "--num-envs", "2", "--num-steps", "6"]


@pytest.fixture(autouse=True)
def same_threads():
    import torch

    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("normalization", ["word", "sum"])
def test_naive_loop_and_ours_end_with_equal_weights(normalization, tmp_path):
    options = ["--iterations", "2", "--update-epochs", "2", "--minibatch-size", "4", "--normalization", normalization]
    results = iteration.main([*TINY, *options, "--json", str(tmp_path / "results.json")])
    differences = results["tiny twosome/TomatoSalad-v0 full"]["summary"]["differences"]
    assert differences["actions"] == 0
    assert differences["log_prob_max"] < 1e-4 and differences["value_max"] < 1e-5
    assert differences["lora_weights_relative"] < 1e-6 and differences["critic_weights_relative"] < 1e-6
    # The change itself, not hidden behind the weights it started from.
    assert differences["lora_change_relative"] < 1e-4 and differences["critic_change_relative"] < 1e-4
    assert (tmp_path / "results.json").stat().st_size > 0


def test_each_saving_switched_off_costs_positions_and_changes_nothing_else():
    off = "tree,dedup,memo,features"
    results = iteration.main([*TINY, "--iterations", "1", "--no-naive", "--off", off])

    def positions(variant: str, kind: str) -> int:
        return results[f"tiny twosome/TomatoSalad-v0 {variant}"]["summary"][f"positions_{kind}"]

    assert positions("without tree", "forward") > 2 * positions("full", "forward")
    assert positions("without dedup", "forward_backward") > positions("full", "forward_backward")
    assert positions("without memo", "forward") > positions("full", "forward")
    assert positions("without features", "forward") > positions("full", "forward")
    for variant in ("tree", "memo", "features"):
        expected = positions("without tree" if variant == "tree" else "full", "forward_backward")
        assert positions(f"without {variant}", "forward_backward") == expected


def test_every_registered_environment_is_in_the_table():
    names = [name for name, _ in environments.environments()]
    for environment_id in gym.registry:
        if environment_id.startswith("twosome/"):
            assert any(name.split()[0] == environment_id for name in names)
    assert len(names) == len(set(names)) and sum("Overcooked" in name for name in names) >= 6


def refuse():
    raise UserError("this world needs a file.")


def test_table_of_environments(monkeypatch, tmp_path, capsys):
    rows = {
        "salad": lambda: gym.make("twosome/TomatoSalad-v0"),
        "no agent": Buttons,
        "no file": refuse,
        "other": Buttons,
    }
    monkeypatch.setattr(environments, "environments", lambda: iter(rows.items()))
    output = tmp_path / "table.md"
    environments.main(["--seconds", "0.01", "--episodes", "3", "--output", str(output), "--only", ""])
    out, error = capsys.readouterr()
    assert error == "no file is left out: this world needs a file.\n"
    assert output.read_text() == out
    salad, plain, _ = ([cell.strip() for cell in row.split("|")[1:-1]] for row in out.splitlines()[2:])
    assert salad[0] == "salad" and int(salad[1].replace(",", "")) > 100
    assert salad[5:] == ["0.921 [0.921, 0.921]", "100% [100%, 100%]", "6.0"], "the kitchen's optimum"
    assert plain[4] == "1.0" and plain[5:] == ["", "", ""]
    environments.main(["--seconds", "0.01", "--episodes", "1", "--only", "other"])
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_latency_of_an_agent_is_measured_for_every_size_and_batch(tmp_path):
    options = ["--models", "tiny", "--actions", "2", "3", "--batch", "1", "4", "--repeats", "2"]
    rows = latency.main([*options, "--json", str(tmp_path / "latency.json")])
    assert [(row["actions"], row["batch"]) for row in rows] == [(2, 1), (2, 4), (3, 1), (3, 4)]
    assert all(0 < row["median_ms"] <= row["p95_ms"] for row in rows)
    assert (tmp_path / "latency.json").stat().st_size > 0
    prompts, offered = latency.decisions(4, 3, seed=0)
    assert len(set(prompts)) == 4 and all(len(set(actions)) == 3 for actions in offered), "nothing to remember"


def test_profile_divides_the_time_of_both_phases(tmp_path, capsys):
    results = profiling.main(["--models", "tiny", "--iterations", "1", "--json", str(tmp_path / "shares.json")])
    for phase in ("rollout", "update", "both"):
        row = results["tiny"][phase]
        assert row["seconds"] > 0 and sum(row["shares"].values()) == pytest.approx(1)
        assert all(0 < share < 1 for share in row["shares"].values())
    assert "aten::mm" in results["tiny"]["update"]["largest"]
    assert results["tiny"]["both"]["seconds"] == pytest.approx(
        sum(results["tiny"][phase]["seconds"] for phase in ("rollout", "update"))
    )
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert (tmp_path / "shares.json").stat().st_size > 0
