// Names beside a code box: a click puts one where the caret stands, a drag where it is dropped, and Find narrows them.
let lastCode = null;

document.addEventListener("focusin", (event) => {
  if (event.target.matches("textarea") && !event.target.disabled) lastCode = event.target;
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-insert]");
  if (!button) return;
  const names = button.closest("[data-names]");
  const near = names.closest("form");
  const code = lastCode && near.contains(lastCode) ? lastCode : document.getElementById(names.dataset.names);
  if (!code) return;
  code.focus();
  code.setRangeText(button.dataset.insert, code.selectionStart, code.selectionEnd, "end");
  code.dispatchEvent(new Event("input", { bubbles: true }));
  code.dispatchEvent(new Event("change", { bubbles: true }));
});

// A text area takes dropped text by itself, at the place where it is dropped.
document.addEventListener("dragstart", (event) => {
  const token = event.target.closest?.("[data-token]");
  if (!token) return;
  event.dataTransfer.setData("text/plain", token.dataset.token);
  event.dataTransfer.effectAllowed = "copy";
});

document.addEventListener("input", (event) => {
  if (!event.target.matches("[data-find-name]")) return;
  const wanted = event.target.value.trim().toLowerCase();
  for (const item of event.target.closest("[data-names]").querySelectorAll("[data-token]")) {
    item.hidden = !item.textContent.toLowerCase().includes(wanted);
  }
});

// Enter in Find is not a wish to save.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("[data-find-name]")) event.preventDefault();
});
