'use strict';
// What the report and the comparison share: elements, figures, tables and charts.
// Everything is put into the document as text.

// el makes an element: el('a', {href: '#x'}, 'text', otherElement).
function el(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    e.setAttribute(name, value);
  }
  e.append(...children);
  return e;
}

function section(title, ...children) {
  return el('section', {}, el('h2', {}, title), ...children);
}

// figure writes a number with three digits or more: 0.123, 1.23, 12.3, 1,234.
function figure(n) {
  if (n === null || n === undefined || !Number.isFinite(n)) {
    return '–';
  }
  const digits = n === 0 || Math.abs(n) >= 100 ? 0 : Math.abs(n) >= 10 ? 1 : Math.abs(n) >= 1 ? 2 : 3;
  return n.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function whole(n) {
  return n.toLocaleString('en');
}

// clock writes seconds as 1:05 or 1:00:05.
function clock(seconds) {
  const s = Math.round(seconds);
  const two = (n) => String(n).padStart(2, '0');
  const [h, m] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
}

// table makes a table with a heading for each row. Rows are lists of cells: text or
// elements; one with the member sum is the last of a sum. Groups, if any, are headings
// above the head's: [text, how many columns].
function table(kind, caption, head, rows, groups = []) {
  const cell = (c, i) => el(i === 0 ? 'th' : 'td', i === 0 ? { scope: 'row' } : {}, c);
  const headings = [];
  if (groups.length > 0) {
    headings.push(el('tr', { class: 'groups' }, ...groups.map(([text, span]) => el('th', { scope: 'colgroup', colspan: span }, text))));
  }
  if (head.length > 0) {
    headings.push(el('tr', {}, ...head.map((h) => el('th', { scope: 'col' }, h))));
  }
  return el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    el('table', { class: kind },
      el('thead', {}, ...headings),
      el('tbody', {}, ...rows.map((row) => el('tr', row.sum ? { class: 'sum' } : {}, ...row.map(cell))))));
}

// choice is a group of radio buttons. onChange gets the value that was chosen.
function choice(title, name, options, onChange) {
  const group = el('fieldset', { class: 'choice' }, el('legend', {}, title));
  for (const [value, text] of options) {
    const input = el('input', { type: 'radio', name, value });
    input.checked = value === options[0][0];
    input.addEventListener('change', () => onChange(value));
    group.append(el('label', {}, input, ' ', text));
  }
  return group;
}

function cssColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// The times between two marks on an axis, in seconds.
const timeSteps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400];

// Chart is a line chart over the seconds of a run, with a key that shows values and
// turns lines off, and with its figures as a table for those who cannot see it.
class Chart {
  // lines: [{label, colour: '--name', dashed}]; unit is said after the title.
  constructor(title, unit, lines) {
    this.title = title;
    this.unit = unit;
    this.lines = lines;
    this.shown = lines.map(() => true);
    this.data = [[], ...lines.map(() => [])];
    this.values = lines.map(() => el('span', { class: 'value' }));
    this.swatches = lines.map((l) => el('span', { class: l.dashed ? 'swatch dashed' : 'swatch' }));
    const keys = el('ul', { class: 'keys' }, ...lines.map((l, i) => el('li', {}, this.key(l, i))));
    this.plot = el('div', { class: 'plot', role: 'img', 'aria-label': `Chart: ${title}, ${unit}. Its figures are in the table below.` });
    this.details = el('details', {}, el('summary', {}, 'The figures as a table'));
    this.details.addEventListener('toggle', () => this.fillTable());
    this.element = el('figure', { class: 'card' },
      el('div', { class: 'head' }, el('h3', {}, title), el('span', { class: 'quiet' }, unit)), keys, this.plot, this.details);
    new ResizeObserver(() => this.resize()).observe(this.plot);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
  }

  key(line, i) {
    const button = el('button', { type: 'button', 'aria-pressed': 'true' }, this.swatches[i], line.label, this.values[i]);
    button.addEventListener('click', () => {
      this.shown[i] = !this.shown[i];
      button.setAttribute('aria-pressed', String(this.shown[i]));
      if (this.chart) {
        this.chart.setSeries(i + 1, { show: this.shown[i] });
      }
    });
    return button;
  }

  // set replaces the data: seconds, then for each line its values, null where there is none.
  set(data) {
    this.data = data;
    if (this.chart) {
      this.chart.setData(data);
    } else {
      this.draw();
    }
    this.fillTable();
  }

  draw() {
    if (this.chart) {
      this.chart.destroy();
      this.chart = null;
    }
    if (!this.plot.clientWidth) {
      return; // resize comes when it is in the document
    }
    this.swatches.forEach((s, i) => { s.style.borderTopColor = cssColour(this.lines[i].colour); });
    const axis = { stroke: cssColour('--quiet'), grid: { stroke: cssColour('--line'), width: 1 }, ticks: { stroke: cssColour('--line'), width: 1 },
      font: '12px system-ui, sans-serif' };
    this.chart = new uPlot({
      width: this.plot.clientWidth,
      height: this.height(),
      legend: { show: false },
      cursor: { y: false, drag: { x: true, y: false } },
      scales: { x: { time: false }, y: this.logarithmic ? { distr: 3 } : { range: (_, __, max) => [0, max > 0 ? max * 1.08 : 1] } },
      axes: [
        Object.assign({}, axis, { values: (_, splits) => splits.map(clock), incrs: timeSteps, space: 60, size: 32 }),
        Object.assign({}, axis, { values: (_, splits) => splits.map((v) => (v === null ? '' : v.toLocaleString('en', { maximumSignificantDigits: 6 }))), size: 58 }),
      ],
      series: [{}, ...this.lines.map((l, i) => ({
        label: l.label, show: this.shown[i], stroke: cssColour(l.colour), width: 2, dash: l.dashed ? [6, 4] : undefined,
        points: { show: this.data[0].length < 3 }, spanGaps: true,
      }))],
      hooks: { setCursor: [(u) => this.showValues(u.cursor.idx)] },
    }, this.data, this.plot);
  }

  // scale makes the values' axis logarithmic, or linear from 0 on.
  scale(logarithmic) {
    this.logarithmic = logarithmic;
    this.draw();
  }

  height() {
    return this.plot.clientWidth < 500 ? 200 : 260;
  }

  resize() {
    if (!this.chart) {
      this.draw();
    } else if (this.plot.clientWidth && this.chart.width !== this.plot.clientWidth) {
      this.chart.setSize({ width: this.plot.clientWidth, height: this.height() });
    }
  }

  showValues(i) {
    this.values.forEach((v, line) => { v.textContent = i === null || i === undefined ? '' : figure(this.data[line + 1][i]); });
  }

  // fillTable makes up to a hundred rows; longer runs skip points between them.
  fillTable() {
    if (!this.details.open) {
      return;
    }
    const step = Math.ceil(this.data[0].length / 100);
    const rows = [];
    for (let i = 0; i < this.data[0].length; i += step) {
      rows.push([clock(this.data[0][i]), ...this.lines.map((_, line) => figure(this.data[line + 1][i]))]);
    }
    const caption = `${this.title}, ${this.unit}`;
    this.details.replaceChildren(this.details.firstChild, table('', caption, ['time', ...this.lines.map((l) => l.label)], rows));
  }
}

// The response times that charts can show, and their titles.
const quantiles = [['median_ms', 'median'], ['p95_ms', '95th percentile'], ['p99_ms', '99th percentile']];

// seconds returns the time of each point of a run: the middle of its interval.
function seconds(run) {
  return run.users.map((_, i) => (i + 0.5) * run.interval_seconds);
}

// lengthOf returns how long a run's i-th interval was. The last one is shorter than
// the others; if there is less than half of it, it says nothing, and has none.
function lengthOf(run, i) {
  const length = Math.min(run.interval_seconds, run.seconds - i * run.interval_seconds);
  return length < run.interval_seconds / 2 ? 0 : length;
}

// times returns a label's response times, null where nothing was answered.
function times(run, label, quantile) {
  return label.points[quantile].map((v, i) => (v > 0 && lengthOf(run, i) > 0 ? v : null));
}

// perSecond returns hits per second.
function perSecond(run, label) {
  return label.points.count.map((n, i) => (lengthOf(run, i) > 0 ? n / lengthOf(run, i) : null));
}

function load(run) {
  const s = run.settings;
  const phases = s.ramp_seconds > 0 ? `${clock(s.ramp_seconds)} rising, ${clock(s.hold_seconds)} held` : `${clock(s.hold_seconds)} held`;
  return s.rate > 0 ? `${whole(s.rate)} requests a second on a fixed schedule; ${phases}` : `${whole(s.users)} users, each waiting for answers; ${phases}`;
}

function generator(run) {
  const m = run.machine;
  return `${m.cpus} × ${m.cpu || m.arch}, ${m.os}, k6 ${m.k6}`;
}

function date(run) {
  return run.started.slice(0, 19).replace('T', ' ') + ' UTC';
}
