"""Upload an exported folder to the Hugging Face hub, as one commit."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

from lightning_twosome.agent_folder import SETTINGS_FILE
from lightning_twosome.errors import UserError
from lightning_twosome.model_card import CARD_FILE, PLACEHOLDER
from lightning_twosome.model_folder import first_sentence


def push_folder(
    folder: Path, repo_id: str, private: bool = True, token: str | None = None, endpoint: str | None = None
) -> str:
    """Upload every file of an exported agent; its card's snippet then names the repository.

    Args:
        folder: What ``export`` has written.
        repo_id: ``owner/name``; the repository is made where it does not exist.
        private: Whether a new repository is private.
        token: Of an account that may write there; by default the one of ``hf auth login``.
        endpoint: Address of the hub, where it is not the public one.

    Returns:
        The address of the commit.

    Raises:
        UserError: The folder is no exported agent, or the hub refuses or cannot be reached.
    """
    if not (folder / SETTINGS_FILE).is_file():
        raise UserError(f"{str(folder)!r} is no exported agent, since it has no {SETTINGS_FILE}: nothing is uploaded.")
    api = HfApi(endpoint=endpoint, token=token)
    card = (folder / CARD_FILE).read_text(encoding="utf-8").replace(PLACEHOLDER, repo_id)
    contents = {path.name: path for path in sorted(folder.iterdir()) if path.is_file() and path.name != CARD_FILE}
    operations = [CommitOperationAdd(name, path) for name, path in contents.items()]
    operations.append(CommitOperationAdd(CARD_FILE, card.encode()))
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = api.create_commit(repo_id, operations, commit_message="Upload a TWOSOME agent")
    except HFValidationError as error:
        raise UserError(f"{repo_id!r} is no name of a repository on the hub: give owner/name.") from error
    except OfflineModeIsEnabled as error:
        raise UserError(f"{repo_id!r} cannot be uploaded while HF_HUB_OFFLINE is set: unset it.") from error
    except HfHubHTTPError as error:
        raise UserError(
            f"The hub refuses the upload to {repo_id!r} ({first_sentence(error)}): log in with `hf auth login` as an "
            "account that may write there."
        ) from error
    except Exception as error:  # whatever the transport library of this huggingface_hub raises
        raise UserError(
            f"{repo_id!r} cannot be uploaded, since the hub cannot be reached ({first_sentence(error)}): the folder "
            f"{str(folder)!r} is complete, push it later with TwosomeAgent.from_pretrained(...).push_to_hub(...)."
        ) from error
    return str(commit)
