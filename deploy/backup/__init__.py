"""Encrypted backups of a federation's state folder: the certificate authority and every private key."""
