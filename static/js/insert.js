// A click on a column puts its token where the caret stands in the code.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-insert]");
  if (!button) return;
  const code = document.getElementById(button.dataset.into);
  code.focus();
  code.setRangeText(button.dataset.insert, code.selectionStart, code.selectionEnd, "end");
  code.dispatchEvent(new Event("input", { bubbles: true }));
});
