"""What Kubernetes' own client costs whoever only asks for a few objects."""

from __future__ import annotations

from kubernetes import client
from pydantic import BaseModel


def test_the_clients_objects_are_not_compiled_as_it_is_imported() -> None:
    """Version 36 and later build a pydantic model for each: more than a second of every command, and of each
    parent that launches job pods."""
    assert not issubclass(client.V1Pod, BaseModel)
