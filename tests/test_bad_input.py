"""Bad input: a table of mistakes, each of which is one sentence on stderr and exit code 2, before any long work.

The sentence names the thing, the value and the way out. A row has an id, a command line and pieces of the sentence; in
both ``@`` is the folder of :mod:`tests.bad_files`. Rows of ``FIT`` follow ``fit --config @/quick.yaml``; ``model`` and
``household`` in them stand for the options of ``SHORT``.
"""

# ruff: noqa: E501  a row of the table is one line
from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lightning_twosome import ActionScorer, Decision, language_model, load_language_model
from lightning_twosome.cli_errors import one_sentence
from tests.bad_environments import Unicode
from tests.bad_files import make_bad_files, spec
from tests.bad_studies import STUDIES
from tests.cli_runs import ROOT, rows, run
from tests.naive_scoring import naive_table

ENDS = spec("Raising", where="step", how="end")
HUGE = " ".join(["corridor"] * 600)

# fmt: off
FIT = [
    # names
    ("option-group", "--modle.gamma 1", "modle.gamma is not known; did you mean 'model.gamma'?"),
    ("option-trainer", "--trainer.max_epochz 1", "trainer.max_epochz is not known; did you mean 'trainer.max_epochs'?"),
    ("option-model", "--model.actor_rate 1", "model.actor_rate is not known; did you mean 'actor_lr'?"),
    ("option-data", "--data.num_env 1", "data.num_env is not known; did you mean 'num_envs'?"),
    ("option-language-model", "--model.language_model.nam x", "model.language_model.nam is not known; did you mean 'name'?"),
    ("option-environment", "--data.env.init_args.lenght 3", "data.env.lenght is not known; did you mean 'length'?"),
    ("option-lora", "--model.language_model.lora.rank 3", "lora has no field 'rank': did you mean 'r'"),
    ("option-far-off", "--quantum 1", "quantum is not known; --help lists the options"),
    ("loose-word", "tomatoes", "'tomatoes' is not expected here: options begin with two hyphens"),
    ("one-hyphen", "-x", "'-x' is not expected here: options begin with two hyphens"),
    ("option-without-value", "--seed_everything", "--seed_everything: expected one argument"),
    ("key-trainer", "--config @/trainer_key.yaml", "trainer.max_epoch is not known; did you mean 'trainer.max_epochs'?"),
    ("key-top", "--config @/top_key.yaml", "trianer.max_epochs is not known; did you mean 'trainer.max_epochs'?"),
    ("key-language-model", "--config @/lm_key.yaml", "model.language_model.dtyp is not known; did you mean 'dtype'?"),
    ("key-callback", "--config @/callback_key.yaml", "trainer.callbacks.total_steps is not known; did you mean 'total_env_steps'?"),
    ("key-init-args", "--config @/init_arg.yaml", "model.init_arg.gamma is not known; did you mean 'init_args'?"),
    ("key-task-of-mixture", "--config @/env_key.yaml", "data.env[0].wieght is not known; did you mean 'weight'?"),
    # types
    ("type-int", "--data.num_envs many", "data.num_envs: expected int, not 'many'"),
    ("type-whole", "--data.num_envs 2.5", "data.num_envs: expected int, not '2.5'"),
    ("type-float", "--model.actor_lr fast", "model.actor_lr: expected float, not 'fast'"),
    ("type-bool", "--model.anneal_lr maybe", "model.anneal_lr: expected bool, not 'maybe'"),
    ("type-list", "--model.critic_hidden 8", "model.critic_hidden: expected list, not '8'"),
    ("type-either", "--model.beta mean", "model.beta: expected float or one of 'mean_count', not 'mean'"),
    ("type-trainer", "--trainer.gradient_clip_val big", "trainer.gradient_clip_val: expected ", "float", "not 'big'"),
    ("type-seed", "--seed_everything abc", "seed_everything: expected bool or int, not 'abc'"),
    ("type-kwargs", "--data.env_kwargs 5", "data.env_kwargs: expected dict, not '5'"),
    ("type-environment", "--config @/env_type.yaml", "data.env.length: expected int, not 'far'"),
    ("type-callback", "--config @/callback_type.yaml", "callbacks.total_env_steps of EnvironmentBudget: expected int, not 'many'"),
    ("type-lora", "--config @/lora_type.yaml", "lora.r is 'many'; it must be a number of at least 1"),
    ("type-task-of-mixture", "--config @/env_words.yaml", "data.env[0] is 'twosome/TomatoSalad-v0'; each task is a mapping such as {env:"),
    ("no-model", "--config @/no_model.yaml", "model is missing: leave the key out for TwosomePPO, or name a class"),
    # values
    ("choice-critic", "--model.critic both", "model.critic: expected one of 'frozen', 'adapted', not 'both'"),
    ("choice-scoring", "--model.scoring fastest", "'fastest' is unknown: choose one of auto, tree, cache, duplicate"),
    ("choice-vectorization", "--data.vectorization threads", "data.vectorization: expected one of 'sync', 'async', not 'threads'"),
    ("choice-objective", "--model.objective best", "model.objective: expected one of 'twosome'"),
    ("range-lr", "--model.actor_lr -1", "model.actor_lr is -1.0; it must be at least 0"),
    ("range-gamma", "--model.gamma 1.5", "model.gamma is 1.5; it must be between 0 and 1"),
    ("range-nan", "--config @/nan.yaml", "model.gamma is nan; it must be between 0 and 1"),
    ("range-infinite", "--config @/infinite.yaml", "model.actor_lr is inf; it must be at least 0"),
    ("range-beta", "--model.beta -2", "model.beta is -2.0; it must be a positive number or 'mean_count'"),
    ("range-beta-infinite", "--config @/infinite_beta.yaml", "model.beta is inf; it must be a positive number"),
    ("range-critic", "--model.critic_hidden [0]", "model.critic_hidden is [0]; each layer must have a width of at least 1"),
    ("range-hidden", "--model lightning_twosome.SymbolicPPO --model.hidden [-3]", "model.hidden is [-3]; each layer must have a width of"),
    ("range-affordance", "--model lightning_twosome.SayCan --model.affordance_hidden [8,0]", "model.affordance_hidden is [8, 0]; each layer must"),
    ("range-window", "--model.return_window 0", "model.return_window is 0; it must be at least 1"),
    ("range-envs", "--data.num_envs 0", "data.num_envs is 0; it must be at least 1"),
    ("range-eval", "--data.eval_episodes 0", "data.eval_episodes is 0; it must be at least 1"),
    ("range-greedy", "--data.eval_greedy_episodes -1", "data.eval_greedy_episodes is -1; it must be at least 0"),
    ("range-minibatch", "--data.minibatch_size 0", "data.minibatch_size is 0; it must be at least 1"),
    ("range-data-seed", "--data.seed -3", "data.seed is -3; it must be between 0 and 4294967295"),
    ("range-seed", "--seed_everything -1", "seed_everything is -1; it must be between 0 and 4294967295"),
    ("range-budget", "--config @/callback_value.yaml", "EnvironmentBudget.total_env_steps is 0; it must be at least 1"),
    ("range-accumulate", "--trainer.accumulate_grad_batches 0", "trainer.accumulate_grad_batches is 0; it must be at least 1"),
    ("range-clip", "--trainer.gradient_clip_val -1", "trainer.gradient_clip_val is -1", "it must be at least 0"),
    ("range-evaluations", "--trainer.check_val_every_n_epoch 0", "trainer.check_val_every_n_epoch is 0; it must be at"),
    ("range-epochs", "--trainer.max_epochs -5", "`max_epochs` must be a non-negative integer or -1. You passed in -5"),
    ("trainer-time", "--trainer.max_time soon", "`Timer(duration='soon')` is not a valid duration"),
    ("trainer-strategy", "--trainer.strategy fsdpp", "trainer.strategy is 'fsdpp', which is unknown; did you mean 'fsdp'?"),
    ("trainer-accelerator", "--trainer.accelerator tup", "trainer: You selected an invalid accelerator name"),
    ("trainer-processes", "--trainer.devices 9999", "trainer.devices is 9999, which on CPU starts as many processes"),
    # what does not go together
    ("minibatch", "--data.minibatch_size 3", "data.minibatch_size=3 does not divide the rollout of num_envs * num_steps = 2 * 4 = 8"),
    ("no-adapter", "--config @/no_adapter.yaml", "critic='frozen' reads the model with its adapter off"),
    ("dropout", "--model.language_model.lora.lora_dropout 0.1", "share_work to false to train with dropout"),
    ("kwargs-of-a-class", "--data.env_kwargs.horizon 5", "data.env is the class Corridor, and env_kwargs={'horizon': 5} are for an id"),
    ("kwargs-of-a-mixture", "--data.env twosome/TomatoSalad-v0 --config @/env_list.yaml --data.env_kwargs.horizon 5", "is for one environment, and data.env is a list"),
    ("list-over-a-class", "--config @/env_list.yaml", "data.env is a list of tasks here and a class in an earlier config"),
    ("weight", "--data.env twosome/TomatoSalad-v0 --config @/env_weight.yaml", "has the weight 0.0; it must be a positive number"),
    ("same-name", "--data.env twosome/TomatoSalad-v0 --config @/env_twice.yaml", "data.env has two tasks named 'TomatoSalad-v0'; give each a name"),
    ("no-tasks", "--data.env []", "data.env is an empty list; give it at least one task, such as {env:"),
    ("no-test-tasks", "--data.test_tasks []", "data.test_tasks is an empty list; give it at least one task"),
    ("nothing-to-train", "--model lightning_twosome.ZeroShot", "ZeroShot has nothing to train: use validate, test or"),
    # files
    ("config-missing", "--config @/nothing.yaml", "nothing.yaml' does not exist: give the path of a YAML file"),
    ("config-misspelt", "--config @/quikc.yaml", "quikc.yaml' does not exist; did you mean '@/quick.yaml'?"),
    ("config-folder", "--config @/model", "model' is a folder: name the YAML file in it"),
    ("config-empty", "--config @/empty.yaml", "empty.yaml' is empty; it must hold keys such as model, data and trainer"),
    ("config-broken", "--config @/broken.yaml", "broken.yaml' is no YAML in line 2, column 1: expected ',' or ']'"),
    ("config-tab", "--config @/tab.yaml", "tab.yaml' is no YAML in line 2, column 1: indent with spaces, not with a tab"),
    ("config-list", "--config @/list.yaml", "list.yaml' is a list; it must hold keys such as model, data and trainer"),
    ("config-words", "--config @/words.yaml", "words.yaml' is the single value 'train for long'; it must hold keys"),
    ("config-binary", "--config @/binary.yaml", "binary.yaml' is no text: name a YAML file"),
    ("config-latin", "--config @/latin.yaml", "latin.yaml' is no UTF-8 text: name a YAML file, or save it as UTF-8"),
    ("config-twice", "--config @/twice.yaml", "twice.yaml' has the key 'trainer' twice, again in line 2: keep one"),
    ("config-code", "--config @/code.yaml", "has the tag !!python/object/apply:os.mkdir in line 1, which could run code"),
    ("config-nothing", "--config", "--config: expected one argument"),
    ("run-dir-file", "--run_dir @/quick.yaml", "quick.yaml' is a file; name a folder"),
    ("run-dir-in-a-file", "--run_dir @/quick.yaml/x", "quick.yaml/x' cannot be made (Not a directory): name a folder that"),
    ("run-dir-empty", "--run_dir=", "run_dir is empty: give it a value, or leave it out"),
    # environments: ids and classes
    ("env-misspelt", "--data.env twosome/TomatoSald-v0", "'twosome/TomatoSald-v0' is not registered; did you mean 'twosome/TomatoSalad-v0'?"),
    ("env-without-namespace", "--data.env tomatosalad", "'tomatosalad' is not registered; did you mean 'twosome/TomatoSalad-v0'?"),
    ("env-far-off", "--data.env nothing/here-v0", "'nothing/here-v0' is not registered: give a registered id, such as"),
    ("env-empty", "--data.env=", "data.env is empty: give a gymnasium id, such as twosome/TomatoSalad-v0, or a class"),
    ("env-module", "--data.env no_module:Foo-v0", "'no_module:Foo-v0' needs the module 'no_module', which cannot be"),
    ("env-class-as-id", "--data.env tests.toys.Corridor", "a class is given as {class_path: tests.toys.Corridor}"),
    ("env-class", "--data.env '{class_path: tests.toys.Corridr}'", "data.env: module 'tests.toys' has no attribute 'Corridr'; did you mean 'Corridor'?"),
    ("env-class-module", "--data.env '{class_path: no_module.Env}'", "data.env: no module no_module can be imported: check class_path"),
    ("env-class-wrong", "--data.env '{class_path: builtins.int}'", "data.env: builtins.int is no Env"),
    ("env-kwargs", "--data.env twosome/TomatoSalad-v0 --data.env_kwargs.promt_style x", "does not take env_kwargs={'promt_style': 'x'}", "did you mean 'prompt_style'"),
    ("env-style", "--data.env twosome/TomatoSalad-v0 --data.env_kwargs.prompt_style x", "the kitchen has no prompt_style 'x': use one of second_person"),
    ("env-task", "--data.env twosome/FoodPreparation-v0 --data.env_kwargs.task pizza", "there is no household task 'pizza'; did you mean 'Pizza'?"),
    # environments: what they do
    ("env-no-text", "--data.env CartPole-v1", "Environment 'CartPole-v1' gave an observation of type ndarray; it must be the prompt"),
    ("env-unmade", spec("Unmade"), "'Unmade' cannot be made, it raised KeyError: 'kitchen.json'; --debug shows where"),
    ("env-no-actions", spec("Bad", actions=[]), "Environment 'Bad' gave info['actions'] = []; it must be a non-empty"),
    ("env-one-string", spec("Bad", actions="go"), "gave info['actions'] = 'go'; it must be a non-empty tuple of str"),
    ("env-numbers", spec("Bad", actions=[1, 2]), "The action 1 of the prompt", "is a int: actions are texts (str)"),
    ("env-duplicate", spec("Bad", actions=["go", "go"]), "The action 'go' of the prompt", "is offered twice: offer each text once"),
    ("env-blank", spec("Bad", actions=[" go"]), "The action ' go' of the prompt", "without blanks around it: strip it"),
    ("env-empty-action", spec("Bad", actions=[""]), "The action '' of the prompt", "must be text"),
    ("env-empty-prompt", spec("Bad", prompt=""), "leaves no token before the action", "give the environment a prompt"),
    ("env-huge-prompt", spec("Bad", prompt=HUGE), "tokens, more than the model's context of 512: shorten the text"),
    ("env-huge-action", spec("Bad", actions=["go", HUGE]), "tokens, more than the model's context of 512: shorten"),
    ("env-duration", spec("Bad", info={"duration": -1}, when=1), "reported info['duration'] = -1; it must be an int of at least 0"),
    ("env-step-rewards", spec("Bad", info={"step_rewards": [1, 2, 3, 4]}, when=1), "reported 4 info['step_rewards'] for"),
    ("env-player", spec("Bad", info={"player": -1}), "reported info['player'] = -1; it must be an int of at least 0"),
    ("env-task-name", spec("Bad", info={"task": ""}), "reported info['task'] = ''; it must be a non-empty str"),
    ("env-restatement", spec("Bad", info={"restatement": "x"}), "info['restatement'] = 'x'; it must be a pair of a"),
    ("env-reward-nan", spec("Rewarding", reward=float("nan")), "gave the reward nan; it must be a finite number"),
    ("env-reward-text", spec("Rewarding", reward="much"), "gave the reward 'much'; it must be a finite number"),
    ("env-old-step", spec("OldStep"), "gave 4 values in step; it must be the 5 of gymnasium: prompt, reward, terminated"),
    ("env-reset-raises", spec("Raising", where="reset"), "'Raising' raised KeyError: 'bowl'; it was environment 0 after reset(seed=0)"),
    ("env-step-raises", spec("Raising", where="step"), "'Raising' raised KeyError: 'bowl'", "and the actions ["),
    ("env-exits", spec("Raising", where="step", how="exit"), "'Raising' raised SystemExit: no licence"),
    ("env-ends-process", spec("Raising", where="step", how="end") + " --data.vectorization async", "The process of environment 'Raising' ended by itself with code 3"),
    # household tasks of one's own
    ("task-name", "household @/lamps_word.yaml", "has the unknown 'Lamp switched on' in goal; did you mean 'lamp switched on'?"),
    ("task-key", "household @/lamps_key.yaml", "lamps_key.yaml lacks the key 'horizon'"),
    ("task-start", "household @/lamps_start.yaml", "starts in 'Kitchen', which is no room; did you mean 'kitchen'?"),
    ("task-contradiction", "household @/lamps_both.yaml", "has 'box open' and 'box closed' in goal, which cannot both hold"),
    ("task-unreachable", "household @/lamps_never.yaml", "'lamps' has no way to its goal from here: check its goal"),
    ("task-too-long", "household @/lamps_late.yaml", "'lamps' needs 2 decisions at least, and its horizon is 1: raise"),
    ("task-missing", "household @/lamp.yaml", "there is no household task '@/lamp.yaml': give the path of a YAML file"),
    # classes
    ("class-callback", "--config @/callback_class.yaml", "has no attribute 'LearnCurve'; did you mean 'LearningCurve'?"),
    ("class-model", "--model lightning_twosome.TwosomePPOO", "has no attribute 'TwosomePPOO'; did you mean 'TwosomePPO'?"),
    ("class-alone", "--model twosomeppo", "no class can be imported from 'twosomeppo'; did you mean 'lightning_twosome.TwosomePPO'?"),
    ("class-no-model", "--model tests.toys.Corridor", "model: tests.toys.Corridor is no OnPolicyModule"),
    # language models
    ("model-offline", "model nobody/nothing", "model 'nobody/nothing' is no folder here and not in the hub's cache"),
    ("model-folder", "model @/modle", "modle' does not exist; did you mean '@/model'?"),
    ("model-file", "model @/quick.yaml", "quick.yaml' is a file: give the folder that holds its config.json"),
    ("model-bundled", "model Bundeld", "model 'Bundeld' is no folder here; did you mean 'bundled'?"),
    ("model-empty", "--model.language_model.name=", "the model's name is empty: give 'bundled', a local folder or a hub"),
    ("model-no-config", "model @/silent", "silent' has no config.json"),
    ("model-no-json", "model @/no-json", "no-json/config.json is not valid JSON: download or export the model again"),
    ("model-no-weights", "model @/weightless", "weightless' has no model.safetensors"),
    ("model-cut", "model @/cut", "cut/model.safetensors is damaged or cut short"),
    ("model-pickle", "model @/pickled", "holds its weights as pytorch_model.bin, a format that can run code when it is"),
    ("model-encoder", "model @/encoder", "is no causal language model (type 'bert', an encoder): choose a decoder such"),
    ("model-future", "model @/future", "cannot read the config of model", "of type 'llama9': upgrade transformers"),
    ("model-code", "model @/coded", "needs code from its repository, which is never run here: choose a model whose"),
    ("model-no-tokenizer", "model @/wordless", "has no tokenizer: its folder", "needs a tokenizer.json"),
    ("model-tokenizer", "model @/garbled", "the tokenizer of model", "cannot be loaded"),
    ("adapter-gone", "model @/orphan --config @/bare.yaml", "gone' does not exist: give one that does"),
    ("adapter-baseless", "model @/baseless --config @/bare.yaml", "names no base model in its adapter_config.json"),
    ("adapter-fields", "model @/adapter", "adapter' is an adapter with LoRA fields of its own: leave lora out"),
    ("dtype", "--model.language_model.dtype float99", "dtype 'float99' is unknown: choose 'float32', 'bfloat16'"),
    ("attention", "--model.language_model.attn_implementation flash_attention_2", "attn_implementation 'flash_attention_2' takes no custom mask"),
    ("quantization", "--model.language_model.quantization 8bit", "quantization '8bit' is unknown: choose '4bit' or leave"),
    ("lora-rank", "--model.language_model.lora.r 0", "lora.r is 0; it must be a number of at least 1"),
    # checkpoints
    ("ckpt-missing", "--ckpt_path nothing.ckpt", "ckpt_path='nothing.ckpt' does not exist: name a .ckpt file"),
    ("ckpt-folder", "--ckpt_path @", "is a folder: name a .ckpt file, which a run keeps in RUN_DIR/checkpoints, or 'last'"),
    ("ckpt-nothing", "--ckpt_path=", "ckpt_path is empty: give it a value, or leave it out"),
    ("ckpt-cut", "--ckpt_path @/cut.ckpt", "cut.ckpt' cannot be read safely"),
    ("ckpt-empty", "--ckpt_path @/empty.ckpt", "empty.ckpt' cannot be read safely"),
    ("ckpt-hostile", "--ckpt_path @/hostile.ckpt", "hostile.ckpt' cannot be read safely (UnpicklingError)"),
    ("ckpt-text", "--ckpt_path @/quick.yaml", "quick.yaml' cannot be read safely"),
    ("ckpt-other-file", "--ckpt_path @/other.ckpt", "other.ckpt' holds no state_dict; it is no checkpoint of a run"),
    ("ckpt-no-best", "--ckpt_path best --run_dir @/only-last", "ckpt_path='best' finds no checkpoint in", "use --ckpt_path last"),
    ("ckpt-class", "--ckpt_path @/class.ckpt", "was written by lightning_twosome.modules.OnPolicyModule, but model.class_path is"),
    ("ckpt-version", "--ckpt_path @/later.ckpt", "has the setting foresight=2.0, which", "use the version of lightning-twosome that wrote it"),
    ("ckpt-lr", "--ckpt_path @/good.ckpt --model.actor_lr 3", "--model.actor_lr 3.0 would have no effect"),
    ("ckpt-beta", "--ckpt_path @/good.ckpt --model.beta 3", "--model.beta 3.0 would have no effect"),
    # lm-eval
    ("lm-eval-task", "--config @/forgetting_task.yaml", "The task 'hellaswagg' is unknown to lm-eval; did you mean 'hellaswag'?"),
    ("lm-eval-offline", "--config @/forgetting_offline.yaml", "The documents of task 'piqa' are neither in the datasets cache nor can be downloaded"),
]
# Seen only once the weights are there.
WITH_WEIGHTS = [
    ("no-memory", "--model.critic_hidden [9999999999999]", "there is not enough memory on this machine for"),
    ("frozen-layers", "--model.frozen_layers 99", "frozen_layers=99 leaves nothing to remember or nothing to train: choose 1 to 1"),
    ("lora-target", "--model.language_model.lora '{target_modules: [nothing]}'", "lora: Target modules {'nothing'} not found"),
    ("model-lacking", "model @/lacking", "lack 1 tensors of its config.json, the first being"),
    ("model-other-tokenizer", "model @/larger", "has token 'tomatoes199' with id", "use the tokenizer the model was trained with"),
    ("adapter-base", "model @/adapter --config @/bare.yaml", "adapter' does not fit its base model"),
    ("ckpt-critic", "--ckpt_path @/good.ckpt --model.critic_hidden [3]", "trainable weights are not this model's"),
    ("ckpt-model", "--ckpt_path @/good.ckpt model @/wide", "trainable weights are not this model's"),
    ("ckpt-environments", "--ckpt_path @/good.ckpt --data.num_envs 1", "set data.num_envs=2"),
    ("ckpt-task", "--ckpt_path @/good.ckpt --data.env twosome/TomatoSalad-v0", "Environment 0 does not come back to where the checkpoint left it"),
]
OTHER = [
    ("nothing", "", "The command line begins with a subcommand: one of fit, validate, test, predict, export, check, play"),
    ("subcommand", "repot @/run", "There is no subcommand 'repot'; did you mean 'report'?"),
    ("subcommand-far-off", "optimise", "There is no subcommand 'optimise': use one of fit, validate"),
    ("subcommand-late", "--config @/quick.yaml fit", "The command line begins with a subcommand: one of fit"),
    ("fit-nothing", "fit", "data.env is missing: name an environment, as in --data.env twosome/TomatoSalad-v0"),
    ("validate-no-checkpoint", "validate --config @/quick.yaml --run_dir @/none --ckpt_path last", "ckpt_path='last' finds no checkpoint in '@/none': train first"),
    ("validate-gamma", "validate --config @/quick.yaml --model lightning_twosome.ZeroShot --model.gamma 7", "model.gamma is 7.0; it must be between 0 and 1"),
    ("validate-budget", "validate --config @/quick.yaml --model lightning_twosome.ZeroShot --model.token_budget 0", "model.token_budget is 0; it must be"),
    ("validate-affordance", "validate --config @/quick.yaml --model lightning_twosome.SayCan --model.affordance learned", "SayCan with model.affordance=learned has not learned it yet: train it by fit and name the checkpoint"),
    ("validate-no-best", "validate --config @/quick.yaml --run_dir @/only-last --ckpt_path best", "but there is one of the name 'last': use --ckpt_path last"),
    ("predict-weights", "predict --config @/quick.yaml --ckpt_path @/model/model.safetensors", "it is no checkpoint of a run"),
    ("test-cut", "test --config @/quick.yaml --ckpt_path @/cut.ckpt", "cut.ckpt' cannot be read safely"),
    ("export-nothing", "export --config @/quick.yaml", "export needs --ckpt_path: a checkpoint, or 'last' or 'best'"),
    ("export-cut", "export --config @/quick.yaml --ckpt_path @/cut.ckpt", "cut.ckpt' cannot be read safely"),
    ("export-file", "export --config @/quick.yaml --ckpt_path @/good.ckpt --output @/quick.yaml", "output='@/quick.yaml' is a file; name a folder"),
    ("check-nothing", "check", "data.env is missing: name an environment"),
    ("check-env", "check --env twosome/Tomato-v0", "'twosome/Tomato-v0' is not registered"),
    ("check-loose", "check twosome/TomatoSalad-v0", "'twosome/TomatoSalad-v0' is not expected here: options begin with"),
    ("check-episodes", "check --env twosome/TomatoSalad-v0 --episodes 0", "episodes is 0; it must be at least 1"),
    ("check-model", "check --env twosome/TomatoSalad-v0 --model.language_model.name ./no", "model folder './no' does not"),
    ("play-nothing", "play", "agent is missing: name what is to play, as in --agent FOLDER"),
    ("play-option", "play --agnt x", "agnt is not known; did you mean 'agent'?"),
    ("play-agent", "play --agent nothing", "agent='nothing' does not exist: name an exported folder, its hub id, a .ckpt"),
    ("play-model", "play --agent @/model", "is no exported agent, since it has no twosome.json: write one with"),
    ("play-file", "play --agent @/quick.yaml", "quick.yaml' cannot be read safely"),
    ("play-env-unsaid", "play --agent @/good.ckpt", "does not say which environment it was trained in: give --env"),
    ("play-env", "play --agent @/good.ckpt --env twosome/TomatoSald-v0", "is not registered; did you mean 'twosome/Tom"),
    ("play-device", "play --agent @/good.ckpt --env twosome/TomatoSalad-v0 --device xpuu", "device='xpuu' cannot be used"),
    ("play-episodes", "play --agent @/good.ckpt --episodes 0", "episodes is 0; it must be at least 1"),
    ("play-seed", "play --agent @/good.ckpt --seed -1", "seed is -1; it must be between 0 and 4294967295"),
    ("play-run", "play --agent @/run", "run' has no checkpoint yet: train first"),
    ("report-nothing", "report", "runs is missing: name the folder of at least one run"),
    ("report-missing", "report nothing", "There is no run 'nothing': name the folder that `fit` printed"),
    ("report-outside", "report @", "holds no metrics.csv, but folders in it do: name those, as in @/run"),
    ("report-model", "report @/model", "holds no metrics.csv: no iteration of the run has ended, or it is no run's"),
    ("report-format", "report @/run --format pdf", "format: expected one of 'html', 'png', not 'pdf'"),
    ("report-output", "report @/run --output @/model", "is a folder; with format='html' name a file"),
    ("report-option", "report @/run --outpt x", "outpt is not known; did you mean 'output'?"),
    ("generalization-nothing", "generalization", "runs is missing: name the folder of at least one run"),
    ("generalization-untested", "generalization @/run", "has no test episodes (generalization_episodes.csv): run"),
    ("generalization-file", "generalization @/quick.yaml", "is no file of test episodes: name the run's folder"),
    ("generalization-option", "generalization @/run --outpt x", "outpt is not known; did you mean 'output'?"),
    *STUDIES,
]
# fmt: on
SHORT = {
    "model": ["--model.language_model.name"],
    "household": ["--data.env=twosome/FoodPreparation-v0", "--data.env_kwargs.task"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A quick config, a run with checkpoints, and files that are none."""
    return make_bad_files(tmp_path_factory.mktemp("bad"))


@pytest.fixture(autouse=True)
def away(tmp_path, monkeypatch):
    """Relative paths mean an empty folder."""
    monkeypatch.chdir(tmp_path)


def spec_of(name: str, **settings) -> str:
    """An environment, as one argument."""
    return shlex.split(spec(name, **settings))[0]


def arguments_of(row: str, folder: Path) -> list[str]:
    """The command line of a row."""
    words = shlex.split(row.replace("@", str(folder)))
    return [part for word in words for part in SHORT.get(word, [word])]


def fit(row: str, folder: Path) -> list[str]:
    """The command line of a row of ``FIT``."""
    short = ["--trainer.max_epochs", "2", "--trainer.limit_val_batches", "0"]
    start = ["fit", "--config", str(folder / "quick.yaml"), "--run_dir", str(folder / "failed")]
    return [*start, *short, *arguments_of(row, folder)]


def error_of(arguments: list[str], capsys) -> str:
    """The one sentence that a command line ends in."""
    capsys.readouterr()
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and captured.err.endswith(lines[0] + "\n")
    assert "Traceback" not in captured.err
    assert captured.out == ""
    return lines[0]


def assert_sentence(sentence: str, pieces: tuple[str, ...], folder: Path) -> None:
    """Every piece stands in it, and it is one sentence."""
    for piece in pieces:
        assert piece.replace("@", str(folder)) in sentence
    assert len(sentence) < 900


def cases(table) -> list:
    """A table's rows for pytest."""
    names = [name for name, *_ in table]
    assert len(set(names)) == len(names)
    return [pytest.param(arguments, tuple(pieces), id=name) for name, arguments, *pieces in table]


@pytest.fixture
def loaded(monkeypatch) -> list[str]:
    """Names of the models whose weights were loaded."""
    names: list[str] = []

    def load(folder, name, *arguments, load=language_model._load_model, **options):
        names.append(name)
        return load(folder, name, *arguments, **options)

    monkeypatch.setattr(language_model, "_load_model", load)
    return names


@pytest.mark.parametrize(("row", "pieces"), cases(FIT))
def test_mistake_that_shows_before_weights_are_loaded(row, pieces, folder, capsys, loaded):
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    assert_sentence(error_of(fit(row, folder), capsys), pieces, folder)
    assert not loaded
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before, "nothing is left behind"


@pytest.mark.parametrize(("row", "pieces"), cases(WITH_WEIGHTS))
def test_mistake_in_weights(row, pieces, folder, capsys):
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    assert_sentence(error_of(fit(row, folder), capsys), pieces, folder)
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before, "nothing is left behind"


@pytest.mark.parametrize(("row", "pieces"), cases(OTHER))
def test_mistake_of_other_subcommands(row, pieces, folder, capsys):
    assert_sentence(error_of(arguments_of(row, folder), capsys), pieces, folder)


def test_the_table_is_long_enough():
    assert len(FIT) + len(WITH_WEIGHTS) + len(OTHER) >= 80


# What must not fail


@pytest.mark.parametrize("name", ["tests.bad_environments.Unicode", "tests.toys.Corridor"])
def test_unicode_and_changing_numbers_of_actions_are_no_mistakes(name, folder, tmp_path):
    assert run(*fit(f"'--data.env={{class_path: {name}}}' --run_dir {tmp_path / 'run'}", folder)) == 0
    assert len(rows(tmp_path / "run", "loss/total")) == 2


def test_unicode_is_scored_as_plain_rows_score_it(folder):
    env = Unicode()
    env.reset(seed=0)
    decisions = [Decision(prompt, info["actions"]) for prompt, info in (env.reset(seed=seed) for seed in range(3))]
    loaded = load_language_model(str(folder / "model"))
    scorer = ActionScorer(loaded.model, loaded.tokenizer)
    with torch.no_grad():
        joint = scorer.score(decisions).log_prob
        torch.testing.assert_close(joint, naive_table(loaded.model, loaded.tokenizer, decisions), rtol=1e-4, atol=1e-4)


def test_which_checkpoint_is_taken_is_told(folder, caplog):
    with caplog.at_level("INFO", "lightning_twosome"):
        run("validate", "--config", folder / "quick.yaml", "--run_dir", folder / "only-last", "--ckpt_path", "last")
    assert f"Checkpoint {folder}/only-last/checkpoints/last.ckpt, 8 environment steps." in caplog.text


# Around the table


def test_a_check_names_what_is_wrong_and_nothing_else(capsys):
    assert run("check", spec_of("Rewarding", reward=float("nan"))) == 2
    out, err = capsys.readouterr()
    assert "finding: reward: the reward is nan" in out and "finding: seed" not in out
    assert err == "error: not ready for training, see the findings above: Rewarding\n"
    assert run("check", spec_of("Unseeded")) == 2
    assert "finding: seed: the prompt was" in capsys.readouterr().out
    assert run("check", "--env", "CartPole-v1", "--episodes", 1) == 2
    out = capsys.readouterr().out
    assert "no state could be read as tokens" in out and "at most 0" not in out


def test_hostile_files_run_nothing(folder, capsys):
    for row in ("--ckpt_path @/hostile.ckpt", "--config @/code.yaml", "model @/pickled"):
        error_of(fit(row, folder), capsys)
    error_of(["play", "--agent", str(folder / "hostile.ckpt")], capsys)
    assert not os.path.exists("hostile-was-here")
    torch.load(folder / "hostile.ckpt", weights_only=False)  # a careless reader would have
    assert os.path.isdir("hostile-was-here")


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["fit", "--config", "@/quick.yaml", "--data.minibatch_size", "3"], "does not divide"),
        (["export", "--config", "@/quick.yaml"], "export needs"),
        (["check", "--env", "CartPole-v1", "--episodes", "0"], "episodes is 0"),
        (["play", "--agent", "nothing"], "does not exist"),
        (["report", "nothing"], "There is no run"),
        (["generalization", "@/run"], "has no test episodes"),
        (["study", "nothing.yaml"], "does not exist"),
        (["repot"], "There is no subcommand"),
    ],
)
def test_debug_shows_the_traceback(arguments, kind, folder):
    with pytest.raises(ValueError, match=kind):  # of which a UserError is one; jsonargparse wraps some
        run(*(argument.replace("@", str(folder)) for argument in arguments), "--debug")


def test_a_bug_keeps_its_traceback(folder, monkeypatch, tmp_path):
    monkeypatch.setattr("lightning_twosome.data.RolloutDataModule.collect", lambda self: int("bug"))
    with pytest.raises(ValueError, match="invalid literal"):
        run(*fit(f"--run_dir {tmp_path / 'bug'}", folder))


def test_one_sentence_of_a_message_without_a_tree():
    assert one_sentence(ValueError("two\n  lines")) == "two lines"


PROGRAM = [
    ("env-misspelt", "fit --config @/quick.yaml --data.env twosome/TomatoSald-v0", "did you mean"),
    ("ckpt-hostile", "validate --config @/quick.yaml --ckpt_path @/hostile.ckpt", "cannot be read safely"),
]
PROGRAM_SLOW = [
    ("subcommand", "repot @/run", "did you mean 'report'?"),
    ("report-missing", "report nothing", "There is no run 'nothing'"),
    ("env-ends-process", f"fit --config @/quick.yaml --data.vectorization async {ENDS}", "ended by itself with code 3"),
]


def assert_program_says(row: str, piece: str, folder: Path, where: Path) -> None:
    """The program in a process of its own: nothing but the sentence after what was decided, and exit code 2."""
    command = [sys.executable, str(ROOT / "cli.py"), *arguments_of(row, folder), "--run_dir", str(where / "run")]
    if row.startswith("re"):
        command = command[:-2]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=where, env=environment)
    assert done.returncode == 2, done.stderr
    *before, last = done.stderr.splitlines()
    assert last.startswith("error: ") and piece in last
    assert all(line.startswith(("Seed ", "Checkpoint ")) for line in before) and done.stdout == ""
    assert not list(where.iterdir())


@pytest.mark.parametrize(("row", "pieces"), cases(PROGRAM))
def test_program(row, pieces, folder, tmp_path):
    assert_program_says(row, *pieces, folder, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("row", "pieces"), cases(PROGRAM_SLOW))
def test_program_more(row, pieces, folder, tmp_path):
    assert_program_says(row, *pieces, folder, tmp_path)


def test_every_heading_of_the_troubleshooting_page_is_a_sentence_of_the_table():
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    headings = [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")]
    said = [piece for table in (FIT, WITH_WEIGHTS, OTHER) for _, _, *pieces in table for piece in pieces]
    assert len(headings) >= 25
    assert [heading for heading in headings if not any(heading in piece for piece in said)] == []
