"""lm-eval's tasks: found by name, asked for their requests once, and scored with any of its language models.

::

    names --TaskManager--> rows of tasks --build--> requests --lm--> responses --process_results--> Scores of each row

A row is one line of the table: a task, or a group that lm-eval aggregates (mmlu), whose documents are then pooled.
"""

from __future__ import annotations

import difflib
import io
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import lm_eval
from lm_eval.evaluator_utils import get_sample_size
from lm_eval.tasks import TaskManager

from lightning_twosome.errors import UserError
from lightning_twosome.forgetting.comparison import Scores

SUITE = Path(__file__).parent / "suite"
# Where lm-eval keeps the tasks that are asked for most: its whole index takes ten seconds to read.
_FOLDERS = {
    "arc_easy": "arc", "arc_challenge": "arc", "hellaswag": "hellaswag", "piqa": "piqa", "boolq": "super_glue/boolq",
    "winogrande": "winogrande", "openbookqa": "openbookqa", "mmlu": "mmlu/default", "wikitext": "wikitext",
    "lambada_openai": "lambada",
}  # fmt: skip
# The metric of a task is the first of these that it has.
_METRICS = ("acc_norm", "acc", "exact_match", "byte_perplexity", "word_perplexity", "perplexity")
_SCORED = ("multiple_choice", "loglikelihood", "loglikelihood_rolling")
FEWSHOT_SEED = 1234  # that of lm-eval's command line
Task = Any


def load_tasks(names: Sequence[str], folder: str | Path | None = None) -> dict[str, list[Task]]:
    """The tasks of each row, their documents loaded.

    Args:
        names: Tasks, groups or tags of lm-eval, of the offline suite, or of ``folder``.
        folder: A folder of the user's own YAML tasks.

    Raises:
        UserError: A name is unknown or twice there, its documents cannot be had, or it has no score that can be
            compared.
    """
    if not names:
        raise UserError("tasks is empty: name at least one task of lm-eval, or 'home' for the offline suite.")
    manager = _manager(names, folder)
    rows: dict[str, list[Task]] = {}
    for name in names:
        for row, tasks in _load(manager, name).items():
            if row in rows:
                raise UserError(f"The task {row!r} is named twice in tasks: name it once.")
            rows[row] = tasks
    for task in (task for tasks in rows.values() for task in tasks):
        _check(task)
        task.set_fewshot_seed(FEWSHOT_SEED)
    return rows


def _manager(names: Sequence[str], folder: str | Path | None) -> TaskManager:
    """An index of the suite and the user's folder, with as much of lm-eval's own as the names need."""
    if folder is not None and not Path(folder).is_dir():
        raise UserError(f"task_folder={str(folder)!r} is no folder: give one that holds lm-eval's YAML files.")
    own = [SUITE] if folder is None else [SUITE, Path(folder)]
    theirs = Path(lm_eval.__file__).parent / "tasks"
    with quiet():
        manager = TaskManager(include_path=own, include_defaults=False)
        missing = [name for name in names if name not in manager.all_tasks]
        if not missing:
            return manager
        if all((theirs / _FOLDERS.get(name, "-")).is_dir() for name in missing):
            own = [*sorted({theirs / _FOLDERS[name] for name in missing}), *own]
            return TaskManager(include_path=own, include_defaults=False)
        return TaskManager(include_path=own)


def _load(manager: TaskManager, name: str) -> dict[str, list[Task]]:
    if name not in manager.all_tasks:
        nearest = difflib.get_close_matches(name, manager.all_tasks, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else "see lm_eval ls tasks, or set task_folder."
        raise UserError(f"The task {name!r} is unknown to lm-eval; {hint}")
    try:
        with quiet():
            found = manager.load([name])
    except ConnectionError as error:
        raise UserError(
            f"The documents of task {name!r} are neither in the datasets cache nor can be downloaded: run "
            f"'python -m lightning_twosome.forgetting.download {name}' once with a network, or use the offline suite "
            "(tasks: [home])."
        ) from error
    group = found.get("groups", {}).get(name)
    if group is not None and group.has_aggregation:
        return {name: list(found["tasks"].values())}
    return {task_name: [task] for task_name, task in found["tasks"].items()}


def _check(task: Task) -> None:
    if task.OUTPUT_TYPE not in _SCORED:
        raise UserError(
            f"The task {task.task_name!r} lets the model write ({task.OUTPUT_TYPE}), which is not scored here: choose "
            f"tasks of type {', '.join(_SCORED)}."
        )
    offered = list(task.aggregation())
    if not set(offered) & set(_METRICS):
        raise UserError(
            f"The task {task.task_name!r} has the metrics {', '.join(offered)}, none of which can be compared document "
            f"by document: choose a task with one of {', '.join(_METRICS)}."
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Without lm-eval's progress bars and notices."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


class Suite:
    """The requests of rows of tasks, built once, to be answered as often as wanted.

    Args:
        rows: From :func:`load_tasks`.
        limit: First documents of each task; a number below 1 is a share of them; ``None`` for all.

    Raises:
        UserError: The limit leaves a row one document.
    """

    def __init__(self, rows: Mapping[str, Sequence[Task]], limit: float | None = None) -> None:
        self.rows = rows
        with quiet():
            for task in self._tasks():
                task.build_all_requests(limit=get_sample_size(task, limit))
        for name, tasks in rows.items():
            if sum(len({instance.doc_id for instance in task.instances}) for task in tasks) < 2:
                raise UserError(f"limit={limit} leaves task {name!r} one document, which has no error: give more.")

    def _tasks(self) -> list[Task]:
        return [task for tasks in self.rows.values() for task in tasks]

    def scores(self, lm: Any) -> dict[str, Scores]:
        """What ``lm``, a language model of lm-eval, gets on each document of each row."""
        instances = [instance for task in self._tasks() for instance in task.instances]
        by_type = defaultdict(list)
        for instance in instances:
            by_type[instance.request_type].append(instance)
        for request_type, asked in by_type.items():
            for instance, response in zip(asked, getattr(lm, request_type)(asked), strict=True):
                instance.resps, instance.filtered_resps = [response], {}
        return {row: self._row(tasks) for row, tasks in self.rows.items()}

    def _row(self, tasks: Sequence[Task]) -> Scores:
        metric = next(name for name in _METRICS if name in tasks[0].aggregation())
        items = [item for task in tasks for item in document_metrics(task, metric)]
        pairs = [item if isinstance(item, tuple) else (item, 1.0) for item in items]
        return Scores(metric, tuple(float(value) for value, _ in pairs), tuple(float(weight) for _, weight in pairs))


def document_metrics(task: Task, metric: str) -> list[Any]:
    """A metric of every document, as the task takes it from the responses: a number, or a number and its weight."""
    task.apply_filters()
    by_document = defaultdict(list)
    for instance in task.instances:
        by_document[instance.doc_id].append(instance)
    kept = next(iter(task.instances[0].filtered_resps))
    results = []
    for instances in by_document.values():
        instances.sort(key=lambda instance: instance.idx)
        responses = [instance.filtered_resps[kept] for instance in instances]
        results.append(task.process_results(instances[0].doc, responses)[metric])
    return results
