"use strict";

const WORDS = { available: "Available", busy: "Busy", away: "Away", dnd: "Do not disturb" };
const ORIGINS = { "calendar:": "from the calendar", "tel:": "set by hand", "im:": "online state" };
const list = document.getElementById("phones");
const template = document.getElementById("phone");
const connection = document.getElementById("connection");
const search = document.getElementById("search");
const cards = new Map();

function activityOf(phone) {
  return phone.activity || "available";
}

function textOf(phone) {
  return phone.display || "No presence set";
}

function write(card, name, text) {
  const place = card.querySelector(name);
  if (place.textContent !== text) place.textContent = text;
}

function show(phone) {
  let entry = cards.get(phone.guid);
  if (!entry) {
    const card = template.content.firstElementChild.cloneNode(true);
    card.dataset.guid = phone.guid;
    list.append(card);
    entry = { card, phone: null };
    cards.set(phone.guid, entry);
  }
  const { card, phone: before } = entry;
  entry.phone = phone;
  const activity = activityOf(phone);
  card.className = `phone ${activity}`;
  write(card, ".name", phone.name);
  write(card, ".clock", phone.set_at ? new Date(phone.set_at).toLocaleTimeString("en-GB") : "");
  write(card, ".word", WORDS[activity] || activity);
  write(card, ".note", textOf(phone));
  write(card, ".origin", phone.contact ? `${ORIGINS[phone.contact] || phone.contact}` : "");
  const changed = before && (before.display !== phone.display || before.activity !== phone.activity);
  if (changed) {
    void card.offsetWidth; // so that the animation begins anew
    card.classList.add("changed");
    document.getElementById("news").textContent = `${phone.name}: ${textOf(phone)}`;
  }
}

function filter() {
  const wanted = search.value.trim().toLowerCase();
  const activity = document.querySelector("input[name=activity]:checked").value;
  const counts = { all: 0, available: 0, busy: 0, away: 0, dnd: 0 };
  let visible = 0;
  for (const { card, phone } of cards.values()) {
    const fits = `${phone.name} ${phone.sip} ${textOf(phone)}`.toLowerCase().includes(wanted);
    if (fits) {
      counts.all += 1;
      counts[activityOf(phone)] += 1;
    }
    card.hidden = !fits || (activity !== "all" && activity !== activityOf(phone));
    if (!card.hidden) visible += 1;
  }
  for (const [name, count] of Object.entries(counts)) {
    document.querySelector(`[data-count=${name}]`).textContent = String(count);
  }
  document.getElementById("nobody").hidden = visible > 0;
}

function tell(text, lost) {
  if (connection.textContent !== text) connection.textContent = text;
  connection.classList.toggle("lost", lost);
}

const source = new EventSource("/phones/events");
source.addEventListener("phones", (event) => {
  const phones = JSON.parse(event.data);
  const known = new Set(phones.map((phone) => phone.guid));
  for (const [guid, { card }] of cards) {
    if (!known.has(guid)) {
      card.remove();
      cards.delete(guid);
    }
  }
  phones.forEach(show);
  filter();
});
source.addEventListener("phone", (event) => {
  show(JSON.parse(event.data));
  filter();
});
source.addEventListener("open", () => tell("Live", false));
source.addEventListener("error", () => tell("The PBX does not answer; trying again …", true));
search.addEventListener("input", filter);
search.form.addEventListener("submit", (event) => event.preventDefault());
document.querySelectorAll("input[name=activity]").forEach((each) => each.addEventListener("change", filter));
