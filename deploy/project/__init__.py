"""Read and validate project.yml.

source        reads the YAML file and records the line of each value
schema        the keys of each section; participant_schema: of participants; fields: the types of values
validation    everything that YAML and the schema accept but a federation does not
load          combines these into a `Project`
models        `Project`, the typed model that all other packages use
object_names  names of Kubernetes and Compose objects
"""

from deploy.project.load import load_project
from deploy.project.models import Project, Server, Site, SiteDeployment
from deploy.project.schema import Dataset, Image

__all__ = [
    "Dataset",
    "Image",
    "Project",
    "Server",
    "Site",
    "SiteDeployment",
    "load_project",
]
