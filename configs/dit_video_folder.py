"""Flow matching with a video DiT, on a folder of your own videos.

  vgen train --config=dit_video_folder --workdir=runs/mine \
      --config.data.folder=path/to/videos

Videos may have any size and frame rate. Those that are shorter than a clip are
an error, unless `--config.data.short=loop` is set. If they are in subfolders,
the class of a video is the name of its subfolder.

Sizes: `base`, for one accelerator; `cpu`, for a few videos on one CPU core, in
about half an hour; `smoke`, for tests.
"""

from ml_collections import ConfigDict

SIZES = ('base', 'cpu', 'smoke')
NEEDS_ACCELERATOR = ('base',)


def get_config(size: str = 'base') -> ConfigDict:
  """Returns the config of a run of `size` 'base', 'cpu' or 'smoke'."""
  pick = lambda **sizes: {'cpu': sizes['base'], **sizes}[size]

  config = ConfigDict()
  config.seed = 0
  config.clip_shape = pick(  # t h w c
    base=(16, 128, 128, 3), cpu=(8, 32, 32, 3), smoke=(4, 16, 16, 3)
  )
  config.batch_size = pick(base=64, cpu=8, smoke=8)  # Clips, over all devices.
  config.num_steps = pick(base=200_000, cpu=2_500, smoke=4)

  config.data = dict(
    name='data.files.video_folder.VideoFolder',
    folder='videos',
    frames_per_second=8.0,  # Files of other rates are resampled.
  )

  config.model = dict(
    name='families.diffusion.denoising.Diffusion',
    denoiser=dict(
      name='models.dit.VideoDiT',
      width=pick(base=768, cpu=160, smoke=24),
      depth=pick(base=12, cpu=4, smoke=2),
      num_heads=pick(base=12, cpu=5, smoke=2),
      patch_size=pick(base=(2, 8, 8), cpu=(2, 4, 4), smoke=(2, 2, 2)),
      **pick(base={}, cpu=dict(attention='full', positions='both'), smoke={}),
      dtype=pick(base='bfloat16', cpu='float32', smoke='float32'),
    ),
    prediction='x0',
    weight='velocity',
    # More weight on high noise levels.
    time_density=dict(name='families.diffusion.times.LogitNormal', mean=-0.5),
    clip_x0='static',
    solver=dict(
      name='families.diffusion.solvers.'
      + pick(base='Heun', cpu='Ancestral', smoke='Heun'),
      num_steps=pick(base=32, cpu=40, smoke=2),
    ),
  )

  config.optim = dict(
    name='muon',
    schedule=dict(
      name='warmup_cosine',
      peak=pick(base=5e-3, cpu=2e-2, smoke=1e-2),
      warmup_steps=pick(base=2_000, cpu=50, smoke=1),
    ),
    adam_ratio=0.1,
    clip_norm=1.0,
    weight_decay=0.01,
  )
  decay = pick(base=0.9999, cpu=0.995, smoke=0.9)
  config.ema = dict(slow=dict(decay=decay, warmup=True))

  # Periods, in steps.
  config.num_samples = pick(base=8, smoke=2)
  config.log_every = pick(base=100, cpu=20, smoke=1)
  config.sample_every = pick(base=5_000, cpu=500, smoke=4)
  config.checkpoint_every = pick(base=5_000, cpu=250, smoke=2)
  return config
