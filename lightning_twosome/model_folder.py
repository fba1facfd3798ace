"""From a model's name to a folder whose safetensors files are whole.

    "bundled"  -> the package's own model
    a folder   -> itself
    owner/name -> a snapshot in the hub's cache, downloaded if need be

Every later step reads a local folder, so that a hub model fails with the same words as a folder does.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any, NamedTuple

import huggingface_hub.constants
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError, safe_open

from lightning_twosome.errors import UserError

# What a causal LM, an adapter or an agent needs, from the repository's root alone; never pickles, never code.
_HUB_FILES = [
    "*.json",
    "*.jinja",
    "*.model",
    "*.tiktoken",
    "merges.txt",
    "vocab.txt",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "adapter_model.safetensors",
    "critic.safetensors",  # of an exported agent
]
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")


def bundled_path() -> Path:
    """The folder of the language model that ships with the package."""
    return Path(__file__).with_name("bundled")


class ModelFolder(NamedTuple):
    """A model on this machine.

    Attributes:
        path: The folder with its files.
        source: What an export names as its origin: the hub id, or the folder's full path.
        revision: The commit hash of a hub id; for a folder the revision as given.
    """

    path: Path
    source: str
    revision: str | None


def find_model_folder(name: str, revision: str | None = None) -> ModelFolder:
    """The local folder of a model.

    Args:
        name: "bundled", a local folder, or a hub id.
        revision: Branch, tag or commit of a hub id; noted and otherwise without effect for a folder.
    """
    if not name.strip():
        raise UserError("the model's name is empty: give 'bundled', a local folder or a hub id of the form owner/name")
    folder = bundled_path() if name == "bundled" else Path(name).expanduser()
    if folder.is_dir():
        return ModelFolder(folder, str(folder.resolve()), revision)
    if folder.exists():
        raise UserError(f"model {name!r} is a file: give the folder that holds its config.json")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(f"model folder {name!r} does not exist{_nearest_folder(folder)}")
    if difflib.get_close_matches(name.lower(), ["bundled"], cutoff=0.8):
        raise UserError(f"model {name!r} is no folder here; did you mean 'bundled'?")
    snapshot = _download(name, revision)
    return ModelFolder(snapshot, name, snapshot.name)


def _nearest_folder(folder: Path) -> str:
    """The folder beside it whose name is nearest."""
    beside = [other.name for other in folder.parent.iterdir() if other.is_dir()] if folder.parent.is_dir() else []
    nearest = difflib.get_close_matches(folder.name, beside, n=1, cutoff=0.75)
    return f"; did you mean {str(folder.parent / nearest[0])!r}?" if nearest else ": give one that does, or a hub id"


def _download(name: str, revision: str | None) -> Path:
    """The hub's snapshot of ``name``, from the cache where it is complete."""
    files: dict[str, Any] = {"allow_patterns": _HUB_FILES, "ignore_patterns": ["*/*"]}
    files["local_files_only"] = huggingface_hub.constants.HF_HUB_OFFLINE  # some versions ask the hub all the same
    try:
        return Path(snapshot_download(name, revision=revision, **files))
    except HFValidationError as error:
        raise UserError(
            f"model {name!r} is neither 'bundled', nor a folder, nor a hub id of the form owner/name"
        ) from error
    except GatedRepoError as error:
        raise UserError(
            f"model {name!r} is gated: accept its licence on its hub page and log in with `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"model {name!r} is unknown: it is neither 'bundled', nor a folder, nor a model on the hub "
            "(a private one needs `hf auth login`)"
        ) from error
    except RevisionNotFoundError as error:
        raise UserError(f"model {name!r} has no revision {revision!r}") from error
    except (OSError, ValueError) as error:
        raise UserError(_unreachable(name, revision)) from error


def _unreachable(name: str, revision: str | None) -> str:
    wanted = f"model {name!r}" + (f" at revision {revision!r}" if revision else "")
    why = "HF_HUB_OFFLINE is set" if huggingface_hub.constants.HF_HUB_OFFLINE else "the hub cannot be reached"
    return (
        f"{wanted} is no folder here and not in the hub's cache, and {why}: download it where there is a network "
        f"(`hf download {name}`), give a local folder, or use 'bundled'"
    )


def read_json(file: Path) -> dict:
    """The object in a JSON file of a model folder."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"model folder {str(file.parent)!r} has no {file.name}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not valid JSON: download or export the model again") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} holds no JSON object: download or export the model again")
    return content


def check_weights(folder: Path, stem: str = "model") -> None:
    """Refuse a folder whose safetensors are missing, incomplete or damaged; reads the files' headers only.

    Args:
        folder: The model's folder.
        stem: "model", or "adapter_model" for a PEFT adapter.
    """
    for file in _weight_files(folder, stem):
        if not file.is_file():
            raise UserError(f"weights file {file} is missing: download or export the model again")
        try:
            with safe_open(file, framework="pt"):
                pass
        except SafetensorError as error:
            raise UserError(
                f"weights file {file} is damaged or cut short ({error}): download it again, with Git LFS where it "
                "comes from a Git clone"
            ) from error


def _weight_files(folder: Path, stem: str) -> list[Path]:
    single = folder / f"{stem}.safetensors"
    index = folder / f"{stem}.safetensors.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        return [folder / file for file in sorted(set(read_json(index).get("weight_map", {}).values()))]
    pickles = sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))
    if pickles:
        raise UserError(
            f"model folder {str(folder)!r} holds its weights as {pickles[0]}, a format that can run code when it is "
            f"read: convert it where you trust it with AutoModelForCausalLM.from_pretrained(...).save_pretrained(...), "
            f"which writes {single.name}"
        )
    raise UserError(f"model folder {str(folder)!r} has no {single.name}")


def first_sentence(error: Exception) -> str:
    """The part of a library's message that fits into a sentence of our own."""
    return str(error).partition("\n")[0].partition(". ")[0].rstrip(".")
