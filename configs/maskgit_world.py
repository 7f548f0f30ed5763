"""MaskGIT on a synthetic dataset: it predicts masked codes of clips.

  vgen train --config=fsq_world --workdir=runs/fsq_world
  vgen train --config=maskgit_world --workdir=runs/maskgit_world

A tokenizer maps a clip to 4 x 4 x 4 codes out of 512. A small transformer is
trained to predict masked codes from the others. Sampling starts with all or
some codes masked and keeps confident predictions first, so one model generates,
continues, interpolates and inpaints clips.

Sizes: `base` and `small`, the same, for a CPU: 10,000 steps take an hour on one
  core, and 83 % of clips are valid (seed 1: 93 %); `smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'small', 'smoke')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of `size` 'base', 'small' or 'smoke'."""
  pick = lambda **sizes: {'small': sizes['base'], **sizes}[size]

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(base=(8, 16, 16, 3), smoke=(4, 8, 8, 3))  # t h w c
  config.batch_size = pick(base=32, smoke=8)  # Clips, over all devices.
  config.num_steps = pick(base=10_000, smoke=4)

  config.data = dict(
    name='synthetic.world.source.World',
    label='direction',
    only=dict(shape=('circle',), size=('large',), speed=('quickly',)),
  )

  config.model = dict(
    name='families.latent.Latent',
    prior=dict(
      name='families.codes.masked.Masked',
      transformer=dict(
        name='models.maskgit.MaskGIT',
        num_codes=512,
        width=pick(base=128, smoke=16),
        depth=pick(base=4, smoke=2),
        num_heads=pick(base=4, smoke=2),
        positions='rotary',
        dropout=0.0,
      ),
      label_smoothing=0.0,
      tasks=pick(
        base=dict(free=7, first_frame=1, interpolation=1, inpainting=1),
        smoke=dict(free=1, first_frame=1),
      ),
      class_dropout=0.1,
      num_steps=pick(base=64, smoke=2),  # One code in each step.
      temperature=0.3,
      choice_temperature=1.0,
      guidance=1.5,
    ),
  )
  # The tokenizer is that of this run, which must be trained first.
  config.frozen = dict(autoencoder='runs/fsq_world')

  config.optim = dict(
    name='muon',
    schedule=dict(
      name='warmup_cosine', peak=0.02, warmup_steps=pick(base=50, smoke=1)
    ),
    adam_ratio=0.1,
    weight_decay=0.01,
    clip_norm=1.0,
  )
  config.ema = dict(fast=dict(decay=0.99, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=16, smoke=2)
  config.log_every = pick(base=100, smoke=1)
  config.sample_every = pick(base=1_000, smoke=4)
  config.checkpoint_every = pick(base=1_000, smoke=2)
  return config
