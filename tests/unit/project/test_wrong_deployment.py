from __future__ import annotations

from pathlib import Path

import pytest

from .valid import RIGHT, assert_named, changed, load, mistakes, row

IMAGE = '  image: {registry: registry.example.org/flare, tag: "1.0.0", variant: gpu}\n'
DEFAULTS = "  defaults: {launcher: process, storage: 20Gi}\n"
GPUS = "      gpus: 1\n"
STORAGE = "      storage: 200Gi\n"
DATASETS = "      datasets: {training: {claim: site-1-data, mode: ro}}\n"
SITE = "deployment.sites.site-1"

DEPLOYMENT = [
    row(IMAGE, "  imgae: {tag: a}  # HERE\n", "deployment.imgae", "did you mean image?"),
    row(IMAGE, "  image: a  # HERE\n", "deployment.image", "must be a mapping"),
    row(IMAGE, "  image: {tag: 1.10, variant: gpu}  # HERE\n", "deployment.image.tag", 'write "1.10"'),
    row(IMAGE, "  image: {tag: a b, variant: gpu}  # HERE\n", "deployment.image.tag", "'a b'"),
    row(
        IMAGE,
        "  image: {regsitry: a, variant: gpu}  # HERE\n",
        "deployment.image.regsitry",
        "did you mean registry?",
    ),
    row(
        IMAGE,
        "  image: {registry: 'https://a.org', variant: gpu}  # HERE\n",
        "deployment.image.registry",
        "HOST[:PORT]/PATH",
    ),
    row(
        IMAGE, "  image: {registry: Flare, variant: gpu}  # HERE\n", "deployment.image.registry", "lower case"
    ),
    row(IMAGE, "  image: {variant: gpus}  # HERE\n", "deployment.image.variant", "did you mean gpu?"),
    row(
        IMAGE,
        "  image: {variant: gpu, extras: [flwer]}  # HERE\n",
        "deployment.image.extras[0]",
        "must be flower or vla, not 'flwer'",
        "did you mean flower?",
    ),
    row(
        IMAGE,
        "  image: {variant: gpu, extras: flower}  # HERE\n",
        "deployment.image.extras",
        "must be a list",
    ),
    row(
        IMAGE,
        "  image: {variant: gpu, extras: [flower, flower]}  # HERE\n",
        "deployment.image.extras",
        "flower stands here twice; take one out",
    ),
    row(
        IMAGE,
        "  image: {variant: gpu, extras: [flower, vla]}  # HERE\n",
        "deployment.image.extras",
        "vla stands alone",
        "write extras: [vla]",
    ),
    row(DEFAULTS, "  defaults: {namespace: a}  # HERE\n", "deployment.defaults.namespace", "unknown key"),
    row(
        DEFAULTS,
        "  defaults: {luncher: pod}  # HERE\n",
        "deployment.defaults.luncher",
        "did you mean launcher?",
    ),
    row(
        DEFAULTS,
        "  defaults: {launcher: pods}  # HERE\n",
        "deployment.defaults.launcher",
        "did you mean pod?",
    ),
    row(
        DEFAULTS,
        "  defaults: {launcher: k8s}  # HERE\n",
        "deployment.defaults.launcher",
        "process or pod, not 'k8s'",
    ),
    row(
        DEFAULTS, "  defaults: {storage: 20GB}  # HERE\n", "deployment.defaults.storage", "did you mean 20Gi?"
    ),
    row(
        DEFAULTS,
        "  defaults: {storage: 20 gi}  # HERE\n",
        "deployment.defaults.storage",
        "did you mean 20Gi?",
    ),
    row(
        DEFAULTS,
        "  defaults: {storage: 20}  # HERE\n",
        "deployment.defaults.storage",
        "only 20 bytes",
        "20Gi",
    ),
    row(
        DEFAULTS,
        "  defaults: {storage: 20m}  # HERE\n",
        "deployment.defaults.storage",
        "only 0.02 bytes",
        "20Mi",
    ),
    row(DEFAULTS, "  defaults: {storage: 0}  # HERE\n", "deployment.defaults.storage", "more than 0"),
    row(
        DEFAULTS,
        "  defaults: {storage: -5Gi}  # HERE\n",
        "deployment.defaults.storage",
        "Kubernetes quantity",
    ),
    row(
        DEFAULTS,
        "  defaults: {storage: much}  # HERE\n",
        "deployment.defaults.storage",
        "such as 20Gi, not 'much'",
    ),
    row(DEFAULTS, "  defaults: {storage: yes}  # HERE\n", "deployment.defaults.storage", 'write "yes"'),
    row(GPUS, "      gpus: -1  # HERE\n", f"{SITE}.gpus", "0 or more, not -1"),
    row(GPUS, "      gpus: one  # HERE\n", f"{SITE}.gpus", "whole number, not 'one'"),
    row(GPUS, "      gpus: true  # HERE\n", f"{SITE}.gpus", "whole number"),
    row(GPUS, "      gpus: 0.5  # HERE\n", f"{SITE}.gpus", "whole number"),
    row(GPUS, "      gpu: 1  # HERE\n", f"{SITE}.gpu", "did you mean gpus?"),
    row(
        GPUS,
        "      resources: {request: {}}  # HERE\n",
        f"{SITE}.resources.request",
        "did you mean requests?",
    ),
    row(
        GPUS,
        "      resources: {limits: {memroy: 1Gi}}  # HERE\n",
        f"{SITE}.resources.limits.memroy",
        "did you mean memory?",
    ),
    row(
        GPUS,
        "      resources: {limits: {memory: 512m}}  # HERE\n",
        f"{SITE}.resources.limits.memory",
        "only 0.512 bytes",
        "512Mi?",
    ),
    row(
        GPUS,
        "      resources: {limits: {memory: 512}}  # HERE\n",
        f"{SITE}.resources.limits.memory",
        "only 512 bytes",
    ),
    row(
        GPUS,
        "      resources: {limits: {cpu: two}}  # HERE\n",
        f"{SITE}.resources.limits.cpu",
        "such as 500m or 2",
    ),
    row(
        GPUS,
        "      resources: {limits: {cpu: -1}}  # HERE\n",
        f"{SITE}.resources.limits.cpu",
        "Kubernetes quantity",
    ),
    row(
        GPUS,
        "      resources: {limits: {cpu: [1]}}  # HERE\n",
        f"{SITE}.resources.limits.cpu",
        "must be text",
    ),
    row(
        GPUS,
        "      resources: {limits: {nvidia.com/gpu: 1}}  # HERE\n",
        f"{SITE}.resources.limits.nvidia.com/gpu",
        "gpus: NUMBER",
    ),
    row(
        GPUS,
        "      resources: {requests: {cpu: 2}, limits: {cpu: 1500m}}  # HERE\n",
        f"{SITE}.resources.requests.cpu",
        "more than its limit, 1500m",
    ),
    row(STORAGE, "      storge: 200Gi  # HERE\n", f"{SITE}.storge", "did you mean storage?"),
    row("flare-site-1", "Flare_1  # HERE", f"{SITE}.namespace", "flare-1 would do"),
    row("flare-site-1", "kube-system  # HERE", f"{SITE}.namespace", "choose another"),
    row("flare-site-1", " # HERE", f"{SITE}.namespace", "must be text"),
    row(
        DATASETS,
        "      datasets: {training: {mode: ro}}  # HERE\n",
        f"{SITE}.datasets.training.claim",
        "missing",
        "PersistentVolumeClaim",
    ),
    row(
        DATASETS,
        "      datasets: {training: {claim: a, mode: rx}}  # HERE\n",
        f"{SITE}.datasets.training.mode",
        "ro or rw, not 'rx'",
    ),
    row(
        DATASETS,
        "      datasets: {training: {claim: A_b}}  # HERE\n",
        f"{SITE}.datasets.training.claim",
        "PersistentVolumeClaim",
        "'A_b'",
    ),
    row(
        DATASETS,
        "      datasets: {training: {claim: a, path: /x}}  # HERE\n",
        f"{SITE}.datasets.training.path",
        "unknown key",
    ),
    row(
        DATASETS,
        "      datasets: {training: my-claim}  # HERE\n",
        f"{SITE}.datasets.training",
        "must be a mapping",
    ),
    row(
        DATASETS,
        "      datasets: {Training_1: {claim: a}}  # HERE\n",
        f"{SITE}.datasets.Training_1",
        "training-1 would do",
    ),
    row(
        DATASETS,
        "    site-3: {}  # HERE\n",
        "deployment.sites.site-3",
        "no client or server",
        "did you mean site-",
    ),
    row(
        DATASETS,
        "    zzz: {}  # HERE\n",
        "deployment.sites.zzz",
        "the sites are: flare.example.org, site-1, site-2",
    ),
    row(
        DATASETS,
        "    admin@example.org: {}  # HERE\n",
        "deployment.sites.admin@example.org",
        "is an administrator",
    ),
    row(DATASETS, "    site-1: {}  # HERE\n", "deployment.sites.site-1", "written twice"),
    row(DATASETS, "    site-2: 5  # HERE\n", "deployment.sites.site-2", "must be a mapping"),
]


@pytest.mark.parametrize(("old", "new", "key", "words"), DEPLOYMENT)
def test_a_mistake_is_named_with_its_line_its_key_and_the_way_out(
    old: str, new: str, key: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    assert_named(tmp_path, old, new, key, words)


def test_gpus_need_images_that_can_use_them(tmp_path: Path) -> None:
    said = mistakes(tmp_path, changed("variant: gpu", "variant: cpu"))

    assert said == [
        "project.yml:37: deployment.sites.site-1.gpus: the cpu images use no GPU; "
        "write variant: gpu in deployment.image, or gpus: 0"
    ]


def test_vla_is_for_gpu_images(tmp_path: Path) -> None:
    text = changed("variant: gpu", "variant: cpu, extras: [vla]").replace("      gpus: 1\n", "")

    assert mistakes(tmp_path, text) == [
        "project.yml:33: deployment.image.extras: vla is for variant: gpu, whose images run without a GPU as "
        "well (PyPI has no CPU build of the torch that lerobot takes); write variant: gpu"
    ]


@pytest.mark.parametrize("name", ["localhost", "server.localhost"])
def test_a_server_of_several_hosts_has_no_loopback_name(name: str, tmp_path: Path) -> None:
    said = mistakes(tmp_path, RIGHT.replace("name: flare.example.org", f"name: {name}"))

    assert len(said) == 1
    assert said[0].startswith(f"project.yml:6: participants[0].name: {name} is each site's own machine")


def test_a_loopback_name_is_right_where_everything_runs_on_one_machine(tmp_path: Path) -> None:
    one_machine = RIGHT[: RIGHT.index("deployment:")].replace("name: flare.example.org", "name: localhost")

    assert load(tmp_path, one_machine).server_host == "localhost"
    assert (
        load(tmp_path, one_machine + "deployment: {sites: {localhost: {storage: 1Ti}}}").server.name
        == "localhost"
    )
