"""The interface of networks that translate layouts to video, frame by frame.

Inputs of a frame are its layout, the previous frames (which were generated in
the same way) with their layouts, and, for some networks, reference clips. The
frame is composed of the previous frame, warped by optical flow, and of
new pixels.

Axis suffixes of this file, in addition to those of core/shapes.py: `m` previous
frames; `l` layouts of a window, m + 1.
"""

import abc
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.core.types import Batch
from vgen_jax.core.types import ClipShape
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Size
from vgen_jax.nn import compositing
from vgen_jax.nn import warp


class Window(NamedTuple):
  """Inputs of the generation of one frame.

  Attributes:
    layout_blhw: Layouts, int32, of the m previous frames from the oldest to the
      latest, and of the frame itself, which is the last; -1 where the clip has
      no such frame.
    previous_bmhwc: Previous frames in [-1, 1], from the oldest to the latest; 0
      where the clip has no such frame.
    exists_bm: Whether each of the previous frames exists, bool.
  """

  layout_blhw: Array
  previous_bmhwc: Array
  exists_bm: Array


class Warped(NamedTuple):
  """Another frame, warped by optical flow, and its mask.

  Attributes:
    flow_bhwx: Flow (x, y) in pixels from the generated frame to the other one,
      as in nn/warp.py; float32.
    warped_bhwc: The other frame, warped by the flow.
    mask_bhw: Weight of new pixels in the generated frame, from 0 to 1; that of
      warped pixels is 1 - mask.
  """

  flow_bhwx: Array
  warped_bhwc: Array
  mask_bhw: Array


class Frame(NamedTuple):
  """A generated frame, or several with an axis of time after b.

  Attributes:
    frame_bhwc: The frame, float32 in [-1, 1].
    new_bhwc: New pixels before they are composed with warped ones, in [-1, 1].
    previous: The warped previous frame. If there is no such frame, the mask is
      1.
    reference: A warped reference frame; None if the network warps none.
    extra: Further outputs by name, such as attention weights.
  """

  frame_bhwc: Array
  new_bhwc: Array
  previous: Warped
  reference: Warped | None = None
  extra: dict[str, Array] = {}  # noqa: RUF012


class Translator(nn.Module):
  """The base class of networks that translate layouts to video.

  Attributes:
    clip_shape: (t, h, w, c) of a clip of the data.
    num_segments: Number of classes of pixels in layouts.
    num_previous: Number of previous frames that a frame depends on, m.
  """

  clip_shape: ClipShape
  num_segments: int = 0
  num_previous: Size = 2

  def __post_init__(self):
    super().__post_init__()
    for name in ('num_segments', 'num_previous'):
      if getattr(self, name) < 1:
        raise ValueError(
          f'{name} of {type(self).__name__} is {getattr(self, name)}; it must'
          ' be 1 or more.'
          + (' Data with layouts sets it.' if name == 'num_segments' else '')
        )

  @property
  def condition_keys(self) -> tuple[str, ...]:
    """Keys of the conditions that the network uses, 'layout' among them."""
    return ('layout',)

  def encode(self, condition: Batch | Condition, *, train: bool) -> Any:
    """Returns features that all frames of a clip use: a tree of `[b, ...]`.

    The features are computed once for each clip, for example from
    `condition['reference']`, float32 `[b, n, t, h, w, c]` in [-1, 1], and
    `condition['reference_layout']`, int32 `[b, n, t, h, w]`. Layers with
    spectral norm may be used in this method but not in `__call__`.

    Args:
      condition: Condition with the keys of `condition_keys`.
      train: Whether dropout is on.
    """
    del condition, train
    return ()

  @abc.abstractmethod
  def __call__(self, window: Window, encoded: Any, *, train: bool) -> Frame:
    """Returns the next frame, `[b, h, w, c]`, and its parts.

    Args:
      window: Layouts and previous frames.
      encoded: Result of `encode`.
      train: Whether dropout is on.
    """
    raise NotImplementedError


def one_hot(layout_blhw: Array, num_segments: int) -> Array:
  """Returns layouts as channels, float32 `[b, h, w, l * k]`.

  The k channels of one layout are contiguous; they are 0 where it is -1.

  Args:
    layout_blhw: Layouts of a window.
    num_segments: Number of classes, k.
  """
  one_hot_blhwk = jax.nn.one_hot(layout_blhw, num_segments)
  b, _, h, w, _ = one_hot_blhwk.shape
  return jnp.moveaxis(one_hot_blhwk, 1, 3).reshape(b, h, w, -1)


def warp_previous(window: Window, flow_bhwx: Array, mask_bhw: Array) -> Warped:
  """Returns the latest previous frame, warped by optical flow.

  For clips without a previous frame the mask is 1: all pixels are new.

  Args:
    window: Window with the previous frames.
    flow_bhwx: Flow from the next frame to the latest previous one, in pixels.
    mask_bhw: Weight of new pixels if there is a previous frame, from 0 to 1.
  """
  warped_bhwc = warp.backward(window.previous_bmhwc[:, -1], flow_bhwx)
  exists_b11 = window.exists_bm[:, -1, None, None]
  return Warped(flow_bhwx, warped_bhwc, jnp.where(exists_b11, mask_bhw, 1.0))


def compose(new_bhwc: Array, warped: Warped) -> Array:
  """Returns `mask * new + (1 - mask) * warped`, `[b, h, w, c]`.

  Args:
    new_bhwc: New pixels.
    warped: Warped pixels with the mask.
  """
  return compositing.blend(
    new_bhwc[:, None], warped.warped_bhwc[:, None], warped.mask_bhw[:, None]
  )[:, 0]
