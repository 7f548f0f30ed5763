"""A world model: a causal transformer that predicts frames from actions.

  vgen train --config=world_transformer_actions --workdir=runs/act

The clips are those of synthetic/actions/source.py: an action moves the object,
and walls stop it. Training predicts all frames in parallel. Sampling generates
frame by frame with a KV cache of fixed size;
`experiments/benchmarks/world_speed.py` measures its speed.

Sizes: `base`, for one accelerator; `cpu`, for two CPU cores, in minutes;
`smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'cpu', 'smoke')
NEEDS_ACCELERATOR = ('base',)


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run; see the docstring of this file for sizes."""
  pick = lambda **sizes: sizes[size]

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(
    base=(16, 64, 64, 3), cpu=(8, 16, 16, 3), smoke=(4, 12, 12, 3)
  )  # t h w c
  config.batch_size = pick(base=64, cpu=32, smoke=8)  # Clips, over all devices.
  config.num_steps = pick(base=50_000, cpu=1_500, smoke=4)

  config.data = dict(name='synthetic.actions.source.Actions')

  config.model = dict(
    name='families.prediction.recurrent.Recurrent',
    predictor=dict(
      name='models.world_transformer.WorldTransformer',
      width=pick(base=512, cpu=64, smoke=16),
      depth=pick(base=8, cpu=3, smoke=2),
      num_heads=pick(base=8, cpu=4, smoke=2),
      patch=pick(base=4, cpu=4, smoke=4),
      window=pick(base=16, cpu=8, smoke=4),
      dtype=pick(base='bfloat16', cpu='float32', smoke='float32'),
    ),
    num_context=1,
    likelihood='gaussian',
  )

  config.optim = dict(
    name='muon',
    schedule=dict(
      name='warmup_cosine',
      peak=pick(base=0.01, cpu=0.02, smoke=0.01),
      warmup_steps=pick(base=500, cpu=50, smoke=1),
    ),
    adam_ratio=0.1,
    clip_norm=1.0,
  )
  config.ema = dict(fast=dict(decay=0.99, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=8, cpu=8, smoke=2)
  config.log_every = pick(base=100, cpu=50, smoke=1)
  config.sample_every = pick(base=5_000, cpu=500, smoke=4)
  config.checkpoint_every = pick(base=5_000, cpu=500, smoke=2)
  return config
