"use strict";
// Draws what places with data-plot hold, in the theme's colours, as wide as there is room. Where only the numbers moved,
// the drawing stays and takes them.
(() => {
  const drawn = new Map();
  // color gives a colour of the theme as the canvas takes it, tinted where it is to fill.
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const color = (name, share = 100) => { probe.style.color = `color-mix(in srgb, var(--tblr-${name}) ${share}%, transparent)`; return getComputedStyle(probe).color; };

  const lone = (s) => s.values.filter((v) => v != null).length === 1; // a value by itself is easily overlooked
  // shape is all of a plot but its numbers.
  const shape = (p) => JSON.stringify({ ...p, x: null, links: Boolean(p.links), series: p.series.map((s) => ({ ...s, values: [lone(s), whole([s])] })) });
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });
  // written is a number as everywhere on the pages: 12 345, and large ones in short.
  function written(v) {
    if (Math.abs(v) >= 1e5) return compact.format(v);
    const [n, part] = String(v).split(".");
    return n.replace(/\B(?=(\d{3})+$)/g, "\u00a0") + (part ? `.${part}` : "");
  }
  // What is counted has no marks between whole numbers.
  const whole = (series) => series.every((s) => s.values.every((v) => v == null || Number.isInteger(v)));
  const steps = [1, 2, 5].flatMap((n) => [...Array(15)].map((_, at) => n * 10 ** at)).sort((a, b) => a - b);

  function numbers(p) {
    const values = p.series.map((s) => s.values);
    if (p.stacked) for (let i = values.length - 2; i >= 0; i--) values[i] = values[i].map((v, at) => (v ?? 0) + (values[i + 1][at] ?? 0));
    return [p.x, ...values];
  }
  // lastOf is what the legend tells when nothing is pointed at.
  const lastOf = (p) => { const at = p.x.findLastIndex((_, i) => p.series.some((s) => s.values[i] != null)); return at < 0 ? p.x.length - 1 : at; };

  // fitted is an axis about the values, with room around them also where they are all the same.
  function fitted(low, high) {
    if (low == null) return [0, 1];
    const room = (high - low) * 0.1 || Math.abs(high) * 0.1 || 1;
    return [low - room, high + room];
  }

  // Times are written as everywhere on the pages: 24 hours, the day in letters. A row: from which distance of the marks on, the
  // text, and what is added where a year or a day begins. No marks are closer than a second.
  const day = "{D} {MMM}";
  const times = [
    [31536000, "{YYYY}", null, null, null, null, null, null, 1],
    [2419200, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [86400, day, "\n{YYYY}", null, null, null, null, null, 1],
    [60, "{HH}:{mm}", `\n${day} {YYYY}`, null, `\n${day}`, null, null, null, 1],
    [1, "{HH}:{mm}:{ss}", `\n${day} {YYYY}`, null, `\n${day}`, null, null, null, 1],
  ];
  const seconds = [1, 2, 5, 10, 15, 30, ...[1, 2, 5, 10, 15, 30].map((n) => n * 60), ...[1, 2, 3, 4, 6, 8, 12].map((n) => n * 3600),
    ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 30, 60, 90, 120, 180, 365, 730, 1825].map((n) => n * 86400)];
  // instant is a time in the legend: to the second where the plot is about minutes.
  const instant = (u, at) => at == null ? "–" : uPlot.fmtDate(u.data[0].at(-1) - u.data[0][0] <= 3600 ? "{HH}:{mm}:{ss}" : `${day} {HH}:{mm}`)(new Date(at * 1000));

  function draw(place) {
    const text = place.dataset.plot, theme = document.documentElement.dataset.bsTheme;
    const known = drawn.get(place);
    if (known && known.text === text && known.theme === theme) return;
    let p;
    try { p = JSON.parse(text); } catch { return; }
    if (known && known.theme === theme && p.x?.length && known.shape === shape(p)) {
      Object.assign(known, { p, text });
      known.plot.setData(numbers(p));
      known.plot.setLegend({ idx: known.plot.cursor.idx ?? lastOf(p) });
      return;
    }
    known?.plot.destroy();
    drawn.delete(place);
    if (!p.x?.length) { place.classList.add("plot-empty"); return; }
    place.classList.remove("plot-empty");
    const is = { p, text, theme, shape: shape(p) };
    const axis = { stroke: color("secondary"), grid: { stroke: color("border-color"), width: 1 }, ticks: { show: false } };
    const others = [...new Set(p.series.map((s) => s.scale).filter(Boolean))];
    const positive = (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.1 : 1];
    const edges = p.series.flatMap((s, i) => (s.edge ? [i + 1] : []));
    const round = (v) => Math.round(v * 100) / 100;
    const counted = (series) => (whole(series) ? { incrs: steps } : {});
    const between = (u, at) => { // the smallest and the largest of what a point stands for
      const [low, high] = edges.map((i) => u.data[i][at]);
      return low == null || low === high ? "" : ` (${written(round(low))} – ${written(round(high))})`;
    };
    const options = {
      width: Math.max(place.clientWidth, 200), height: p.height || 180,
      scales: { x: { range: (_, low, high) => (low === high ? [(low ?? 0) - 300, (high ?? 0) + 300] : [low, high]) }, y: { range: (_, low, high) => (p.fit ? fitted(low, high) : [p.min ?? Math.min(0, low), p.max ?? (high > 0 ? high * 1.1 : 1)]) }, ...Object.fromEntries(others.map((scale) => [scale, { range: positive }])) },
      axes: [{ ...axis, values: times, incrs: seconds, space: (u) => (u.data[0].at(-1) - u.data[0][0] < 600 ? 70 : 50) },
        { ...axis, size: 56, ...counted(p.series.filter((s) => !s.scale)), values: (_, ticks) => ticks.map((v) => written(v) + (p.unit ?? "")) },
        ...others.map((scale) => { // its numbers have the colour of its line
          const own = p.series.filter((s) => s.scale === scale);
          return { ...axis, stroke: color(own[0].color), scale, side: 1, size: 48, grid: { show: false }, ...counted(own), values: (_, ticks) => ticks.map(written) };
        })],
      bands: edges.length === 2 ? [{ series: [edges[1], edges[0]], fill: color(p.series[edges[0] - 1].color, 15) }] : undefined,
      cursor: { points: { size: 6 } },
      hooks: { setCursor: [(u) => { if (u.cursor.idx == null) u.setLegend({ idx: lastOf(is.p) }); }] },
      series: [{ label: "At", value: instant }, ...p.series.map((s) => ({
        label: s.label, scale: s.scale ?? "y", stroke: s.edge ? color(s.color, 35) : color(s.color), width: p.bars ? 0 : s.edge ? 1 : 1.5, spanGaps: false,
        fill: p.bars ? color(s.color) : undefined,
        paths: s.alone ? () => null : p.bars ? uPlot.paths.bars({ size: [0.7, 40] }) : s.steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
        points: { show: Boolean(s.points) || lone(s), size: lone(s) ? 9 : 5 },
        class: s.edge ? "plot-edge" : undefined,
        value: (u, v, _, at) => (v == null ? "–" : written(round(v)) + (p.unit ?? "") + (s.edge ? "" : between(u, at))),
      }))],
    };
    is.plot = new uPlot(options, numbers(p), place);
    is.plot.setLegend({ idx: lastOf(p) });
    if (p.links) {
      is.plot.over.classList.add("plot-links");
      is.plot.over.addEventListener("click", () => { const to = is.p.links[is.plot.cursor.idx]; if (to) location.assign(to); });
    }
    drawn.set(place, is);
  }

  function all() {
    for (const [place, { plot }] of drawn) if (!place.isConnected) { plot.destroy(); drawn.delete(place); }
    for (const place of document.querySelectorAll("[data-plot]")) draw(place);
  }
  all();
  document.body.addEventListener("htmx:after:settle", all);
  addEventListener("themechange", all);
  addEventListener("resize", () => { for (const [place, { plot }] of drawn) plot.setSize({ width: Math.max(place.clientWidth, 200), height: plot.height }); });
})();
