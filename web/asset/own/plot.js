"use strict";
// Draws what figures with data-plot hold, in the theme's colours, as wide as there is room.
(() => {
  const drawn = new Map();
  // color gives a colour of the theme as the canvas takes it.
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const color = (name) => { probe.style.color = `var(--tblr-${name})`; return getComputedStyle(probe).color; };

  function draw(figure) {
    const text = figure.dataset.plot;
    const known = drawn.get(figure);
    if (known && known.text === text && known.theme === document.documentElement.dataset.bsTheme) return;
    known?.plot.destroy();
    let p;
    try { p = JSON.parse(text); } catch { return; }
    if (!p.x?.length) { figure.classList.add("plot-empty"); return; }
    figure.classList.remove("plot-empty");
    const axis = { stroke: color("secondary"), grid: { stroke: color("border-color"), width: 1 }, ticks: { show: false } };
    const values = p.series.map((s) => s.values);
    if (p.stacked) for (let i = values.length - 2; i >= 0; i--) values[i] = values[i].map((v, at) => (v ?? 0) + (values[i + 1][at] ?? 0));
    const last = p.x.length - 1; // what the legend tells when nothing is pointed at
    const others = [...new Set(p.series.map((s) => s.scale).filter(Boolean))];
    const positive = (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.1 : 1];
    const options = {
      width: Math.max(figure.clientWidth, 200), height: p.height || 180,
      scales: { y: { range: (_, low, high) => [p.min ?? Math.min(0, low), p.max ?? (high > 0 ? high * 1.1 : 1)] }, ...Object.fromEntries(others.map((scale) => [scale, { range: positive }])) },
      axes: [axis, { ...axis, size: 56, values: (_, ticks) => ticks.map((v) => v + (p.unit ?? "")) },
        ...others.map((scale) => ({ ...axis, scale, side: 1, size: 48, grid: { show: false } }))],
      cursor: { points: { size: 6 } },
      hooks: { setCursor: [(u) => { if (u.cursor.idx == null) u.setLegend({ idx: last }); }] },
      series: [{}, ...p.series.map((s) => ({
        label: s.label, scale: s.scale ?? "y", stroke: color(s.color), width: p.bars ? 0 : 1.5, spanGaps: false,
        fill: p.bars ? color(s.color) : undefined,
        paths: s.alone ? () => null : p.bars ? uPlot.paths.bars({ size: [0.7, 40] }) : s.steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
        points: { show: Boolean(s.points), size: 5 },
        value: (_, v) => (v == null ? "–" : Math.round(v * 100) / 100 + (p.unit ?? "")),
      }))],
    };
    const plot = new uPlot(options, [p.x, ...values], figure);
    plot.setLegend({ idx: last });
    if (p.links) {
      plot.over.classList.add("plot-links");
      plot.over.addEventListener("click", () => { const to = p.links[plot.cursor.idx]; if (to) location.assign(to); });
    }
    drawn.set(figure, { plot, text, theme: document.documentElement.dataset.bsTheme });
  }

  function all() {
    for (const [figure, { plot }] of drawn) if (!figure.isConnected) { plot.destroy(); drawn.delete(figure); }
    for (const figure of document.querySelectorAll("[data-plot]")) draw(figure);
  }
  all();
  document.body.addEventListener("htmx:after:settle", all);
  addEventListener("themechange", all);
  addEventListener("resize", () => { for (const [figure, { plot }] of drawn) plot.setSize({ width: Math.max(figure.clientWidth, 200), height: plot.height }); });
})();
