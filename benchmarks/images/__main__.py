"""Measure the size of the runtime image, its build time, and import times in it.

Usage: python -m benchmarks.images [--cold]. With --cold it builds the image twice without cache (a minute
each) and compares the layers.
"""

from __future__ import annotations

import sys
import time

import docker

from deploy.checkout import CHECKOUT
from deploy.images.build import BuildOptions, build_runtime, source_date_epoch
from deploy.images.inputs import source_digest
from deploy.images.names import runtime_image
from deploy.project import Image

IMAGE = Image(tag="measured")
TOP = 12
BIGGEST = """
import collections, pathlib, sysconfig
sizes = collections.Counter()
root = pathlib.Path(sysconfig.get_path("purelib"))
for file in root.rglob("*"):
    if file.is_file() and not file.is_symlink():
        sizes[file.relative_to(root).parts[0].removesuffix(".libs")] += file.stat().st_size
        if file.suffix == ".pyc":
            sizes["(of all: bytecode)"] += file.stat().st_size
for name, size in sizes.most_common(%d):
    print(f"    {size / 1e6:8.1f} MB  {name}")
"""
IMPORT = "import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"


def main() -> None:
    client = docker.from_env()
    if "--cold" in sys.argv:
        compare_cold_builds(client)
    print(f"warm build              {seconds(build):6.1f} s")
    print(f"after an edit of fl_app {edited_build():6.1f} s")
    print_sizes(client)
    for module in ("torch", "nvflare", "nvflare.private.fed.app.client.client_train", "fl_app.startup"):
        print(f"import {module}: {min(import_time(client, module) for _ in range(3)):.2f} s")
    client.images.remove(runtime_image(IMAGE))


def build(*, cached: bool = True) -> str:
    return build_runtime(docker.from_env(), IMAGE, BuildOptions(cached=cached))


def seconds(run: object) -> float:
    start = time.perf_counter()
    assert callable(run)
    run()
    return time.perf_counter() - start


def compare_cold_builds(client: docker.DockerClient) -> None:
    layers, sources = [], source_digest(IMAGE.variant)
    for _ in range(2):
        took = seconds(lambda: build(cached=False))
        layers.append(client.images.get(build()).attrs["RootFS"]["Layers"])
        print(f"cold build              {took:6.1f} s")
    changed = "" if source_digest(IMAGE.variant) == sources else " (the checkout was changed meanwhile)"
    same = [one == other for one, other in zip(*layers, strict=True)]
    print(
        f"two cold builds have the same layers: {all(same)} {same}{changed}; file times {source_date_epoch()}"
    )


def edited_build() -> float:
    """Return the time of a build with an additional module in fl_app."""
    module = CHECKOUT / "fl_app" / "_measured.py"
    module.write_text(f"MEASURED = {time.time()}\n", encoding="utf-8")
    try:
        return seconds(build)
    finally:
        module.unlink()


def print_sizes(client: docker.DockerClient) -> None:
    image = client.images.get(build())
    print(f"size {image.attrs['Size'] / 1e6:,.0f} MB, by layer:")
    for layer in reversed(image.history()):
        if layer["Size"] > 1000:
            text = " ".join(layer["CreatedBy"].split()) or layer["Comment"]
            step = text.rpartition("&& sh /tmp/build/")[0] or text
            print(f"    {layer['Size'] / 1e6:8.1f} MB  {step[-70:]}")
    print("biggest packages:")
    print(inside(client, BIGGEST % TOP), end="")


def import_time(client: docker.DockerClient, module: str) -> float:
    return float(inside(client, IMPORT.format(module=module)))


def inside(client: docker.DockerClient, program: str) -> str:
    output: bytes = client.containers.run(
        runtime_image(IMAGE),
        ["-c", program],
        entrypoint=["/opt/flare/bin/python"],
        read_only=True,
        tmpfs={"/tmp": ""},
        remove=True,
    )
    return output.decode()


if __name__ == "__main__":
    main()
