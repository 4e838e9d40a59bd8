// Warn before leaving a page with changes that are not saved.
const forms = document.querySelectorAll("form[data-warn-unsaved]");
const typed = (form) => new URLSearchParams([...new FormData(form)].filter(([, value]) => typeof value === "string")).toString();
const shown = new Map([...forms].map((form) => [form, typed(form)]));
// A page that came back with errors holds what was typed, and none of it is saved.
const refused = document.querySelector("[data-focus], [role=alert]") !== null;
let sending = false;

document.addEventListener("submit", (event) => { if (event.target.matches("[data-warn-unsaved]")) sending = true; });
window.addEventListener("beforeunload", (event) => {
  const changed = [...shown].some(([form, before]) => typed(form) !== before);
  if (!sending && (changed || (refused && forms.length))) event.preventDefault();
});
document.querySelector("[data-focus]")?.focus();
