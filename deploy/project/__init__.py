"""project.yml, read strictly into a `Project`."""

from deploy.project.load import load_project
from deploy.project.models import Admin, Dataset, Image, Project, Server, Site, SiteDeployment

__all__ = ["Admin", "Dataset", "Image", "Project", "Server", "Site", "SiteDeployment", "load_project"]
