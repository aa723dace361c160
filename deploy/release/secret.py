"""key-secret.yaml: a participant's private key as the Secret that its chart expects."""

from __future__ import annotations

import base64

from deploy.release.participant import Participant

SECRET_FILE = "key-secret.yaml"  # noqa: S105 - a file's name


def secret_text(participant: Participant) -> str:
    """The manifest; without a namespace, since the operator names it."""
    key = base64.b64encode(participant.key.read_bytes()).decode("ascii")
    return f"""\
# The private key of {participant.name}. Secret: for `kubectl apply`, never for a repository or a mail.
apiVersion: v1
kind: Secret
metadata:
  name: {participant.secret}
  labels:
    app.kubernetes.io/part-of: "{participant.project.name}"
    flare/site: "{participant.name}"
type: Opaque
data:
  {participant.key.name}: {key}
"""
