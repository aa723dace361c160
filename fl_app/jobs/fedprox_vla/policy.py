"""The policy: lerobot's SmolVLA, tiny and random or as it was published, and its loss on a batch."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fl_app.contract import ENV_WORKSPACE
from fl_app.jobs.fedprox_vla.backbone import IMAGE_SIZE, make_backbone
from fl_app.jobs.fedprox_vla.recordings import ACTION, CAMERA, JOINTS, STATE

if TYPE_CHECKING:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

TINY = "tiny"
_TINY_CHUNK = 8
BACKBONE = "backbone"
"""In a saved tiny policy: its backbone."""


def build_policy(source: str = TINY, seed: int = 0, device: str = "cpu") -> SmolVLAPolicy:
    """The policy before any training: a torch module whose state_dict all sites share.

    Args:
        source: `tiny`, or what lerobot's from_pretrained takes: a hub name or a folder.
        seed: of the tiny policy's weights.
        device: where it lives.
    """
    _keep_downloads()
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

    if source != TINY:
        return SmolVLAPolicy.from_pretrained(source).to(device)
    with _offline(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SmolVLAPolicy(_tiny_config(device)).to(device)


def _keep_downloads() -> None:
    """Let downloads and LeRobot's caches lie on the site's volume: a home may not be writable."""
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


_made_backbone: tempfile.TemporaryDirectory[str] | None = None


def _backbone() -> Path:
    """The tiny backbone of this process, made once; it goes when the process ends."""
    global _made_backbone  # noqa: PLW0603 - one folder a process, whoever builds a policy
    if _made_backbone is None:
        _made_backbone = tempfile.TemporaryDirectory(prefix="flare-backbone-")
        make_backbone(Path(_made_backbone.name))
    return Path(_made_backbone.name)


def save_policy(learner: Learner, folder: Path, card: str) -> None:
    """Write policy and processors to `folder` in the hub's format, with a model card.

    The tiny policy's backbone is on no hub: it goes into the folder, and lerobot finds it from within there.
    """
    for part in (learner.policy, learner.before, learner.after):
        part.save_pretrained(folder)
    (folder / "README.md").write_text(card, encoding="utf-8")
    backbone = learner.policy.config.vlm_model_name
    if _made_backbone is not None and backbone == _made_backbone.name:
        shutil.copytree(backbone, folder / BACKBONE)
        for file in folder.glob("*.json"):
            file.write_text(file.read_text(encoding="utf-8").replace(backbone, BACKBONE), encoding="utf-8")


class _offline:  # noqa: N801 - reads as a statement
    """Ask no hub for what is made here."""

    _NAMES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")

    def __enter__(self) -> None:
        self._before = {name: os.environ.get(name) for name in self._NAMES}
        os.environ.update(dict.fromkeys(self._NAMES, "1"))

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@dataclass
class Learner:
    """A policy with the recordings it sees and the processors between them.

    Args:
        policy: see `build_policy`.
        recordings: see `recordings.open_recordings`.
    """

    policy: SmolVLAPolicy
    recordings: LeRobotDataset

    def __post_init__(self) -> None:
        """Make the processors: they normalise by these recordings' own means and deviations."""
        from lerobot.policies.smolvla.processor_smolvla import make_smolvla_pre_post_processors

        self.before, self.after = make_smolvla_pre_post_processors(
            self.policy.config, dataset_stats=self.recordings.meta.stats
        )

    def batches(self, size: int, seed: tuple[int, ...] | None) -> Any:
        """Batches ready for the policy, shuffled by `seed`, in order without one."""
        order = torch.Generator()
        if seed is not None:
            order.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        loader = torch.utils.data.DataLoader(
            self.recordings, batch_size=size, shuffle=seed is not None, generator=order, num_workers=0
        )
        return (self.before(batch) for batch in loader)

    def loss(self, batch: dict[str, Any]) -> Tensor:
        """SmolVLA's flow-matching loss of a batch."""
        loss, _ = self.policy.forward(batch)
        return loss

    @torch.no_grad()
    def squared_error(self, batch: dict[str, Any]) -> Tensor:
        """Mean squared error of the predicted actions, in the units of the recordings; one number a frame."""
        observed = {name: value for name, value in batch.items() if name != ACTION}
        difference = self.after(self.policy.predict_action_chunk(observed)) - self.after(batch[ACTION])
        return difference.square().flatten(start_dim=1).mean(dim=1)
