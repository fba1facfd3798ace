"""The speed benchmark compares like with like: both sides take the same actions and end with the same weights."""

import pytest

from benchmarks import iteration

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
