"""Provisioned federations, as in the tests of provisioning."""

from tests.unit.provision.conftest import federation, untouched

__all__ = ["federation", "untouched"]
