"""The accounts of a run, by phase: samples, tokens, FLOPs, seconds and peak memory.

::

    networks --Meter--> forwards --+
    clock, memory    --------------+--> phase in progress --> totals of all processes --> ledger/* of the loggers
    decisions asked --NaiveLoop----+

Each module has a ledger of its own, so that two in one process do not mix.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn

from lightning_twosome.agent import ActorCritic
from lightning_twosome.decisions import Decision
from lightning_twosome.ledger.flops import Call, Meter, Profile, Work
from lightning_twosome.ledger.memory import PeakMemory
from lightning_twosome.ledger.naive import NOTHING, Asked, NaiveLoop
from lightning_twosome.ledger.phases import OTHER, PHASES, Account, Accounts, metrics_of
from lightning_twosome.processes import gather


@dataclass
class _Calls:
    """Forwards of one kind, with a backward pass or without."""

    work: Work = NOTHING
    useful: Tensor | float = 0.0


@dataclass
class _Open:
    """What has happened in one phase, before it is multiplied out."""

    samples: int = 0
    seconds: float = 0.0
    memory: int = 0
    calls: dict[tuple[Profile, bool, bool], _Calls] = field(default_factory=dict)
    asked: Asked = field(default_factory=Asked)


class Ledger:
    """Accounts of one module's runs.

    Attributes:
        paused: Nothing is counted.
        in_backward: A backward pass goes on: a forward within it is one that is computed again.
        model_was_trained: A backward pass through the language model has begun since this was last set to false.
    """

    def __init__(self) -> None:
        self.paused = False
        self.in_backward = False
        self.model_was_trained = False
        self.meters: list[Meter] = []
        self.naive: NaiveLoop | None = None
        self._memory = PeakMemory(torch.device("cpu"))
        self._stack = [OTHER]
        self._since = time.perf_counter()
        self._before: Accounts = {}
        self._open: dict[str, _Open] = {}

    # What is watched

    def watch(self, network: nn.Module) -> Meter:
        """Count a network's forwards from now on."""
        meter = Meter(network, self._count)
        self.meters.append(meter)
        return meter

    def watch_agent(self, agent: ActorCritic) -> None:
        """Count the forwards of a policy's language model and value head, and what the plain loop would spend."""
        self.naive = NaiveLoop(agent, self.watch(agent.model))
        self.watch(agent.critic)

    def _count(self, meter: Meter, call: Call) -> None:
        if self.paused:
            return
        followed = self.current == "update" and call.differentiable and not self.in_backward
        calls = self._opened().calls.setdefault((call.profile, followed, meter.is_language_model), _Calls())
        calls.work = calls.work.plus(call.work)
        calls.useful = calls.useful + call.useful
        self.model_was_trained |= followed and meter.is_language_model

    def asked_for_scores(self, decisions: Sequence[Decision]) -> None:
        """Note decisions whose actions were to be scored, as the plain loop would each time."""
        if self.naive is not None and not self.paused:
            asked = self._opened().asked
            asked.actions = asked.actions.plus(self.naive.rows(decisions))

    def asked_for_values(self, prompts: Sequence[str]) -> None:
        """Note prompts whose value was asked for."""
        if self.naive is not None and not self.paused:
            asked = self._opened().asked
            asked.prompts = asked.prompts.plus(self.naive.prompts(prompts))
            asked.values += len(prompts)

    def count_samples(self, samples: int) -> None:
        """Count decisions made in environments in the phase in progress."""
        if not self.paused:
            self._opened().samples += samples

    # Phases

    @property
    def current(self) -> str:
        """The phase in progress."""
        return self._stack[-1]

    def use(self, device: torch.device) -> None:
        """Watch this device's memory, from now on."""
        self._memory = PeakMemory(device)
        self._since = time.perf_counter()
        self._memory.restart()

    def begin(self, phase: str) -> None:
        """Begin a phase, within another one that goes on after it."""
        self._switch()
        self._stack.append(phase)

    def end(self) -> None:
        """End the phase in progress."""
        self._switch()
        self._stack.pop()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """A phase, one of :data:`~lightning_twosome.ledger.phases.PHASES`."""
        self.begin(name)
        try:
            yield
        finally:
            self.end()

    def _switch(self) -> None:
        """Book time and memory on the phase in progress."""
        now, opened = time.perf_counter(), self._opened()
        opened.seconds += now - self._since
        opened.memory = max(opened.memory, self._memory.peak())
        self._since = now
        self._memory.restart()

    @contextmanager
    def _pausing(self) -> Iterator[None]:
        paused, self.paused = self.paused, True
        try:
            yield
        finally:
            self.paused = paused

    def _opened(self) -> _Open:
        return self._open.setdefault(self.current, _Open())

    def refresh(self) -> None:
        """Look which weights are trained."""
        for meter in self.meters:
            meter.refresh()

    # Totals

    def _own(self) -> Accounts:
        """This process's accounts since the run was started or resumed."""
        self._switch()
        if self.naive is not None:
            with self._pausing():
                self.naive.costs()
        return {phase: self._closed(phase, opened) for phase, opened in self._open.items()}

    def _closed(self, phase: str, opened: _Open) -> Account:
        account = Account(samples=opened.samples, seconds=opened.seconds, memory=opened.memory)
        for (profile, followed, has_tokens), calls in opened.calls.items():
            account.flops += profile.flops(calls.work, followed)
            useful = calls.useful.tolist() if isinstance(calls.useful, Tensor) else NOTHING
            account.useful_flops += profile.flops(Work(*useful), followed)
            if has_tokens:
                account.tokens_forward += calls.work.positions
                account.tokens_backward += calls.work.positions if followed else 0
        if opened.asked.actions == NOTHING and opened.asked.values == 0:
            account.naive_flops = account.flops  # nothing to be saved
        elif self.naive is not None:
            account.naive_flops = opened.asked.flops(self.naive.costs(), with_backward=phase == "update")
        return account

    def totals(self, world_size: int = 1) -> Accounts:
        """Accounts of all processes and of the run that was resumed; every process must call it."""
        together: Accounts = dict(self._before)
        processes: Accounts = {}
        for accounts in gather(self._own(), world_size):
            for phase, account in accounts.items():
                processes[phase] = processes[phase].beside(account) if phase in processes else account
        for phase, account in processes.items():
            together[phase] = account.after(together.get(phase, Account()))
        return {phase: together[phase] for phase in PHASES if phase in together}

    def metrics(self, world_size: int = 1) -> dict[str, float]:
        """The totals as they are logged; every process must call it."""
        return metrics_of(self.totals(world_size))

    # Checkpoints

    def state_dict(self, world_size: int = 1) -> dict[str, dict[str, float]]:
        """The totals, without asking the other processes: theirs are taken to be like this one's."""
        together = dict(self._before)
        for phase, account in self._own().items():
            alike = {
                name: value if name in ("seconds", "memory") else value * world_size
                for name, value in asdict(account).items()
            }
            together[phase] = Account(**alike).after(together.get(phase, Account()))
        return {phase: asdict(account) for phase, account in together.items()}

    def load_state_dict(self, state: dict[str, dict[str, float]]) -> None:
        """Go on from there; what was counted before is dropped."""
        self._before = {phase: Account(**account) for phase, account in state.items()}
        self._open = {}
        self._since = time.perf_counter()
