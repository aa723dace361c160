"""Publish a policy on a model hub: Hugging Face's, or the one that HF_ENDPOINT names.

The job checks the token and creates the repository before it trains, so that a refusal costs no training.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from huggingface_hub import HfApi

TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a variable
_FORBIDDEN = (401, 403)
_REMEDY = "Check that the server reaches the hub (HF_ENDPOINT), or submit without hub_repository"


class HubError(RuntimeError):
    """The hub is unreachable or refuses a request.

    Args:
        what: the failed request and the reason.
        remedy: what the user should do, as a sentence.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}")
        self.what = what
        self.remedy = remedy


class HubRepository:
    """A repository on the hub.

    Args:
        name: OWNER/NAME.
        token: an access token; None for the one in the server's environment (HF_TOKEN).

    Raises:
        HubError: there is no token.
    """

    def __init__(self, name: str, token: str | None = None) -> None:
        from huggingface_hub import HfApi

        token = token or os.environ.get(TOKEN)
        if not token:
            raise HubError(
                f"hub_repository={name}, but the server has no {TOKEN}",
                "Set it in the server's environment (extraEnv of the flare-server chart, from a Secret)",
            )
        self.name = name
        self._api: HfApi = HfApi(token=token)

    def prepare(self) -> None:
        """Check the token, and create the repository, private, if it is missing.

        Raises:
            HubError: the hub is unreachable or does not accept the token.
        """
        self._ask(self._api.whoami, "accept the token of HF_TOKEN")
        create = partial(self._api.create_repo, self.name, private=True, exist_ok=True)
        self._ask(create, f"create the repository {self.name}")

    def push(self, folder: Path, message: str) -> str:
        """Upload all files of `folder` in one commit, and return the commit's URL.

        Raises:
            HubError: the hub is unreachable or refuses the files.
        """
        upload = partial(
            self._api.upload_folder, repo_id=self.name, folder_path=folder, commit_message=message
        )
        return str(self._ask(upload, f"accept the policy for {self.name}"))

    def _ask(self, request, what: str):  # type: ignore[no-untyped-def] # the hub's answer
        from huggingface_hub.errors import HfHubHTTPError

        try:
            return request()
        except HfHubHTTPError as error:
            code = error.response.status_code if error.response is not None else None
            said = error.server_message or f"HTTP {code}"
            remedy = "Check that the token has the right to write there" if code in _FORBIDDEN else _REMEDY
            raise HubError(f"the hub {self._api.endpoint} did not {what}: {said}", remedy) from error
        except (OSError, ValueError) as error:
            raise HubError(f"the hub {self._api.endpoint} did not {what}: {error}", _REMEDY) from error
