"""Measures the peak memory of scanning, reading and preparing files.

  python -m experiments.benchmarks.files_memory
  python -m experiments.benchmarks.files_memory --checkouts path/to/another .

Each case runs in a process of its own. The script prints its peak of resident
memory, less that of a process that only imports the package. The inputs are
written to a temporary folder, about 0.5 GB. The flag `--only` selects cases by
words of their titles.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import av
import numpy as np
from PIL import Image

from vgen_jax.core import digests

ROOT = pathlib.Path(__file__).parents[2]
_PREPARE = 'vgen data prepare video_folder --num_threads=1'
# Title of a case, its folder of inputs, and the code or command to run there.
CASES = (
  ('import only', '', 'pass'),
  ('scan of a file of 461 MB', 'large', 'make(4, 64)'),
  ('scan of 2 hours of 64x64', 'film', 'make(4, 64)'),
  ('clip of 16 frames of 1920x1080', 'hd', 'make(16, 64)[0]'),
  ('clip of 16 frames of 3840x2160', '4k', 'make(16, 64)[0]'),
  ('clip of 16 frames of a GIF', 'gif', 'make(16, 64)[0]'),
  ('scan of 100,000 files', 'many', 'make(4, 64)'),
  ('scan of 100,000 files, again', 'many', 'make(4, 64)'),
  ('scan of 100,000 empty files', 'empty', 'make(4, 64, "substitute")'),
  ('prepare 2 hours of 64x64, jpeg', 'film', f'{_PREPARE} --format=jpeg'),
  ('prepare 2 hours of 64x64, raw', 'film', f'{_PREPARE} --format=raw'),
  ('prepare 128 frames of 1920x1080, mp4', 'hd', f'{_PREPARE} --format=mp4'),
  ('prepare 128 frames of 1920x1080, raw', 'hd', f'{_PREPARE} --format=raw'),
)
_CHILD = """
import sys
from vgen_jax.cli import main
from vgen_jax.data.files import video_folder
from vgen_jax.data.tfds import compat

def make(t, side, faults='raise'):
  shape = (t, side, side, 3)
  return video_folder.VideoFolder(shape, sys.argv[1], 'all', faults=faults)

exec(sys.argv[2])
# Not `ru_maxrss`, which is that of the parent, too, if this was larger.
status = dict(x.split(':', 1) for x in open('/proc/self/status'))
print('PEAK', int(status['VmHWM'].split()[0]) // 1024)
"""


def write_inputs(root: pathlib.Path, names: set[str]) -> None:
  """Writes those folders of `CASES` that are named."""
  noise = np.random.default_rng(0).integers(0, 255, (2160, 3840, 3), np.uint8)
  h264 = ('libx264', 'yuv420p', {'preset': 'ultrafast'})
  videos = {
    'large': ('a.mkv', (480, 640), 1000, ('rawvideo', 'yuv420p', {})),
    'film': ('a.mp4', (64, 64), 2 * 3600 * 5, h264),
    '4k': ('a.mp4', (2160, 3840), 16, h264),
    'hd': ('a.mp4', (1080, 1920), 128, h264),
    # File systems limit the number of links to a file.
    **{f'many/{i}': ('a.mp4', (64, 64), 16, h264) for i in range(10)},
  }
  for folder, (file, (h, w), num_frames, form) in videos.items():
    if folder.split('/')[0] in names:
      _video(root / folder / file, noise[:h, :w].copy(), num_frames, form)
  if 'gif' in names:
    (root / 'gif').mkdir()
    stills = [Image.new('P', (5000, 5000), i) for i in range(17)]
    stills[0].save(root / 'gif/a.gif', save_all=True, append_images=stills[1:])
  for path in sorted(root.rglob('a.*')):
    print(f'{path.relative_to(root)}: {path.stat().st_size:,} bytes')
  if 'many' in names:
    for i in range(100_000 - 10):
      folder = root / f'many/{i % 10}'
      os.link(folder / 'a.mp4', folder / f'{i:06d}.mp4')
  if 'empty' in names:
    (root / 'empty').mkdir()
    for i in range(100_000):
      (root / f'empty/{i:06d}.mp4').touch()


def _video(path, image_hwc, num_frames: int, form: tuple) -> None:
  path.parent.mkdir(parents=True)
  codec, pix_fmt, options = form
  with av.open(str(path), 'w') as file:
    stream = file.add_stream(codec, 5, options=options)
    stream.height, stream.width = image_hwc.shape[:2]
    stream.pix_fmt = pix_fmt
    frame = av.VideoFrame.from_ndarray(image_hwc).reformat(format=pix_fmt)
    for _ in range(num_frames):
      frame.pts = None
      file.mux(stream.encode(frame))
    file.mux(stream.encode())


def peak(checkout: pathlib.Path, folder: pathlib.Path, code: str) -> str:
  """Returns the peak memory of a process in MB, or why it failed.

  Args:
    checkout: Directory of the vgen_jax to measure.
    folder: Folder of the input files.
    code: Python code to run, or a command that begins with `vgen`.
  """
  with tempfile.TemporaryDirectory(dir=folder.parent) as out:
    if code.startswith('vgen '):
      words = [*code.split()[1:], f'--source={folder}', f'--out={out}']
      code = f'assert not main.main({words})'
    # Only this folder has a case that finds its files in the cache.
    name = f'{folder}.{digests.text(str(checkout))}'
    cache = name if folder.name == 'many' else ''
    done = subprocess.run(
      [sys.executable, '-c', _CHILD, str(folder), code],
      cwd=out,  # Python looks for packages here first.
      env=os.environ | {'PYTHONPATH': str(checkout), 'VGEN_CACHE': cache},
      capture_output=True,
      text=True,
      check=False,
    )
  if done.returncode:
    return (done.stderr.strip() or f'status {done.returncode}').splitlines()[-1]
  return done.stdout.split()[-1]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument(
    '--checkouts',
    type=pathlib.Path,
    nargs='+',
    help='Repositories to compare (default: this one).',
  )
  parser.add_argument(
    '--only', default='', help='Words of titles, separated by commas.'
  )
  args = parser.parse_args()
  checkouts = args.checkouts or [ROOT]
  cases = [
    case
    for case in CASES
    if case is CASES[0] or any(word in case[0] for word in args.only.split(','))
  ]
  with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    write_inputs(root, {name for _, name, _ in cases})
    print(f'| MB | {" | ".join(map(str, checkouts))} |')
    print('|---' * (len(checkouts) + 1) + '|')
    least = [0] * len(checkouts)
    for title, name, code in cases:
      found = [
        peak(x.absolute(), root / (name or 'x'), code) for x in checkouts
      ]
      if not any(least):
        least = [int(x) for x in found]
      else:
        pairs = zip(found, least, strict=True)
        found = [str(int(x) - n) if x.isdigit() else x for x, n in pairs]
      print(f'| {title} | {" | ".join(found)} |', flush=True)


if __name__ == '__main__':
  main()
