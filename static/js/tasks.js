// The Tasks tab by keyboard, and the sentences of a task's form: they follow the choices, out of the table beside them.
document.addEventListener("keydown", (event) => {
  const row = event.target.closest?.("[data-tasks] [data-task]");
  if (!row || !event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
  event.preventDefault();
  const button = row.querySelector(`button[value^="${event.key === "ArrowUp" ? "up" : "down"}-"]`);
  if (button && !button.disabled) button.click();
});

// A task that was moved keeps the focus. The browser goes to the address's anchor first, and lets go of any other.
const moved = document.querySelector("[data-tasks]") && document.getElementById(location.hash.slice(1));
if (moved) window.addEventListener("load", () => requestAnimationFrame(() => moved.querySelector("a.name").focus()));

const form = document.querySelector("[data-task-form]");

function say() {
  const stage = form.querySelector(`[data-stage="${form.elements.stage.value}"]`);
  if (!stage) return;
  form.querySelector("[data-when]").textContent = stage.dataset.stageWhen;
  for (const [end, cell] of [["success", 2], ["failure", 1]]) {
    const row = stage.querySelector(`[data-choice="${form.elements[`on_${end}`].value}"]`);
    form.querySelector(`[data-means=${end}]`).textContent = row.cells[row.cells.length - cell].textContent;
  }
  const withData = form.elements.parent_data.value !== "none";
  for (const option of form.querySelectorAll("option[data-unfit]")) option.disabled = withData && !option.selected;
}

if (form) {
  form.addEventListener("change", say);
  say();
}
