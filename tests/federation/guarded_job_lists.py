"""The jobs of `test_guard.py`, by name and by what the guard must do with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from nvflare.apis.dxo import DataKind
from nvflare.app_opt.pt.recipes.cyclic import CyclicRecipe
from nvflare.app_opt.pt.recipes.fedopt import FedOptRecipe
from nvflare.app_opt.pt.recipes.scaffold import ScaffoldRecipe
from nvflare.client.config import ExchangeFormat, TransferType
from nvflare.recipe.spec import Recipe

from fl_app.guard.component import JobGuard
from tests.federation import stock_flower_job
from tests.federation.guarded_jobs import (
    CLIENT,
    SITES,
    export,
    find_parts,
    for_more_sites,
    guarded_by,
    numpy_job,
    torch_job,
    tracked,
    with_evaluation,
    with_meta,
    without_guard,
)

UNUSED_PORT = 9
TASK_TIMEOUT = 5.0
"""Seconds after which the guard of a test's job ends a stalled task."""
Jobs = dict[str, Callable[[str, Path], Recipe]]
"""Recipes by name; each is made from the name and a folder for the job's own files."""

# Without config_type NVFlare would construct the optimizer itself, without its parameters.
_SGD = {"path": "torch.optim.SGD", "args": {"lr": 1.0}, "config_type": "dict"}
_WANDB = {
    "mode": "offline",
    "wandb_args": {"name": "run", "project": "guarded", "group": "guarded", "job_type": "training"},
}


def _mlflow(name: str, uri: str) -> Recipe:
    return tracked(numpy_job(name, "--log"), "mlflow", tracking_uri=uri)


def _mlflow_folder(name: str) -> Recipe:
    return _mlflow(name, "file:///tmp/mlruns")


def _mlflow_unreachable(name: str) -> Recipe:
    return _mlflow(name, f"http://127.0.0.1:{UNUSED_PORT}")


def _hanging(name: str, **more: Any) -> Recipe:
    recipe = numpy_job(name, "--faults hanging@site-2", **more)
    return guarded_by(recipe, JobGuard(task_timeout=TASK_TIMEOUT))


def _hanging_process(name: str, folder: Path) -> Recipe:
    # A process that NVFlare starts cannot import a script from a package, so the script is copied.
    script = str(shutil.copy(CLIENT, folder))
    return _hanging(name, train_script=script, launch_external_process=True)


def _numpy(client: str = "", **more: Any) -> Callable[[str, Path], Recipe]:
    return lambda name, _: numpy_job(name, client, **more)


def _numpy_seen(client: str, **more: Any) -> Callable[[str, Path], Recipe]:
    """A job whose sites write what they receive."""
    return lambda name, folder: numpy_job(name, f"{client} --seen {folder}", **more)


def _aggregated(**faults: Any) -> Callable[[str, Path], Recipe]:
    """A job with an aggregator of the user's own."""
    find_parts()

    def make(name: str, _: Path) -> Recipe:
        from faulty_aggregator import FaultyAggregator

        return numpy_job(name, "", aggregator=FaultyAggregator(**faults))

    return make


def _with_mask(name: str, _: Path) -> Recipe:
    find_parts()
    from masked_model import MaskedModel

    return torch_job(name, "", model=MaskedModel())


def _hello_with_evaluation(name: str, _: Path) -> Recipe:
    return with_evaluation(numpy_job(name, HELLO))


HELLO = "--faults no-steps --metric weight_mean"
"""What the client of NVFlare's hello-numpy returns: one metric, and no number of steps."""

GUARDED: Jobs = {
    "nan": _numpy("--faults nan@site-2"),
    "another-shape": _numpy("--faults flat@site-2"),
    "more": _numpy("--faults more@site-2"),
    "large": _numpy("--faults large@site-2"),
    "nothing": _numpy("--faults nothing@site-2"),
    "other-key-metric": _numpy("--metric val_acc", key_metric="dice"),
    "large-integer": _numpy("--faults large-integer@site-2"),
    "nothing-logged": lambda name, _: tracked(numpy_job(name, "")),
    "mlflow-unreachable": lambda name, _: _mlflow_unreachable(name),
    "no-model": _numpy(),
    "numpy-for-torch": lambda name, _: torch_job(name, "--faults numpy"),
    "no-evaluation": lambda name, _: with_evaluation(torch_job(name, "--faults no-evaluation@site-2")),
    "hanging": lambda name, _: _hanging(name),
    "hanging-process": _hanging_process,
    "untrained": _numpy("--faults same"),
    "overflow": _numpy("--faults half"),
    "steps-of-one-site": _numpy("--faults no-steps@site-2"),
    "zero-steps": _numpy("--faults zero-steps@site-2"),
    "negative-steps": _numpy("--faults negative-steps@site-2"),
    "truncated": _numpy("--faults integers@site-2"),
    "unmet-condition": _numpy(stop_cond="auc >= 0.9"),
    "raising-aggregator": _aggregated(raises_for="site-2"),
    "nan-aggregator": _aggregated(is_nan=True),
    "not-stored": _numpy("--faults nan-metric", stop_cond="accuracy >= 0.9"),
}
"""Jobs that the guard must end."""

WARNED: Jobs = {
    "other-metric": _numpy("--metric val_acc"),
    "warned-model": _numpy("--faults explode@site-2,no-steps,other-metric@site-2", key_metric_mode="min"),
    "warned-metrics": _numpy("--faults falling,text-metric@site-2,nan-metric@site-2"),
    "tolerated": _numpy("--faults same"),
}
"""Jobs about which the guard must warn; the last one lowers the level of a rule."""

STOCK: Jobs = {
    "stock-careless": lambda name, folder: tracked(
        numpy_job(
            name,
            "--faults nan@site-2,more@site-2,large@site-2,other-metric@site-2,negative-steps@site-2 "
            f"--seen {folder}",
        )
    ),
    "stock-another-shape": _numpy("--faults flat@site-2"),
    "stock-all-another-shape": _numpy("--faults flat"),
    "stock-nothing": _numpy("--faults nothing@site-2 --metric val_acc"),
    "stock-trackers": lambda name, _: tracked(_mlflow_folder(name), "wandb", **_WANDB),
    "stock-numpy-for-torch": lambda name, _: torch_job(name, "--faults numpy"),
    "stock-no-evaluation": lambda name, _: with_evaluation(torch_job(name, "--faults no-evaluation@site-2")),
    # The selector of the best model skips the first round, so it compares two rounds of three.
    "stock-untrained": _numpy_seen("--faults same,no-steps,falling", num_rounds=3),
    "stock-overflow": _numpy("--faults half,nan-metric@site-2"),
    "stock-exploding": _numpy_seen(
        "--faults explode@site-2,no-steps@site-2", num_rounds=3, key_metric_mode="min"
    ),
    "stock-truncated": _numpy_seen("--faults integers,zero-steps,text-metric@site-2"),
    "stock-aggregator": _aggregated(raises_for="site-2", is_nan=True),
    "stock-unmet-condition": _numpy(stop_cond="auc >= 0.9"),
    "stock-equals": _numpy(stop_cond="accuracy = 0.7"),
}
"""Jobs with the same failures and without a guard; one job may show several failures."""

ENDLESS: Jobs = {
    "stock-mlflow-unreachable": lambda name, _: _mlflow_unreachable(name),
    "stock-hanging": _numpy("--faults hanging@site-2"),
    "stock-large-integer": _numpy("--faults large-integer@site-2"),
    "stock-too-many-sites": _numpy(),
}
"""Jobs without a guard that never end, or only after minutes."""

VALID: Jobs = {
    "good": lambda name, folder: tracked(numpy_job(name, f"--log --seen {folder}")),
    "good-differences": _numpy(
        "--difference", params_transfer_type=TransferType.DIFF, aggregator_data_kind=DataKind.WEIGHT_DIFF
    ),
    "good-evaluation": lambda name, _: with_evaluation(
        torch_job(name, "", server_expected_format=ExchangeFormat.PYTORCH)
    ),
    "good-cyclic": lambda name, _: torch_job(name, "", CyclicRecipe),
    "good-fedopt": lambda name, _: torch_job(name, "", FedOptRecipe, optimizer_args=_SGD),
    "good-scaffold": lambda name, _: torch_job(name, "--faults scaffold", ScaffoldRecipe),
    "good-offloaded": lambda name, _: torch_job(
        name, "", server_expected_format=ExchangeFormat.PYTORCH, enable_tensor_disk_offload=True
    ),
    "good-mask": _with_mask,
    "good-hello": _numpy(HELLO),
    "good-hello-evaluation": _hello_with_evaluation,
}
"""Jobs that the guard must not end."""

REJECTED: Jobs = {
    "rejected-mlflow": lambda name, _: _mlflow_folder(name),
    "rejected-wandb": lambda name, _: tracked(numpy_job(name, "--log"), "wandb", **_WANDB),
    "rejected-no-model": _numpy(),
    "rejected-equals": _numpy(stop_cond="accuracy = 0.7"),
}
"""Jobs that `flarefleet submit` must reject; see also `REJECTED_FLOWER`."""

REJECTED_FLOWER = "rejected-flower"


def without_model(job: Path) -> Path:
    """Remove the initial model, which a job without a recipe may lack."""
    return _edit_arguments(job, lambda arguments: arguments.pop("model", None))


def without_run_name(job: Path) -> Path:
    """Remove an argument that W&B's receiver needs."""
    return _edit_arguments(job, lambda arguments: arguments.get("wandb_args", {}).pop("name", None))


def _edit_arguments(job: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    file = job / "app" / "config" / "config_fed_server.json"
    config = json.loads(file.read_text())
    for component in config["components"]:
        edit(component["args"])
    file.write_text(json.dumps(config))
    return job


_EDITS: dict[str, Callable[[Path], Path]] = {
    "no-model": without_model,
    "stock-all-another-shape": without_model,
    "rejected-no-model": without_model,
    "stock-trackers": without_run_name,
    "rejected-wandb": without_run_name,
    "stock-too-many-sites": lambda job: for_more_sites(job, SITES + 1, wait_for_sites=86400),
    "tolerated": lambda job: with_meta(job, custom_props={"guard": {"untrained": "warn"}}),
}


def write(names: Iterable[str], into: Path) -> dict[str, Path]:
    """Write the folders of these jobs; each job has a folder `into`/data/NAME for its own files."""
    jobs = {}
    for name in names:
        if name == REJECTED_FLOWER:
            jobs[name] = stock_flower_job.export(into, name, guarded=True)
            continue
        data = into / "data" / name
        data.mkdir(parents=True)
        recipe = (GUARDED | WARNED | STOCK | ENDLESS | VALID | REJECTED)[name](name, data)
        if name in STOCK | ENDLESS:
            recipe = without_guard(recipe)
        jobs[name] = _EDITS.get(name, lambda job: job)(export(recipe, into))
    return jobs
