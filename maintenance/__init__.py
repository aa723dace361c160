"""Programs for maintainers of Flarefleet; they run from a checkout and are not installed.

ci_tools: checkov and the MLflow server for CI. dashboards: the files of helm/flare-monitoring.
flower_environment: .venv-flower. overlay: environments on top of .venv. site: hooks of MkDocs.
uv: calls of uv. vla_lock: the locked requirements of images with lerobot.
"""
