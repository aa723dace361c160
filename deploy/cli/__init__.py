"""The command line `flarefleet`: one module a group of verbs; `app` puts them together."""
