"""Client of the PyTorch Lightning example: NVFlare exchanges the models of the trainer."""

import nvflare.client.lightning as flare
import torch
from example_jobs.dataset import points
from example_jobs.lightning_model import LightningClassifier
from pytorch_lightning import Trainer
from torch.utils.data import DataLoader, TensorDataset

STEPS = 3

torch.set_num_threads(1)
flare.init()
features, labels = map(torch.as_tensor, points(flare.get_site_name()))
batches = DataLoader(TensorDataset(features, labels), batch_size=len(labels))
trainer = Trainer(
    max_epochs=STEPS,
    accelerator="cpu",
    devices=1,
    num_sanity_val_steps=0,
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
flare.patch(trainer)
model = LightningClassifier()
while flare.is_running():
    trainer.validate(model, batches, verbose=False)
    trainer.fit(model, batches)
