"""Check a TensorBoard that runs elsewhere, such as that of the server."""

from __future__ import annotations

import json
import ssl
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from deploy.errors import Failed, InputError

ANSWER_SECONDS = 10.0
_ENVIRONMENT = "data/environment"
"""Path below TensorBoard's address that answers with a JSON object about it."""
_LOGIN = (401, 403, 407)
_ELSE = "Ask the operator for the address, or leave out --url: your kit then downloads the event files"


def check_tensorboard(url: str) -> str:
    """Check that a TensorBoard answers at a URL, and return the URL with a slash at its end.

    Raises:
        InputError: it is not a URL of HTTP.
        Failed: nothing answers, it wants a login, or it is no TensorBoard.
    """
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        (parts.hostname or "").encode("idna")
    except ValueError:  # such as a port that is not a number
        is_url = False
    if not is_url or not url.isascii():
        raise InputError(f"--url {url}: must be an address such as https://tensorboard.example.org")
    if parts.username is not None:
        raise InputError("--url: must be an address without a user and a password")
    address = parts._replace(path=f"{parts.path.rstrip('/')}/", query="", fragment="").geturl()
    try:
        with urlopen(Request(address + _ENVIRONMENT), timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - HTTP
            is_tensorboard = "data_location" in json.load(answer)
    except HTTPError as error:
        if error.code in _LOGIN:
            raise Failed(f"{address} asks for a login (HTTP {error.code}). Open it in a browser") from None
        raise Failed(f"{address} is not a TensorBoard (HTTP {error.code}). {_ELSE}") from None
    except URLError as error:
        reason = error.reason
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise Failed(
                f"this machine does not trust the certificate of {address} ({reason.verify_message}). Ask "
                "the operator for the certificate of its authority, and name its file in SSL_CERT_FILE"
            ) from None
        why = getattr(reason, "strerror", None) or reason
        raise Failed(f"no TensorBoard answers at {address} ({why}). {_ELSE}") from None
    except (OSError, HTTPException) as error:
        raise Failed(
            f"no TensorBoard answers at {address} ({error or type(error).__name__}). {_ELSE}"
        ) from None
    except (ValueError, TypeError):  # no JSON, or none with keys
        is_tensorboard = False
    if not is_tensorboard:
        raise Failed(f"{address} answers, and is not a TensorBoard; it may be the page of a login. {_ELSE}")
    return address
