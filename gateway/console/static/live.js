// Draws the live page: asks for the figures once a second, as long as the page is
// seen and not paused.
"use strict";

(() => {
  const every = 1000; // milliseconds between an answer and the next question
  const patience = 10000; // milliseconds for an answer; a server that is gone never gives one
  const dashes = [[], [7, 4], [2, 3]]; // as the keys of the stylesheet
  const dashNames = ["solid", "dashed", "dotted"];
  const routeColors = ["blue", "green", "amber", "violet", "teal", "red"];

  const charts = document.getElementById("charts");
  const state = document.getElementById("live-state");
  const pause = document.getElementById("pause");
  const routesPlot = document.getElementById("routes-plot");
  const routesTable = document.getElementById("routes");
  const cards = [...charts.querySelectorAll("[data-chart]")].map((card) => ({
    id: card.dataset.chart,
    plot: card.querySelector(".plot"),
    unknown: card.querySelector(".unknown"),
    series: [...card.querySelectorAll("[data-series]")].map((item) => ({
      key: item.dataset.series,
      color: item.querySelector(".key").classList[1],
      now: item.querySelector("dd"),
    })),
  }));
  const drawn = new Map(); // from a plot's element to its uPlot and what it was made for
  let data = null;
  let timer = 0;

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  const number = (value) => {
    if (value === null || value === undefined) { return "–"; }
    return value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 10 ? 2 : value < 100 ? 1 : 0 });
  };
  const duration = (ms) => (ms === null || ms === undefined ? "–" : number(ms) + " ms");

  // draw shows lines over time in an element. Their names decide whether what was
  // drawn before can go on.
  const draw = (element, times, lines) => {
    const made = lines.map((line) => line.name).join("\n");
    const values = [times, ...lines.map((line) => line.values)];
    const before = drawn.get(element);
    if (before && before.made === made) {
      before.plot.setData(values);
      return;
    }
    before?.plot.destroy();
    const axis = { stroke: color("muted"), grid: { stroke: color("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const plot = new uPlot({
      width: element.clientWidth,
      height: element.clientHeight,
      cursor: { show: false },
      legend: { show: false },
      padding: [8, 8, 0, 0],
      scales: {
        x: { range: (u, min, max) => (max === null ? [0, 120] : [max - 120, max]) },
        y: { range: (u, min, max) => [0, Math.max((max ?? 0) * 1.15, 1)] },
      },
      axes: [
        { ...axis, size: 28, space: 70, values: [[3600, "{HH}:{mm}"], [60, "{HH}:{mm}"], [1, "{HH}:{mm}:{ss}"]] },
        { ...axis, size: 46, values: (u, splits) => splits.map(number) },
      ],
      series: [
        {},
        ...lines.map((line, i) => ({ stroke: color(line.color), width: 2, dash: dashes[i % dashes.length], points: { show: false }, spanGaps: false })),
      ],
    }, values, element);
    drawn.set(element, { plot, made });
  };

  const drawAll = () => {
    for (const card of cards) {
      for (const series of card.series) {
        series.now.textContent = number(data.series[series.key].at(-1));
      }
      const why = data.unknown[card.id] || "";
      card.unknown.hidden = why === "";
      card.unknown.textContent = why;
      draw(card.plot, data.times, card.series.map((s) => ({ name: s.key, color: s.color, values: data.series[s.key] })));
    }
    const shown = data.routes.filter((route) => route.p95s);
    draw(routesPlot, data.times, shown.map((route, i) => ({ name: route.route, color: routeColors[i], values: route.p95s })));
    routesTable.replaceChildren(...(data.routes.length ? data.routes.map(routeRow) : [emptyRow()]));
  };

  const cell = (tag, text, name) => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (name) { made.className = name; }
    return made;
  };
  const routeRow = (route, i) => {
    const row = document.createElement("tr");
    const head = cell("th", "");
    head.scope = "row";
    if (route.p95s) {
      const key = cell("span", "", "key " + routeColors[i] + " " + dashNames[i % dashNames.length]);
      key.setAttribute("aria-hidden", "true");
      head.append(key);
    }
    head.append(route.route);
    row.append(head, cell("td", number(route.rate), "number"), cell("td", duration(route.median), "number"), cell("td", duration(route.p95), "number"));
    return row;
  };
  const emptyRow = () => {
    const row = document.createElement("tr");
    const only = cell("td", "No requests in the last ten seconds.", "muted");
    only.colSpan = 4;
    row.append(only);
    return row;
  };

  const say = (text) => { if (state.textContent !== text) { state.textContent = text; } };
  const sayUnlessPaused = (text) => { if (!paused()) { say(text); } }; // what was asked for before the pause comes after it

  const ask = async () => {
    clearTimeout(timer);
    if (paused() || document.hidden) { return; }
    try {
      const answer = await fetch(charts.dataset.source, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(patience) });
      if (!answer.ok) { throw new Error("status " + answer.status); }
      data = await answer.json();
      drawAll();
      sayUnlessPaused(data.times.length < 2 ? "Waiting for the first two measurements…" : "Measured once a second, the last two minutes.");
    } catch (error) {
      sayUnlessPaused("There is no answer at the moment (" + error.message + "). Trying again.");
    }
    clearTimeout(timer);
    timer = setTimeout(ask, every);
  };

  const paused = () => pause.getAttribute("aria-pressed") === "true";
  pause.addEventListener("click", () => {
    pause.setAttribute("aria-pressed", String(!paused()));
    if (paused()) { say("Paused."); }
    ask();
  });
  document.addEventListener("visibilitychange", ask);

  const redraw = () => {
    for (const { plot } of drawn.values()) { plot.destroy(); }
    drawn.clear();
    if (data) { drawAll(); }
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let resized = 0;
  addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(redraw, 100);
  });

  ask();
})();
