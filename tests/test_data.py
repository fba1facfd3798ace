"""The data module: arguments, minibatches, the share of every process, and samples that survive a checkpoint."""

import io
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lightning_twosome import RolloutDataModule
from lightning_twosome.data import EpisodeLoader
from lightning_twosome.decisions import Decision
from lightning_twosome.errors import UserError
from lightning_twosome.rollout import RolloutCollector
from lightning_twosome.samples import Samples
from lightning_twosome.vector_env import TextVectorEnv
from tests import toys
from tests.toys import Corridor, TextPolicy


def test_arguments_out_of_range_are_named():
    for name in ("num_envs", "num_steps", "update_epochs", "eval_episodes", "eval_num_envs"):
        with pytest.raises(UserError, match=f"data.{name} is 0; it must be at least 1"):
            toys.data(**{name: 0})
    with pytest.raises(UserError, match=r"minibatch_size=5 does not divide .* 4 \* 4 = 16 decisions"):
        toys.data(minibatch_size=5)


def test_an_unknown_environment_is_named():
    with pytest.raises(UserError, match="environment 'twosome/Nowhere-v0' is not registered"):
        RolloutDataModule("twosome/Nowhere-v0").make_env()
    with pytest.raises(UserError, match="does not take env_kwargs={'colour': 'red'}"):
        RolloutDataModule("twosome/TomatoSalad-v0", env_kwargs={"colour": "red"}).make_env()


@pytest.mark.parametrize("fixed", [False, True])
def test_minibatches_cover_the_rollout_once_an_epoch(fixed):
    data = toys.data(update_epochs=3)
    batches = data.minibatches(iteration=0, fixed=fixed)
    assert len(batches) == data.num_minibatches == 6
    for epoch in range(3):
        taken = np.concatenate(batches[2 * epoch : 2 * epoch + 2])
        assert sorted(taken) == list(range(16)) and list(taken) != list(range(16))
    members = {frozenset(batch) for batch in batches}
    assert len(members) == (2 if fixed else 6)


def test_minibatches_depend_on_seed_iteration_and_process_alone():
    def flat(data, iteration):
        return np.concatenate(data.minibatches(iteration, fixed=False)).tolist()

    assert flat(toys.data(), 3) == flat(toys.data(), 3)
    assert flat(toys.data(), 3) != flat(toys.data(), 4)
    assert flat(toys.data(), 3) != flat(toys.data(seed=1), 3)


def test_the_whole_rollout_is_one_batch_by_default():
    assert toys.data(minibatch_size=None, update_epochs=1).num_minibatches == 1


def on_rank(data, rank, world_size):
    data.trainer = SimpleNamespace(global_rank=rank, world_size=world_size)
    return data


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_processes_share_the_evaluation_episodes(world_size):
    alone = [(batch.seeds, batch.greedy) for batch in toys.data(eval_episodes=11).episode_batches()]
    sampled = [seed for seeds, greedy in alone if not greedy for seed in seeds]
    assert len(sampled) == len(set(sampled)) == 11
    parts = [on_rank(toys.data(eval_episodes=11), r, world_size).episode_batches() for r in range(world_size)]
    assert len({len(part) for part in parts}) == 1, "equally many batches, or a process would wait for ever"
    for greedy in (False, True):
        shared = sorted(s for part in parts for batch in part if batch.greedy == greedy for s in batch.seeds)
        assert shared == sorted(seed for seeds, of_greedy in alone if of_greedy == greedy for seed in seeds)
    lengths = [sum(len(batch.seeds) for batch in part) for part in parts]
    assert max(lengths) - min(lengths) <= 2


def test_evaluation_episodes_are_the_same_each_time():
    data = toys.data()
    assert [b.seeds for b in data.episode_batches()] == [b.seeds for b in data.episode_batches()]
    greedy = toys.data(eval_greedy_episodes=0).episode_batches()
    assert not any(batch.greedy for batch in greedy)
    loader = EpisodeLoader(greedy)
    assert len(loader) == len(list(loader)) == 2


def test_example_states_are_always_the_same():
    first, second = toys.data(seed=1).example_states(10), toys.data(seed=2).example_states(10)
    assert [state.decision for state in first] == [state.decision for state in second] and len(first) == 10
    assert all(state.decision.actions for state in first)


def samples():
    collector = RolloutCollector(TextVectorEnv([partial(Corridor, limit=3)] * 3), num_steps=5, seed=0)
    rollout = collector.collect(TextPolicy(), 0.9, 0)
    flat = rollout.values.flatten()
    return Samples(
        rollout.flat_states(), rollout.actions.flatten(), rollout.log_probs.flatten(0, 1), flat, flat + 1, flat + 2
    )


def assert_same_samples(first, second):
    assert first.decisions == second.decisions
    for a, b in zip(first.states, second.states, strict=True):
        assert a.action_ids == b.action_ids and np.array_equal(a.vector, b.vector)
        assert (a.player, a.task, a.restatement) == (b.player, b.task, b.restatement)
    for name in ("actions", "log_probs", "values", "advantages", "returns"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name


def test_selected_samples_belong_together():
    whole, index = samples(), np.array([7, 0, 7])
    part = whole.select(index)
    assert len(part) == 3
    for row, source in enumerate(index):
        assert part.states[row] is whole.states[source]
        assert part.actions[row] == whole.actions[source] and part.returns[row] == whole.returns[source]
        assert torch.equal(part.log_probs[row], whole.log_probs[source])


def test_samples_survive_a_safe_checkpoint():
    buffer = io.BytesIO()
    torch.save(samples().state_dict(), buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    assert len(state["decisions"]) < len(samples()), "each different decision once"
    assert_same_samples(Samples.from_state_dict(state), samples())


def test_player_task_and_restatement_survive_too():
    played = samples()
    restatement = Decision("In other words.", ("go", "stay"))
    played.states[1] = replace(played.states[1], player=1, task="soup", restatement=restatement)
    played.states[2] = replace(played.states[2], task="salad", restatement=restatement)
    buffer = io.BytesIO()
    torch.save(played.state_dict(), buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    assert len(state["restatements"]) == 2, "none and one"
    assert_same_samples(Samples.from_state_dict(state), played)


def test_samples_without_vectors_survive_too():
    plain = samples()
    plain.states = [type(s)(s.decision) for s in plain.states]
    restored = Samples.from_state_dict(plain.state_dict())
    assert restored.decisions == plain.decisions
    assert all(state.vector is None and state.action_ids is None for state in restored.states)


def test_vectors_of_different_tasks_survive_too():
    mixed = samples()
    for row, vector in ((1, np.arange(3.0)), (4, None), (5, np.array([2], dtype=np.int64)), (7, np.arange(3.0) + 5)):
        mixed.states[row] = replace(mixed.states[row], vector=vector)
    state = mixed.state_dict()
    assert len(state["vectors"]) == 4
    assert_same_samples(Samples.from_state_dict(state), mixed)
    assert Samples.from_state_dict(state).states[5].vector.dtype == np.int64


def test_a_move_keeps_the_states():
    moved = samples().to(torch.device("cpu"))
    assert_same_samples(moved, samples())


def test_environment_steps_count_all_processes():
    assert toys.data().steps_per_iteration == 16
    assert on_rank(toys.data(), 1, 3).steps_per_iteration == 48
