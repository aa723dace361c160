"""Validation of project.yml: every error with its file, line and remedy, all in one run.

`deploy.project.load` runs these, in this order:

yaml_syntax    YAML that project.yml must not contain: duplicate keys, tags, numbers out of range
schema_errors  keys and types: the errors of pydantic as messages
participants   names and types of participants, references between them, and participants or projects that
               would get the same object in Kubernetes or Compose
studies, deployment, tracking, builders
               these sections, beyond keys and types

Each validator reads the plain document, not the parsed sections, so that an error in one section does not
hide errors in others. They share `diagnostics` (an error and its location), `names` (the syntax of names) and
`entries` (access to a document that may be malformed).
"""
