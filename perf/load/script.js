// The load test: k6 runs journey() again and again. Package load prepares run.json
// and products.json beside this file, and reads the metric "step" that it emits.
import exec from 'k6/execution';
import http from 'k6/http';
import { check, sleep } from 'k6';
import { SharedArray } from 'k6/data';
import { Gauge, Rate } from 'k6/metrics';

const run = JSON.parse(open('./run.json'));
const products = new SharedArray('products', () => JSON.parse(open('./products.json')));

// The response time of each step, in milliseconds. It is a gauge because k6 keeps
// each value of a trend in memory until the end.
const stepTime = new Gauge('step', true);
const failedSteps = new Rate('failed_steps');

export const options = {
  scenarios: { journeys: run.rate ? openSchedule() : closedLoop() },
  thresholds: thresholds(),
  // Few tags, because each sample is written with all of them.
  systemTags: ['name', 'check'],
  userAgent: 'hangar-load',
};

// closedLoop has USERS users who each begin a journey when their last has ended.
function closedLoop() {
  return {
    executor: 'ramping-vus',
    exec: 'journey',
    startVUs: run.ramp_seconds > 0 ? 1 : run.users,
    stages: stages(run.users),
  };
}

// openSchedule begins journeys at their time, whether or not others have ended. A
// journey is run.steps.length requests, hence the unit of time.
function openSchedule() {
  return {
    executor: 'ramping-arrival-rate',
    exec: 'journey',
    startRate: run.ramp_seconds > 0 ? 0 : run.rate,
    timeUnit: `${run.steps.length}s`,
    preAllocatedVUs: run.users,
    maxVUs: run.max_users,
    stages: stages(run.rate),
  };
}

function stages(target) {
  const hold = { duration: `${run.hold_seconds}s`, target };
  return run.ramp_seconds > 0 ? [{ duration: `${run.ramp_seconds}s`, target }, hold] : [hold];
}

function thresholds() {
  const all = { checks: ['rate>=0.99'], failed_steps: ['rate<=0.01'] };
  if (run.rate) {
    all.dropped_iterations = [`count<=${run.may_drop}`];
  }
  if (run.p95_ms) {
    for (const step of run.steps) {
      all[`http_req_duration{name:${step}}`] = [`p(95)<=${run.p95_ms}`];
    }
  }
  return all;
}

// Each step returns whether it went well. They run in the order of run.steps.
const steps = {
  'products-create': (j) =>
    ask('products-create', 'POST', '/products', j.product, [200], {
      'answers the id': (body) => JSON.parse(body).id === j.product.id,
    }),

  'product-get': (j) =>
    ask('product-get', 'GET', productPath(j), null, [200], {
      'is the product': (body) => JSON.parse(body).title === j.product.title,
    }),

  'orders-create': (j) => {
    const order = { order_details: [{ product_id: j.product.id, price: '100000.99', quantity: 1 }] };
    return ask('orders-create', 'POST', '/orders', order, [200], {
      'answers an id': (body) => Number.isInteger((j.orderID = JSON.parse(body).id)),
    });
  },

  'order-get': (j) =>
    ask('order-get', 'GET', `/orders/${j.orderID}`, null, [200], {
      'is the order': (body) => JSON.parse(body).order_details[0].product_id === j.product.id,
    }),

  // The list may be long, and is not worth the load generator's time to read.
  'list-orders': () =>
    ask('list-orders', 'GET', '/orders', null, [200], {
      'is a list': (body) => body.trimStart().startsWith('['),
    }),

  'product-delete': (j) => ask('product-delete', 'DELETE', productPath(j), null, [200, 204], {}),
};

function productPath(j) {
  return `/products/${encodeURIComponent(j.product.id)}`;
}

export function journey() {
  const number = exec.scenario.iterationInTest;
  const template = products[number % products.length];
  const j = { product: Object.assign({}, template, { id: `${template.id}-${run.name}-${number}` }) };
  for (const step of run.steps) {
    if (!steps[step](j)) {
      return; // the next ones need what this one was to make
    }
  }
}

// ask sends a request, checks status and body, and notes its time and what was wrong.
function ask(step, method, path, body, statuses, claims) {
  const answer = http.request(method, run.target + path, body && JSON.stringify(body), {
    headers: body ? { 'Content-Type': 'application/json' } : {},
    tags: { name: step },
    timeout: '30s',
    redirects: 0,
  });
  let wrong = '';
  const must = (what, holds) => {
    if (!check(answer, { [`${step}: ${what}`]: () => holds }) && !wrong) {
      wrong = what;
    }
  };
  must(`status is ${statuses.join(' or ')}`, statuses.includes(answer.status));
  for (const [what, claim] of Object.entries(claims)) {
    must(what, !wrong && holds(claim, answer.body));
  }
  note(step, answer, wrong);
  if (answer.status === 0) {
    sleep(1); // a user whose request got no answer does not try as fast as the machine can
  }
  return !wrong;
}

function holds(claim, body) {
  try {
    return claim(body);
  } catch (_) {
    return false; // it is no JSON, or lacks what the claim looks at
  }
}

// note emits the step's time. What went wrong travels as metadata, which, unlike
// tags, do not make a time series of each text.
function note(step, answer, wrong) {
  const outcome = answer.status === 0 ? 'unanswered' : wrong ? 'failed' : 'ok';
  const metadata = exec.vu.metrics.metadata;
  if (wrong) {
    metadata.check = wrong;
    metadata.status = String(answer.status);
    metadata.answer = String(answer.error || '').slice(0, 300);
    if (answer.body) {
      metadata.answer = answer.body.slice(0, 300);
    }
  }
  stepTime.add(answer.timings.duration, { label: step, outcome });
  if (wrong) {
    delete metadata.check;
    delete metadata.status;
    delete metadata.answer;
  }
  failedSteps.add(wrong !== '');
}

// handleSummary takes the place of what k6 prints at the end.
export function handleSummary(data) {
  const results = [];
  for (const [metric, { thresholds }] of Object.entries(data.metrics)) {
    for (const [bound, { ok }] of Object.entries(thresholds || {})) {
      results.push({ metric, bound, ok });
    }
  }
  return { 'thresholds.json': JSON.stringify(results) };
}
