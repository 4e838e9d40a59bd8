// The sentences of a task's form: they follow the choices, out of the table beside them.
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
