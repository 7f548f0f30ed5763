"""Our world of moving shapes as a dataset on disk, with labels and captions."""

from vgen_jax.core.types import ClipShape
from vgen_jax.data.prepare import raw_videos
from vgen_jax.data.prepare import tables
from vgen_jax.synthetic.world import source as world


def table(
  clip_shape: ClipShape = (16, 64, 64, 3),
  num_clips: int = 1000,
  name: str = 'shapes_world',
) -> tables.Table:
  """Returns what is to be written: clip i of `World`, for each split.

  Args:
    clip_shape: (t, h, w, 3).
    num_clips: For training; validation and test get a tenth each.
    name: Of the dataset.
  """
  counts = {'train': num_clips}
  counts |= dict.fromkeys(('validation', 'test'), max(1, num_clips // 10))
  worlds = {
    split: world.World(clip_shape, split, num_clips=count)
    for split, count in counts.items()
  }
  return tables.Table(
    name,
    {
      split: [
        tables.Row(f'{i:08d}', raw_videos.Clip(source, i))
        for i in range(len(source))
      ]
      for split, source in worlds.items()
    },
    class_names=worlds['train'].schema.class_names,
    has_captions=True,
    description='One shape that moves and bounces; drawn by vgen_jax.',
  )
