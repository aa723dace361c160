"""The command line `flarefleet`: one module per group of commands; `app` combines them."""
