"""From a name to a folder of whole safetensors: the bundled model, a folder, the hub's cache without a network."""

import json

import pytest
import torch
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from lightning_twosome.errors import UserError
from lightning_twosome.language_model import load_language_model
from lightning_twosome.model_folder import check_weights, find_model_folder
from tests.model_files import save_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A hub cache that holds one model, ``kitchen/tiny``, and no network."""
    repository = tmp_path / "models--kitchen--tiny"
    save_model(repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_hub_model_comes_from_the_cache_with_its_commit(cached):
    loaded = load_language_model("kitchen/tiny", lora={})
    assert (loaded.name, loaded.revision) == ("kitchen/tiny", COMMIT)


def test_adapter_of_a_hub_model_names_hub_and_commit_and_finds_them_again(cached, tmp_path):
    load_language_model("kitchen/tiny", lora={}).model.save_pretrained(tmp_path / "adapter")
    saved = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (saved["base_model_name_or_path"], saved["revision"]) == ("kitchen/tiny", COMMIT)
    assert load_language_model(str(tmp_path / "adapter")).model.peft_config["default"].r == 8


@pytest.mark.parametrize(("name", "revision"), [("kitchen/other", None), ("kitten", None), ("kitchen/tiny", "v2")])
def test_without_network_the_way_out_is_named(cached, name, revision):
    with pytest.raises(UserError, match=f"{name}.*HF_HUB_OFFLINE is set.*hf download {name}.*'bundled'"):
        find_model_folder(name, revision)


def refuse_with(monkeypatch, error):
    def download(*args, **kwargs):
        raise error

    monkeypatch.setattr("lightning_twosome.model_folder.snapshot_download", download)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


def hub_error(kind):
    """An error as the hub's client raises it, without the HTTP response that it would carry."""
    error = kind.__new__(kind)
    Exception.__init__(error, "404")
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionError("no route"), "the hub cannot be reached"),
        (hub_error(RepositoryNotFoundError), "is unknown: it is neither 'bundled'"),
        (hub_error(GatedRepoError), "is gated: accept its licence"),
        (hub_error(RevisionNotFoundError), "has no revision 'v2'"),
    ],
    ids=["network", "unknown", "gated", "revision"],
)
def test_refusal_of_the_hub_becomes_one_sentence(monkeypatch, error, words):
    refuse_with(monkeypatch, error)
    with pytest.raises(UserError, match=f"'kitchen/tiny'.* {words}|'kitchen/tiny' {words}"):
        find_model_folder("kitchen/tiny", "v2")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("./nowhere", "model folder './nowhere' does not exist"),
        ("/nowhere/at/all", "does not exist"),
        ("a/b/c", "does not exist"),
        ("not an id", "neither 'bundled', nor a folder, nor a hub id"),
    ],
)
def test_name_that_is_nothing_is_refused(name, words):
    with pytest.raises(UserError, match=words):
        find_model_folder(name)


def test_file_in_place_of_a_folder_is_refused(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_text("")
    with pytest.raises(UserError, match="is a file: give the folder"):
        find_model_folder(str(file))


@pytest.mark.parametrize(
    ("name", "words"), [("config.json", "has no config.json"), ("model.safetensors", "has no model")]
)
def test_missing_file_is_named(tmp_path, name, words):
    (save_model(tmp_path) / name).unlink()
    with pytest.raises(UserError, match=words):
        load_language_model(str(tmp_path))


def test_config_that_is_not_json_is_named(tmp_path):
    (save_model(tmp_path) / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json is not valid JSON"):
        load_language_model(str(tmp_path))


@pytest.mark.parametrize("content", ["half", "pointer"])
def test_damaged_weights_are_named(tmp_path, content):
    file = save_model(tmp_path) / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content == "half" else b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(UserError, match=r"model\.safetensors is damaged or cut short"):
        load_language_model(str(tmp_path))


def test_missing_shard_is_named(tmp_path):
    save_model(tmp_path, max_shard_size="40KB")
    load_language_model(str(tmp_path))
    shard = sorted(tmp_path.glob("model-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(UserError, match=f"{shard.name} is missing"):
        load_language_model(str(tmp_path))


def test_pickled_weights_are_never_read(tmp_path):
    (save_model(tmp_path) / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"pytorch_model\.bin.*run code.*convert"):
        load_language_model(str(tmp_path))


def test_pickled_adapter_is_never_read(tmp_path):
    torch.save({}, tmp_path / "adapter_model.bin")
    with pytest.raises(UserError, match=r"adapter_model\.bin.*run code"):
        check_weights(tmp_path, "adapter_model")
