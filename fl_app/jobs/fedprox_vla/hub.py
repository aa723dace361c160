"""Publishes a policy on a model hub (Hugging Face's, or any that HF_ENDPOINT names).

The token is checked and the repository made before a job trains, so that a refusal costs nothing; what is
pushed at the end is a folder in the hub's format.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from huggingface_hub import HfApi

TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a variable
_FORBIDDEN = (401, 403)
_REMEDY = "See that the server reaches the hub (HF_ENDPOINT), or submit without hub_repository"


class HubRefusal(RuntimeError):  # noqa: N818 - what it is, in the words of whoever reads it
    """The hub does not take the policy.

    Args:
        what: what was refused, and why.
        remedy: what to do, as a sentence.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}")
        self.what = what
        self.remedy = remedy


class HubRepository:
    """A repository to push to.

    Args:
        name: OWNER/NAME.
        token: who pushes; from HF_TOKEN in the environment of the server if None.

    Raises:
        HubRefusal: there is no token.
    """

    def __init__(self, name: str, token: str | None = None) -> None:
        from huggingface_hub import HfApi

        token = token or os.environ.get(TOKEN)
        if not token:
            raise HubRefusal(
                f"hub_repository={name}, but the server has no {TOKEN}",
                "Give it one in its environment (extraEnv of the flare-server chart, from a Secret)",
            )
        self.name = name
        self._api: HfApi = HfApi(token=token)

    def prepare(self) -> None:
        """Check the token, and make the repository if it is missing: private.

        Raises:
            HubRefusal: the hub cannot be reached, or does not accept the token.
        """
        self._ask(self._api.whoami, "accept the token of HF_TOKEN")
        self._ask(
            lambda: self._api.create_repo(self.name, private=True, exist_ok=True),
            f"make the repository {self.name}",
        )

    def push(self, folder: Path, message: str) -> str:
        """Upload all files of `folder` in one commit and return its address.

        Raises:
            HubRefusal: the hub cannot be reached, or refuses them.
        """
        return str(
            self._ask(
                lambda: self._api.upload_folder(
                    repo_id=self.name, folder_path=folder, commit_message=message
                ),
                f"take the policy for {self.name}",
            )
        )

    def _ask(self, request, what: str):  # type: ignore[no-untyped-def] # whatever the hub answers
        from huggingface_hub.errors import HfHubHTTPError

        try:
            return request()
        except HfHubHTTPError as error:
            code = error.response.status_code if error.response is not None else None
            said = error.server_message or f"HTTP {code}"
            remedy = "Does the token have the right to write there?" if code in _FORBIDDEN else _REMEDY
            raise HubRefusal(f"the hub {self._api.endpoint} did not {what}: {said}", remedy) from error
        except (OSError, ValueError) as error:
            raise HubRefusal(f"the hub {self._api.endpoint} did not {what}: {error}", _REMEDY) from error
