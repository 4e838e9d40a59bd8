// Warn before leaving a page with changes that are not saved.
const forms = document.querySelectorAll("form[data-warn-unsaved]");
// What nobody typed: the token of the form, and which document the sample shows.
const UNTYPED = ["csrfmiddlewaretoken", "sample"];
const isTyped = ([name, value]) => (typeof value === "string" ? !UNTYPED.includes(name) : value.name !== "");
const typed = (form) => JSON.stringify([...new FormData(form)].filter(isTyped).map(([name, value]) => [name, value.name ?? value]));
const shown = new Map([...forms].map((form) => [form, typed(form)]));
// A page that came back with errors holds what was typed, and none of it is saved.
const REFUSED = "[data-warn-unsaved] :is([data-focus], [role=alert], .is-invalid), main .note-warn[role=alert]";
const refused = document.querySelector(REFUSED) !== null;
let sent = null;

document.addEventListener("submit", (event) => { if (event.target.matches("[data-warn-unsaved]")) sent = event.target; });
window.addEventListener("beforeunload", (event) => {
  // A form that is sent does not take along what was typed into another one.
  const changed = [...shown].some(([form, before]) => form !== sent && typed(form) !== before);
  if (changed || (refused && !sent && forms.length)) event.preventDefault();
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
