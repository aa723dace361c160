"""Unit tests of fl_app.survival."""
