// What was refused, computed or tried of a text says nothing any more once the text is changed: it goes, at that place.
const named = (row) => row.querySelector("[name]")?.name.replace(/-[^-]*$/, "");

// The summary on top names what is still to be put right.
function strike(about) {
  for (const item of document.querySelectorAll("[data-about]")) {
    if (item.dataset.about !== about) continue;
    const note = item.closest(".note");
    item.remove();
    if (note && !note.querySelector("li")) note.remove();
  }
}

function clearRow(row) {
  row.classList.remove("is-bad");
  for (const said of row.querySelectorAll(":is(th, td):not(.sample) > .bad.meta")) said.remove();
  const sample = row.querySelector(".sample .bad");
  if (sample) sample.replaceWith(Object.assign(document.createElement("span"), { className: "soft", textContent: "…" }));
  if (named(row)) strike(named(row));
}

function clearField(control) {
  const said = document.getElementById(`id_${control.name}-error`) ?? document.getElementById(`${control.id}-error`);
  if (!said) return;
  for (const part of control.form.querySelectorAll(`[name="${CSS.escape(control.name)}"]`)) {
    part.classList.remove("is-invalid");
    part.removeAttribute("aria-invalid");
    const others = (part.getAttribute("aria-describedby") ?? "").split(" ").filter((id) => id && id !== said.id);
    if (others.length) part.setAttribute("aria-describedby", others.join(" "));
    else part.removeAttribute("aria-describedby");
  }
  said.remove();
  strike(control.name);
}

function changed({ target }) {
  const form = target.form ?? target.closest("form");
  // What only looks for something in the page is not sent.
  if (!form || (target.form && !target.name)) return;
  for (const result of document.querySelectorAll(`[data-result-of="${form.id}"]`)) result.replaceChildren();
  const row = target.closest("tr");
  if (row) clearRow(row);
  else if (target.name) clearField(target);
}

document.addEventListener("input", changed);
// Rows that are pasted, filled, cleared or undone: no one of their cells is typed in.
document.addEventListener("waybill:rows", changed);
