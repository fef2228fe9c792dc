// What is seen on the page; what corrections mean, corrections.js says, which stands before this.

// Moments that are shown before more are asked for.
const FIRST_MOMENTS = 9;

// Cards that are filled before the page is first drawn, and milliseconds at a time in which the others are.
const [FIRST_CARDS, SLICE] = [24, 10];

const count = (number, noun, many = `${noun}s`) => `${number} ${number === 1 ? noun : many}`;

function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(1).padStart(4, "0")}`;
}

function start(data) {
  const $ = (id) => document.getElementById(id);
  const identities = data.identities.map((one) => ({ ...one, spans: one.spans.map((span) => [...span, one.id]) }));
  const cards = new Map();
  const chosen = new Set();
  let groups = [];
  let unsaved = false;
  let all = false;
  let now = corrected(identities, []);

  // Everything that comes from outside goes in as text or as an attribute, never as markup.
  function element(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key in node) node[key] = value;
      else node.setAttribute(key, value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  }
  const draw = (tag, attributes, text = null) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== null) node.textContent = text;
    return node;
  };
  const picture = (code, alt, more = {}) => element("img", { loading: "lazy", decoding: "async", alt, ...more, src: "data:image/jpeg;base64," + code });
  const figure = (code, caption) => element("figure", {}, picture(code, caption), element("figcaption", {}, caption));
  const cells = (tag, row) => element("tr", {}, ...row.map((cell) => element(tag, {}, cell)));
  const fill = (id, rows, head = null) => $(id).replaceChildren(...(head ? [cells("th", head)] : []), ...rows.map((row) => cells("td", row)));
  const button = (text, act) => element("button", { type: "button", onclick: act }, text);
  const colour = (id) => data.palette[id % data.palette.length];
  const steps = () => groups.flat();
  const label = (one) => (one.name ? `${one.id} ${one.name}` : `${one.id}`);

  function attempt(more) {
    try {
      now = corrected(identities, [...steps(), ...more]);
    } catch (error) {
      $("message").textContent = error.message;
      return false;
    }
    groups.push(more);
    unsaved = true;
    chosen.clear();
    show();
    return true;
  }

  function lookAt(id) {
    const card = cards.get(id);
    if (!card) return;
    fillCard(card);
    card.node.scrollIntoView({ block: "center" });
    card.node.classList.add("chosen");
    setTimeout(() => card.node.classList.toggle("chosen", chosen.has(id)), 1500);
  }

  function choose(id, wanted) {
    if (wanted) chosen.add(id);
    else chosen.delete(id);
    cards.get(id).node.classList.toggle("chosen", wanted);
    $("merge").disabled = chosen.size < 2;
  }

  // A card is empty until it is its turn: a page of a thousand people is there at once.
  function fillCard(card) {
    if (!card.node.hasChildNodes()) card.node.append(...cardParts(card.one));
  }

  function fillOthers() {
    const end = performance.now() + SLICE;
    for (const card of cards.values()) {
      if (performance.now() > end) {
        setTimeout(fillOthers);
        return;
      }
      fillCard(card);
    }
  }

  function cardParts(one) {
    const first = one.spans[0];
    const final = one.spans[one.spans.length - 1];
    const frames = one.spans.reduce((sum, span) => sum + span[1] - span[0] + 1, 0);
    const box = element("input", { type: "checkbox", checked: chosen.has(one.id), ariaLabel: `select ${one.id}`, onchange: () => choose(one.id, box.checked) });
    const name = element("input", { type: "text", value: one.name, placeholder: "name", maxLength: 200, ariaLabel: `name of ${one.id}` });
    name.onchange = () => attempt([{ rename: { id: one.id, name: name.value.trim() } }]);
    const frame = element("input", { type: "number", min: first[0] + 1, max: final[1], placeholder: "frame", ariaLabel: `frame to split ${one.id} at` });
    const swatch = element("span", { className: "swatch" });
    swatch.style.background = colour(one.id);
    return [
      element("label", { className: "head" }, box, swatch, element("strong", {}, `${one.id}`), element("span", { className: "name" }, one.name), element("span", {}, one.team), element("span", { className: "push" }, `${(final[3] - first[2]).toFixed(1)} s`)),
      element("div", { className: "pictures" }, ...one.crops.map((crop) => {
        const shot = figure(crop[1], `frame ${crop[0]}`);
        shot.title = "Take this frame to split at";
        shot.onclick = () => { frame.value = crop[0]; };
        return shot;
      })),
      element("p", {}, `First ${clock(first[2])} (frame ${first[0]}), last ${clock(final[3])} (frame ${final[1]}); seen in ${count(frames, "frame")}, ${count(one.spans.length - 1, "gap")}.`),
      element("div", { className: "tools" }, name, frame,
        button("Split", () => attempt([{ split: { id: one.id, frame: Math.round(Number(frame.value)) } }])),
        button("Delete", () => attempt([{ delete: one.id }]))),
    ];
  }

  function showCards() {
    const nodes = now.people.map((one, index) => {
      const mark = JSON.stringify([one.name, one.spans, one.crops.map((crop) => crop[0])]);
      let card = cards.get(one.id);
      if (!card || card.mark !== mark) {
        card = { mark, one, node: element("div", { className: "card", id: `card-${one.id}` }) };
        cards.set(one.id, card);
      }
      if (index < FIRST_CARDS) fillCard(card);
      card.node.classList.toggle("chosen", chosen.has(one.id));
      for (const box of card.node.querySelectorAll("input[type=checkbox]")) box.checked = chosen.has(one.id);
      return card.node;
    });
    const living = new Set(now.people.map((one) => one.id));
    for (const id of [...cards.keys()]) if (!living.has(id)) cards.delete(id);
    $("cards").replaceChildren(...nodes);
    setTimeout(fillOthers);
  }

  function showTimeline() {
    const [wide, row, left, top] = [1180, 13, 110, 18];
    const [begin, end] = [data.first[1], Math.max(data.last[1], data.first[1] + 0.1)];
    const x = (time) => left + ((wide - left - 10) * (time - begin)) / (end - begin);
    const svg = draw("svg", { viewBox: `0 0 ${wide} ${top + row * now.people.length + 4}`, role: "img" });
    for (let n = 0; n <= 8; n++) {
      const time = begin + ((end - begin) * n) / 8;
      svg.append(draw("text", { x: x(time), y: 10, "text-anchor": n === 8 ? "end" : "middle" }, clock(time)));
      svg.append(draw("line", { x1: x(time), x2: x(time), y1: top - 4, y2: top + row * now.people.length, stroke: "#e4e6ea" }));
    }
    const rows = new Map();
    now.people.forEach((one, index) => {
      const y = top + row * index;
      rows.set(one, y);
      svg.append(draw("text", { x: left - 6, y: y + 9, "text-anchor": "end" }, label(one).slice(0, 18)));
      // Gaps that are narrower than a pixel are not drawn: a page of many people stays quick.
      const bars = [];
      for (const span of one.spans) {
        const [from, to] = [x(span[2]), x(span[3])];
        if (bars.length && from - bars[bars.length - 1][1] < 1) bars[bars.length - 1][1] = to;
        else bars.push([from, to]);
      }
      const shape = bars.map(([from, to]) => {
        const long = Math.max(1.5, to - from).toFixed(1);
        return `M${from.toFixed(1)} ${y + 1}h${long}v${row - 3}h-${long}z`;
      });
      const bar = draw("path", { class: "bar", d: shape.join(""), fill: colour(one.id) });
      bar.append(draw("title", {}, label(one)));
      bar.onclick = () => lookAt(one.id);
      svg.append(bar);
    });
    for (const moment of data.moments) {
      const one = ownerOf(now.people, moment.id, moment.frame);
      if (!one) continue;
      svg.append(draw("circle", { cx: x(moment.time), cy: rows.get(one) + row / 2 - 0.5, r: 3, fill: "#fff", stroke: "#a3160c", "stroke-width": 1.5 }));
    }
    $("timeline").replaceChildren(svg);
  }

  // The map is that of the run: corrections of numbers move nobody.
  function showPlaces() {
    const { places, zones, lines } = data;
    $("where").hidden = !places && !zones.length && !lines.length;
    if (zones.length) fill("zones", zones, ["zone", "people", "at most at once", "one person stayed, on average"]);
    if (lines.length) fill("lines", lines, ["line", "in", "out"]);
    if (!places) return;
    const [wide, high] = places.size;
    const svg = draw("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": "Where people stood" });
    svg.append(draw("image", { href: "data:image/jpeg;base64," + places.picture, width: wide, height: high }));
    for (const [kind, name, points] of places.shapes) {
      const [x, y] = [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
      const [[x1, y1], [x2, y2]] = points;
      svg.append(kind === "zones" ? draw("polygon", { points: points.join(" ") }) : draw("line", { x1, y1, x2, y2 }), draw("text", { x, y }, name));
    }
    $("map").replaceChildren(svg);
    $("about-map").textContent = `${count(places.boxes, "box", "boxes")}, each where the middle of its lower edge is; from blue, few, to red, most. ` + (places.frame === null
      ? "The picture is the mean of the run, in which whoever moves fades."
      : `The camera moved: places are those in the picture, not on the ground, and the picture is frame ${places.frame}.`);
  }

  const kinds = { close: "Close call", return: "Return after a gap", start: "New, or somebody lost?" };
  function showMoments() {
    $("about-moments").textContent = data.moments.length
      ? "Where the tracker might be wrong, the most doubtful first; circles on the timeline. Evidence is a natural logarithm: +3 is twenty times as likely as somebody else."
      : "None: no choice of the tracker was close, and nobody came back after a long gap.";
    const some = data.moments.slice(0, all ? data.moments.length : FIRST_MOMENTS);
    $("more").hidden = some.length === data.moments.length;
    $("more").textContent = `Show all ${data.moments.length} moments`;
    $("moments").replaceChildren(...some.map((moment) => {
      const who = [moment.id, moment.other].filter((id) => id !== null).map((id) => ownerOf(now.people, id, moment.frame)).filter(Boolean);
      return element("div", { className: "moment" },
        element("div", { className: "head" }, element("strong", {}, kinds[moment.kind]), element("span", { className: "push" }, `${clock(moment.time)}, frame ${moment.frame}`)),
        moment.scene ? picture(moment.scene, `frame ${moment.frame}`, { className: "scene" }) : null,
        element("div", { className: "pictures" }, ...moment.shots.map(([id, when, frame, code]) => figure(code, `${id === null ? moment.id : id} ${when}, ${frame}`))),
        element("p", {}, moment.text),
        element("div", { className: "tools" },
          ...remedies(moment, now.people, now.last).map(([text, more]) => button(text, () => attempt(more))),
          ...[...new Set(who)].map((one) => button(`Look at ${label(one)}`, () => lookAt(one.id)))));
    }));
  }

  function show() {
    $("message").textContent = "";
    showCards();
    showTimeline();
    showMoments();
    const list = steps();
    $("count").textContent = count(list.length, "correction");
    $("steps").replaceChildren(...list.map((step) => element("li", {}, element("code", {}, JSON.stringify(step)))));
    $("undo").disabled = $("save").disabled = !list.length;
    $("merge").disabled = chosen.size < 2;
    $("sums").textContent = `${now.people.length} identities, ${clock(data.last[1] - data.first[1])} minutes, frames ${data.first[0]} to ${data.last[0]}`;
  }

  $("source").textContent = data.source;
  showPlaces();
  fill("facts", data.facts);
  fill("stages", data.stages.map(([name, ms, fps]) => [name, `${ms} ms a frame`, `${fps} a second`]));
  fill("settings", data.settings);
  $("how").append(...(data.command
    ? ["Save them, then ", element("code", {}, data.command)]
    : ["This run wrote no track file. Corrections need one: run it again with --tracks tracks.csv, and correct on the page of that run."]));
  $("more").onclick = () => {
    all = true;
    showMoments();
  };
  $("merge").onclick = () => attempt([{ merge: [...chosen].sort((a, b) => a - b) }]);
  $("undo").onclick = () => {
    groups.pop();
    now = corrected(identities, steps());
    unsaved = true;
    chosen.clear();
    show();
  };
  $("save").onclick = () => {
    const link = element("a", { href: URL.createObjectURL(new Blob([saved(data, steps())], { type: "application/json" })), download: "corrections.json" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    unsaved = false;
  };
  $("load").querySelector("input").onchange = async (event) => {
    const file = event.target.files[0];
    if (!file) return;
    try {
      const more = loaded(data, await file.text());
      if (attempt(more)) unsaved = false;
    } catch (error) {
      $("message").textContent = `${file.name}: ${error.message}`;
    }
    event.target.value = "";
  };
  window.onbeforeunload = (event) => {
    if (unsaved && steps().length) event.preventDefault();
  };
  show();
}

start(JSON.parse(document.getElementById("data").textContent));
