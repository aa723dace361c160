"""Helm charts as packages: for release folders, a registry, and sites without internet access."""

from deploy.charts.package import CHART_NAMES, chart_file, chart_sources, package_chart

__all__ = ["CHART_NAMES", "chart_file", "chart_sources", "package_chart"]
