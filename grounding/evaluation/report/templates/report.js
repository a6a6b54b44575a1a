"use strict";
// The gallery: filters, order, cards, the larger view. What is chosen stands in the address after #, so that it can be
// shared and linked to. Knows the columns of `listing.py`; texts of others are put in as text, never as markup.
const theme = document.getElementById("theme");
const wear = () => { document.documentElement.dataset.theme = theme.value; };
theme.addEventListener("change", wear);

if (document.getElementById("listing")) {
  performance.mark("listing");
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const listing = read("listing"), pictures = read("pictures"), words = read("words");
  const column = listing.columns, count = column.id.length;
  const TENTHS = 10, THOUSANDTHS = 1000, AT_ONCE = 48;
  const SIZES = ["small", "medium", "large"];
  const HIT = 1, LEFT_OUT = 2;
  const DEFAULTS = { outcome: "", q: "", class: "", size: "", mistake: "", task: "", lang: "", from: "", to: "",
    sort: "worst", pictured: "", truth: "1", answered: "1", open: "", theme: "auto" };
  const form = document.getElementById("filters"), cards = document.getElementById("cards");
  const more = document.getElementById("more"), view = document.getElementById("view");
  const chips = [...form.querySelectorAll(".chips button")];
  let state = { ...DEFAULTS }, chosen = [], drawn = 0;

  // Words and numbers.
  const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const thousands = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const iouOf = (value) => (value / THOUSANDTHS).toFixed(2);
  const outcomeOf = (i) => listing.outcomes[column.outcome[i]];

  // Elements.
  const make = (space) => (tag, attributes = {}, ...children) => {
    const element = document.createElementNS(space, tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== null));
    return element;
  };
  const html = make("http://www.w3.org/1999/xhtml"), svg = make("http://www.w3.org/2000/svg");

  // Which samples, and in what order.
  const haystacks = [];
  const haystack = (i) => haystacks[i] ??= [column.prompt[i], column.answer[i] ?? "", column.id[i],
    listing.images[column.image[i]] ?? "", listing.classes[column.class[i]]].join("\n").toLowerCase();
  const surestWrong = (i) => Math.max(-Infinity, ...column.scores[i].filter((_, box) => column.state[i][box] === 0));
  const collator = new Intl.Collator(undefined, { numeric: true });
  const by = (value) => (a, b) => value(a) - value(b) || a - b;
  const ORDERS = {
    worst: (a, b) => a - b,
    best: (a, b) => b - a,
    confident: (a, b) => surestWrong(b) - surestWrong(a) || a - b,
    iou: by((i) => column.iou[i] < 0 ? Infinity : column.iou[i]),
    class: (a, b) => collator.compare(listing.classes[column.class[a]], listing.classes[column.class[b]]) || a - b,
    id: (a, b) => collator.compare(column.id[a], column.id[b]),
    data: by((i) => column.place[i]),
  };

  function choose() {
    const tests = [], place = (words, name) => words.indexOf(name);
    const equal = (values, wanted) => tests.push((i) => values[i] === wanted);
    if (state.class) equal(column.class, place(listing.classes, state.class));
    if (state.task) equal(column.task, place(listing.tasks, state.task));
    if (state.lang) equal(column.lang, place(listing.langs, state.lang));
    if (state.size) tests.push((i) => column.sizes[i] >> place(SIZES, state.size) & 1);
    if (state.mistake) tests.push((i) => column.mistakes[i] >> place(listing.kinds, state.mistake) & 1);
    if (state.pictured) tests.push((i) => column.picture[i] >= 0);
    if (state.from || state.to) {
      const low = THOUSANDTHS * (state.from || 0), high = THOUSANDTHS * (state.to || 1);
      tests.push((i) => column.iou[i] >= 0 && column.iou[i] >= low && column.iou[i] <= high);
    }
    const sought = state.q.trim().toLowerCase();
    if (sought) tests.push((i) => haystack(i).includes(sought));
    const outcome = place(listing.outcomes, state.outcome), counts = listing.outcomes.map(() => 0);
    chosen = [];
    for (let i = 0; i < count; i++) {
      if (!tests.every((test) => test(i))) continue;
      counts[column.outcome[i]]++;
      if (!state.outcome || column.outcome[i] === outcome) chosen.push(i);
    }
    chosen.sort(ORDERS[state.sort] ?? ORDERS.worst);
    for (const chip of chips) {
      chip.setAttribute("aria-pressed", String(chip.value === state.outcome));
      const number = chip.querySelector(".count");
      if (number) number.textContent = thousands(counts[place(listing.outcomes, chip.value)]);
    }
  }

  function show() {
    choose();
    document.body.classList.toggle("no-truth", !state.truth);
    document.body.classList.toggle("no-answered", !state.answered);
    document.getElementById("shown").textContent = chosen.length
      ? fill(words.shown, { n: thousands(chosen.length), all: thousands(count) }) : words.none;
    cards.replaceChildren();
    drawn = 0;
    append();
    remember();
  }

  function append() {
    const some = chosen.slice(drawn, drawn + AT_ONCE);
    cards.append(...some.map(card));
    drawn += some.length;
    more.hidden = drawn >= chosen.length;
  }

  // A sample drawn: the picture or an empty frame, and the boxes on it.
  function picture(i, large) {
    const [width, height] = [column.width[i], column.height[i]], address = pictures[column.picture[i]];
    const place = html("div", { class: "pic" });
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": listing.images[column.image[i]] ?? words.no_picture });
    drawing.append(svg("rect", { class: "frame", width, height }));
    if (address) {
      const image = svg("image", { href: address, width, height, preserveAspectRatio: "none" });
      image.addEventListener("error", () => place.append(html("span", { class: "lack" }, fill(words.not_beside, { name: address }))));
      drawing.append(image);
    }
    drawing.append(...boxes(column.ignore[i], () => "s-ignore", "ignored", false));
    drawing.append(...boxes(column.true[i], (box) => `s-true${column.found[i][box] ? "" : " alone"}`, "true", large));
    const states = [" alone", "", " left_out"];
    drawing.append(...boxes(column.boxes[i], (box) => `s-answered${states[column.state[i][box]]}`, "answered", large));
    place.append(drawing);
    if (!address) place.append(html("span", { class: "lack" }, words.no_picture));
    return place;

    function boxes(corners, look, kind, numbered) {
      const shapes = [], letter = Math.max(width, height) / 36;
      for (let box = 0; 4 * box < corners.length; box++) {
        const [x, y, w, h] = corners.slice(4 * box, 4 * box + 4).map((value) => value / TENTHS);
        const frame = { x, y, width: w, height: h };
        if (kind !== "ignored") shapes.push(svg("rect", { ...frame, class: `halo ${kind}` }));
        shapes.push(svg("rect", { ...frame, class: look(box) }));
        if (numbered) {
          const [left, top] = kind === "true" ? [x, Math.max(letter, y - letter / 4)] : [x + w, Math.min(height, y + h + letter)];
          shapes.push(svg("text", { x: left, y: top, class: `number ${kind}`, "font-size": letter,
            "text-anchor": kind === "true" ? "start" : "end" }, String(box + 1)));
        }
      }
      return shapes;
    }
  }

  const answerText = (i) => column.answer[i] === null ? words.no_prediction : column.answer[i] || words.empty;
  const badge = (i) => html("span", { class: "badge" }, words.outcomes[outcomeOf(i)]);
  const plain = (text) => html("span", { class: "badge plain" }, text);
  const hasTruth = (i) => column.iou[i] >= 0;

  function badges(i) {
    const truth = column.found[i].length, answered = column.state[i].length;
    return [badge(i), column.reason[i] ? plain(column.reason[i]) : null,
      plain([truth ? fill(words.truth, { n: truth }) : words.absent,
        ...(answered ? [fill(words.answered, { n: answered })] : [])].join(", ")),
      truth && answered ? plain(`IoU ${iouOf(column.iou[i])}`) : null].filter((one) => one !== null);
  }

  function card(i) {
    const opener = html("button", { type: "button", class: "open", "aria-label": fill(words.enlarge, { prompt: column.prompt[i] }) }, picture(i, false));
    opener.addEventListener("click", () => open(i));
    const refused = [...new Set(column.refusals[i])].join(", ");
    const facts = [hasTruth(i) || column.class[i] >= 0 ? listing.classes[column.class[i]] : "", column.id[i],
      refused ? fill(words.refused, { reasons: refused }) : ""].filter(Boolean).join(" · ");
    return html("article", { class: "card", "data-outcome": outcomeOf(i), "data-id": column.id[i] }, opener,
      html("div", { class: "body" }, html("div", { class: "badges" }, ...badges(i)),
        html("div", { class: "prompt free", lang: listing.langs[column.lang[i]] }, column.prompt[i]),
        html("div", { class: "answer" }, answerText(i)), html("div", { class: "facts" }, facts)));
  }

  // The larger view.
  function open(i) {
    state.open = column.id[i];
    const place = chosen.indexOf(i);
    document.getElementById("view-place").textContent = place < 0 ? ""
      : fill(words.place, { n: thousands(place + 1), all: thousands(chosen.length) });
    document.getElementById("view-title").replaceChildren(...badges(i));
    view.dataset.outcome = outcomeOf(i);
    document.getElementById("view-picture").replaceChildren(picture(i, true));
    document.getElementById("view-facts").replaceChildren(...facts(i));
    for (const button of view.querySelectorAll("button[data-step]")) {
      if (button.dataset.step !== "close") button.disabled = chosen[place + Number(button.dataset.step)] === undefined;
    }
    if (!view.open) view.showModal();
    remember();
  }

  function facts(i) {
    const kinds = listing.kinds.filter((_, bit) => column.mistakes[i] >> bit & 1).map((kind) => words.kinds[kind]);
    const named = { [words.id]: column.id[i], [words.image]: listing.images[column.image[i]] ?? "–",
      [words.class]: listing.classes[column.class[i]], [words.task]: listing.tasks[column.task[i]],
      [words.lang]: listing.langs[column.lang[i]], [words.mistakes]: kinds.join(", ") };
    const rows = [];
    const row = (kind, name, corners, box, what) => {
      const [x, y, w, h] = corners.slice(4 * box, 4 * box + 4);
      const place = [x, y, x + w, y + h].map((value) => (value / TENTHS).toFixed(1)).join(", ");
      rows.push(html("tr", {}, html("td", {}, html("span", { class: `dot ${kind}` }), name), html("td", {}, place), html("td", {}, what)));
    };
    column.ious[i].forEach((iou, box) => row("true", fill(words.kind_true, { n: box + 1 }), column.true[i], box,
      fill(column.found[i][box] ? words.found : words.unfound, { iou: iouOf(iou) })));
    column.state[i].forEach((became, box) => {
      const iou = iouOf(column.overlap[i][box]), score = column.scores[i][box];
      const said = became === LEFT_OUT ? words.left_out
        : fill(became === HIT ? words.hit : words.on_nothing, { n: column.on[i][box] + 1, iou });
      row("answered", fill(words.kind_answered, { n: box + 1 }), column.boxes[i], box,
        score === undefined ? said : `${said}; ${fill(words.score, { score })}`);
    });
    for (let box = 0; 4 * box < column.ignore[i].length; box++) row("ignored", words.ignored, column.ignore[i], box, "");
    const part = (heading, content) => [html("h3", {}, heading), content];
    return [...part(words.prompt, html("p", { class: "free", lang: listing.langs[column.lang[i]] }, column.prompt[i])),
      ...part(words.answer, html("div", { class: "answer" }, answerText(i))),
      ...part(words.label, html("div", { class: "answer" }, column.label[i])),
      ...part(`${words.boxes} (${words.corners})`, html("table", {}, html("tbody", {}, ...rows))),
      ...part(words.facts, html("dl", {}, ...Object.entries(named).filter(([, value]) => value)
        .flatMap(([name, value]) => [html("dt", {}, name), html("dd", { class: "free" }, value)])))];
  }

  function step(by) {
    const next = chosen[chosen.indexOf(column.id.indexOf(state.open)) + by];
    if (next !== undefined) open(next);
  }

  view.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-step]");
    if (button?.dataset.step === "close" || event.target === view) view.close();
    else if (button) step(Number(button.dataset.step));
  });
  view.addEventListener("close", () => {
    const seen = cards.querySelector(`[data-id="${CSS.escape(state.open)}"] .open`);
    state.open = "";
    remember();
    seen?.focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=checkbox]), select")) return;
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    if (view.open && event.key in steps) step(steps[event.key]);
    const toggled = { t: "truth", a: "answered" }[event.key];
    if (toggled) form.elements[toggled].click();
  });

  // What is chosen: in the form, in the address.
  function remember() {
    const said = Object.entries(state).filter(([name, value]) => value !== DEFAULTS[name]);
    const section = location.hash.includes("=") ? "" : location.hash;
    history.replaceState(null, "", said.length ? `#${new URLSearchParams(said)}` : section || "#");
  }

  function recall() {
    state = { ...DEFAULTS, theme: theme.value };
    for (const [name, value] of new URLSearchParams(location.hash.slice(1))) if (name in DEFAULTS) state[name] = value;
    for (const [name, value] of Object.entries(state)) {
      const field = form.elements[name];
      if (field) field.type === "checkbox" ? field.checked = value !== "" : field.value = value;
    }
    theme.value = state.theme;
    wear();
    const asked = state.open;
    show();
    if (asked && column.id.includes(asked)) open(column.id.indexOf(asked));
    else if (view.open) view.close();
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    const field = event.target;
    state[field.name] = field.type === "checkbox" ? (field.checked ? "1" : "") : field.value;
    show();
  });
  form.addEventListener("reset", () => {
    state = { ...DEFAULTS, theme: theme.value };
    setTimeout(show); // once the fields have been reset
  });
  for (const chip of chips) chip.addEventListener("click", () => { state.outcome = chip.value; show(); });
  theme.addEventListener("change", () => { state.theme = theme.value; remember(); });
  window.addEventListener("hashchange", () => {
    if (!location.hash.includes("=")) return;
    recall();
    document.getElementById("gallery").scrollIntoView();
  });
  more.addEventListener("click", append);
  new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) append(); }, { rootMargin: "600px" }).observe(more);

  for (const [name, values] of [["class", listing.classes], ["task", listing.tasks], ["lang", listing.langs]]) {
    form.elements[name]?.append(...values.toSorted(collator.compare).map((value) => html("option", { value }, value)));
  }
  const linked = location.hash.includes("=");
  if (linked) recall(); else show();
  if (linked && !view.open) document.getElementById("gallery").scrollIntoView();
  performance.mark("gallery"); // how long this took is measured by benchmarks/report_page.py
}
