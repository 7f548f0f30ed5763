"""Tests of the page in the browser Chromium; skipped without it.

To install it: apt-get install chromium chromium-driver
"""

import base64
import io
import shutil

import numpy as np
from PIL import Image
import pytest

from vgen_jax.evaluation.metrics import results
from vgen_jax.evaluation.report import page

CHROMIUM = shutil.which('chromium')
DRIVER = shutil.which('chromedriver')
pytestmark = pytest.mark.skipif(
  not (CHROMIUM and DRIVER),
  reason='no browser: apt-get install chromium chromium-driver',
)
FLAGS = (
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--window-size=1280,900',
)
END = '\ue010'  # The key.
NASTY = '<script>document.title = "broken"</script>'
READY = 'return "ready" in document.documentElement.dataset'
# Waits for 40 animation frames: at least five frames of a clip.
FORTY_FRAMES = """
const [done] = arguments;
let left = 40;
const next = () => left-- ? requestAnimationFrame(next) : done(null);
next();
"""
REWIND = """
const scrub = document.querySelector('.scrub');
scrub.value = 0;
scrub.dispatchEvent(new Event('input'));
"""
PIXELS = """
return [...document.querySelectorAll('.clips canvas')].map(
  (canvas) => canvas.toDataURL());
"""


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
  webdriver = pytest.importorskip('selenium.webdriver')
  options = webdriver.ChromeOptions()
  options.binary_location = CHROMIUM
  for flag in FLAGS:
    options.add_argument(flag)
  folder = tmp_path_factory.mktemp('chromium')
  options.add_argument(f'--user-data-dir={folder}')
  options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
  service = webdriver.ChromeService(executable_path=DRIVER)
  driver = webdriver.Chrome(options=options, service=service)
  yield driver
  driver.quit()


@pytest.fixture(scope='module')
def pages(tmp_path_factory, make_result, clips, log):
  """Writes pages of 'one' run, of 'two', and one with 'few' sections."""
  one, two = make_result('dit', 0.2), make_result(NASTY, 0.8)
  many = {f'more {i}': results.Value(float(i)) for i in range(12)}
  full = make_result('dit', 0.2, metrics={**one.metrics, **many})
  other = clips | {'generated': 255 - clips['generated']}
  texts = {
    'one': page.render([full], [clips], [log]),
    'two': page.render([one, two], [clips, other], [log, log]),
    'few': page.render([results.Result('bare', '', 0, '')]),
  }
  folder = tmp_path_factory.mktemp('pages')
  for name, text in texts.items():
    (folder / f'{name}.html').write_text(text)
  return folder


@pytest.fixture
def visit(browser, pages):
  """Returns a function that opens a page and rewinds its clips."""

  def visit(name):
    browser.get(f'file://{pages}/{name}.html')
    wait(browser, lambda: browser.execute_script(READY) or name == 'few')
    if name != 'few':
      browser.execute_script(REWIND)
    return browser

  return visit


def wait(browser, condition):
  from selenium.webdriver.support import wait as wait_lib

  wait_lib.WebDriverWait(browser, 60, 0.02).until(lambda _: condition())


def press(browser, key):
  from selenium.webdriver.common import keys

  key = getattr(keys.Keys, key, key)
  browser.switch_to.active_element.send_keys(key)


def frame(browser) -> int:
  return int(browser.find_element('class name', 'scrub').get_property('value'))


def texts(browser, selector) -> list[str]:
  script = 'return [...document.querySelectorAll(arguments[0])].map('
  return browser.execute_script(script + '(x) => x.textContent)', selector)


def faults(browser) -> list[str]:
  return [entry['message'] for entry in browser.get_log('browser')]


@pytest.mark.parametrize('name', ['one', 'two', 'few'])
def test_it_loads_without_errors(visit, name):
  browser = visit(name)
  assert faults(browser) == []
  assert browser.title != 'broken'
  loaded = browser.execute_script(
    'return performance.getEntriesByType("resource").map((x) => x.name)'
  )
  assert [url for url in loaded if not url.startswith('data:')] == []
  assert 'loaded' in browser.execute_script(
    'return Object.keys(document.documentElement.dataset)'
  )


def test_scripts_in_names_do_not_run(visit, pages, browser):
  text = (pages / 'two.html').read_text()
  text = text.replace('<noscript>', NASTY + '<noscript>')
  (pages / 'bad.html').write_text(text)
  visit('bad')
  assert browser.title != 'broken'
  assert 'Content Security Policy' in ' '.join(faults(browser))


def test_columns_sort_by_click_and_key(visit):
  browser = visit('one')
  names = lambda: [
    text for text in texts(browser, '.metrics .key') if 'more' not in text
  ]
  heads = browser.find_elements('css selector', '.metrics thead button')
  order = lambda i: browser.find_elements(
    'css selector', '.metrics thead th[data-kind]'
  )[i].get_attribute('aria-sort')
  assert order(1) == 'none'
  heads[1].click()
  assert names() == ['valid ', 'frechet ', 'fvd ', 'slope dB']
  assert order(1) == 'ascending'
  press(browser, 'ENTER')  # The head has the focus.
  assert names() == ['frechet ', 'valid ', 'fvd ', 'slope dB']
  assert order(1) == 'descending'
  browser.execute_script('arguments[0].focus()', heads[0])
  press(browser, ' ')
  assert names() == ['frechet ', 'fvd ', 'slope dB', 'valid ']
  assert [order(0), order(1)] == ['ascending', 'none']


def test_a_metric_orders_the_runs(visit):
  browser = visit('two')
  runs = lambda: texts(browser, '.metrics thead .run')
  row = lambda key: texts(browser, f'tr:has([data-key="{key}"]) .value')
  assert runs() == ['dit', NASTY]
  for key in (
    'valid',
    'frechet',
  ):  # Higher is better for one, lower for the other.
    button = f'[data-key="{key}"] button'
    browser.find_element('css selector', button).click()
    assert runs() == [NASTY, 'dit']
    assert row('valid')[0].startswith('0.800')
    assert row('frechet')[0].startswith('21.00')
    press(browser, 'ENTER')
    assert runs() == ['dit', NASTY]


def test_metrics_are_filtered(visit):
  browser = visit('one')
  shown = '.metrics > tbody > tr:not([hidden])'
  assert len(browser.find_elements('css selector', shown)) == 16
  browser.find_element('class name', 'filter').send_keys('7 MORE')
  assert texts(browser, f'{shown} .key') == ['more 7 ']


def test_each_frame_has_exact_colours(visit, clips):
  browser = visit('one')
  for t in range(8):
    assert frame(browser) == t
    shown = browser.execute_script(PIXELS)
    for i, uri in enumerate(shown):
      video = clips['generated' if i % 2 == 0 else 'real'][i // 2]
      png = np.asarray(Image.open(_opened(uri)).convert('RGB'))
      np.testing.assert_array_equal(png, video[t])
    press(browser, 'ARROW_RIGHT')
  assert frame(browser) == 0


def test_play_and_pause(visit):
  browser = visit('one')
  play = browser.find_element('class name', 'play')
  still = browser.execute_script(PIXELS)
  browser.execute_async_script(FORTY_FRAMES)
  assert browser.execute_script(PIXELS) == still
  play.click()
  assert play.get_attribute('aria-label') == 'Pause'
  wait(browser, lambda: frame(browser))
  wait(browser, lambda: browser.execute_script(PIXELS) != still)
  wait(browser, lambda: not frame(browser))  # It starts again.
  press(browser, ' ')  # The button has the focus.
  assert play.get_attribute('aria-pressed') == 'false'
  at = frame(browser)
  browser.execute_async_script(FORTY_FRAMES)
  assert frame(browser) == at
  browser.execute_script('document.activeElement.blur()')
  press(browser, ' ')
  wait(browser, lambda: frame(browser) != at)


def test_scrubbing_moves_all_clips(visit):
  browser = visit('two')
  browser.find_element('class name', 'scrub').send_keys(END)
  frames = browser.execute_script(
    'return [...document.querySelectorAll("canvas")].map('
    '(canvas) => +canvas.dataset.frame)'
  )
  assert frames == [7] * 9
  assert texts(browser, '.count') == ['8 / 8']


def test_a_clip_is_enlarged(visit):
  browser = visit('one')
  browser.find_element('class name', 'tiles').click()
  press(browser, 'ARROW_RIGHT')
  copies = '.zoom canvas[data-frame="1"]'
  wait(browser, lambda: len(browser.find_elements('css selector', copies)) == 2)
  size = browser.find_element('css selector', copies).size
  assert size['width'] % 16 == 0
  assert size['width'] > 256
  press(browser, 'ESCAPE')
  wait(browser, lambda: not browser.find_elements('css selector', copies))


def test_charts_show_values_at_the_pointer(visit):
  browser = visit('one')
  plot = browser.find_element('css selector', '.chart svg[data-lines]')
  browser.execute_script('arguments[0].focus()', plot)
  shown_texts = []
  for _ in range(3):
    press(browser, 'ARROW_RIGHT')
    shown_texts += texts(browser, '.tip:not([hidden])')
  assert shown_texts == [
    'frame 030.00 (29.00 to 31.00)',
    'frame 120.00 (18.00 to 22.00)',
    'frame 210.00 (7.00 to 13.00)',
  ]


def test_it_fits_small_screens_and_has_a_dark_mode(visit):
  browser = visit('two')
  look = lambda: browser.execute_script(
    'return [document.documentElement.scrollWidth,'
    ' getComputedStyle(document.body).backgroundColor]'
  )
  day = look()[1]
  device = {'width': 400, 'height': 800, 'deviceScaleFactor': 1, 'mobile': True}
  night = [{'name': 'prefers-color-scheme', 'value': 'dark'}]
  set_ = browser.execute_cdp_cmd
  set_('Emulation.setDeviceMetricsOverride', device)
  set_('Emulation.setEmulatedMedia', {'features': night})
  try:
    assert look()[0] == 400
    assert look()[1] != day
  finally:
    set_('Emulation.clearDeviceMetricsOverride', {})
    set_('Emulation.setEmulatedMedia', {'features': []})


def _opened(uri: str) -> io.BytesIO:
  return io.BytesIO(base64.b64decode(uri.partition(',')[2]))
