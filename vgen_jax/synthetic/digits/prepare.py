"""Our moving digits as a dataset on disk, grey, as Moving MNIST is."""

from vgen_jax.core.types import ClipShape
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import tables
from vgen_jax.synthetic.digits import source as digits


def table(
  clip_shape: ClipShape = (20, 64, 64, 1),
  num_clips: int = 1000,
  name: str = 'moving_digits',
  num_digits: int = 2,
) -> tables.Table:
  """Returns what is to be written: clip i of `MovingDigits`, for each split.

  Args:
    clip_shape: (t, h, w, c), with c 1 or 3.
    num_clips: For training; validation and test get a tenth each.
    name: Of the dataset.
    num_digits: Digits in a clip. With one, it is the label.
  """
  counts = {'train': num_clips}
  counts |= dict.fromkeys(('validation', 'test'), max(1, num_clips // 10))
  sources = {
    split: digits.MovingDigits(clip_shape, split, num_digits, count)
    for split, count in counts.items()
  }
  return tables.Table(
    name,
    {
      split: [
        tables.Row(f'{i:08d}', raw_videos.Clip(source, i))
        for i in range(len(source))
      ]
      for split, source in sources.items()
    },
    class_names=sources['train'].schema.class_names,
    num_channels=clip_shape[-1],
    description='Handwritten digits that move and bounce; drawn by vgen_jax.',
  )
