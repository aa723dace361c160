"""The job `fedprox-vla`: a vision-language-action policy for robots, fine-tuned where the recordings are."""
