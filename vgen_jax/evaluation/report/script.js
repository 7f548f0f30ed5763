'use strict';

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const one = (selector, root = document) => root.querySelector(selector);

// Clips: one clock for all, with the ticks of the fastest clip.
const clips = (() => {
  const bar = one('.transport');
  if (!bar) return null;
  const [play, scrub, count, speed] = ['.play', '.scrub', '.count', '.speed']
    .map((name) => one(name, bar));
  const images = new Map();
  let tiles = [];
  let ticks = 1;
  let rate = 1;
  let tick = 0;
  let since = null;  // Time of tick 0; NaN before the first frame; null if paused.
  let drawing = 0;  // Handle of the next animation frame.

  const image = (uri) => {
    if (!images.has(uri)) {
      const made = new Image();
      made.src = uri;
      images.set(uri, made.decode().then(() => made));
    }
    return images.get(uri);
  };

  const add = async (canvas) => {
    const {sheet, frames, columns, rate: own} = canvas.dataset;
    const tile = {
      canvas, pen: canvas.getContext('2d'), sheet: await image(sheet),
      frames: +frames, columns: +columns, rate: +own,
    };
    tiles.push(tile);
    draw(tile);
  };

  const draw = ({canvas, pen, sheet, frames, columns, rate: own}) => {
    const frame = Math.min(frames - 1, Math.floor(tick * own / rate + 1e-6));
    const {width: w, height: h} = canvas;
    const [x, y] = [frame % columns * w, Math.floor(frame / columns) * h];
    pen.drawImage(sheet, x, y, w, h, 0, 0, w, h);
    canvas.dataset.frame = frame;
  };

  const show = (next) => {
    tick = (next % ticks + ticks) % ticks;
    scrub.value = tick;
    count.value = `${tick + 1} / ${ticks}`;
    tiles = tiles.filter(({canvas}) => canvas.isConnected);
    tiles.forEach(draw);
  };

  const msPerTick = () => 1000 / (rate * speed.value);

  const run = (now) => {
    if (Number.isNaN(since)) since = now - tick * msPerTick();
    const next = Math.floor((now - since) / msPerTick()) % ticks;
    if (next !== tick) show(next);
    drawing = requestAnimationFrame(run);
  };

  const set = (plays) => {
    since = plays ? NaN : null;
    play.setAttribute('aria-pressed', plays);
    play.setAttribute('aria-label', plays ? 'Pause' : 'Play');
    cancelAnimationFrame(drawing);
    if (plays) drawing = requestAnimationFrame(run);
  };

  const step = (by) => {
    set(false);
    show(tick + by);
  };

  play.onclick = () => set(since === null);
  speed.onchange = () => set(since !== null);
  scrub.oninput = () => {
    set(false);
    show(+scrub.value);
  };
  addEventListener('keydown', (event) => {
    const at = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (at.matches('input, select, summary, svg, .scroll')) return;
    const byKey = {
      ' ': () => set(since === null),
      ArrowLeft: () => step(-1),
      ArrowRight: () => step(1),
    };
    // The space bar presses the focused button.
    if (!byKey[event.key] || (event.key === ' ' && at.matches('button'))) return;
    event.preventDefault();
    byKey[event.key]();
  });

  const canvases = all('canvas[data-sheet]');
  rate = Math.max(...canvases.map(({dataset}) => +dataset.rate));
  ticks = Math.max(...canvases.map(
    ({dataset}) => Math.round(dataset.frames * rate / dataset.rate)));
  scrub.max = ticks - 1;
  show(0);
  Promise.allSettled(canvases.map(add)).then(() => {
    set(!matchMedia('(prefers-reduced-motion: reduce)').matches);
    document.documentElement.dataset.ready = '';
  });
  return {add};
})();

// Enlarges a row of clips to the largest whole factor.
const zoom = one('.zoom');
for (const tilesOfRow of all('.clips .tiles')) {
  tilesOfRow.onclick = () => {
    const copy = document.createElement('div');
    copy.className = 'tiles';
    copy.append(...[...tilesOfRow.children].map((tile) => tile.cloneNode(true)));
    const text = document.createElement('p');
    text.className = 'note';
    text.textContent = tilesOfRow.nextElementSibling.textContent;
    zoom.replaceChildren(copy, text);
    zoom.showModal();
    const canvases = all('canvas', copy);
    const lines = Math.ceil(canvases.length / 3);
    const wide = innerWidth * 0.9 / Math.min(canvases.length, 3) - 40;
    const high = innerHeight * 0.78 / lines - 40;
    for (const canvas of canvases) {
      const fits = Math.min(wide / canvas.width, high / canvas.height);
      const times = fits < 1 ? fits : Math.floor(fits);
      canvas.style.width = `${times * canvas.width}px`;
      clips.add(canvas);
    }
  };
}
if (zoom) {
  zoom.onclick = () => zoom.close();
  zoom.onclose = () => zoom.replaceChildren();
}

// Tables: click a column to sort by it, or a metric to order the runs.
const compare = (a, b, isNumber) => {
  if (a === '' || b === '') return (a === '') - (b === '');  // Always last.
  return isNumber ? a - b : a.localeCompare(b, 'en', {numeric: true});
};
const order = (items, key, isNumber, sign) => items
  .map((item) => [key(item), item])
  .sort(([a], [b]) => (a === '' || b === '' ? 1 : sign) * compare(a, b, isNumber))
  .map(([, item]) => item);

for (const table of all('table[data-sortable]')) {
  const body = table.tBodies[0];
  const keyOf = (cell) => cell.dataset.key ?? cell.textContent.trim();
  for (const head of all('thead th[data-kind]', table)) {
    one('button', head).onclick = () => {
      const rises = head.ariaSort !== 'ascending';
      all('thead th[data-kind]', table).forEach((th) => { th.ariaSort = 'none'; });
      head.ariaSort = rises ? 'ascending' : 'descending';
      const key = (row) => keyOf(row.cells[head.cellIndex]);
      const isNumber = head.dataset.kind === 'number';
      body.append(...order([...body.rows], key, isNumber, rises ? 1 : -1));
    };
  }
  for (const head of all('tbody th[aria-sort]', table)) {
    one('button', head).onclick = () => {
      const row = head.parentElement;
      const isLow = row.dataset.better === 'lower';
      const isTold = head.ariaSort !== 'none';
      const rises = isTold ? head.ariaSort === 'descending' : isLow;
      all('tbody th[aria-sort]', table).forEach((th) => { th.ariaSort = 'none'; });
      head.ariaSort = rises ? 'ascending' : 'descending';
      const cells = all('[data-run]', row);
      const runs = order(cells, keyOf, true, rises ? 1 : -1)
        .map((cell) => cell.dataset.run);
      for (const line of table.rows) {
        const own = new Map(all('[data-run]', line).map((c) => [c.dataset.run, c]));
        line.cells[0].after(...runs.map((run) => own.get(run)));
      }
    };
  }
}
const filter = one('.filter');
if (filter) {
  filter.oninput = () => {
    const words = filter.value.toLowerCase().split(/\s+/);
    for (const row of one('.metrics').tBodies[0].rows) {
      const name = row.cells[0].dataset.key.toLowerCase();
      row.hidden = !words.every((word) => name.includes(word));
    }
  };
}

// Charts: shows the values at the pointer, or at the arrow keys' position.
const svg = (name, attributes) => {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  return made;
};
for (const chart of all('.chart')) {
  const plot = one('svg[data-lines]', chart);
  const [cursor, tip] = [one('.cursor', plot), one('.tip', chart)];
  const lines = JSON.parse(plot.dataset.lines);
  const places = [...new Set(lines.flatMap(({points}) => points.map(([x]) => x)))]
    .sort((a, b) => a - b);
  let at = -1;

  const hide = () => {
    tip.hidden = true;
    cursor.replaceChildren();
    at = -1;
  };
  const show = (index) => {
    if (!places.length) return;
    at = Math.max(0, Math.min(places.length - 1, index));
    const x = places[at];
    const found = lines.flatMap(({name, color, points}) => points
      .filter(([px]) => px === x)
      .map(([, y, where, text]) => ({name, color, y, where, text})));
    cursor.replaceChildren(
      svg('path', {d: `M${x} 10V202`}),
      ...found.map(({y, color}) => svg(
        'circle', {cx: x, cy: y, r: 4, class: `run${color}`})));
    const head = document.createElement('b');
    head.textContent = `${plot.dataset.x} ${found[0].where}`;
    tip.replaceChildren(head, ...found.map(({name, color, text}) => {
      const row = document.createElement('span');
      row.className = `run${color}`;
      row.textContent = lines.length > 1 ? `${text}  ${name}` : text;
      return row;
    }));
    tip.hidden = false;
    const left = x / 400 * plot.clientWidth;
    const isRight = x > 200;
    tip.style.left = isRight ? 'auto' : `${left + 14}px`;
    tip.style.right = isRight ? `${plot.clientWidth - left + 14}px` : 'auto';
    tip.style.bottom = `${plot.clientHeight * 0.3}px`;
  };

  plot.onpointermove = ({clientX}) => {
    const {left, width} = plot.getBoundingClientRect();
    const x = (clientX - left) / width * 400;
    const far = places.map((place) => Math.abs(place - x));
    show(far.indexOf(Math.min(...far)));
  };
  plot.onpointerleave = hide;
  plot.onblur = hide;
  plot.onkeydown = ({key}) => {
    if (key === 'ArrowLeft') show(at < 0 ? places.length - 1 : at - 1);
    if (key === 'ArrowRight') show(at + 1);
    if (key === 'Escape') hide();
  };
}
document.documentElement.dataset.loaded = '';
