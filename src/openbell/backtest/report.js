"use strict";
// Charts of the report: SVG drawn from the numbers in the page, at the width there is. All share one time axis, on which a
// candle is one step wide whenever it was: nights and weekends take no room.
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const { curve, charts } = data;
const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const RIGHT = 62;

// The axis: position of a time among the knots, and back.
const knots = charts.length ? charts.reduce((a, b) => (b.t.length > a.t.length ? b : a)).t : [curve.t[0], Math.max(curve.t.at(-1), curve.t[0] + 1)];
const step = knots.length > 1 ? (knots.at(-1) - knots[0]) / (knots.length - 1) : 1;
function below(list, value) { // index of the last entry <= value, or -1
  let low = 0, high = list.length;
  while (low < high) { const middle = (low + high) >> 1; if (list[middle] <= value) low = middle + 1; else high = middle; }
  return low - 1;
}
function place(time) {
  const at = below(knots, time);
  if (at < 0) return (time - knots[0]) / step;
  if (at === knots.length - 1) return at + Math.min(1, (time - knots[at]) / step);
  return at + (time - knots[at]) / (knots[at + 1] - knots[at]);
}
function timeAt(position) {
  const at = Math.max(0, Math.min(knots.length - 1, Math.floor(position)));
  return at === knots.length - 1 ? knots[at] + (position - at) * step : knots[at] + (position - at) * (knots[at + 1] - knots[at]);
}
curve.p = curve.t.map(place);
for (const chart of charts) {
  chart.p = chart.t.map(place);
  chart.trades = chart.trades.map(([a, b, c, d, sign]) => [place(a), b, place(c), d, sign]);
}
const full = { from: Math.min(0, curve.p[0]), to: Math.max(knots.length - (charts.length ? 0 : 1), curve.p.at(-1)) };
if (full.to <= full.from) full.to = full.from + 1;
const view = { ...full };

// Words.
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const two = (n) => String(n).padStart(2, "0");
const group = (value, digits) => {
  const text = value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return /[1-9]/.test(text) ? text.replace("-", "−") : text.replace("-", "");
};
const cents = (value) => group(value, Math.abs(value) >= 1 || value === 0 ? 2 : 6);
const share = (value, digits = 2) => group(value * 100, digits) + " %";
const price = (value) => String(value).replace("-", "−").replace(/^(\d+)(?=\.|$)/, (whole) => Number(whole).toLocaleString("en-US"));
function stamp(time) {
  const d = new Date(time), clock = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`;
  const date = `${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]} ${d.getUTCFullYear()}`;
  if (step > 8e7) return date;
  return `${date}, ${clock}${step < 6e4 ? ":" + two(d.getUTCSeconds()) : ""}`;
}

// Ticks: round numbers for values, calendar borders for time.
function valueTicks(low, high, count) {
  const raw = (high - low) / Math.max(1, count), power = 10 ** Math.floor(Math.log10(raw));
  const size = [1, 2, 2.5, 5, 10].find((n) => n * power >= raw) * power, ticks = [];
  for (let n = Math.ceil(low / size); n * size <= high + size * 1e-9; n++) ticks.push(n * size);
  return { ticks, digits: Math.max(0, Math.min(8, -Math.floor(Math.log10(size) + 1e-9) + (Math.abs(size / power - 2.5) < 1e-9 ? 1 : 0))) };
}
const CLOCK = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800].map((s) => s * 1000);
const CALENDAR = [1, 2, 3, 6, 12, 24, 60, 120, 240];
function timeTicks(from, to, count) {
  const start = timeAt(from), end = timeAt(to), ticks = [], open = Math.max(1, end - start);
  const size = CLOCK.find((s) => open / s <= count);
  if (size) {
    for (let t = Math.ceil(start / size) * size; t <= end; t += size) {
      const d = new Date(t), midnight = t % 864e5 === 0;
      const text = midnight ? (d.getUTCMonth() === 0 && d.getUTCDate() === 1 ? String(d.getUTCFullYear()) : `${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]}`)
        : `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}${size < 6e4 ? ":" + two(d.getUTCSeconds()) : ""}`;
      ticks.push([t, text]);
    }
    return ticks;
  }
  const months = CALENDAR.find((m) => open / (m * 2.63e9) <= count) ?? 600, first = new Date(start);
  for (let m = Math.ceil((first.getUTCFullYear() * 12 + first.getUTCMonth()) / months) * months; ; m += months) {
    const t = Date.UTC(Math.floor(m / 12), m % 12, 1);
    if (!(t <= end)) return ticks;
    if (t >= start) ticks.push([t, m % 12 ? MONTHS[m % 12] : String(Math.floor(m / 12))]);
  }
}

// SVG.
const NAMESPACE = "http://www.w3.org/2000/svg";
function add(parent, name, attributes, text) {
  const node = document.createElementNS(NAMESPACE, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  parent.appendChild(node);
  return node;
}
const px = (n) => Math.round(n * 100) / 100;
function scale(low, high, top, bottom, log = false) {
  const f = log ? Math.log : (value) => value, start = f(low), span = f(high) - start || 1;
  return (value) => px(bottom - ((f(value) - start) / span) * (bottom - top));
}
function logTicks(low, high) {
  const ticks = [];
  for (let power = 10 ** Math.floor(Math.log10(low)); power <= high; power *= 10) {
    for (const n of high / low > 40 ? [1, 3] : [1, 2, 5]) if (n * power >= low && n * power <= high) ticks.push(n * power);
  }
  return { ticks, digits: low < 1 ? 2 : 0 };
}
function axes(svg, panel, y, low, high, width, format, count, log = false) {
  const even = valueTicks(low, high, count ?? Math.max(2, (panel.bottom - panel.top) / 46));
  const { ticks, digits } = log && high / low > 3 ? logTicks(low, high) : even;
  for (const tick of ticks) {
    add(svg, "line", { class: "grid", x1: 0, x2: width, y1: y(tick), y2: y(tick) });
    add(svg, "text", { x: width + 8, y: y(tick) + 4 }, format(tick, digits));
  }
}
function timeAxis(svg, x, width, bottom) {
  let last = -1e9;
  for (const [time, text] of timeTicks(view.from, view.to, Math.max(3, width / 80))) {
    const at = px(x(place(time)));
    if (at - last < 52 || at < 14 || at > width - 14) continue;
    add(svg, "text", { x: at, y: bottom + 17, "text-anchor": "middle" }, text);
    last = at;
  }
}
function canvas(box, height) {
  one("svg", box)?.remove();
  const outer = box.clientWidth, width = Math.max(80, outer - RIGHT);
  const svg = add(box, "svg", { height, viewBox: `0 0 ${outer} ${height}`, role: "img" });
  const x = (position) => ((position - view.from) / (view.to - view.from)) * width;
  return { svg, width, x, phone: outer < 560 };
}
function legendOf(box) {
  const found = one(".legend", box);
  if (found) return found;
  const made = document.createElement("div");
  made.className = "legend";
  box.prepend(made);
  return made;
}
function entry(parent, label, value, css, mark) {
  const span = document.createElement("span"), strong = document.createElement("b");
  span.className = css ?? "";
  if (mark) { const line = document.createElement("i"); line.className = mark; span.append(line); }
  strong.textContent = value;
  span.append(label + " ", strong);
  parent.append(span);
}

// Equity above, drawdown below.
const single = charts.length === 1 ? charts[0] : null;
const hold = single && curve.p.map((position) => {
  const at = Math.max(0, Math.min(single.p.length - 1, below(single.p, position)));
  return (curve.equity[0] * single.c[at]) / single.c[0];
});
const lowest = Math.min(...curve.equity);
let logarithmic = lowest > 0 && Math.max(...curve.equity) / lowest > 6;
function drawEquity() {
  const box = one("#equity"), legend = legendOf(box);
  const narrow = box.clientWidth < 560, heights = narrow ? [210, 70] : [290, 96];
  const { svg, width, x } = canvas(box, heights[0] + heights[1] + 44);
  svg.setAttribute("aria-label", "equity curve and drawdown");
  const first = Math.max(0, below(curve.p, view.from)), last = Math.min(curve.p.length - 1, below(curve.p, view.to) + 1);
  let low = Infinity, high = -Infinity, deep = 0;
  for (let i = first; i <= last; i++) {
    low = Math.min(low, curve.equity[i], hold ? hold[i] : Infinity);
    high = Math.max(high, curve.equity[i], hold ? hold[i] : -Infinity);
    deep = Math.min(deep, curve.drawdown[i]);
  }
  const room = (high - low || Math.abs(high) || 1) * 0.05;
  if (logarithmic) { low *= 0.95; high *= 1.05; } else { low -= room; high += room; }
  deep = deep ? deep * 1.08 : -0.01;
  const upper = { top: 6, bottom: heights[0] }, lower = { top: heights[0] + 16, bottom: heights[0] + 16 + heights[1] };
  const y = scale(low, high, upper.top, upper.bottom, logarithmic), z = scale(deep, 0, lower.top, lower.bottom);
  const fade = add(add(svg, "defs", {}), "linearGradient", { id: "fade", x1: 0, x2: 0, y1: 0, y2: 1 });
  add(fade, "stop", { offset: 0, "stop-opacity": 0.22 });
  add(fade, "stop", { offset: 1, "stop-opacity": 0 });
  axes(svg, upper, y, low, high, width, group, undefined, logarithmic);
  axes(svg, lower, z, deep, 0, width, (value) => group(value * 100, Math.abs(deep) < 0.02 ? 1 : 0) + " %", narrow ? 2 : 3);
  const clip = clipped(svg, "clip-equity", width, lower.bottom + 4);
  if (curve.equity[0] > low && curve.equity[0] < high) add(clip, "line", { class: "base", x1: 0, x2: width, y1: y(curve.equity[0]), y2: y(curve.equity[0]) });
  const line = (list, f) => { let path = ""; for (let i = first; i <= last; i++) path += `${i === first ? "M" : "L"}${px(x(curve.p[i]))} ${f(list[i])}`; return path; };
  const left = px(x(curve.p[first])), right = px(x(curve.p[last])), path = line(curve.equity, y);
  add(clip, "path", { class: "under", d: `${path}V${upper.bottom}H${left}Z` });
  if (hold) add(clip, "path", { class: "hold", d: line(hold, y) });
  add(clip, "path", { class: "equity", d: path });
  add(clip, "path", { class: "sunk", d: `${line(curve.drawdown, z)}L${right} ${z(0)}H${left}Z` });
  timeAxis(svg, x, width, lower.bottom);
  const cross = add(svg, "line", { class: "cross", y1: upper.top, y2: lower.bottom, visibility: "hidden" });
  const dot = add(svg, "circle", { class: "dot", r: 4.5, visibility: "hidden" });
  const point = (position) => {
    const at = position === null ? last : Math.max(first, Math.min(last, below(curve.p, position)));
    legend.replaceChildren();
    entry(legend, "Equity", `${cents(curve.equity[at])} ${data.currency}`, "", "line");
    if (hold) entry(legend, "Buy and hold", cents(hold[at]), "", "dashed");
    entry(legend, "Drawdown", share(curve.drawdown[at]));
    entry(legend, "", stamp(curve.t[at]));
    const visible = position === null ? "hidden" : "visible";
    for (const [key, value] of [["x1", px(x(curve.p[at]))], ["x2", px(x(curve.p[at]))], ["visibility", visible]]) cross.setAttribute(key, value);
    for (const [key, value] of [["cx", px(x(curve.p[at]))], ["cy", y(curve.equity[at])], ["visibility", visible]]) dot.setAttribute(key, value);
  };
  listen(svg, width, lower.bottom);
  return point;
}
function clipped(svg, id, width, height) {
  add(add(svg, "clipPath", { id }), "rect", { x: 0, y: 0, width, height });
  return add(svg, "g", { "clip-path": `url(#${id})` });
}

// Candles, joined further until each is wide enough to be seen; the marks of joined candles are added up.
let shown = 0;
function joined(chart, first, last, n) {
  const list = [];
  for (let i = first; i <= last; i += n) {
    const stop = Math.min(i + n - 1, last);
    const candle = { i, p: chart.p[i], end: chart.p[stop], t: chart.t[i], o: chart.o[i], c: chart.c[stop], h: chart.h[i], l: chart.l[i], v: 0, buys: 0, sells: 0 };
    for (let j = i; j <= stop; j++) {
      candle.h = Math.max(candle.h, chart.h[j]); candle.l = Math.min(candle.l, chart.l[j]);
      if (chart.v.length) candle.v += chart.v[j];
    }
    list.push(candle);
  }
  for (const side of ["buys", "sells"]) for (const [at, count, mean] of chart[side]) {
    if (at < first || at > last) continue;
    const candle = list[Math.floor((at - first) / n)];
    candle[side] += count;
    candle[side + "At"] = mean;
  }
  return list;
}
function drawCandles() {
  const box = one("#candles"), legend = legendOf(box), chart = charts[shown];
  const height = box.clientWidth < 560 ? 280 : 400, bottom = height - 24;
  const { svg, width, x } = canvas(box, height);
  svg.setAttribute("aria-label", `candles of ${chart.symbol} with buys and sells`);
  const first = Math.max(0, below(chart.p, view.from)), last = Math.max(first, below(chart.p, view.to - 1e-9));
  const n = Math.max(1, Math.ceil((last - first + 1) / (width / 4)));
  const candles = joined(chart, first, last, n);
  let low = Infinity, high = -Infinity, most = 0;
  for (const candle of candles) { low = Math.min(low, candle.l); high = Math.max(high, candle.h); most = Math.max(most, candle.v); }
  const room = (high - low || high * 0.01) * 0.07;
  const chartLog = chart.log ??= Math.max(...chart.h) / Math.min(...chart.l) > 6;
  if (chartLog) { low *= 0.93; high *= 1.07; } else { low -= room; high += room; }
  const panel = { top: 4, bottom: most ? bottom - 46 : bottom - 8 }, y = scale(low, high, panel.top, panel.bottom, chartLog);
  axes(svg, panel, y, low, high, width, group, undefined, chartLog);
  const clip = clipped(svg, "clip-candles", width, bottom);
  const paths = { up: ["", "", ""], down: ["", "", ""] }, stepPx = (x(view.from + 1) - x(view.from)) * n, body = Math.max(1, Math.min(18, stepPx * 0.68));
  for (const candle of candles) {
    candle.x = x(candle.p) + stepPx / 2;
    const kind = paths[candle.c >= candle.o ? "up" : "down"], left = px(candle.x - body / 2), top = Math.min(y(candle.o), y(candle.c));
    kind[0] += `M${px(candle.x)} ${y(candle.h)}V${y(candle.l)}`;
    kind[1] += `M${left} ${top}h${px(body)}v${px(Math.max(1, Math.abs(y(candle.o) - y(candle.c))))}h${-px(body)}z`;
    if (most) kind[2] += `M${left} ${bottom}v${-px((candle.v / most) * 38)}h${px(body)}V${bottom}z`;
  }
  for (const kind of ["up", "down"]) ["wick", "body", "volume"].forEach((css, layer) => add(clip, "path", { class: `${css} ${kind}`, d: paths[kind][layer] }));
  const trips = chart.trades.filter(([from, , to]) => to >= view.from && from <= view.to);
  if (trips.length <= 60) for (const [from, entered, to, left, sign] of trips) {
    add(clip, "path", { class: `trip ${sign < 0 ? "down" : "up"}`, d: `M${px(x(from))} ${y(entered)}L${px(x(to))} ${y(left)}` });
  }
  const marked = candles.reduce((count, candle) => count + (candle.buys > 0) + (candle.sells > 0), 0), size = marked > width / 9 ? 2.6 : marked > width / 22 ? 3.8 : 5.5;
  for (const candle of candles) {
    const at = px(candle.x), under = y(candle.l) + size + 3, over = y(candle.h) - size - 3;
    if (candle.buys) add(clip, "path", { class: "mark up", d: `M${at} ${px(under - size)}l${size} ${size * 1.7}h${-2 * size}z` });
    if (candle.sells) add(clip, "path", { class: "mark down", d: `M${at} ${px(over + size)}l${size} ${-size * 1.7}h${-2 * size}z` });
  }
  timeAxis(svg, x, width, bottom);
  const cross = add(svg, "line", { class: "cross", y1: 0, y2: bottom, visibility: "hidden" });
  const point = (position) => {
    const at = position === null ? candles.length - 1 : Math.max(0, Math.min(candles.length - 1, below(candles.map((c) => c.p), position))), candle = candles[at];
    legend.replaceChildren();
    entry(legend, "", chart.symbol);
    for (const [label, value] of [["O", candle.o], ["H", candle.h], ["L", candle.l], ["C", candle.c]]) entry(legend, label, price(value));
    if (most) entry(legend, "Volume", candle.v.toLocaleString("en-US", { notation: "compact", maximumFractionDigits: 1 }));
    if (candle.buys) entry(legend, "", `${candle.buys > 1 ? candle.buys + " buys" : "buy"} ${price(candle.buysAt)}`, "buy");
    if (candle.sells) entry(legend, "", `${candle.sells > 1 ? candle.sells + " sells" : "sell"} ${price(candle.sellsAt)}`, "sell");
    entry(legend, "", stamp(candle.t) + (n * chart.joined > 1 ? ` (${n * chart.joined} bars)` : ""));
    for (const [key, value] of [["x1", px(candle.x)], ["x2", px(candle.x)], ["visibility", position === null ? "hidden" : "visible"]]) cross.setAttribute(key, value);
  };
  listen(svg, width, bottom);
  return point;
}

// Histogram of trade returns.
function drawDistribution() {
  const box = one("#distribution"), { counts, start, width: bin, mean, median, cut } = data.distribution;
  one("svg", box)?.remove();
  const width = box.clientWidth, height = 236;
  const bottom = height - 26, most = Math.max(...counts);
  const svg = add(box, "svg", { height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "distribution of trade returns" });
  const x = (value) => ((value / bin - start) / counts.length) * width, digits = Math.max(0, Math.min(4, Math.ceil(-Math.log10(bin * 100))));
  counts.forEach((count, i) => {
    const from = (start + i) * bin, tall = count ? Math.max(2, (count / most) * (bottom - 34)) : 0;
    const bar = add(svg, "rect", { class: `bar ${from >= 0 ? "up" : "down"}`, x: px(x(from) + 1), y: px(bottom - tall), width: px(Math.max(1, width / counts.length - 2)), height: px(tall), rx: 2 });
    const open = (i === 0 && cut[0]) || (i === counts.length - 1 && cut[1]);
    add(bar, "title", {}, `${count} trades, ${share(from, digits)} to ${share(from + bin, digits)}${open ? " and beyond" : ""}`);
  });
  add(svg, "line", { class: "grid", x1: 0, x2: width, y1: bottom, y2: bottom });
  const at = Math.max(1, Math.min(width - 1, x(mean)));
  add(svg, "line", { class: "mean", x1: at, x2: at, y1: 20, y2: bottom });
  const anchor = at > width * 0.7 ? "end" : at < width * 0.3 ? "start" : "middle";
  add(svg, "text", { x: at, y: 13, "text-anchor": anchor }, `mean ${share(mean)} · median ${share(median)}`);
  const { ticks } = valueTicks(start * bin, (start + counts.length) * bin, Math.max(2, width / 90));
  for (const tick of ticks) {
    const spot = x(tick);
    if (spot > 18 && spot < width - 18) add(svg, "text", { x: px(spot), y: bottom + 17, "text-anchor": "middle" }, share(tick, digits));
  }
}

// Pointing and zooming.
let points = [];
function render() {
  points = [];
  if (one("#equity")) points.push(drawEquity());
  if (one("#candles")) points.push(drawCandles());
  for (const point of points) point(null);
}
function look(from, to) {
  const least = Math.min(12, full.to - full.from), span = Math.max(least, Math.min(full.to - full.from, to - from));
  const middle = (from + to) / 2, start = Math.max(full.from, Math.min(full.to - span, middle - span / 2));
  view.from = start; view.to = start + span;
  render();
}
function listen(svg, width, bottom) {
  const at = (event) => view.from + ((event.clientX - svg.getBoundingClientRect().left) / width) * (view.to - view.from);
  let begin = null, band = null;
  svg.addEventListener("pointermove", (event) => {
    const position = Math.max(view.from, Math.min(view.to, at(event)));
    for (const point of points) point(position);
    if (begin === null) return;
    const spot = (p) => ((p - view.from) / (view.to - view.from)) * width;
    band ??= add(svg, "rect", { class: "band", y: 0, height: bottom });
    band.setAttribute("x", spot(Math.min(begin, position)));
    band.setAttribute("width", Math.abs(spot(position) - spot(begin)));
  });
  svg.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0) return;
    begin = at(event);
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointerup", (event) => {
    if (begin === null) return;
    const from = Math.min(begin, at(event)), to = Math.max(begin, at(event));
    begin = null;
    band?.remove();
    if (((to - from) / (view.to - view.from)) * width > 6) look(from, to);
  });
  svg.addEventListener("pointerleave", () => { if (begin === null) for (const point of points) point(null); });
  svg.addEventListener("dblclick", () => look(full.from, full.to));
}
for (const button of all("[data-zoom]")) button.addEventListener("click", () => {
  const span = view.to - view.from;
  const [from, to] = {
    in: [view.from + span / 4, view.to - span / 4], out: [view.from - span / 2, view.to + span / 2],
    left: [view.from - span / 2, view.to - span / 2], right: [view.from + span / 2, view.to + span / 2], all: [full.from, full.to],
  }[button.dataset.zoom];
  look(from, to);
});
const log = one("#log");
if (lowest <= 0) log.parentElement.remove();
log.setAttribute("aria-pressed", String(logarithmic));
log.addEventListener("click", () => {
  logarithmic = !logarithmic;
  log.setAttribute("aria-pressed", String(logarithmic));
  render();
});
for (const button of all("[data-chart]")) button.addEventListener("click", () => {
  shown = Number(button.dataset.chart);
  for (const other of all("[data-chart]")) other.setAttribute("aria-pressed", String(other === button));
  render();
});

// The table of trades sorts by the column that is clicked.
const header = all(".trades thead th");
header.forEach((th, column) => th.firstChild.addEventListener("click", () => {
  const down = th.getAttribute("aria-sort") !== "descending", body = one(".trades tbody");
  for (const other of header) other.removeAttribute("aria-sort");
  th.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => { const text = row.cells[column].dataset.v, number = Number(text); return Number.isNaN(number) ? text : number; };
  const rows = [...body.rows].map((row) => [key(row), row]).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  if (down) rows.reverse();
  body.append(...rows.map(([, row]) => row));
}));

// Light or dark: what the system says, until the button says otherwise.
const root = document.documentElement, remembered = (() => { try { return localStorage.getItem("openbell-theme"); } catch { return null; } })();
if (remembered) root.dataset.theme = remembered;
one("#theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("openbell-theme", root.dataset.theme); } catch { /* a file opened from disk may have no storage */ }
});

function draw() { render(); if (one("#distribution")) drawDistribution(); }
let wide = innerWidth;
addEventListener("resize", () => { if (innerWidth !== wide) { wide = innerWidth; draw(); } });
draw();
})();
