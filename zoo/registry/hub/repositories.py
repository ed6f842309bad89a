"""Repositories of the Hugging Face Hub: how they are named, and where the cache holds what was downloaded."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from zoo.contract.errors import UsageError
from zoo.files.folders import hub_cache_folder
from zoo.registry.hub.folders import WEIGHTS

SCHEME = "hf-hub:"
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
LONGEST_REVISION = 150  # characters, of which a name of a folder is made


@dataclass(frozen=True)
class Repository:
    """A repository on the hub.

    Args:
        name: `OWNER/NAME`.
        revision: a branch, tag or commit; `None` for the main branch.
    """

    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{SCHEME}{self.name}" + (f"@{self.revision}" if self.revision else "")

    @property
    def cached(self) -> Path:
        """The weights file in the user's cache, once they were downloaded as a MODEL."""
        revision = f"@{quote(self.revision, safe='')}" if self.revision else ""
        return hub_cache_folder() / f"{self.name}{revision}" / WEIGHTS


def parse_repository(text: str, revision: str | None = None) -> Repository:
    """The repository that `hf-hub:OWNER/NAME` means, or `hf-hub:OWNER/NAME@REVISION`.

    Raises:
        UsageError: it is no such name, or has two revisions.
    """
    name, at, named_revision = text.removeprefix(SCHEME).partition("@")
    if not text.startswith(SCHEME) or not REPOSITORY.fullmatch(name) or (at and not named_revision):
        raise UsageError(f"{text[:200]!r} is not the name of a repository.", f"Use {SCHEME}OWNER/NAME.")
    if at and revision is not None and revision != named_revision:
        raise UsageError(f"{text!r} and --revision {revision} name two revisions.", "Leave --revision out.")
    revision = named_revision or revision
    if revision is not None and len(quote(revision, safe="")) > LONGEST_REVISION:
        raise UsageError(f"The revision {revision[:50]}… is too long.", "Name a branch, tag or commit.")
    return Repository(name, revision)
