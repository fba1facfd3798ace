"""Lightning's Trainer with the commands of this package that take a module and its data."""

from __future__ import annotations

from pathlib import Path

import lightning as L

from lightning_twosome.data import RolloutDataModule
from lightning_twosome.envs.check import inspect_text_env
from lightning_twosome.errors import UserError
from lightning_twosome.export import export_checkpoint
from lightning_twosome.hub import push_folder
from lightning_twosome.language_model import LanguageModelConfig, load_tokenizer
from lightning_twosome.modules import OnPolicyModule


class TwosomeTrainer(L.Trainer):
    """Lightning's Trainer with the subcommands ``export`` and ``check``."""

    def export(
        self,
        model: OnPolicyModule,
        datamodule: RolloutDataModule,
        ckpt_path: str | None = None,
        output: str = "exported",
        merge: bool = False,
        licence: str | None = None,
        push_to_hub: str | None = None,
        private: bool = True,
    ) -> None:
        """Write a checkpoint as a PEFT folder or a merged model with tokenizer, critic and model card.

        Args:
            model: The module to load the checkpoint into.
            datamodule: Names the environment in the model card.
            ckpt_path: The checkpoint: a file, or "last" or "best" for that of the last run.
            output: The folder to write.
            merge: Add the adapter to the weights and write a whole model, which needs neither peft nor the base model.
            licence: For the model card, as the hub names it ("apache-2.0"); the bundled model's is known.
            push_to_hub: Upload the folder to this repository, owner/name, as the account of `hf auth login`.
            private: Whether a repository that is made for it is private.
        """
        if ckpt_path is None:
            raise UserError("export needs --ckpt_path: a checkpoint, or 'last' or 'best' for that of the last run.")
        folder = export_checkpoint(model, datamodule, Path(ckpt_path), Path(output), merge, licence)
        print(f'Exported to {folder}; load it with TwosomeAgent.from_pretrained("{folder}").')
        if push_to_hub is not None:
            print(f"Uploaded: {push_folder(folder, push_to_hub, private)}")

    def check(
        self, model: OnPolicyModule, datamodule: RolloutDataModule, episodes: int = 8, max_decisions: int = 1000
    ) -> None:
        """Play random episodes in the environment and hold them against what training relies on.

        Args:
            model: Names the language model, whose tokenizer reads the texts; its weights are not loaded.
            datamodule: Names the environment, or the environments of a mixture.
            episodes: Episodes to play in each, each of them twice.
            max_decisions: Decisions after which an episode must have ended.
        """
        language_model = LanguageModelConfig.of(getattr(model, "language_model_config", "bundled"))
        tokenizer, context = load_tokenizer(language_model.name, language_model.revision)
        unready = []
        for task in datamodule.tasks:
            report = inspect_text_env(task.make(), tokenizer, context, episodes, max_decisions)
            print(report)
            unready += [report.name] if report.findings else []
        if unready:
            raise UserError(f"not ready for training, see the findings above: {', '.join(unready)}")
