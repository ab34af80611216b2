'use strict';
// The page of one run, while it runs and afterwards.

const main = document.getElementById('main');
const live = main.hasAttribute('data-live');
const status = el('p', { role: 'status' });
const tiles = el('dl', { class: 'tiles' });
const charts = el('div');
const figures = el('div');
main.append(status, tiles, charts, figures);

let shownQuantile = quantiles[0][0];
let responses, hits, users, current;

function makeCharts(run) {
  const lines = run.labels.map((l, i) => ({ label: l.label, colour: `--series-${i % 6}` }));
  responses = new Chart('Response time', 'milliseconds', lines);
  hits = new Chart('Hits', 'requests a second', [...lines, { label: 'total', colour: '--text' }]);
  users = new Chart('Users', 'at once', [{ label: 'users', colour: '--series-0' }]);
  charts.append(section('Over time',
    el('div', { class: 'choices' },
      choice('Response times:', 'quantile', quantiles, (q) => { shownQuantile = q; fillCharts(current); }),
      choice('Scale:', 'scale', [['linear', 'linear'], ['logarithmic', 'logarithmic']], (s) => responses.scale(s === 'logarithmic'))),
    responses.element, el('div', { class: 'grid' }, hits.element, users.element)));
}

function fillCharts(run) {
  const x = seconds(run);
  responses.set([x, ...run.labels.map((l) => times(run, l, shownQuantile))]);
  hits.set([x, ...[...run.labels, run.total].map((l) => perSecond(run, l))]);
  users.set([x, run.users]);
}

function show(run) {
  if (!current) {
    makeCharts(run);
  }
  current = run;
  status.className = '';
  status.replaceChildren(...verdict(run));
  const t = run.total;
  tiles.replaceChildren(...[
    ['requests', whole(t.count)], ['a second', figure(t.per_second)], ['median', `${figure(t.median_ms)} ms`],
    ['95th percentile', `${figure(t.p95_ms)} ms`], ['99th percentile', `${figure(t.p99_ms)} ms`], ['errors', whole(t.errors)],
  ].map(([name, value]) => el('div', { class: 'tile' }, el('dt', {}, name), el('dd', {}, value))));
  fillCharts(run);
  figures.replaceChildren(labels(run), failures(run), about(run));
}

function verdict(run) {
  const missed = run.thresholds.filter((t) => !t.ok).length;
  if (!run.ended) {
    const s = run.settings;
    return [`Running: ${clock(run.seconds)} of ${clock(s.ramp_seconds + s.hold_seconds)}`];
  }
  if (run.ended !== 'completed') {
    return [el('span', { class: 'bad' }, run.ended === 'interrupted' ? 'Interrupted' : `Failed (k6 ended with ${run.exit_code})`),
      ` after ${clock(run.seconds)}. ${date(run)}`];
  }
  const word = missed ? el('span', { class: 'bad' }, `${missed} of ${run.thresholds.length} thresholds missed`) : el('span', { class: 'good' }, 'Passed');
  return [word, ` after ${clock(run.seconds)}. ${date(run)}`];
}

function labels(run) {
  const row = (l) => [l.label, whole(l.count), figure(l.per_second), figure(l.median_ms), figure(l.p95_ms), figure(l.p99_ms), figure(l.max_ms),
    l.errors ? el('span', { class: 'bad' }, whole(l.errors)) : '0'];
  const rows = [...run.labels, run.total].map(row);
  rows[rows.length - 1].sum = true;
  const head = ['label', 'requests', 'a second', 'median ms', 'p95 ms', 'p99 ms', 'max ms', 'errors'];
  return section('By label', el('div', { class: 'card' }, table('', 'Figures by label', head, rows),
    el('p', { class: 'quiet' }, 'Over the whole run. Response times are of what was answered; errors are requests without an answer or with a wrong one.')));
}

function failures(run) {
  if (run.failures.length === 0) {
    return section('What went wrong', el('p', {}, 'Nothing.'));
  }
  return section('What went wrong', ...run.failures.map((f) => el('div', { class: 'card' },
    el('h3', {}, `${f.label}: ${f.check}`),
    el('p', {}, `did not hold ${whole(f.count)} times, with ${f.status === '0' ? 'no answer' : `status ${f.status}`}. Such as:`),
    ...f.examples.map((e) => el('pre', {}, e || '(an empty body)')))));
}

function about(run) {
  const s = run.settings;
  const rows = [
    ['Target', s.target],
    ['Load', load(run)],
    ['Steps of a journey', s.steps.join(', ')],
    ...s.left_out.map((l) => [`Left out: ${l.step}`, l.why]),
    ['Products', `${whole(s.products)} different ones, each created under an id of its own`],
    ['Load generator', generator(run)],
    ['Started', date(run)],
    ['A point of the charts', `${run.interval_seconds} s`],
  ];
  if (s.rate > 0) {
    rows.push(['Journeys not begun at their time', `${whole(run.not_started)}, because all users were busy`]);
  }
  for (const t of run.thresholds) {
    rows.push([`Threshold ${t.metric}`, el('span', { class: t.ok ? 'good' : 'bad' }, `${t.bound}: ${t.ok ? 'met' : 'missed'}`)]);
  }
  return section('The run', el('div', { class: 'card' }, table('words', 'Settings of the run', [], rows)));
}

async function follow() {
  try {
    const answer = await fetch('summary.json');
    show(await answer.json());
    setTimeout(follow, 1000);
  } catch (_) {
    status.className = 'bad';
    status.textContent = 'The run has ended. Its report is in the folder that the load test has named.';
  }
}

if (live) {
  follow();
} else {
  show(JSON.parse(document.getElementById('data').textContent));
}
