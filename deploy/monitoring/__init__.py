"""What Prometheus and Grafana are told of a federation: alerts, dashboards, and what is scraped."""
