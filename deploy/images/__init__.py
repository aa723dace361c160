"""Images: the runtime of every role and a thin one for each site; built, listed, pushed, saved and loaded."""

from deploy.images.archive import load_images, save_images
from deploy.images.build import Options, build_images, build_runtime, build_site, ensure_site_images
from deploy.images.inventory import ImageRecord, list_images
from deploy.images.names import runtime_image, site_image
from deploy.images.push import push_images

__all__ = [
    "ImageRecord",
    "Options",
    "build_images",
    "build_runtime",
    "build_site",
    "ensure_site_images",
    "list_images",
    "load_images",
    "push_images",
    "runtime_image",
    "save_images",
    "site_image",
]
