"""Rows of the table in :mod:`tests.test_bad_input` about studies; tests/test_study_input.py has more of their file."""

# ruff: noqa: E501  a row of the table is one line
from __future__ import annotations

# fmt: off
STUDIES = [
    ("study-nothing", "study", "study is missing: name the study's YAML file"),
    ("study-missing", "study nothing.yaml", "The study 'nothing.yaml' does not exist: give the path of a YAML file"),
    ("study-binary", "study @/good.ckpt", "good.ckpt' is no UTF-8 text: name a YAML file"),
    ("study-config-file", "study @/quick.yaml", "tasks is missing; a study needs tasks, methods and seeds"),
    ("study-key", "study @/study_key.yaml", "seeds is missing; a study needs tasks, methods and seeds"),
    ("study-method", "study @/study_method.yaml", "methods.ppo.confgs is not known; did you mean 'configs'?"),
    ("study-config", "study @/study_config.yaml", "The config 'tomato_sald.yaml' is neither in"),
    ("study-seeds", "study @/study_seeds.yaml", "seeds has a seed twice: [0, 0]"),
    ("study-seed", "study @/study_seed.yaml", "seeds is -1; it must be between 0 and 4294967295"),
    ("study-seed-flag", "study @/study.yaml --seeds 0 7", "--seeds names 7, which is not in the study; it has 0"),
    ("study-twice", "study @/study_twice.yaml", "study_twice.yaml' has the key 'seeds' twice, again in line 4"),
    ("study-list", "study @/list.yaml", "list.yaml' is a list; it must hold keys such as tasks, methods and seeds"),
    ("study-threshold", "study @/study_threshold.yaml", "threshold.metric is 'val/succes'; it must be one of val/return"),
    ("study-processes", "study @/study.yaml --processes 999", "--processes is 999, which on CPU starts as many processes"),
    ("study-x", "study @/study.yaml --x nonsense", "--x is 'nonsense'; it must be one of env_steps"),
    ("study-report", "study @/study.yaml --report --processes 1", "all cells that are done: leave --processes out"),
    ("study-reuse", "study @/study.yaml --reuse @/model", "model', which has no cells of a study that are done: give a"),
    ("study-flag", "study @/study.yaml --seeds one", "--seeds: invalid int value: 'one'"),
    ("study-only", "study @/study.yaml --only ddpg", "--only names 'ddpg', which is not in the study; it has ppo"),
]
# fmt: on
