"""A tokenizer of a synthetic dataset that trains in minutes on a laptop.

  vgen train --config=fsq_world --workdir=runs/fsq_world

The tokenizer maps a clip of 8 frames of 16 x 16 pixels, as in configs/demo.py,
to 4 x 4 x 4 codes out of 512. The models of videogpt_world.py, maskgit_world.py
and flow_latent_world.py are trained on its codes or latents. Samples show clips
of the data above their reconstructions.

Sizes: `base` and `small`, which are the same, for a CPU: 2,500 steps take 12
  minutes on one core and reconstruct clips at 35 dB, of which nearly all are
  valid; `smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'small', 'smoke')


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of `size` 'base', 'small' or 'smoke'."""
  pick = lambda **sizes: {'small': sizes['base'], **sizes}[size]

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(base=(8, 16, 16, 3), smoke=(4, 8, 8, 3))  # t h w c
  config.batch_size = pick(base=16, smoke=8)  # Clips, over all devices.
  config.num_steps = pick(base=2_500, smoke=4)

  config.data = dict(
    name='synthetic.world.source.World',
    label='direction',
    only=dict(shape=('circle',), size=('large',), speed=('quickly',)),
  )

  config.model = dict(
    name='families.autoencoding.tokenizer.Autoencoding',
    autoencoder=dict(
      name='models.patch_tokenizer.PatchTokenizer',
      bottleneck=dict(name='nn.bottlenecks.lookup_free.FSQ', levels=(8, 8, 8)),
      patch_size=(2, 4, 4),  # Frames, rows, columns.
      width=pick(base=128, smoke=16),
    ),
  )

  config.optim = dict(
    name='muon',
    schedule=dict(
      name='warmup_cosine', peak=0.02, warmup_steps=pick(base=50, smoke=1)
    ),
    adam_ratio=0.1,
    clip_norm=1.0,
  )
  config.ema = dict(fast=dict(decay=0.99, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=16, smoke=2)
  config.log_every = pick(base=50, smoke=1)
  config.sample_every = pick(base=1_000, smoke=4)
  config.checkpoint_every = pick(base=500, smoke=2)
  return config
