"""Recordings of a robot arm as LeRobot datasets: a site's own folder, or small synthetic ones.

Synthetic recordings show a red square on a 64 x 64 picture and a swinging state of six joints; the action is
the state plus an offset that depends on the square's position. Each site has its own seed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fl_app.jobs.fedprox_vla.backbone import IMAGE_SIZE, SENTENCES

if TYPE_CHECKING:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

CAMERA, STATE, ACTION = "observation.images.top", "observation.state", "action"
JOINTS = tuple(
    f"{joint}.pos"
    for joint in ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
)
FRAMES = 20
"""Frames of a synthetic episode."""
FPS = 10


def open_recordings(folder: Path, chunk: int) -> LeRobotDataset:
    """Open the dataset in `folder`; each frame comes with the `chunk` actions that follow it.

    Raises:
        ValueError: the folder holds no dataset that LeRobot can read.
    """
    from lerobot.datasets.lerobot_dataset import LeRobotDataset, LeRobotDatasetMetadata

    if not (folder / "meta" / "info.json").is_file():
        raise ValueError(
            f"{folder} holds no LeRobot dataset (meta/info.json is missing): mount the site's data there "
            "(deployment.sites.SITE.datasets in project.yml) or submit with another --set dataset=FOLDER"
        )
    name = f"local/{folder.name}"
    try:
        facts = LeRobotDatasetMetadata(name, root=folder)
        following = {ACTION: [step / facts.fps for step in range(chunk)]}
        return LeRobotDataset(name, root=folder, delta_timestamps=following)
    except Exception as error:
        raise ValueError(f"{folder} cannot be read as a LeRobot dataset: {error}") from error


def make_recordings(folder: Path, seed: tuple[int, ...], episodes: int) -> Path:
    """Write synthetic recordings to `folder`, which must not exist yet, and return the folder."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    random = np.random.default_rng(seed)
    dataset = LeRobotDataset.create(
        repo_id=f"local/{folder.name}",
        fps=FPS,
        root=folder,
        robot_type="so100",
        use_videos=False,
        image_writer_threads=0,
        features=_features(),
    )
    for _ in range(episodes):
        for frame in _episode(random):
            dataset.add_frame(frame)
        dataset.save_episode()
    dataset.finalize()
    return folder


def _features() -> dict[str, dict[str, Any]]:
    joints = {"dtype": "float32", "shape": (len(JOINTS),), "names": list(JOINTS)}
    size = (IMAGE_SIZE, IMAGE_SIZE, 3)
    picture = {"dtype": "image", "shape": size, "names": ["height", "width", "channels"]}
    return {CAMERA: picture, STATE: joints, ACTION: joints}


def _episode(random: np.random.Generator) -> list[dict[str, Any]]:
    x, y = (int(place) for place in random.integers(8, IMAGE_SIZE - 8, 2))
    phase, task = random.random() * 6, SENTENCES[int(random.integers(len(SENTENCES)))].strip()
    moved = np.array([x / IMAGE_SIZE, y / IMAGE_SIZE, 0, 0, 0, 1], np.float32)
    frames = []
    for number in range(FRAMES):
        picture = np.zeros((IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        picture[y - 4 : y + 4, x - 4 : x + 4, 0] = 255
        state = np.sin(np.arange(len(JOINTS)) + phase + number / 5).astype(np.float32)
        frames.append({CAMERA: picture, STATE: state, ACTION: state + moved, "task": task})
    return frames
