"use strict";
// The application's page, over the parts of page.js.

const id = name => document.getElementById(name);
const WINDOW_SEC = 30;

async function ask(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw new Error("the server does not answer");
  }
  const body = await response.json().catch(() => ({detail: response.statusText}));
  if (!response.ok) throw new Error(body.detail);
  return body;
}

// Says what goes on in a line, and that something failed in the same one.
async function telling(line, text, work) {
  line.textContent = text;
  line.classList.remove("warning");
  try {
    await work();
    line.textContent = "";
  } catch (error) {
    line.textContent = error.message;
    line.classList.add("warning");
  }
}

const tabs = [...document.querySelectorAll("[role=tab]")];
function open(tab) {
  stopAll();
  for (const each of tabs) {
    each.setAttribute("aria-selected", each === tab);
    each.tabIndex = each === tab ? 0 : -1;
    id(each.getAttribute("aria-controls")).hidden = each !== tab;
  }
  if (tab.id === "tab-collection" && !id("works").children.length) search();
  if (tab.id === "tab-groups" && !id("groups-found").children.length) findGroups();
}
tabs.forEach((tab, i) => {
  tab.addEventListener("click", () => open(tab));
  tab.addEventListener("keydown", event => {
    const step = {ArrowRight: 1, ArrowLeft: tabs.length - 1}[event.key];
    if (step) { const next = tabs[(i + step) % tabs.length]; open(next); next.focus(); }
  });
});

let heard = [];
function own(...files) {
  heard.forEach(URL.revokeObjectURL);
  return heard = files.map(URL.createObjectURL);
}

let latest = 0;
function identify(file) {
  const number = ++latest;
  return telling(id("status"), `Listening to ${file.name} ...`, async () => {
    id("answer").replaceChildren();
    const form = new FormData();
    form.append("audio", file, file.name);
    if (id("long").checked) form.append("segments", WINDOW_SEC);
    else form.append("alignments", 5);
    const answer = await ask("/identify", {method: "POST", body: form});
    if (number !== latest) return;
    [answer.audio] = own(file);
    id("answer").append(answerSection(answer));
    id("answer").querySelector("h2").scrollIntoView({block: "start"});
  });
}

id("file").addEventListener("change", event => { if (event.target.files[0]) identify(event.target.files[0]); });
const drop = id("drop");
for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, event => { event.preventDefault(); drop.classList.add("over"); });
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
drop.addEventListener("drop", event => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) identify(event.dataTransfer.files[0]);
});

let recorder = null;
async function record() {
  const stream = await navigator.mediaDevices.getUserMedia({audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: false}});
  const parts = [], start = Date.now();
  recorder = new MediaRecorder(stream);
  const timer = setInterval(() => { id("recording").textContent = clock((Date.now() - start) / 1000); }, 250);
  recorder.addEventListener("dataavailable", event => parts.push(event.data));
  recorder.addEventListener("stop", () => {
    clearInterval(timer);
    stream.getTracks().forEach(track => track.stop());
    id("recording").textContent = "";
    id("record").textContent = "Record";
    const kind = recorder.mimeType.split(";")[0];
    recorder = null;
    identify(new File(parts, `recording.${kind.split("/")[1]}`, {type: kind}));
  });
  recorder.start();
  id("record").textContent = "Stop and identify";
}
id("record").addEventListener("click", () => {
  if (recorder) recorder.stop();
  else if (!navigator.mediaDevices) id("status").textContent = "The browser records only over https, or from this machine itself.";
  else telling(id("status"), "", record);
});

id("pair").addEventListener("submit", event => {
  event.preventDefault();
  const form = new FormData(id("pair"));
  telling(id("pair-status"), "Comparing ...", async () => {
    id("pair-answer").replaceChildren();
    const found = await ask("/match", {method: "POST", body: form});
    const audio = own(form.get("a"), form.get("b"));
    id("pair-answer").append(...matchPage({names: [found.a, found.b], audio, summary: found.summary, found: found.alignment}).slice(1));
  });
});

const collected = group => groupSection(group, ({a, b}) => ask(`/pairs/${group.tracks[a].id}/${group.tracks[b].id}`));

function findGroups() {
  return telling(id("groups-status"), "Looking for versions of each other ...", async () => {
    const {groups, aligned} = await ask("/groups");
    const filed = groups.filter(group => group.finding === "as filed").length;
    const summary = `${groups.length} groups, ${filed} of them of one work each. Pairs were ${aligned ? "" : "not "}confirmed by alignment.`;
    id("groups-found").replaceChildren(make("p", {}, summary), ...groups.map((group, i) =>
      folded(`${i + 1}. ${group.title} (${group.tracks.length} tracks)`, false, () => collected({...group, title: null}))));
  });
}

let shown = 0, searches = 0;
async function search(goesOn) {
  const number = ++searches;
  if (!goesOn) shown = 0;
  await telling(id("found"), "", async () => {
    const query = new URLSearchParams({q: id("words").value, offset: shown});
    const {total, works} = await ask(`/works?${query}`);
    if (number !== searches) return;
    if (!goesOn) id("works").replaceChildren();
    shown += works.length;
    for (const {work_id, tracks} of works) id("works").append(folded(`${work_id} (${tracks.length})`, works.length === 1, () =>
      collected({tracks, pairs: tracks.slice(1).map((_, i) => ({a: 0, b: i + 1, words: "where they match"}))})));
    id("more").hidden = shown >= total;
    queueMicrotask(() => { id("found").textContent = `${total} work${total === 1 ? "" : "s"}`; });
  });
}
let typing;
id("words").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => search(), 200); });
id("more").addEventListener("click", () => search(true));

ask("/health").then(({tracks, works, max_mb, max_sec}) => {
  id("about").textContent = `${tracks} tracks of ${works} works. Recordings up to ${clock(max_sec)} and ${max_mb} MB; they are deleted after the answer.`;
}).catch(() => {});
