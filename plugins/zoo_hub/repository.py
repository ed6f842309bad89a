"""The hub, and its errors in zoo's words. The token is the hub library's own affair."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import HfApi, errors

from zoo.contract.errors import WeightsError, ZooError
from zoo.registry.hub.repositories import Repository

HTTP_ERROR: type[Exception] = errors.HfHubHTTPError.__mro__[1]  # of the HTTP library that the hub library uses
TOKEN_STEP = "Check the name; for a private or gated repository, log in with `hf auth login`, or set HF_TOKEN."
NETWORK_STEP = "Check the network, and run the command again. HF_ENDPOINT sets another hub."


def hub() -> HfApi:
    """The hub that `HF_ENDPOINT` names, or the public one. The library finds the token by itself."""
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, library_name="zoo-kit")


@contextmanager
def explain_hub_errors(repository: Repository) -> Iterator[None]:
    """Turn what the hub library raises into an error with a next step.

    Raises:
        WeightsError: the repository or revision is not there or not accessible, or the hub cannot be reached.
    """
    try:
        yield
    except ZooError:
        raise
    except errors.GatedRepoError:
        raise WeightsError(f"{repository} is gated: its owner has to grant access.", TOKEN_STEP) from None
    except errors.RepositoryNotFoundError:
        raise WeightsError(f"There is no repository {repository}, or it is private.", TOKEN_STEP) from None
    except errors.RevisionNotFoundError:
        raise WeightsError(f"{repository} has no such revision.", "Name a branch, tag or commit of it.") from None
    except errors.OfflineModeIsEnabled:
        raise WeightsError(f"{repository} was not reached: HF_HUB_OFFLINE is set.", "Unset HF_HUB_OFFLINE.") from None
    except errors.LocalEntryNotFoundError:
        raise WeightsError(f"{repository} was not reached: the hub does not answer.", NETWORK_STEP) from None
    except errors.EntryNotFoundError:
        raise WeightsError(f"A file of {repository} is not there any more.", "Run the command again.") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            raise WeightsError(f"The hub refuses access to {repository} (HTTP {status}).", TOKEN_STEP) from None
        raise WeightsError(f"The hub answered HTTP {status} for {repository}.", NETWORK_STEP) from None
    except (HTTP_ERROR, errors.FileMetadataError, errors.LocalTokenNotFoundError, RuntimeError) as error:
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error  # of an upload
        raise WeightsError(f"{repository} could not be transferred ({type(cause).__name__}).", NETWORK_STEP) from None
