/* A page that reads one inbox: the shop's server put the token of whoever is logged in into the page. */
"use strict";

const { channel, token } = document.body.dataset;
const held = new Map();

function call(path, fields) {
  return fetch(channel + path, {
    method: fields ? "POST" : "GET",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: fields && JSON.stringify(fields),
  }).then((answer) => answer.json());
}
function take(told) {
  told.items.forEach((one) => held.set(one.id, one));
  (told.gone || []).forEach((id) => held.delete(id));
  document.querySelector("#unread").textContent = told.unread;
  document.querySelector("#messages").replaceChildren(
    ...[...held.values()].sort((a, b) => b.sent_at_us - a.sent_at_us).map(line),
  );
  document.body.dataset.drawn = "yes";
}
function line(one) {
  const row = Object.assign(document.createElement("article"), { className: "line", id: one.id });
  const title = Object.assign(document.createElement("b"), { textContent: one.title });
  const text = Object.assign(document.createElement("a"), { textContent: one.body, href: one.url || "#" });
  const read = Object.assign(document.createElement("button"), { textContent: "✓", disabled: !!one.read_at_us });
  read.dataset.read = one.id;
  read.onclick = () => call("/inbox/read", { ids: [one.id] });
  const away = Object.assign(document.createElement("button"), { textContent: "×" });
  away.dataset.delete = one.id;
  away.onclick = () => call("/inbox/delete", { ids: [one.id] });
  row.append(title, text, read, away);
  return row;
}
document.querySelector("#all").onclick = () => call("/inbox/read", { all: true });

// The first event is the whole inbox; whatever is marked comes back as an event as well.
new EventSource(`${channel}/inbox/live?token=${encodeURIComponent(token)}`).onmessage = (event) => take(JSON.parse(event.data));
