"""Where LFM2.5-Audio comes from: a folder, or the hub by name.

The hub's client resumes a broken download several times for each file. Another run fetches the files that are missing.
"""

import sys
from pathlib import Path

from harness import HarnessError


def obtain(given: str) -> Path:
    """Return the folder of a whole checkpoint, downloading it if it is given by name.

    Args:
        given: a folder, or the name of a model on the Hugging Face Hub, such as LiquidAI/LFM2.5-Audio-1.5B

    Raises:
        HarnessError: it is not a real checkpoint, or it cannot be downloaded
    """
    from harness.real import require

    folder = Path(given).expanduser()
    found = folder if folder.is_dir() else download(given)
    require(found, "--lfm")
    return found.absolute()


def download(name: str) -> Path:
    """Print the size of a model, and fetch it into the hub's own cache. Files that are there are not fetched again.

    Raises:
        HarnessError: the hub cannot be reached, has no such model, or denies access to it
    """
    from httpx2 import HTTPError
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        files = HfApi().model_info(name, files_metadata=True).siblings or []
        size = sum(file.size or 0 for file in files) / 1e9
        print(f"{name}: {len(files)} files, {size:.1f} GB, into {constants.HF_HUB_CACHE}", file=sys.stderr, flush=True)
        return Path(snapshot_download(name))
    except HFValidationError:
        raise HarnessError(f"--lfm {name}: there is no such folder, and it is not the name of a model on the hub") from None
    except RepositoryNotFoundError:
        raise HarnessError(f"--lfm {name}: the hub has no such model, or wants you to log in: run `hf auth login`") from None
    except (HTTPError, OSError) as error:
        try:
            return Path(snapshot_download(name, local_files_only=True))
        except LocalEntryNotFoundError:
            why = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise HarnessError(
                f"--lfm {name}: the download stopped ({why}): run it again where the hub can be reached, "
                "or give the folder of a checkpoint"
            ) from None
