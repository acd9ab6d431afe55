"use strict";
(() => {
  const block = document.getElementById("data");
  if (!block) return;
  const data = JSON.parse(block.textContent);
  const byId = (id) => document.getElementById(id);
  const looks = data.looks.map(([name]) => name), texts = data.looks.map(([, text]) => text), tall = data.looks.map(([, , share]) => share);

  // Rows as columns. A row's first PFN is the sum of the lengths before it.
  const count = data.rows.length;
  const first = new Float64Array(count + 1), look = new Uint8Array(count);
  data.rows.forEach((row, i) => { first[i + 1] = first[i] + row[0]; look[i] = row[1]; });
  const end = first[count];
  const number = (i) => data.rows[i][2] ?? null, step = (i) => data.rows[i][3] ?? 0;
  const why = (i) => data.reasons[data.rows[i][4] ?? 0] ?? "", extents = (i) => data.rows[i][5] ?? 1;
  const pages = (i) => first[i + 1] - first[i];
  const order = data.rows.map((_, i) => i);

  const hex = (n) => "0x" + n.toString(16);
  const size = (n) => {
    for (const [unit, name] of [[2 ** 28, "TiB"], [2 ** 18, "GiB"], [2 ** 8, "MiB"], [0.25, "KiB"]])
      if (n >= unit && (n % unit === 0 || n >= 10 * unit || name === "KiB"))
        return (n % unit === 0 ? n / unit : (n / unit).toFixed(1)) + " " + name;
    return "0";
  };
  const rowAt = (pfn) => {
    let low = 0, high = count - 1;
    while (low < high) {
      const mid = (low + high + 1) >> 1;
      if (first[mid] <= pfn) low = mid; else high = mid - 1;
    }
    return low;
  };
  const mfnText = (i, offset) => {
    const base = number(i);
    if (base === null) return "";
    return typeof base === "string" ? base : hex(base + offset * step(i));
  };

  // The strip.
  const canvas = byId("strip"), place = byId("place"), pen = canvas.getContext("2d");
  let from = 0, to = Math.min(data.shown, end) || 1, cursor = null;
  const narrowest = 16;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  function pattern(name, tint) {
    const tile = document.createElement("canvas"), side = 8;
    tile.width = tile.height = side;
    const ink = tile.getContext("2d");
    ink.strokeStyle = ink.fillStyle = tint;
    ink.lineWidth = 2.5;
    ink.beginPath();
    if (name === "extra" || name === "other") {
      for (const shift of [-side, 0, side]) { ink.moveTo(shift, side); ink.lineTo(shift + side, 0); }
    }
    if (name === "other") {
      for (const shift of [-side, 0, side]) { ink.moveTo(shift, 0); ink.lineTo(shift + side, side); }
    }
    if (name === "foreign") { ink.moveTo(2, 0); ink.lineTo(2, side); ink.moveTo(6, 0); ink.lineTo(6, side); }
    if (name === "unknown") { ink.moveTo(0, 4); ink.lineTo(4, 4); }
    ink.stroke();
    return ["extra", "other", "foreign", "unknown"].includes(name) ? pen.createPattern(tile, "repeat") : tint;
  }

  // Looks of every column of dots: what most of its frames are; "other" wherever there is one.
  function columnsOf(wide) {
    const other = looks.indexOf("other"), kinds = looks.length, weight = new Float64Array(wide * kinds);
    const scale = wide / (to - from);
    for (let i = rowAt(from); i < count && first[i] < to; i++) {
      const left = Math.max(0, (first[i] - from) * scale), right = Math.min(wide, (first[i + 1] - from) * scale);
      for (let x = Math.floor(left); x < right; x++)
        weight[x * kinds + look[i]] += Math.min(right, x + 1) - Math.max(left, x);
    }
    return Array.from({ length: wide }, (_, x) => {
      let best = -1, most = 0;
      for (let k = 0; k < kinds; k++) {
        const share = weight[x * kinds + k];
        if (k === other && share > 0) return other;
        if (share > most) { most = share; best = k; }
      }
      return best;
    });
  }

  // The legend has the kinds of this map; those outside of the view are pale.
  const legend = looks.map((name, kind) => [kind, document.querySelector(`#map .legend .l-${name}`)]);
  legend.forEach(([kind, item]) => { item.hidden = !look.includes(kind); });
  function inView(kind) {
    for (let i = rowAt(from); i < count && first[i] < to; i++) if (look[i] === kind) return true;
    return false;
  }

  function draw() {
    const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
    const wide = Math.max(1, Math.floor(box.width)), high = Math.max(1, Math.floor(box.height));
    canvas.width = wide * ratio; canvas.height = high * ratio;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const ink = colour("ink"), dim = colour("dim"), line = colour("line");
    const lanes = data.lanes.length, top = 22, laneHigh = lanes ? 20 : 0;
    const barTop = top + lanes * laneHigh + 4, barHigh = high - barTop - 8;
    drawScale(wide, top, high, dim, line);
    data.lanes.forEach(([name, entries], lane) => drawLane(name, entries, top + lane * laneHigh, laneHigh - 4, wide, ink, dim));
    const tints = looks.map((name) => pattern(name, colour(name)));
    pen.fillStyle = colour("card");
    pen.fillRect(0, barTop, wide, barHigh);
    const columns = columnsOf(wide);
    legend.forEach(([kind, item]) => item.classList.toggle("away", !inView(kind)));
    for (let x = 0; x < wide;) {
      let stop = x + 1;
      while (stop < wide && columns[stop] === columns[x]) stop++;
      const kind = columns[x];
      if (kind >= 0) {
        const part = tall[kind] * barHigh, y = looks[kind] === "missing" ? barTop + barHigh - part : barTop + (barHigh - part) / 2;
        pen.fillStyle = tints[kind];
        pen.fillRect(x, y, stop - x, part);
        if (["extra", "foreign", "other", "unknown"].includes(looks[kind])) {
          pen.strokeStyle = colour(looks[kind]); pen.lineWidth = 1;
          pen.strokeRect(x + 0.5, y + 0.5, Math.max(0, stop - x - 1), part - 1);
        }
      }
      x = stop;
    }
    if (cursor !== null && cursor >= from && cursor < to) {
      const x = Math.round((cursor + 0.5 - from) * wide / (to - from));
      pen.fillStyle = colour("mark");
      pen.fillRect(x - 1, barTop - 4, 2, barHigh + 8);
      pen.beginPath(); pen.moveTo(x - 6, barTop - 4); pen.lineTo(x + 6, barTop - 4); pen.lineTo(x, barTop + 4); pen.fill();
    }
    byId("view").textContent = `${hex(Math.floor(from))} – ${hex(Math.ceil(to))} of ${hex(end)} (${size(Math.ceil(to) - Math.floor(from))})`;
    canvas.dataset.from = Math.floor(from); canvas.dataset.to = Math.ceil(to);
  }

  function drawScale(wide, top, high, dim, line) {
    let unit = 2 ** Math.ceil(Math.log2((to - from) * 90 / wide));
    unit = Math.max(1, unit);
    pen.font = "12px system-ui, sans-serif"; pen.textBaseline = "top";
    for (let pfn = Math.ceil(from / unit) * unit; pfn <= to; pfn += unit) {
      const x = Math.round((pfn - from) * wide / (to - from));
      pen.fillStyle = line; pen.fillRect(Math.min(x, wide - 1), 16, 1, high - 16);
      const label = unit >= 256 ? size(pfn) : hex(pfn), width = pen.measureText(label).width;
      pen.fillStyle = dim;
      pen.fillText(label, Math.min(Math.max(0, x - (x > width / 2 ? width / 2 : 0)), wide - width), 1);
    }
  }

  function drawLane(name, entries, y, tallness, wide, ink, dim) {
    const scale = wide / (to - from);
    pen.font = "11px system-ui, sans-serif"; pen.textBaseline = "middle";
    const named = pen.measureText(name).width + 16;
    for (const [low, high, type] of entries) {
      const x = (low / 4096 - from) * scale, stop = (high / 4096 - from) * scale;
      if (stop < 0 || x > wide) continue;
      const left = Math.max(0, x), width = Math.max(1, Math.min(wide, stop) - left);
      pen.globalAlpha = type === "usable" ? 0.35 : 0.8;
      pen.fillStyle = type === "usable" ? colour("mfn") : type === "unusable" ? colour("missing") : colour("identity");
      pen.fillRect(left, y, width, tallness);
      pen.globalAlpha = 1;
      const start = Math.max(left + 4, named);
      if (start + pen.measureText(type).width + 4 < left + width) { pen.fillStyle = ink; pen.fillText(type, start, y + tallness / 2 + 0.5); }
    }
    pen.fillStyle = ink;
    pen.fillText(name, 4, y + tallness / 2 + 0.5);
  }

  function look_at(low, high) {
    const least = Math.min(narrowest, end);
    if (high - low < least) { const mid = (low + high) / 2; low = mid - least / 2; high = mid + least / 2; }
    const span = Math.min(high - low, end);
    from = Math.min(Math.max(0, low), end - span); to = from + span;
    draw();
  }
  const zoom = (factor, around = (from + to) / 2) => look_at(around - (around - from) * factor, around + (to - around) * factor);
  const move = (share) => { const by = (to - from) * share; look_at(from + by, to + by); };
  const actions = {
    in: () => zoom(0.5, cursor !== null && cursor >= from && cursor < to ? cursor : undefined), out: () => zoom(2),
    left: () => move(-0.25), right: () => move(0.25), memory: () => look_at(0, data.shown), all: () => look_at(0, end),
  };
  document.querySelectorAll("[data-do]").forEach((button) => button.addEventListener("click", actions[button.dataset.do]));
  const keys = { "+": "in", "=": "in", "-": "out", ArrowLeft: "left", ArrowRight: "right", Home: "memory", End: "all" };
  canvas.addEventListener("keydown", (event) => {
    const name = keys[event.key];
    if (!name || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    actions[name]();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      byId("query").focus();
    }
  });
  const pfnUnder = (event) => {
    const box = canvas.getBoundingClientRect();
    return Math.min(end - 1, Math.max(0, Math.floor(from + (event.clientX - box.left) * (to - from) / box.width)));
  };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY < 0 ? 0.8 : 1.25, pfnUnder(event));
  }, { passive: false });
  let held = null;
  canvas.addEventListener("pointerdown", (event) => { held = { x: event.clientX, from, to, moved: false }; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => {
    if (!held) { describe(pfnUnder(event)); return; }
    const by = (held.x - event.clientX) * (held.to - held.from) / canvas.getBoundingClientRect().width;
    if (Math.abs(held.x - event.clientX) > 3) held.moved = true;
    if (held.moved) look_at(held.from + by, held.to + by);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (held && !held.moved) { cursor = pfnUnder(event); describe(cursor); draw(); }
    held = null;
  });
  canvas.addEventListener("pointercancel", () => { held = null; });
  canvas.addEventListener("dblclick", (event) => zoom(0.25, pfnUnder(event)));

  // What one frame is.
  function told(pfn) {
    if (pfn >= end) return `PFN ${hex(pfn)} lies beyond the end of the map (${hex(end)}): ${data.beyond}`;
    const i = rowAt(pfn), kind = looks[look[i]];
    const where = `PFN ${hex(pfn)}   address ${hex(pfn * 4096)}\n`;
    const span = `${hex(first[i])} – ${hex(first[i + 1])}, ${size(pages(i))}`;
    if (extents(i) > 1) return `${where}one of ${extents(i).toLocaleString("en")} extents drawn together (${span}), mostly ${texts[look[i]]}: xenp2m lookup tells the frame`;
    const mfn = kind === "identity" ? `, MFN ${hex(pfn)}` : number(i) === null ? "" : `, ${kind === "other" ? "word" : "MFN"} ${mfnText(i, pfn - first[i])}`;
    return `${where}${texts[look[i]]}${mfn} · in ${span}${why(i) ? " · " + why(i) : ""}`;
  }
  const describe = (pfn) => { place.textContent = told(pfn); };

  function show(pfn) {
    cursor = pfn;
    if (pfn < end) {
      const i = rowAt(pfn), span = Math.max(narrowest, Math.min(pages(i) * 3, end));
      const middle = pages(i) > span / 3 ? pfn : (first[i] + first[i + 1]) / 2;
      look_at(middle - span / 2, middle + span / 2);
      reveal(i);
    }
    describe(pfn);
  }

  // Search.
  const form = /^(?:(pfn|mfn|addr|address)[:=])?(0x[0-9a-f]{1,14}|\d{1,16})(?:([kmgt])(?:i?b)?)?$/i;
  const shift = { k: 10, m: 20, g: 30, t: 40 };
  function search(text) {
    const match = form.exec(text.trim());
    if (!match) { place.textContent = `Not understood: ${text.slice(0, 60)}. Examples: 0x40010, mfn:0x1700af, addr:0x9f000, 2364M`; return; }
    const unit = match[3] ? shift[match[3].toLowerCase()] : 0;
    let value = Number(match[2]) * 2 ** unit;
    let space = (match[1] || (unit ? "addr" : byId("space").value)).toLowerCase();
    if (!Number.isSafeInteger(value)) { place.textContent = "That number is too large."; return; }
    if (space.startsWith("addr")) { value = Math.floor(value / 4096); space = "pfn"; }
    if (space === "pfn") { show(value); return; }
    const hits = holders(value);
    if (!hits.length) { place.textContent = `MFN ${hex(value)}: behind no PFN of this map${data.rows.some((row) => (row[5] ?? 1) > 1) ? ", as far as its extents have rows of their own" : ""}.`; return; }
    show(hits[0]);
    if (hits.length > 1) {
      place.append(`\nMFN ${hex(value)} is behind ${hits.length} PFNs: `);
      hits.slice(0, 20).forEach((pfn) => {
        const button = document.createElement("button");
        button.type = "button"; button.className = "go"; button.textContent = hex(pfn);
        button.addEventListener("click", () => show(pfn));
        place.append(button);
      });
    }
  }
  function holders(mfn) {
    const hits = [];
    for (let i = 0; i < count; i++) {
      const kind = looks[look[i]], base = number(i);
      if (extents(i) > 1) continue;
      if (kind === "identity") { if (mfn >= first[i] && mfn < first[i + 1]) hits.push(mfn); continue; }
      if (typeof base !== "number" || (kind !== "mfn" && kind !== "foreign")) continue;
      const offset = (mfn - base) * (step(i) || 1);
      if (offset >= 0 && offset < pages(i)) hits.push(first[i] + offset);
    }
    return hits;
  }
  byId("search").addEventListener("submit", (event) => { event.preventDefault(); search(byId("query").value); });
  document.querySelectorAll(".go[data-start]").forEach((button) => button.addEventListener("click", () => {
    show(Number(button.dataset.start));
    canvas.scrollIntoView({ block: "center" });
    canvas.focus({ preventScroll: true });
  }));

  // The table.
  const body = document.querySelector("#table tbody"), heads = [...document.querySelectorAll("#table th")];
  const reasoned = heads.some((head) => head.dataset.key === "why"), paged = 100;
  const off = new Set();
  let sorted = order, page = 0, key = "start", down = false, hit = -1;
  const value = {
    start: (i) => first[i], pages, look: (i) => texts[look[i]], why,
    number: (i) => { const n = number(i); return n === null ? -1 : Number(n); },
  };
  function chosen() {
    const text = byId("words").value.trim().toLowerCase();
    const least = /^([<>])\s*([\d.]+)\s*([kmgt])(?:i?b)?$/.exec(text);
    const bound = least ? Number(least[2]) * 2 ** (shift[least[3]] - 12) : 0;
    const plain = /^0x[0-9a-f]{1,13}$/.test(text) ? Number(text) : null;
    return order.filter((i) => {
      if (off.has(look[i])) return false;
      if (!text) return true;
      if (least) return least[1] === ">" ? pages(i) >= bound : pages(i) <= bound;
      if (plain !== null && plain >= first[i] && plain < first[i + 1]) return true;
      return `${hex(first[i])} – ${hex(first[i + 1])} ${size(pages(i))} ${texts[look[i]]} ${mfnText(i, 0)} ${why(i)}`.toLowerCase().includes(text);
    });
  }
  function refresh() {
    const read = value[key], sign = down ? -1 : 1;
    sorted = chosen();
    if (key !== "start" || down) sorted.sort((a, b) => {
      const x = read(a), y = read(b);
      return (x < y ? -sign : x > y ? sign : 0) || a - b;
    });
    heads.forEach((head) => {
      if (head.dataset.key === key) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    page = 0;
    fill();
  }
  function cell(row, text, name) {
    const item = row.insertCell();
    if (name) item.className = name;
    item.textContent = text;
    return item;
  }
  function rowOf(i) {
    const row = document.createElement("tr"), name = looks[look[i]];
    row.className = `k-${name} l-${name}${i === hit ? " hit" : ""}`;
    const link = document.createElement("button");
    link.type = "button"; link.textContent = `${hex(first[i])} – ${hex(first[i + 1])}`; link.title = "Show in the strip";
    link.addEventListener("click", () => { show(first[i]); canvas.scrollIntoView({ block: "center" }); });
    cell(row, "").append(link);
    cell(row, size(pages(i)), "num");
    cell(row, (extents(i) > 1 ? `${extents(i).toLocaleString("en")} extents, mostly ` : "") + texts[look[i]]).prepend(document.createElement("i"));
    cell(row, mfnText(i, 0) + (step(i) < 0 ? " descending" : ""));
    if (reasoned) cell(row, why(i));
    return row;
  }
  function fill(all = false) {
    const last = Math.max(1, Math.ceil(sorted.length / paged));
    page = Math.min(Math.max(0, page), last - 1);
    const part = all ? sorted.slice(0, 1000) : sorted.slice(page * paged, (page + 1) * paged);
    body.replaceChildren(...part.map(rowOf));
    byId("count").textContent = `${sorted.length.toLocaleString("en")} of ${count.toLocaleString("en")} rows`;
    byId("pages").textContent = `page ${page + 1} of ${last}`;
    byId("pager").hidden = last === 1;
    document.querySelector('[data-page="-1"]').disabled = page === 0;
    document.querySelector('[data-page="1"]').disabled = page === last - 1;
  }
  function reveal(i) {
    hit = i;
    const position = sorted.indexOf(i);
    if (position >= 0) page = Math.floor(position / paged);
    fill();
    const row = body.querySelector(".hit"), frame = row && row.closest(".scroll");
    if (row) frame.scrollTop += row.getBoundingClientRect().top - frame.getBoundingClientRect().top - frame.clientHeight / 2;
  }
  heads.forEach((head) => head.querySelector("button").addEventListener("click", () => {
    down = head.dataset.key === key ? !down : head.dataset.key === "pages";
    key = head.dataset.key;
    refresh();
  }));
  [...new Set(look)].sort((a, b) => a - b).forEach((kind) => {
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox"; box.checked = true; box.dataset.kind = looks[kind];
    box.addEventListener("change", () => { if (box.checked) off.delete(kind); else off.add(kind); refresh(); });
    label.append(box, texts[kind]);
    byId("kinds").append(label);
  });
  byId("words").addEventListener("input", refresh);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  document.querySelectorAll("[data-page]").forEach((button) => button.addEventListener("click", () => { page += Number(button.dataset.page); fill(); }));

  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  window.addEventListener("beforeprint", () => { fill(true); draw(); });
  window.addEventListener("afterprint", () => { fill(); draw(); });
  refresh();
  draw();
})();
