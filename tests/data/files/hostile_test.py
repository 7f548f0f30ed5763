"""Tests that malicious files cause no hang, open no socket and run no program.

Variants of small files of each format, and files of other formats under the
name of a video, are opened in a process that the kernel kills if it opens a
socket or starts a program, and by an alarm if it takes too long.
"""

import collections
import io
import json
import os
import pathlib
import platform
import re
import subprocess
import sys

import av
import numpy as np
import pytest

import vgen_jax

# Format of a seed: codec, pixel format, options.
SEEDS = {
  'mp4': ('libx264', 'yuv420p', {'g': '6'}),
  'mov': ('mpeg4', 'yuv420p', {'g': '6'}),
  'matroska': ('libx264', 'yuv420p', {'g': '6'}),
  'webm': ('libvpx-vp9', 'yuv420p', {'deadline': 'realtime'}),
  'avi': ('mjpeg', 'yuvj420p', {}),
  'gif': ('gif', 'rgb8', {}),
  'mpegts': ('libx264', 'yuv420p', {'g': '6'}),
  'mpeg': ('mpeg2video', 'yuv420p', {'g': '6'}),
}
# Formats that name other files or addresses.
ADDRESS = '127.0.0.1:9'
TEXTS = {
  'playlist': f'#EXTM3U\n#EXTINF:5,\nhttp://{ADDRESS}/a.ts\n',
  'playlist_of_a_pipe': '#EXTM3U\n#EXTINF:5,\npipe.mp4\n#EXT-X-ENDLIST\n',
  'encrypted_playlist': (
    f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="http://{ADDRESS}/k"\n'
    '#EXTINF:5,\nseed.mp4\n#EXT-X-ENDLIST\n'
  ),
  'list_of_files': "ffconcat version 1.0\nfile 'pipe.mp4'\n",
  'list_of_addresses': f"ffconcat version 1.0\nfile 'tcp://{ADDRESS}'\n",
  'session': (
    'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 0.0.0.0\nt=0 0\n'
    'm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n'
  ),
  'redirection': f'rtsp://{ADDRESS}/a\n',
  'manifest': (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"'
    ' type="static"><Period><AdaptationSet mimeType="video/mp4">'
    '<Representation id="0" bandwidth="1"><BaseURL>'
    f'http://{ADDRESS}/a.mp4</BaseURL></Representation></AdaptationSet>'
    '</Period></MPD>'
  ),
  'metadata': ';FFMETADATA1\ntitle=x\n',
  'subtitles': '1\n00:00:00,000 --> 00:00:01,000\nx\n',
  'script': '#!/bin/sh\ntouch harm\n',
  'pickle': "cos\nsystem\n(S'touch harm'\ntR.",
  'drawing': '<svg xmlns="http://www.w3.org/2000/svg"><image href="/x"/></svg>',
}

# Opens the files in a folder; argv[2] is a statement that is run before.
CHILD = """
import ctypes, json, pathlib, resource, signal, struct, sys
import numpy as np
from vgen_jax.data.files import audio, codecs
from vgen_jax.data.tfds import storage

# A filter of system calls (man 2 seccomp) kills the process at these.
KILLS = (41, 42, 49, 53, 57, 58, 59, 322)  # socket, connect, ..., fork, execve.
KILL, ALLOW, NO_CALL = 0x80000000, 0x7FFF0000, 0x00050026
program = [(0x20, 0, 0, 0)]  # Load the number of the call.
for n in KILLS:
  program += [(0x15, 0, 1, n), (0x06, 0, 0, KILL)]
program += [(0x15, 0, 1, 435), (0x06, 0, 0, NO_CALL)]  # clone3
# clone is allowed if it makes a thread, by its first argument.
program += [(0x15, 0, 3, 56), (0x20, 0, 0, 16), (0x45, 1, 0, 0x10000)]
program += [(0x06, 0, 0, KILL), (0x06, 0, 0, ALLOW)]
data = b''.join(struct.pack('HBBI', *line) for line in program)
buffer = ctypes.create_string_buffer(data)
class Program(ctypes.Structure):
  _fields_ = [('length', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
prog = Program(len(program), ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
if libc.prctl(22, 2, ctypes.byref(prog)):  # PR_SET_SECCOMP
  print('no filter'); sys.exit(7)
exec(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))

def outcome(read):
  try:
    read()
    return 'read'
  except (codecs.ClipError, ValueError) as error:
    return 'refused' if len(str(error)) < 1000 else 'long'

def scanned(path):
  index = codecs.scan(path, 10**6)
  codecs.read(index, range(min(len(index), 50)))

signal.signal(signal.SIGALRM, signal.SIG_DFL)
for path in sorted(map(str, pathlib.Path(sys.argv[1]).iterdir())):
  print(json.dumps(path), flush=True)
  signal.alarm(20)
  reads = (lambda: scanned(path), lambda: audio.read(path, 0, 1))
  found = [outcome(read) for read in reads]
  if pathlib.Path(path).is_file():
    content = pathlib.Path(path).read_bytes()
    first = lambda number: np.arange(1)
    found.append(outcome(lambda: storage.read_mp4(content, first)))
  signal.alarm(0)
  print(json.dumps(found), flush=True)
"""


def seed(form: str) -> bytes:
  codec, pix_fmt, options = SEEDS[form]
  file = io.BytesIO()
  with av.open(file, 'w', format=form) as container:
    stream = container.add_stream(codec, 10, options=options)
    stream.height = stream.width = 32
    stream.pix_fmt = pix_fmt
    for i in range(12):
      image_hwc = np.full((32, 32, 3), 20 * i, np.uint8)
      image_hwc[i : i + 8, i : i + 8] = 250 - 20 * i
      container.mux(stream.encode(av.VideoFrame.from_ndarray(image_hwc)))
    container.mux(stream.encode())
  return file.getvalue()


def variants(
  data: bytes, other: bytes, rng: np.random.Generator
) -> list[bytes]:
  """Returns damaged and malicious variants of a file."""
  n, found = len(data), []

  def changed(first: int, last: int, number: int, value=None) -> bytes:
    array = np.frombuffer(data, np.uint8).copy()
    at = rng.integers(first, last, number)
    array[at] = rng.integers(0, 256, number) if value is None else value
    return array.tobytes()

  found += [changed(0, min(n, 400), 6) for _ in range(4)]  # The header.
  found += [changed(0, n, 30) for _ in range(3)]
  found += [changed(max(n - 600, 0), n, 12) for _ in range(2)]  # An index.
  found += [changed(0, n, n // 8, 0xFF), changed(0, n, n // 8, 0)]
  found += [data[: n // 2], data[n // 3 :], data[: n - 1], data[:40]]
  at = int(rng.integers(n // 4, n // 2))
  found += [data[:at] + data[at - 99 : at] * 40 + data[at:]]  # Repeated.
  found += [data[:at] + other[at:], other[:at] + data[at:]]  # Two formats.
  # Sizes and counts of 32 bits with the largest value.
  for _ in range(4):
    at = 4 * int(rng.integers(1, min(n, 1600) // 4))
    found += [data[:at] + b'\x7f\xff\xff\xff' + data[at + 4 :]]
  return found


def boxed(name: bytes, content: bytes) -> bytes:
  return (8 + len(content)).to_bytes(4, 'big') + name + content


def nested(depth: int) -> bytes:
  content = b''
  for _ in range(depth):
    content = boxed(b'moov', content)
  return boxed(b'ftyp', b'mp42' + bytes(4) + b'mp42') + content


def fill(folder: pathlib.Path) -> int:
  """Writes all files; returns their number."""
  rng = np.random.default_rng(0)
  seeds = {form: seed(form) for form in SEEDS}
  files: dict[str, bytes] = {'seed.mp4': seeds['mp4']}
  for form, data in seeds.items():
    other = seeds['mp4' if form != 'mp4' else 'matroska']
    for i, variant in enumerate(variants(data, other, rng)):
      files[f'{form}_{i}.mp4'] = variant
  for name, text in TEXTS.items():
    files[f'{name}.mp4'] = text.encode()
    files[f'{name}.mkv'] = b'\xef\xbb\xbf' + text.encode()
  # A file that keeps its frames in another one, by a path or an address.
  for i, path in enumerate((b'/etc/passwd', b'http://127.0.0.1:9/a')):
    link = boxed(b'url ', bytes(4) + path + b'\0')
    at = seeds['mp4'].index(b'url ') - 4
    files[f'elsewhere_{i}.mp4'] = (
      seeds['mp4'][:at] + link + seeds['mp4'][at + 12 :]
    )
  files['nested.mp4'] = nested(20_000)
  files['endless.mp4'] = seeds['mp4'][:-8] + bytes(8) * 1000
  for name, data in files.items():
    (folder / name).write_bytes(data)
  os.mkfifo(folder / 'pipe.mp4')
  (folder / 'device.mp4').symlink_to('/dev/zero')
  (folder / 'terminal.mp4').symlink_to('/dev/tty')
  (folder / 'itself.mp4').symlink_to('itself.mp4')
  (folder / 'folder.mp4').mkdir()
  for name in ('\x1b[2J.mp4', 'tcp:127.0.0.1:9.mp4', 'http:a.mp4', '%d.mp4'):
    (folder / name).write_bytes(seeds['mp4'])
  return len(list(folder.iterdir()))


def run(
  folder: pathlib.Path, statement: str = ''
) -> subprocess.CompletedProcess:
  done = subprocess.run(
    [sys.executable, '-c', CHILD, str(folder), statement],
    capture_output=True,
    text=True,
    check=False,
    stdin=subprocess.DEVNULL,
  )
  if done.returncode == 7:
    pytest.skip('The kernel has no filter of system calls.')
  return done


only_linux = pytest.mark.skipif(
  sys.platform != 'linux' or platform.machine() != 'x86_64',
  reason='The numbers of system calls are those of Linux on x86-64.',
)


@only_linux
def test_hostile_files_do_no_harm(tmp_path):
  num_files = fill(tmp_path)
  assert num_files >= 200
  done = run(tmp_path)
  lines = done.stdout.splitlines()
  assert done.returncode == 0, (lines[-1:], done.stderr[-2000:])
  outcomes = dict(zip(map(json.loads, lines[::2]), lines[1::2], strict=True))
  assert len(outcomes) == num_files
  count = collections.Counter(json.loads(x)[0] for x in outcomes.values())
  assert count['long'] == 0
  assert count['refused'] > num_files / 3
  for name in ('\x1b[2J', 'tcp:127.0.0.1:9', 'http:a', '%d', 'seed'):
    assert json.loads(outcomes[str(tmp_path / f'{name}.mp4')])[0] == 'read'
  for name in TEXTS:  # Only containers of media are opened.
    for ending in ('mp4', 'mkv'):
      outcome = json.loads(outcomes[str(tmp_path / f'{name}.{ending}')])
      assert outcome == ['refused'] * 3, name
  for name in ('pipe', 'device', 'terminal', 'itself', 'folder'):
    assert json.loads(outcomes[str(tmp_path / f'{name}.mp4')])[0] == 'refused'
  assert not (tmp_path / 'harm').exists()


@only_linux
@pytest.mark.parametrize(
  'harm',
  [
    'import socket; socket.socket()',
    'import subprocess; subprocess.run(["true"])',
    'import os; os.system("true")',
  ],
)
def test_the_filter_stops_harm(tmp_path, harm):
  assert run(tmp_path, harm).returncode == -31  # SIGSYS


def test_one_function_opens_all_media():
  """Other modules may only open files to write them."""
  root = pathlib.Path(vgen_jax.__file__).parent
  found = {
    path.relative_to(root).as_posix()
    for path in root.rglob('*.py')
    for call in re.findall(r'av\.open\(.*', path.read_text())
    if "'w'" not in call
  }
  assert found == {'data/files/containers.py'}
