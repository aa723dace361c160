"""Pictures of docs/images that show a real federation: `python -m maintenance.pictures FOLDER`.

federation: runs a federation under a Prometheus. terminal: records a command as SVG. queries: asks Prometheus
what the panels of a dashboard ask. boards, units: draw the answers.
"""
