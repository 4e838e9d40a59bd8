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
// Ctrl S saves as the form's own button does.
document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || event.key.toLowerCase() !== "s") return;
  const form = event.target.closest?.("form[data-warn-unsaved]") ?? forms[0];
  const button = form?.querySelector(".foot > button[type=submit]");
  if (!button) return;
  event.preventDefault();
  button.click();
});
document.querySelector("[data-focus]")?.focus();
