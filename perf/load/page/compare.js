'use strict';
// Two runs, a before and b after, side by side.

const { a, b } = JSON.parse(document.getElementById('data').textContent);
const main = document.getElementById('main');
const names = [...new Set([...a.labels, ...b.labels].map((l) => l.label))];
const find = (run, name) => run.labels.find((l) => l.label === name);

const lines = [{ label: 'before', colour: '--before', dashed: true }, { label: 'after', colour: '--after' }];
const responses = names.map((name) => ({ name, chart: new Chart(name, 'milliseconds', lines) }));
const hits = new Chart('Hits of all labels', 'requests a second', lines);
const users = new Chart('Users', 'at once', lines);

// together puts two runs' values over one time. uPlot.join leaves undefined where a
// run has no point, and lines go on to the next one.
function together(valuesA, valuesB) {
  return uPlot.join([[seconds(a), valuesA], [seconds(b), valuesB]], [[1, 1], [1, 1]]);
}

function fillResponses(quantile) {
  const values = (run, name) => (find(run, name) ? times(run, find(run, name), quantile) : run.users.map(() => null));
  for (const { name, chart } of responses) {
    chart.set(together(values(a, name), values(b, name)));
  }
}

// ratio is after over before, coloured where it is a change of a tenth or more. A time
// of 0 is none: nothing was answered.
function ratio(before, after, lessIsGood) {
  if (!(before > 0) || after === undefined || lessIsGood && after === 0) {
    return '–';
  }
  const r = after / before;
  const better = lessIsGood ? r < 1 : r > 1;
  const kind = Math.abs(r - 1) < 0.1 ? '' : better ? 'good' : 'bad';
  return el('span', { class: kind }, `× ${r.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`);
}

function figuresTable() {
  const columns = [['median, ms', 'median_ms', true], ['p95, ms', 'p95_ms', true], ['p99, ms', 'p99_ms', true], ['requests a second', 'per_second', false]];
  const groups = [['', 1], ...columns.map(([title]) => [title, 3]), ['errors', 2]];
  const head = ['label', ...columns.flatMap(() => ['before', 'after', 'ratio']), 'before', 'after'];
  const row = (name, x, y) => [name,
    ...columns.flatMap(([, key, lessIsGood]) => [figure(x && x[key]), figure(y && y[key]), ratio(x && x[key], y && y[key], lessIsGood)]),
    x ? whole(x.errors) : '–', y ? whole(y.errors) : '–'];
  const rows = names.map((name) => row(name, find(a, name), find(b, name)));
  const sum = row('total', a.total, b.total);
  sum.sum = true;
  return table('dense', 'Figures by label, before and after', head, [...rows, sum], groups);
}

function settingsTable() {
  const facts = [
    ['Target', (r) => r.settings.target], ['Load', load], ['Steps', (r) => r.settings.steps.join(', ')],
    ['Lasted', (r) => `${clock(r.seconds)}, ${r.ended}`], ['Load generator', generator], ['Started', date],
  ];
  return table('words', 'Settings of both runs', ['', 'before', 'after'], facts.map(([name, of]) => [name, of(a), of(b)]));
}

function differences() {
  const different = [['load', load], ['steps', (r) => r.settings.steps.join()], ['load generator', generator]]
    .filter(([, of]) => of(a) !== of(b)).map(([name]) => name);
  return different.length === 0 ? '' : el('p', { class: 'bad' }, `These runs differ in ${different.join(', ')}: that may be what the charts show.`);
}

main.append(
  el('p', { class: 'quiet' }, `Before: ${a.settings.target}, ${date(a)}. After: ${b.settings.target}, ${date(b)}.`),
  differences(),
  section('By label', el('div', { class: 'card' }, figuresTable(),
    el('p', { class: 'quiet' }, 'Over the whole runs. A ratio is after divided by before.'))),
  section('Response time', choice('Show:', 'quantile', quantiles, fillResponses),
    el('div', { class: 'grid' }, ...responses.map((r) => r.chart.element))),
  section('Load', el('div', { class: 'grid' }, hits.element, users.element)),
  section('The runs', el('div', { class: 'card' }, settingsTable())));
fillResponses(quantiles[0][0]);
hits.set(together(perSecond(a, a.total), perSecond(b, b.total)));
users.set(together(a.users, b.users));
