"""The support bundle: what a support engineer needs to see of a federation or of one site, without secrets.

Everything passes through `redaction` before it reaches the archive.
"""
