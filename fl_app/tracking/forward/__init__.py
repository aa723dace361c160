"""The process that sends what the queue holds to one tracker: `python -m fl_app.tracking.forward`."""
