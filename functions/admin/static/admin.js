/* What pages do beyond plain HTML; all of them can be read without. */
"use strict";

/* Leaving a form with changes is asked about. */
const changed = new Set();
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-guard]");
  if (form) changed.add(form);
});
document.addEventListener("submit", (event) => changed.delete(event.target));
window.addEventListener("beforeunload", (event) => {
  for (const form of changed) if (form.isConnected) event.preventDefault();
});

/* What went wrong behind the scenes is said aloud. */
function announce(text) {
  const place = document.getElementById("announcement");
  if (!place) return;
  place.textContent = text;
  place.className = text ? "callout danger" : "";
}
document.addEventListener("htmx:responseError", (event) =>
  announce(`The service answered with ${event.detail.xhr.status}. Load the page again.`));
document.addEventListener("htmx:sendError", () => announce("The service cannot be reached."));
document.addEventListener("htmx:afterOnLoad", (event) => {
  if (event.detail.successful) announce("");
});

/* A button copies the text of the element that it names. */
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
  button.textContent = "Copied";
});

/* Faults are where the eyes and the screen reader go first. */
function focusFaults() {
  const faults = document.querySelector("[data-focus]");
  if (faults) faults.focus();
}
focusFaults();
document.addEventListener("htmx:afterSettle", focusFaults);
