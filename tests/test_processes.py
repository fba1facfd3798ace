"""How work and state are divided among processes."""

import numpy as np
import pytest
import torch

from lightning_twosome.processes import alternately, deal, joined_state, own_part_of_sums, part_of_state
from lightning_twosome.samples import Samples
from lightning_twosome.vector_env import State
from tests import toys


def test_each_process_takes_its_own_decisions_first_and_all_take_equally_many():
    rows = np.array([5, 0, 7, 1, 2, 3])  # of eight, of which the first process has 0 to 3
    owner = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    first, second = deal(rows, owner, 2)
    assert first.tolist() == [0, 1, 2] and second.tolist() == [5, 7, 3]
    (alone,) = deal(rows, np.zeros(8, dtype=int), 1)
    assert alone.tolist() == rows.tolist(), "one process keeps the order"


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_processes_share_the_same_minibatches(world_size):
    batches = []
    for rank in range(world_size):
        data = toys.data(num_envs=8 // world_size, num_steps=4, minibatch_size=8 // world_size)
        data.trainer = type("Trainer", (), {"world_size": world_size, "global_rank": rank})()
        batches.append(data.minibatches(3, fixed=False))
    alone = toys.data(num_envs=8, num_steps=4, minibatch_size=8).minibatches(3, fixed=False)
    assert len(alone) == 8
    for shares, whole in zip(zip(*batches, strict=True), alone, strict=True):
        assert {len(share) for share in shares} == {8 // world_size}
        assert sorted(np.concatenate(shares)) == sorted(whole)


def test_episodes_come_back_in_the_order_in_which_they_were_dealt_out():
    numbers = list(range(7))
    assert alternately([numbers[0::3], numbers[1::3], numbers[2::3]]) == numbers
    assert alternately([[], []]) == []


def test_state_of_environments_is_joined_and_parted():
    state = {"indices": [0, 1, 2, 3], "prompts": ["a", "b", "c", "d"]}
    parts = [part_of_state(state, rank, 2) for rank in range(2)]
    assert parts[1] == {"indices": [2, 3], "prompts": ["c", "d"]}
    assert joined_state(parts) == state


@pytest.mark.parametrize(("processes", "taken_up"), [(1, [8.0]), (2, [3.0, 5.0]), (4, [2.0] * 4)])
def test_sums_are_taken_up_by_their_own_process_or_in_equal_shares(processes, taken_up):
    parts = [{"sum": torch.tensor(3.0)}, {"sum": torch.tensor(5.0)}]
    assert [own_part_of_sums(parts, rank, processes)["sum"].item() for rank in range(processes)] == taken_up


def test_rollouts_are_joined_step_by_step():
    """Two steps of two processes with one environment each; tables as wide as the widest."""
    made = toys.decisions(4)

    def part(rows, width):
        log_probs = torch.full((2, width), -1.0)
        numbers = torch.tensor(rows)
        return Samples([State(made[i]) for i in rows], numbers, log_probs, numbers * 1.0, numbers * 2.0, numbers * 3.0)

    joined = Samples.joined([part([0, 2], 2), part([1, 3], 3)], num_steps=2)
    assert joined.decisions == made
    assert joined.actions.tolist() == [0, 1, 2, 3] and joined.returns.tolist() == [0, 3, 6, 9]
    assert joined.log_probs[:, 2].tolist() == [-torch.inf, -1, -torch.inf, -1]
