"""Times of the packets of a video, which is read one packet at a time."""

import array
from collections.abc import Iterator
import dataclasses

import av
import numpy as np

from vgen_jax.data.files import containers


@dataclasses.dataclass(frozen=True, eq=False)
class Times:
  """Times of the packets of a stream, in ticks.

  Attributes:
    pts_n: Times of the packets that are shown, in the order of the file.
    key_k2: Time of each key frame and time to seek to, sorted.
    num_packets: Number of all packets.
    last_duration: Duration of the packet that is shown last; 0 if unknown.
    is_unreliable: Whether packets without a time, or two of one time, exist.
    begins_with_key: Whether the first packet is a key frame, and no packet is
      shown before it.
  """

  pts_n: np.ndarray
  key_k2: np.ndarray
  num_packets: int
  last_duration: int
  is_unreliable: bool
  begins_with_key: bool


def times(packets: Iterator[av.Packet]) -> Times:
  """Returns the times of packets, with one packet in memory at a time.

  An edit list shows a part of the stored packets. The others are marked to be
  discarded after decoding; key frames among them are needed, too.
  """
  pts_n, keys, num_packets, num_shown = array.array('q'), [], 0, 0
  last = -(2**63), 0
  has_first_key, first = True, 2**63 - 1
  for packet in packets:
    if not packet.size:
      continue
    if not num_packets:
      has_first_key = packet.is_keyframe
      first = first if packet.pts is None else packet.pts
    num_packets += 1
    if packet.pts is not None and packet.is_keyframe:
      seek_to = packet.pts if packet.dts is None else packet.dts
      keys.append((packet.pts, min(packet.pts, seek_to)))
    if packet.is_discard:
      continue
    num_shown += 1
    if packet.pts is not None:
      pts_n.append(packet.pts)
      last = max(last, (packet.pts, packet.duration or 0))
  pts_n = np.array(pts_n, np.int64)
  key_k2 = np.array(sorted(keys), np.int64).reshape(-1, 2)
  is_unreliable = len(np.unique(pts_n)) < num_shown
  begins_with_key = has_first_key and pts_n.min(initial=first) >= first
  return Times(
    pts_n, key_k2, num_packets, last[1], is_unreliable, bool(begins_with_key)
  )


def num_stored(path: str, max_pixels: int) -> int:
  """Returns the number of stored frames, also those that are not shown."""
  with containers.opened(path, max_pixels=max_pixels, has_edits=False) as (
    container,
    stream,
  ):
    return sum(packet.size > 0 for packet in container.demux(stream))


def decoded(path: str, max_pixels: int) -> np.ndarray:
  """Returns the times of all frames, by decoding them.

  Damage is concealed here; reading the frames raises an error.
  """
  with containers.opened(path, max_pixels=max_pixels, is_strict=False) as (
    container,
    stream,
  ):
    times = [frame.pts for frame in container.decode(stream)]
  return np.array([-1 if pts is None else pts for pts in times], np.int64)


def decodable(path: str, max_pixels: int) -> np.ndarray:
  """Returns the times of the frames whose reference frames are in the file.

  A file that does not begin with a key frame is a part of a recording, or its
  index is wrong. So the first key frame is the one that the decoder finds.

  Raises:
    ClipError: If the file is damaged.
  """
  times, has_key = [], False
  with containers.opened(path, max_pixels=max_pixels) as (container, stream):
    for frame in containers.frames(container, stream):
      has_key = has_key or frame.key_frame
      if has_key and frame.pts is not None:
        times.append(frame.pts)
  return np.array(times, np.int64)
