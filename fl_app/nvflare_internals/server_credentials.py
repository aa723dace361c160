"""The server's key and root certificate, which NVFlare's server knows only after it has started to listen.

A message that it sends before is signed with "NA", and it keeps that signature: if a site connects at that
moment, as sites do after a restart of the server, sites and administrators reject every message of this
server until its next restart, and every command of an administrator times out. Until then it also checks no
message.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.private.fed.app.deployer.server_deployer import ServerDeployer

USES = {
    "nvflare.private.fed.app.deployer.server_deployer:ServerDeployer.create_fl_server": (
        "give the server its credentials before it listens"
    ),
    "nvflare.private.fed.app.deployer.server_deployer:ServerDeployer.server_config": (
        "paths of the server's key and certificates"
    ),
    "nvflare.private.fed.server.fed_server:FederatedServer.cred_keeper": "the server's key",
    "nvflare.private.fed.server.client_manager:ClientManager.cred_keeper": "the root certificate",
    "nvflare.private.fed.server.cred_keeper:CredKeeper.get_id_asserter": "load and keep the server's key",
    "nvflare.private.fed.server.cred_keeper:CredKeeper.get_id_verifier": "load and keep the root certificate",
}


def load_credentials_at_start() -> None:
    """Let the server of this process load its credentials before it listens."""
    create = ServerDeployer.create_fl_server

    @wraps(create)
    def create_fl_server(deployer: Any, args: Any, secure_train: bool = False) -> Any:
        first, server = create(deployer, args, secure_train)
        if secure_train:
            fl_ctx = FLContext()
            config = deployer.server_config
            fl_ctx.set_prop(FLContextKey.SERVER_CONFIG, config, private=True, sticky=False)
            server.cred_keeper.get_id_asserter(fl_ctx)
            server.client_manager.cred_keeper.get_id_verifier(fl_ctx)
        return first, server

    ServerDeployer.create_fl_server = create_fl_server
