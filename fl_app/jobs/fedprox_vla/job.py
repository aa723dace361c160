"""The job `fedprox-vla`: SmolVLA, fine-tuned on every site's own robot recordings with FedProx."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fl_app.jobs.parameters import JobParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = "SmolVLA on each site's robot recordings: FedProx, mixed precision, server evaluation (lerobot)"
NEEDS = {
    **dict.fromkeys(("torch", "safetensors", "tensorboard"), "flarefleet[jobs]"),
    **dict.fromkeys(("lerobot", "transformers"), "flarefleet[vla]"),
}
EXTRAS = ("vla",)
WARM_UP = ("fl_app.jobs.fedprox_vla.recipe",)


class VlaParameters(JobParameters):
    """How the sites train, and how the server looks at what they learnt."""

    rounds: int = Field(4, ge=1, le=1000)
    """How often the sites' policies are averaged."""
    local_epochs: int = Field(2, ge=1, le=1000)
    """Passes of each site over its own recordings in a round."""
    mu: float = Field(0.001, ge=0, le=100, allow_inf_nan=False)
    """Of the proximal term mu/2 * ||w - w_global||^2; 0 is FedAvg."""
    learning_rate: float = Field(1e-3, gt=0, le=1, allow_inf_nan=False)
    """Of AdamW at the beginning of a round; it falls to a tenth by a cosine until its end."""
    batch_size: int = Field(8, ge=1, le=512)
    """Frames a training step."""
    max_norm: float = Field(10.0, gt=0, allow_inf_nan=False)
    """Gradients above this norm are scaled down to it."""
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    """Mixed precision: auto is fp16 with a scaler on a GPU, bf16 on a CPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """What the sites train on; auto is a GPU where there is one."""
    evaluate_every: int = Field(2, ge=1, le=1000)
    """The server measures the policy every so many rounds, before the first and after the last."""
    policy: str = Field("tiny", min_length=1)
    """What is fine-tuned: tiny (random, 0.26 million parameters), or a hub name or folder that every site and
    the server can load."""
    dataset: str = ""
    """Folder of a site's LeRobot dataset, such as /data/recordings; empty: recordings are made up."""
    evaluation_dataset: str = ""
    """Folder of the server's LeRobot dataset; empty: recordings are made up."""
    episodes: int = Field(3, ge=1, le=1000)
    """Made-up recordings a site."""
    hub_repository: str = Field("", pattern=r"^$|^[\w.-]+/[\w.-]+$")
    """OWNER/NAME to push the best policy to, with the token of HF_TOKEN at the server; empty: nowhere."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Of the first weights, the made-up recordings and the training order."""


PARAMETERS = VlaParameters


def recipe(parameters: VlaParameters, sites: Sequence[str]) -> Recipe:
    """Put the job together for these sites, whatever their names.

    Raises:
        ValueError: a policy of the hub's cannot be trained on made-up recordings.
    """
    from nvflare.recipe.utils import add_experiment_tracking

    from fl_app.jobs.fedprox_vla.recipe import FedProxVlaRecipe

    if parameters.policy != "tiny" and not (parameters.dataset and parameters.evaluation_dataset):
        raise ValueError(
            f"policy={parameters.policy} needs real recordings: set dataset (each site's folder) and "
            "evaluation_dataset (the server's)"
        )
    job = FedProxVlaRecipe(parameters, sites)
    add_experiment_tracking(job, "tensorboard")
    return job
