"use strict";
// What the pages are made of: the picture of a match, lists of candidates, a timeline. No network, no library.

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

function shape(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function clock(seconds) {
  const t = Math.max(0, Math.floor(seconds + 1e-6)), pad = n => String(n).padStart(2, "0");
  return (t >= 3600 ? Math.floor(t / 3600) + ":" + pad(Math.floor(t / 60) % 60) : Math.floor(t / 60)) + ":" + pad(t % 60);
}

function ticks(seconds, most) {
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600].find(step => seconds / step <= most) || 7200;
  return Array.from({length: Math.floor(seconds / step) + 1}, (_, i) => i * step);
}

function player(name, source) {
  return source ? make("audio", {controls: true, preload: "metadata", src: source, "aria-label": name})
    : make("p", {class: "hint"}, "There is no file to play.");
}

// Rows that are chosen by a click, or by Enter.
function row(cells, choose) {
  return make("tr", {
    tabindex: choose && 0, onclick: choose || (() => {}),
    onkeydown: event => { if (choose && event.key === "Enter") { event.preventDefault(); choose(); } },
  }, ...cells.map(cell => make("td", {}, cell)));
}

function table(headings, rows) {
  return make("div", {class: "scroll"}, make("table", {},
    make("thead", {}, make("tr", {}, ...headings.map(text => make("th", {scope: "col"}, text)))),
    make("tbody", {}, ...rows)));
}

function seek(audio, seconds, plays) {
  if (!(audio instanceof HTMLAudioElement)) return;
  audio.pause();
  audio.currentTime = Math.max(0, seconds);
  if (plays) audio.play().catch(() => {});
}

function stopAll() {
  for (const audio of document.querySelectorAll("audio")) audio.pause();
}

const SPAN_GAP_SEC = 4;
let comparisons = 0;

// The recurrence picture of A (down) and B (across), with the path; a click plays both from there.
// found: {plot, extent, path, spans, seconds_a, seconds_b}, players: the two audio elements.
function comparison(found, players, names = ["A", "B"]) {
  const w = 640, h = Math.min(900, Math.max(320, 640 * found.seconds_a / found.seconds_b));
  const number = ++comparisons, path = found.path;
  const x = t => t / found.seconds_b * w, y = t => t / found.seconds_a * h;
  // Points of one span are joined; those of two are farther apart.
  const joined = i => i && Math.hypot(path[i][0] - path[i - 1][0], path[i][1] - path[i - 1][1]) < SPAN_GAP_SEC;
  const line = path.map(([a, b], i) => `${joined(i) ? "L" : "M"}${x(b).toFixed(1)} ${y(a).toFixed(1)}h0`).join("");
  const here = shape("g", {visibility: "hidden", stroke: "#000", "stroke-width": 3, fill: "none"},
    shape("circle", {r: 10, stroke: "#fff", "stroke-width": 7}), shape("circle", {r: 10}));
  const plot = shape("svg", {
    class: "plot", viewBox: `-86 -10 ${w + 110} ${h + 76}`, tabindex: 0, role: "slider", "aria-valuemin": 0,
    "aria-valuemax": Math.max(0, path.length - 1), "aria-valuenow": 0,
    "aria-label": `Where ${names[0]}, downwards, and ${names[1]}, across, are alike. Arrow keys follow the path, Enter plays.`,
  },
    shape("image", {href: found.plot, x: x(found.extent.x), y: y(found.extent.y), width: x(found.extent.width),
      height: y(found.extent.height), preserveAspectRatio: "none"}),
    shape("rect", {width: w, height: h, fill: "none", stroke: "#4f5b69"}),
    ...ticks(found.seconds_b, 6).map(t => shape("text", {x: x(t), y: h + 24, "text-anchor": "middle"}, clock(t))),
    ...ticks(found.seconds_a, 8).map(t => shape("text", {x: -8, y: y(t) + 5, "text-anchor": "end"}, clock(t))),
    shape("text", {x: w / 2, y: h + 56, "text-anchor": "middle"}, names[1] + " (min:s)"),
    shape("text", {transform: `translate(-70 ${h / 2}) rotate(-90)`, "text-anchor": "middle"}, names[0] + " (min:s)"),
    // A white rim keeps the path apart from the cells where colours are not seen.
    shape("path", {d: line, fill: "none", stroke: "#fff", "stroke-width": 9, "stroke-linecap": "round"}),
    shape("path", {d: line, fill: "none", stroke: "#a02800", "stroke-width": 4, "stroke-linecap": "round", class: "path"}),
    here);
  const place = make("p", {class: "hint place", "aria-live": "polite"}, "\u00a0");
  const nearest = distance => path.reduce((best, point, i) => distance(point) < distance(path[best]) ? i : best, 0);
  let at = 0;
  function show(i) {
    at = i;
    const [a, b] = path[i], text = `${names[0]} at ${clock(a)}, ${names[1]} at ${clock(b)}`;
    here.setAttribute("transform", `translate(${x(b)} ${y(a)})`);
    here.setAttribute("visibility", "visible");
    plot.setAttribute("aria-valuenow", i);
    plot.setAttribute("aria-valuetext", text);
    place.textContent = text;
  }
  const side = () => modes.querySelector("input:checked").value;
  function go(i) {
    if (!path.length) return;
    stopAll();
    show(i);
    players.forEach((audio, k) => seek(audio, path[i][k], side() === "both" || side() === "ab"[k]));
  }
  plot.addEventListener("click", event => {
    const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse());
    go(nearest(([a, b]) => (x(b) - p.x) ** 2 + (y(a) - p.y) ** 2));
  });
  plot.addEventListener("keydown", event => {
    const steps = {ArrowRight: 10, ArrowDown: 10, ArrowLeft: -10, ArrowUp: -10, PageDown: 60, PageUp: -60, Home: -1e9, End: 1e9};
    if (!path.length) return;
    if (event.key in steps) show(Math.min(path.length - 1, Math.max(0, at + steps[event.key])));
    else if (event.key === "Enter" || event.key === " ") go(at);
    else if (event.key === "Escape") stopAll();
    else return;
    event.preventDefault();
  });
  players.forEach((audio, k) => audio.addEventListener("timeupdate", () => {
    const section = plot.closest("details");
    if (audio.paused || !path.length || (section && !section.open)) return;
    if (k === 1 && !players[0].paused) return;
    show(nearest(point => Math.abs(point[k] - audio.currentTime)));
  }));
  const modes = make("fieldset", {}, make("legend", {}, "A click plays"),
    ...[["both", "both at once"], ["a", names[0]], ["b", names[1]]].map(([value, text]) => make("label", {},
      make("input", {type: "radio", name: "side" + number, value, checked: value === "both"}), " " + text)),
    make("button", {type: "button", onclick: stopAll}, "Stop"));
  const spans = found.spans.map(span => row([`${clock(span[0])} - ${clock(span[1])}`, `${clock(span[2])} - ${clock(span[3])}`],
    () => go(nearest(point => Math.abs(point[0] - span[0]) + Math.abs(point[1] - span[2])))));
  return make("div", {class: "sides comparison"},
    make("div", {}, plot, make("p", {class: "hint"}, "A grey cell is a moment of each that are alike. The dark path is where",
      " the two can be followed along each other: click on it, or use the arrow keys and Enter, to hear that place.")),
    make("div", {}, place, modes, make("h3", {}, "Matching spans"),
      spans.length ? table(names, spans) : make("p", {}, "None.")));
}

// Found by a click on the summary only: pages may have hundreds.
function folded(title, isOpen, content) {
  const details = make("details", {}, make("summary", {}, title));
  const fill = () => { if (details.open && details.children.length === 1) details.append(content()); };
  details.addEventListener("toggle", fill);
  details.open = isOpen;
  fill();
  return details;
}

function relation(found) {
  const semitones = Math.abs(found.transposition), side = found.transposition > 0 ? "above" : "below";
  const key = semitones ? `${semitones} semitone${semitones === 1 ? "" : "s"} ${side} it` : "in its key";
  return `${key}, at ${found.tempo_ratio.toFixed(2)} of its speed`;
}

// A track by its title; without one a work is named by its id, which tells more than its track's.
const hasTitle = track => track.title && track.title !== track.track_id;
const named = track => hasTitle(track) ? track.title : track.track_id;
const workName = match => hasTitle(match) ? match.title : match.work_id;
const fileName = path => path.split(/[\\/]/).pop();

function percent(chance) {
  if (chance === null || chance === undefined) return "";
  return chance > .995 ? "more than 99 %" : chance < .005 ? "less than 1 %" : Math.round(100 * chance) + " %";
}

function verdict(match) {
  const words = match.is_cover === true ? "Yes, a version of it" : match.is_cover === false ? "No"
    : "Undecided, for the index is not calibrated";
  const chance = percent(match.probability);
  return words + (chance && `: probability ${chance}`);
}

function candidate(match, rank, queryPlayer) {
  const audio = player(workName(match), match.audio), found = match.alignment;
  return make("li", {class: match.is_cover && "cover"},
    make("h3", {}, `${rank}. ${workName(match)}`),
    make("p", {}, make("span", {class: "verdict"}, verdict(match)),
      make("span", {class: "hint"}, ` - work ${match.work_id}, track ${match.track_id}, distance ${match.distance.toFixed(3)}`)),
    match.path ? make("p", {class: "hint"}, match.path) : null,
    audio,
    found ? folded(`Where they match (it is ${relation(found)})`, rank === 1, () =>
      comparison(found, [queryPlayer, audio], ["query", "candidate"])) : null);
}

// Which part of a track is played, where a set list says so.
function partOf({track_start_sec: from, track_end_sec: to}) {
  return from === undefined ? "" : `${clock(from)} - ${clock(to)} of track `;
}

// Spans of a long recording on a line; each plays the recording from its start, and its reference can be heard below.
function timeline(answer, queryPlayer) {
  const seconds = answer.seconds, spans = answer.spans, width = t => `${100 * t / seconds}%`;
  const now = make("div", {class: "now", hidden: true});
  const below = make("div", {"aria-live": "polite"});
  const choose = i => {
    const {match} = spans[i], reference = player(workName(match), match.audio), part = partOf(spans[i]);
    stopAll();
    seek(queryPlayer, spans[i].start_sec, true);
    seek(reference, spans[i].track_start_sec || 0, false);
    below.replaceChildren(make("h3", {}, `${i + 1}. ${workName(match)}`),
      make("p", {}, part ? `${part}${match.track_id}: probability ${percent(match.probability)}` : verdict(match)), reference);
    rows.forEach((row, k) => k === i ? row.setAttribute("aria-current", "true") : row.removeAttribute("aria-current"));
  };
  const bar = make("div", {class: "timeline", role: "group", "aria-label": "What is played when"}, ...spans.map((span, i) =>
    make("button", {type: "button", style: `left: ${width(span.start_sec)}; width: ${width(span.end_sec - span.start_sec)}`,
      title: `${clock(span.start_sec)} - ${clock(span.end_sec)}: ${workName(span.match)}`, onclick: () => choose(i)}, `${i + 1} ${workName(span.match)}`)), now);
  if (queryPlayer instanceof HTMLAudioElement) queryPlayer.addEventListener("timeupdate", () => {
    now.hidden = false;
    now.style.left = width(queryPlayer.currentTime);
  });
  const rows = spans.map((span, i) => row([String(i + 1), `${clock(span.start_sec)} - ${clock(span.end_sec)}`, `${workName(span.match)} (work ${span.match.work_id}, ${partOf(span) || "track "}${span.match.track_id})`,
    percent(span.match.probability)], () => choose(i)));
  return make("div", {}, bar,
    make("div", {class: "scale", "aria-hidden": "true"}, ...ticks(seconds, 6).map(t => make("span", {style: `left: ${width(t)}`, class: t > .95 * seconds && "last"}, clock(t)))),
    make("p", {class: "hint"}, "Hatched: no work of the index. Choose a part to hear it."),
    below, table(["", "from - to", "what", "probability"], rows));
}

function answerSection(answer, heading = "h2") {
  const name = fileName(answer.query);
  const section = make("section", {class: "answer"}, make(heading, {}, name),
    name === answer.query ? null : make("p", {class: "hint"}, answer.query));
  if (answer.skipped) {
    section.append(make("p", {class: "warning"}, `it was skipped: ${answer.skipped}`));
    return section;
  }
  const audio = player("the query", answer.audio);
  section.append(make("div", {class: "query"}, make("span", {class: "hint"}, `The query, ${clock(answer.seconds)}`), audio));
  for (const text of answer.warnings) section.append(make("p", {class: "warning"}, text));
  if (answer.is_none) section.append(make("p", {class: "verdict"}, `None of these: probability ${percent(answer.none)}.`));
  if (answer.works.length) section.append(make("ol", {class: "candidates"},
    ...answer.works.map((match, i) => candidate(match, i + 1, audio))));
  else section.append(answer.spans.length ? timeline(answer, audio) : make("p", {}, "No part of it is a work of the index."));
  return section;
}

// Tracks that are versions of each other. `load` gives the picture of a pair, or a promise of it.
function groupSection(group, load) {
  const players = group.tracks.map(track => player(named(track), track.audio));
  const tracks = group.tracks.map((track, i) => make("li", {}, make("h3", {}, `${i + 1}. ${named(track)}`),
    make("p", {class: "hint"}, `work ${track.work_id}, track ${track.track_id}`),
    track.is_misfiled ? make("p", {class: "verdict"}, "It is in the wrong work.") : null,
    track.path ? make("p", {class: "hint"}, track.path) : null, players[i]));
  const pairs = group.pairs.map(pair => folded(`${pair.a + 1} and ${pair.b + 1}: ${pair.words}`, false, () => {
    const place = make("div", {}, make("p", {class: "hint"}, "..."));
    Promise.resolve(load(pair)).then(
      found => found ? comparison(found, [players[pair.a], players[pair.b]], [`track ${pair.a + 1}`, `track ${pair.b + 1}`])
        : make("p", {class: "hint"}, "There is no picture of them."),
      error => make("p", {class: "warning"}, error.message)).then(content => place.replaceChildren(content));
    return place;
  }));
  return make("section", {class: "group"}, group.title && make("h2", {}, group.title),
    make("ol", {class: "candidates"}, ...tracks), ...pairs);
}

function groupsPage({title, groups}) {
  return [make("h1", {}, title), groups.length ? null : make("p", {}, "There are none."),
    ...groups.map(group => groupSection(group, pair => pair.alignment))].filter(Boolean);
}

function matchPage({names, audio, summary, found}) {
  const players = audio.map((source, i) => player("AB"[i], source));
  return [
    make("h1", {}, `A: ${names[0]}`, make("br"), `B: ${names[1]}`),
    ...summary.map(line => make("p", {}, line)),
    ...players.flatMap((audio, i) => [make("h3", {}, `${"AB"[i]}: ${names[i]}`), audio]),
    comparison(found, players),
  ];
}

function answersPage({title, answers}) {
  if (answers.length === 1) return [answerSection(answers[0], "h1")];
  const sections = answers.map(answer => answerSection(answer));
  sections.forEach((section, i) => section.id = `query-${i + 1}`);
  const best = answer => answer.skipped ? "skipped" : answer.spans.length ? `${answer.spans.length} parts`
    : answer.works.length && answer.works[0].is_cover !== false && !answer.is_none ? workName(answer.works[0]) : "none of these";
  const chance = answer => answer.works.length ? percent(answer.works[0].probability) : "";
  return [make("h1", {}, title), table(["recording", "is", "probability"], answers.map((answer, i) =>
    row([make("a", {href: `#query-${i + 1}`}, fileName(answer.query)), best(answer), chance(answer)]))), ...sections];
}
