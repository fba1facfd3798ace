"""The reference for POAD: one forward per prefix, loops over tokens, written without a look at the package."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.naive_scoring import joint_ids

END = None


def next_token_log_probs(model, ids: list[int]) -> Tensor:
    return torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0, -1].float(), dim=-1)


def choices_on_the_way(model, tokenizer, decision, action: int) -> list[tuple[list[int], Tensor]]:
    """Where an action's text is chosen from others: the token ids before it, and the choice's log-probability."""
    texts = [joint_ids(tokenizer, decision.prompt, other)[0] for other in decision.actions]
    taken, found = texts[action], []
    for length in range(len(taken) + 1):
        still_valid = [text for text in texts if text[:length] == taken[:length]]
        following = {text[length] if len(text) > length else END for text in still_valid}
        if len(following) < 2:
            continue
        log_probs = next_token_log_probs(model, taken[:length])
        tokens = sorted(token for token in following if token is not END)
        masses = {token: log_probs[token] for token in tokens}
        if END in following:
            others = [token for token in range(len(log_probs)) if token not in tokens]
            masses[END] = log_probs[others].logsumexp(0)
        chosen = taken[length] if length < len(taken) else END
        found.append((taken[:length], masses[chosen] - torch.stack(list(masses.values())).logsumexp(0)))
    return found


def action_log_probs(model, tokenizer, decision) -> Tensor:
    """[K], the sum of its choices for each action."""
    rows = [choices_on_the_way(model, tokenizer, decision, action) for action in range(len(decision.actions))]
    return torch.stack([sum((log_prob for _, log_prob in row), torch.zeros(())) for row in rows])


def value(agent, tokenizer, decision, ids: list[int], first: bool) -> Tensor:
    """The critic on the frozen model's last hidden state of a prefix; of the prompt alone for the first choice."""
    ids = tokenizer(decision.prompt)["input_ids"] if first else ids
    with torch.no_grad(), agent.model.disable_adapter():
        hidden = agent.model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0, -1]
    return agent.critic(hidden).squeeze()


def lambda_advantages(steps: list[dict], gae_lambda: float, gamma: float) -> list[float]:
    """Advantages of one environment's choices in order, backwards, one number at a time.

    Args:
        steps: Each with value, reward, duration, next_value, terminated and cut (nothing of the same episode follows).
        gae_lambda: Trace decay per choice.
        gamma: Discount per primitive step.
    """
    advantages, following = [], 0.0
    for step in reversed(steps):
        discount = gamma ** step["duration"]
        after = 0.0 if step["terminated"] else step["next_value"]
        delta = step["reward"] + discount * after - step["value"]
        following = delta + (0.0 if step["cut"] else discount * gae_lambda * following)
        advantages.append(following)
    return advantages[::-1]
