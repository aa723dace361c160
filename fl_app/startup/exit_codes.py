"""Exit codes of a parent: one code and one line of text for each reason.

| code | name | meaning |
|---|---|---|
| 0 | | the parent was asked to stop (SIGTERM, or an administrator's `shutdown`) |
| 10 | SETTINGS | the value of a FLARE_ environment variable is invalid |
| 11 | KIT | the startup kit is missing, unreadable or incomplete |
| 12 | VERSION | the kit was made for another release of NVFlare |
| 13 | KEY | the private key is missing, unreadable, or does not match the certificate |
| 14 | CERTIFICATE | the certificate has expired, is not valid yet, or is not signed by the kit's root |
| 15 | WORKSPACE | the workspace is not writable |
| 16 | SPACE | the workspace has too little free disk space |
| 17 | IN_USE | another parent runs on this workspace |
| 18 | PORT | a port that this parent listens on is in use |
| 19 | CONFIGURATION | a file in local/ is unreadable, or names a component that cannot be imported |
| 20 | SERVER_NAME | the server's name does not resolve |
| 21 | SERVER_UNREACHABLE | the server's port does not answer |
| 22 | SERVER_CERTIFICATE | the server at this address does not belong to this federation |
| 23 | NO_ANSWER | the server did not answer five registrations of this site |
| 24 | REFUSED | the server refused the registration of this site; the line has the server's reason |
| 25 | INCOMPATIBLE | the installed NVFlare lacks a private name that Flarefleet uses; the line names it |
| 30 | NVFLARE | NVFlare exited by itself; the line has the last error of its log |
| 128 + n | | signal n killed the parent; 137 (SIGKILL) often means too little memory |
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of a parent. The module's table explains them."""

    SETTINGS = 10
    KIT = 11
    VERSION = 12
    KEY = 13
    CERTIFICATE = 14
    WORKSPACE = 15
    SPACE = 16
    IN_USE = 17
    PORT = 18
    CONFIGURATION = 19
    SERVER_NAME = 20
    SERVER_UNREACHABLE = 21
    SERVER_CERTIFICATE = 22
    NO_ANSWER = 23
    REFUSED = 24
    INCOMPATIBLE = 25
    NVFLARE = 30


class StartupError(Exception):
    """A parent cannot start, or NVFlare exited by itself.

    Args:
        exit_code: exit code of the parent.
        text: what is wrong, where, and what to do; whitespace is collapsed to one line.
    """

    def __init__(self, exit_code: Exit, text: str) -> None:
        super().__init__(" ".join(text.split()))
        self.exit_code = exit_code
