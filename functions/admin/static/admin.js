/* What pages do beyond plain HTML; all of them can be read without. */
"use strict";

/* Leaving a form with changes is asked about, unless that is what a link is for. */
const changed = new Set(document.querySelectorAll("form[data-guard=unsaved]"));
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-guard]");
  if (form) changed.add(form);
});
document.addEventListener("submit", (event) => changed.delete(event.target));
document.addEventListener("click", (event) => {
  if (event.target.closest("a[data-discard]")) changed.clear();
});
window.addEventListener("beforeunload", (event) => {
  for (const form of changed) if (form.isConnected) event.preventDefault();
});

/* What went wrong behind the scenes is said aloud. */
function announce(text) {
  const place = document.getElementById("announcement");
  if (!place || place.textContent === text) return;
  place.textContent = text;
  place.className = text ? "callout danger" : "";
}
document.addEventListener("htmx:responseError", (event) =>
  announce(`The service answered with ${event.detail.xhr.status}. Load the page again.`));
document.addEventListener("htmx:sendError", () => announce("The service cannot be reached."));
document.addEventListener("htmx:afterOnLoad", (event) => {
  if (event.detail.successful) announce("");
});

/* What was done is said once, not again when the page is loaded again. */
const here = new URL(location);
for (const name of ["done", "saved", "sign_in"]) here.searchParams.delete(name);
history.replaceState(history.state, "", here);

/* A button copies the text of the element that it names. */
for (const button of document.querySelectorAll("button[data-copy]")) button.hidden = false;
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
  button.textContent = "Copied";
});

/* Enter in a field that belongs to one button of several presses that one. */
document.addEventListener("keydown", (event) => {
  const button = event.key === "Enter" && document.getElementById(event.target.dataset.enter);
  if (!button) return;
  event.preventDefault();
  button.click();
});

/* Faults are where the eyes and the screen reader go first. */
function focusFaults() {
  const faults = document.querySelector("[data-focus]");
  if (faults) faults.focus();
}
focusFaults();
document.addEventListener("htmx:afterSettle", focusFaults);

/* What refreshes itself does so while somebody may look at it and has not paused it. */
function refresh(place) {
  if (!document.hidden && !place.hasAttribute("data-paused")) place.dispatchEvent(new CustomEvent("refresh"));
}
for (const place of document.querySelectorAll("[data-refresh]"))
  setInterval(refresh, 1000 * place.dataset.refresh, place);
document.addEventListener("visibilitychange", () => {
  for (const place of document.querySelectorAll("[data-refresh]")) refresh(place);
});
for (const button of document.querySelectorAll("button[data-pause]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const place = document.getElementById(button.dataset.pause);
    button.textContent = place.toggleAttribute("data-paused") ? "Go on updating" : "Pause updates";
    refresh(place);
  });
}

/* A wide picture stays where it was scrolled to when it is drawn anew. */
document.addEventListener("htmx:beforeSwap", () => {
  for (const old of document.querySelectorAll(".wide-picture[id]")) {
    const left = old.scrollLeft;
    document.addEventListener("htmx:afterSwap", () => {
      const fresh = document.getElementById(old.id);
      if (fresh) fresh.scrollLeft = left;
    }, { once: true });
  }
});
