/* The interactive diagram: hover or focus an edge to enlarge its curve, click or press Enter to pin it, hide weak edges.
   Works on the static SVG of the page; without this script the diagram is still complete. */
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const SIZE = { width: 320, height: 220, left: 46, right: 12, top: 12, bottom: 30 };

  function start(root) {
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const boxes = [...root.querySelectorAll("g.edge")];
    const wires = [...root.querySelectorAll("path.wire")];
    const panel = root.querySelector(".panel");
    let pinned = null;

    function show(k) {
      boxes.forEach((box, n) => box.classList.toggle("active", n === k));
      wires.forEach((wire, n) => wire.classList.toggle("active", n === k));
      panel.replaceChildren(...describe(data[k]));
    }

    function pin(k) {
      pinned = pinned === k ? null : k;
      boxes.forEach((box, n) => {
        box.classList.toggle("pinned", n === pinned);
        box.setAttribute("aria-pressed", String(n === pinned));
      });
      show(k);
    }

    boxes.forEach((box, k) => {
      box.setAttribute("tabindex", "0");
      box.setAttribute("role", "button");
      box.setAttribute("aria-pressed", "false");
      for (const name of ["pointerenter", "focus"])
        box.addEventListener(name, () => pinned === null && show(k));
      box.addEventListener("click", () => pin(k));
      box.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pin(k); }
        if (event.key === "Escape" && pinned !== null) pin(pinned);
      });
    });

    const slider = root.querySelector("input[type='range']");
    const count = root.querySelector("output");
    function hide() {
      const least = Number(slider.value) ** 2; // finer steps where most edges are
      const shown = data.map((edge) => edge.importance >= least);
      shown.forEach((visible, k) => {
        for (const element of [boxes[k], wires[k]]) element.style.display = visible ? "" : "none";
      });
      count.textContent = `${shown.filter(Boolean).length} of ${data.length} edges, importance at least ${digits(least)}`;
    }
    slider.addEventListener("input", hide);
    hide();
    if (data.length) show(data.reduce((best, edge, k) => (edge.importance > data[best].importance ? k : best), 0));
  }

  /* The name of an edge, its facts, and its curve with axes. */
  function describe(edge) {
    const title = element("h3", `${edge.source} → ${edge.target}`);
    const what = element("p", edge.formula || "curve");
    what.className = edge.formula ? "formula" : "";
    const readout = element("p", " ");
    readout.className = "readout";
    const facts = element("p", `importance ${digits(edge.importance)}, score ${digits(edge.score)}`);
    return [title, what, facts, chart(edge, readout), readout];
  }

  function chart(edge, readout) {
    const values = edge.y.concat(...(edge.band || [])).filter((v) => v !== null);
    const [left, right] = [edge.x[0], edge.x[edge.x.length - 1]];
    const [low, high] = padded(Math.min(...values), Math.max(...values));
    const u = (x) => SIZE.left + ((x - left) / (right - left || 1)) * (SIZE.width - SIZE.left - SIZE.right);
    const v = (y) => SIZE.height - SIZE.bottom - ((y - low) / (high - low)) * (SIZE.height - SIZE.top - SIZE.bottom);
    const svg = shape("svg", { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, class: "chart", role: "img" });
    for (const x of ticks(left, right)) {
      svg.append(shape("path", { class: "grid", d: `M${u(x)} ${SIZE.top}V${SIZE.height - SIZE.bottom}` }));
      svg.append(shape("text", { x: u(x), y: SIZE.height - SIZE.bottom + 14, "text-anchor": "middle" }, digits(x)));
    }
    for (const y of ticks(low, high)) {
      svg.append(shape("path", { class: "grid", d: `M${SIZE.left} ${v(y)}H${SIZE.width - SIZE.right}` }));
      svg.append(shape("text", { x: SIZE.left - 5, y: v(y) + 3, "text-anchor": "end" }, digits(y)));
    }
    svg.append(shape("text", { x: SIZE.width - SIZE.right, y: SIZE.height - 3, "text-anchor": "end" }, edge.source));
    if (edge.band) {
      const [lower, upper] = edge.band.map((line) => line.map((y, k) => `${u(edge.x[k])},${v(y)}`));
      svg.append(shape("polygon", { class: "band", points: [...lower, ...upper.reverse()].join(" ") }));
    }
    for (const line of stretches(edge))
      svg.append(shape("polyline", { class: edge.formula ? "symbol" : "curve", points: line.map(([x, y]) => `${u(x)},${v(y)}`).join(" ") }));
    const dot = shape("circle", { r: 4, class: "dot", visibility: "hidden" });
    svg.append(dot);
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const at = ((event.clientX - box.left) / box.width) * SIZE.width;
      const share = (at - SIZE.left) / (SIZE.width - SIZE.left - SIZE.right);
      const k = Math.max(0, Math.min(edge.x.length - 1, Math.round(share * (edge.x.length - 1))));
      if (edge.y[k] === null) return;
      for (const [name, value] of Object.entries({ cx: u(edge.x[k]), cy: v(edge.y[k]), visibility: "visible" }))
        dot.setAttribute(name, value);
      readout.textContent = `${digits(edge.x[k])} ↦ ${digits(edge.y[k])}`;
    });
    return svg;
  }

  /* The finite pieces of a curve. */
  function stretches(edge) {
    const lines = [[]];
    edge.x.forEach((x, k) => (edge.y[k] === null ? lines.push([]) : lines[lines.length - 1].push([x, edge.y[k]])));
    return lines.filter((line) => line.length > 1);
  }

  function padded(low, high) {
    if (!Number.isFinite(low)) return [-1, 1];
    const pad = high - low > 1e-9 * Math.max(Math.abs(low), Math.abs(high)) ? 0.06 * (high - low) : 0.5;
    return [low - pad, high + pad];
  }

  /* Three to six round numbers between low and high. */
  function ticks(low, high) {
    const rough = (high - low) / 4;
    if (!(rough > 0)) return [low];
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((m) => m * power >= rough);
    const found = [];
    for (let n = Math.ceil(low / step); n * step <= high; n++) found.push(n * step);
    return found;
  }

  function digits(value) {
    return String(Number(value.toPrecision(3))).replace("-", "−");
  }

  function element(name, text) {
    const made = document.createElement(name);
    made.textContent = text;
    return made;
  }

  function shape(name, attributes, text = "") {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  }

  for (const root of document.querySelectorAll(".edgewise-viewer:not([data-ready])")) {
    root.dataset.ready = "";
    start(root);
  }
})();
