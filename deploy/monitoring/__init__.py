"""Prometheus and Grafana for a federation: alerts, scrape configuration, and `flarefleet monitor`."""
