"""key-secret.yaml: a participant's private key as the Secret that its chart expects."""

from __future__ import annotations

import base64

from deploy.release.participant import Participant

KEY_SECRET_FILE = "key-secret.yaml"  # noqa: S105 - a file name


def key_secret_text(participant: Participant) -> str:
    """Return the manifest. It has no namespace, because the operator chooses it with `kubectl apply -n`."""
    key = base64.b64encode(participant.key.read_bytes()).decode("ascii")
    return f"""\
# The private key of {participant.name}. Secret: apply it with kubectl, and never commit or mail it.
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
