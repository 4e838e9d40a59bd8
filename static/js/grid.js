// The mapping grid by keyboard: arrows move between cells, Enter edits, Escape and Enter leave the cell again.
const isShown = (control) => control.offsetParent !== null && control.type !== "hidden";
const controlsOf = (row) => [...row.querySelectorAll(".cell :is(input, select, textarea)")].filter(isShown);
const rowsOf = (grid) => [...grid.querySelectorAll("tbody tr")].filter((row) => controlsOf(row).length);

function to(grid, rowAt, controlAt) {
  const rows = rowsOf(grid);
  const controls = controlsOf(rows[Math.max(0, Math.min(rowAt, rows.length - 1))]);
  const control = controls[Math.max(0, Math.min(controlAt, controls.length - 1))];
  control.focus();
  control.select?.();
  delete control.dataset.editing;
}

function move(event, grid) {
  const control = event.target;
  const row = control.closest("tr");
  if (!row || !control.closest(".cell")) return;
  const rowAt = rowsOf(grid).indexOf(row);
  const controlAt = controlsOf(row).indexOf(control);
  const editing = control.dataset.editing === "yes";
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey) {
    if (editing && control.tagName === "TEXTAREA") return;
    event.preventDefault();
    if (editing) return to(grid, rowAt + 1, controlAt);
    control.dataset.editing = "yes";
    if (control.tagName === "SELECT") control.showPicker?.();
    else control.setSelectionRange(control.value.length, control.value.length);
  } else if (event.key === "Escape") {
    delete control.dataset.editing;
    control.select?.();
  } else if (steps[event.key] && !editing && !event.altKey && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    const [down, right] = steps[event.key];
    to(grid, rowAt + down, controlAt + right);
  }
}

for (const grid of document.querySelectorAll("[data-grid]")) {
  grid.addEventListener("keydown", (event) => move(event, grid));
  // Typing is editing: the arrows then belong to the text.
  grid.addEventListener("input", (event) => { if (event.target.tagName !== "SELECT") event.target.dataset.editing = "yes"; });
  grid.addEventListener("focusout", (event) => { delete event.target.dataset.editing; });
  grid.addEventListener("pointerdown", (event) => {
    if (event.target.matches("input, textarea")) event.target.dataset.editing = "yes";
  });
}

// The grid shows what is looked for: by the name of the target or the source column, and by what is still to be done.
const sift = document.querySelector("[data-sift]");
const pills = [...document.querySelectorAll("[data-only]")];
const fields = [...document.querySelectorAll("tr[data-field]")];
const lacks = {
  unmapped: (row) => !row.querySelector(".kind select").value,
  required: (row) => "required" in row.dataset,
};

function siftFields() {
  const words = sift.value.trim().toLowerCase();
  const only = pills.filter((pill) => pill.getAttribute("aria-pressed") === "true").map((pill) => lacks[pill.dataset.only]);
  for (const row of fields) {
    const names = `${row.dataset.field} ${row.querySelector(".of-column select")?.value}`.toLowerCase();
    row.hidden = !names.includes(words) || only.some((fits) => !fits(row));
  }
  for (const pill of pills) pill.querySelector("span").textContent = fields.filter(lacks[pill.dataset.only]).length;
}

if (sift) {
  sift.addEventListener("input", siftFields);
  sift.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  document.querySelector("[data-grid]").addEventListener("change", siftFields);
  for (const pill of pills) {
    pill.addEventListener("click", () => {
      pill.setAttribute("aria-pressed", String(pill.getAttribute("aria-pressed") !== "true"));
      siftFields();
    });
  }
  siftFields();
}
