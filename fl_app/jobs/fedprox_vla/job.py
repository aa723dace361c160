"""The job `fedprox-vla`: sites fine-tune SmolVLA on their own robot recordings with FedProx."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fl_app.jobs.parameters import QuorumParameters

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = "SmolVLA on each site's robot recordings: FedProx, mixed precision, server evaluation (lerobot)"
NEEDS = {
    **dict.fromkeys(("torch", "safetensors", "tensorboard"), "flarefleet[jobs]"),
    **dict.fromkeys(("lerobot", "transformers"), "flarefleet[vla]"),
}
EXTRAS = ("vla",)
WARM_UP = ("fl_app.jobs.recipe", "fl_app.jobs.fedprox_vla.controller")


class VlaParameters(QuorumParameters):
    """Parameters of the job `fedprox-vla`."""

    rounds: int = Field(4, ge=1, le=1000)
    """Number of rounds"""
    local_epochs: int = Field(2, ge=1, le=1000)
    """Epochs of each site per round"""
    mu: float = Field(0.001, ge=0, le=100, allow_inf_nan=False)
    """Strength of the proximal term mu/2 * ||w - w_global||^2; 0 is FedAvg"""
    learning_rate: float = Field(1e-3, gt=0, le=1, allow_inf_nan=False)
    """Learning rate of AdamW at the beginning of a round; a cosine decreases it to a tenth"""
    batch_size: int = Field(8, ge=1, le=512)
    """Frames per training step"""
    max_norm: float = Field(10.0, gt=0, allow_inf_nan=False)
    """Largest norm of the gradients; larger ones are scaled down to it"""
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    """Mixed precision; auto is fp16 with a scaler on a GPU, bf16 on a CPU"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the sites' training; auto is a GPU if there is one"""
    evaluate_every: int = Field(2, ge=1, le=1000)
    """Number of rounds between two evaluations at the server; the last round is always evaluated"""
    policy: str = Field("tiny", min_length=1)
    """Policy to fine-tune: tiny (random, 0.26 million parameters), or a hub name or folder that all sites
    and the server can load"""
    dataset: str = ""
    """Folder of each site's LeRobot dataset, such as /data/recordings; empty for synthetic recordings"""
    evaluation_dataset: str = ""
    """Folder of the server's LeRobot dataset; empty for synthetic recordings"""
    episodes: int = Field(3, ge=1, le=1000)
    """Number of synthetic recordings per site"""
    hub_repository: str = Field("", pattern=r"^$|^[\w.-]+/[\w.-]+$")
    """Hub repository OWNER/NAME for the best policy, pushed with the server's HF_TOKEN; empty for none"""
    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of the first weights, the synthetic recordings and the training order"""


PARAMETERS = VlaParameters


def recipe(parameters: VlaParameters, sites: Sequence[str]) -> Recipe:
    """Make the recipe for these sites.

    Raises:
        ValueError: a policy from a hub or folder is combined with synthetic recordings, or the quorum exceeds
            the number of sites.
    """
    from nvflare.recipe.utils import add_experiment_tracking

    from fl_app.jobs.fedprox_vla.client import RobotSite
    from fl_app.jobs.fedprox_vla.controller import EvaluatedFedProx
    from fl_app.jobs.recipe import TrainingRecipe

    if parameters.policy != "tiny" and not (parameters.dataset and parameters.evaluation_dataset):
        raise ValueError(
            f"policy={parameters.policy} needs real recordings: set dataset (each site's folder) and "
            "evaluation_dataset (the server's folder)"
        )
    given = parameters.model_dump(exclude_none=True)
    job = TrainingRecipe(
        name="fedprox-vla",
        model={
            "class_path": "fl_app.jobs.fedprox_vla.policy.build_policy",
            "args": {"source": parameters.policy, "seed": parameters.seed},
        },
        num_rounds=parameters.rounds,
        sites=sites,
        quorum=parameters.results_needed(len(sites)),
        training=RobotSite(list(sites), given),
        controller=EvaluatedFedProx(len(sites), given),
        key_metric="",  # the server's own evaluations choose the best policy
    )
    add_experiment_tracking(job, "tensorboard")
    return job
