"""The support bundle: what a support engineer needs to see of a federation, a site or an
administrator, without secrets.

Everything passes through `redaction` before it reaches the archive.
"""
