"""Sender process of one receiver: `python -m fl_app.tracking.forward`."""
