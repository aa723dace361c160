"""The policy: lerobot's SmolVLA, either tiny and random or published, with its processors and its loss."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fl_app.contract import ENV_WORKSPACE
from fl_app.jobs.fedprox_vla.backbone import IMAGE_SIZE, make_backbone
from fl_app.jobs.fedprox_vla.recordings import (
    ACTION,
    CAMERA,
    JOINTS,
    STATE,
    make_recordings,
    open_recordings,
)
from fl_app.jobs.shared.examples import mixed_seed

if TYPE_CHECKING:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

    from fl_app.jobs.fedprox_vla.job import VlaParameters

TINY = "tiny"
_TINY_CHUNK = 8
BACKBONE = "backbone"
"""Subfolder of a saved tiny policy that holds its backbone."""


def build_policy(source: str = TINY, seed: int = 0, device: str = "cpu") -> SmolVLAPolicy:
    """Build the untrained policy, a torch module.

    Args:
        source: `tiny`, or a hub name or folder for lerobot's from_pretrained.
        seed: seed of the tiny policy's weights.
        device: device of the weights.
    """
    _cache_in_workspace()
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

    if source != TINY:
        return SmolVLAPolicy.from_pretrained(source).to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SmolVLAPolicy(_tiny_config(device)).to(device)


def _cache_in_workspace() -> None:
    """Put downloads and LeRobot's caches on the site's volume: the home folder may not be writable."""
    workspace = os.environ.get(ENV_WORKSPACE)
    if workspace:
        os.environ.setdefault("HF_HOME", f"{workspace}/.cache/huggingface")


def _tiny_config(device: str) -> Any:
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

    joints = (len(JOINTS),)
    return SmolVLAConfig(
        input_features={
            CAMERA: PolicyFeature(FeatureType.VISUAL, (3, IMAGE_SIZE, IMAGE_SIZE)),
            STATE: PolicyFeature(FeatureType.STATE, joints),
        },
        output_features={ACTION: PolicyFeature(FeatureType.ACTION, joints)},
        device=device,
        vlm_model_name=str(_backbone()),
        load_vlm_weights=False,
        num_vlm_layers=2,
        resize_imgs_with_padding=(IMAGE_SIZE, IMAGE_SIZE),
        chunk_size=_TINY_CHUNK,
        n_action_steps=_TINY_CHUNK,
        max_state_dim=8,
        max_action_dim=8,
        train_expert_only=False,
        freeze_vision_encoder=False,
        num_steps=2,
        tokenizer_max_length=24,
    )


_temporary_backbone: tempfile.TemporaryDirectory[str] | None = None


def _backbone() -> Path:
    """Return the folder of this process's tiny backbone, which the process deletes when it exits."""
    global _temporary_backbone  # noqa: PLW0603 - one folder per process
    if _temporary_backbone is None:
        _temporary_backbone = tempfile.TemporaryDirectory(prefix="flare-backbone-")
        make_backbone(Path(_temporary_backbone.name))
    return Path(_temporary_backbone.name)


def save_policy(pipeline: PolicyPipeline, folder: Path, card: str) -> None:
    """Write policy and processors to `folder` in the hub's format, with a model card.

    No hub has the tiny policy's backbone: it is written to the folder, too, and named by a relative path.
    """
    for part in (pipeline.policy, pipeline.preprocessor, pipeline.postprocessor):
        part.save_pretrained(folder)
    (folder / "README.md").write_text(card, encoding="utf-8")
    backbone = pipeline.policy.config.vlm_model_name
    if _temporary_backbone is not None and backbone == _temporary_backbone.name:
        shutil.copytree(backbone, folder / BACKBONE)
        for file in folder.glob("*.json"):
            file.write_text(file.read_text(encoding="utf-8").replace(backbone, BACKBONE), encoding="utf-8")


@dataclass
class PolicyPipeline:
    """A policy, its recordings, and the processors between them."""

    policy: SmolVLAPolicy
    recordings: LeRobotDataset

    def __post_init__(self) -> None:
        """Create the processors, which normalise by the mean and deviation of these recordings."""
        from lerobot.policies.smolvla.processor_smolvla import make_smolvla_pre_post_processors

        self.preprocessor, self.postprocessor = make_smolvla_pre_post_processors(
            self.policy.config, dataset_stats=self.recordings.meta.stats
        )

    @classmethod
    def build(
        cls, given: VlaParameters, dataset: str, folder: Path, position: int, device: str = "cpu"
    ) -> PolicyPipeline:
        """Build the policy, and open a dataset, or synthetic recordings in `folder` if `dataset` is empty.

        Args:
            given: parameters of the job.
            dataset: folder of a LeRobot dataset.
            folder: the job's own folder.
            position: number that, with the job's seed, seeds the synthetic recordings.
            device: device of the policy.
        """
        policy = build_policy(given.policy, given.seed, device)
        recordings = (
            Path(dataset)
            if dataset
            else make_recordings(folder / "recordings", (given.seed, position), given.episodes)
        )
        return cls(policy, open_recordings(recordings, policy.config.chunk_size))

    def batches(self, size: int, seed: tuple[int, ...] | None) -> Any:
        """Return preprocessed batches, shuffled by `seed`; in order if `seed` is None."""
        order = torch.Generator()
        if seed is not None:
            order.manual_seed(mixed_seed(*seed))
        loader = torch.utils.data.DataLoader(
            self.recordings, batch_size=size, shuffle=seed is not None, generator=order, num_workers=0
        )
        return (self.preprocessor(batch) for batch in loader)

    def loss(self, batch: dict[str, Any]) -> Tensor:
        """Return SmolVLA's flow-matching loss of a batch."""
        loss, _ = self.policy.forward(batch)
        return loss

    @torch.no_grad()
    def squared_error(self, batch: dict[str, Any]) -> Tensor:
        """Return the mean squared error of the predicted actions per frame, in the recordings' units."""
        observed = {name: value for name, value in batch.items() if name != ACTION}
        predicted = self.postprocessor(self.policy.predict_action_chunk(observed))
        difference = predicted - self.postprocessor(batch[ACTION])
        return difference.square().flatten(start_dim=1).mean(dim=1)
