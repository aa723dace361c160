"""Why a parent did not start or went down: one exit code and one line a reason.

| code | name | what it means |
|---|---|---|
| 0 | | it was asked to stop (SIGTERM, or an administrator's `shutdown`) |
| 10 | SETTINGS | a FLARE_ variable of the environment has a value that cannot be |
| 11 | KIT | the startup kit is missing, unreadable or incomplete |
| 12 | VERSION | the kit was made for another release of NVFlare |
| 13 | KEY | the private key is missing, unreadable, or does not belong to the certificate |
| 14 | CERTIFICATE | the certificate is expired, not valid yet, or not signed by the kit's root |
| 15 | WORKSPACE | the workspace cannot be written to |
| 16 | SPACE | the workspace has too little free space |
| 17 | IN_USE | another parent runs on this workspace |
| 18 | PORT | a port that this parent listens on is taken |
| 19 | CONFIGURATION | a file of local/ cannot be read, or names a component that cannot be imported |
| 20 | SERVER_NAME | the server's name does not resolve |
| 21 | SERVER_UNREACHABLE | the server's port does not answer |
| 22 | SERVER_CERTIFICATE | who answers there is not this federation's server |
| 23 | NO_ANSWER | the server answers, but not this site's registration, tried five times |
| 24 | REFUSED | the server refuses this site's registration; the line carries its reason |
| 30 | NVFLARE | NVFlare ended by itself; the line carries the last error of its log |
| 128 + n | | it was killed by signal n: 137 by SIGKILL, which is also what too little memory looks like |
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of a parent; the table above says what each means."""

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
    NVFLARE = 30


class StartupError(Exception):
    """A parent cannot start.

    Args:
        exit_code: which of the reasons.
        text: what is wrong, where, and what to do; one line.
    """

    def __init__(self, exit_code: Exit, text: str) -> None:
        super().__init__(" ".join(text.split()))
        self.exit_code = exit_code
