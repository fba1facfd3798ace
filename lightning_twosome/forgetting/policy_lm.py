"""lm-eval's view of the live policy: its requests in, log-likelihoods out of the tree scorer.

::

    requests --lm-eval's own encoding--> (context ids, continuation ids) --bundle--> tries --share--> this process's
             <------ in their order, with what the other processes scored -------- log p, misses <--read--'

What lm-eval asks one by one, with the context read anew each time, is scored in packed rows: the continuations of one
context, few-shot prompts and sentences that begin alike share what they have in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any, TypeVar

import torch.distributed as dist
from lm_eval import utils
from lm_eval.api.model import TemplateLM

from lightning_twosome.decisions import build_trie
from lightning_twosome.errors import UserError
from lightning_twosome.language_model import context_length
from lightning_twosome.scoring import ActionScorer
from lightning_twosome.scoring.forward import log_prob_and_misses

Ids = list[int]
Answer = tuple[float, bool]
Item = TypeVar("Item")

ROW = 512  # tokens beyond which a row is closed, unless one sequence takes half of them
WITHOUT_LIMIT = 2048  # the context of a model that has no longest one, as in lm-eval


class PolicyLM(TemplateLM):
    """A scorer's model as it is now, for lm-eval: adapter on, or off within ``disable_adapter()``.

    Every process is given all requests and returns all answers; the forwards are shared among the processes of
    ``torch.distributed``, as many on each where the weights are sharded.

    Args:
        scorer: Scores with its model and tokenizer; what it remembers is neither used nor changed.
    """

    backend = "causal"

    def __init__(self, scorer: ActionScorer) -> None:
        super().__init__()
        self.scorer = scorer
        self.tokenizer: Any = scorer.tokenizer
        self.max_length = context_length(scorer.model) or WITHOUT_LIMIT
        self._encodings: dict[tuple[str, bool | None], Ids] = {}

    @property
    def eot_token_id(self) -> int:
        """The id that ends a text."""
        return self.tokenizer.eos_token_id

    @property
    def prefix_token_id(self) -> int:
        """The id that stands before a text without context."""
        return self.tokenizer.eos_token_id if self.tokenizer.bos_token_id is None else self.tokenizer.bos_token_id

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **settings: Any) -> Ids:
        """The ids of a text as lm-eval's Hugging Face model has them, remembered."""
        key = (string, add_special_tokens)
        if key not in self._encodings:
            chosen = add_special_tokens
            if chosen is None and string.startswith(self.tokenizer.decode(self.prefix_token_id)):
                chosen = False  # it has a BOS already
            special = {} if chosen is None else {"add_special_tokens": chosen}
            self._encodings[key] = self.tokenizer.encode(string, **special)
        return self._encodings[key]

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = True) -> list[Answer]:
        """Log-probability of each continuation, and whether it is what greedy decoding would write."""
        return super().loglikelihood(requests, disable_tqdm=True)

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = True) -> list[float]:
        """Log-probability of each text, in windows of the model's context, as lm-eval cuts them."""
        windows = [self._windows(request.args[0]) for request in requests]
        answers = iter(self._loglikelihood_tokens([window for of_text in windows for window in of_text]))
        return [sum(next(answers)[0] for _ in of_text) for of_text in windows]

    def _windows(self, text: str) -> list[tuple[Any, Ids, Ids]]:
        windows = utils.get_rolling_token_windows(
            token_list=self.tok_encode(text),
            prefix_token=self.prefix_token_id,
            max_seq_len=self.max_length,
            context_len=1,
        )
        return [(None, *utils.make_disjoint_window(window)) for window in windows]

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        """Refused.

        Raises:
            UserError: Always.
        """
        raise UserError(
            f"The task {requests[0].task_name!r} lets the model write (generate_until), which is not scored here: "
            "choose tasks of type multiple_choice, loglikelihood or loglikelihood_rolling."
        )

    def _loglikelihood_tokens(self, requests: list[tuple[Any, Ids, Ids]], **settings: Any) -> list[Answer]:
        """Answers for encoded pairs, cut on the left where they exceed the model's context, as lm-eval does."""
        sequences, starts = [], []
        for asked, context, continuation in requests:
            if not continuation:
                raise UserError(f"The continuation in {asked!r} has no token of its own: leave this document out.")
            sequences.append((context + continuation)[-(self.max_length + 1) :])
            starts.append(len(sequences[-1]) - len(continuation))
        bundles = bundle(sequences)
        mine = share(bundles, *_process())
        tries = [build_trie([sequences[i] for i in one], [starts[i] for i in one]) for one in mine]
        read = self.scorer.read(tries, log_prob_and_misses).tolist() if tries else []
        answers = dict(zip((index for one in mine for index in one), read, strict=True))
        gathered = _of_all_processes(answers)
        return [(gathered[index][0], gathered[index][1] == 0) for index in range(len(requests))]


def bundle(sequences: Sequence[Ids]) -> list[list[int]]:
    """Indices of the sequences that are worth a row together.

    In lexicographic order a trie grows by what a sequence does not share with the one before it. A sequence joins the
    row if at least a quarter of it is there already, as long as the row stays short: attention grows with its square.
    """
    bundles: list[list[int]] = []
    size = 0
    for index in sorted(range(len(sequences)), key=sequences.__getitem__):
        length = len(sequences[index])
        if bundles:
            first, last = sequences[bundles[-1][0]], sequences[bundles[-1][-1]]
            grown = size + length - shared(last, sequences[index])
            if 4 * shared(first, sequences[index]) >= length and grown <= max(ROW, 2 * len(first)):
                bundles[-1].append(index)
                size = grown
                continue
        bundles.append([index])
        size = length
    return bundles


def shared(first: Ids, second: Ids) -> int:
    """The number of ids that two sequences begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))


def share(items: Sequence[Item], rank: int, processes: int) -> list[Item]:
    """A process's part of the work: every item is in one part, and no part is empty.

    A process beyond the number of items repeats the first one, so that it makes a forward when the others do.
    """
    return list(items[rank::processes]) or list(items[:1])


def _process() -> tuple[int, int]:
    """Number of this process, and how many there are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def _of_all_processes(answers: dict[int, list[float]]) -> dict[int, list[float]]:
    """The answers of every process together."""
    processes = _process()[1]
    if processes == 1:
        return answers
    gathered: list[dict[int, list[float]]] = [{} for _ in range(processes)]
    dist.all_gather_object(gathered, answers)
    return _merged(gathered)


def _merged(parts: Iterable[dict[int, list[float]]]) -> dict[int, list[float]]:
    return {index: answer for part in parts for index, answer in part.items()}
