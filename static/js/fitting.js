// Of a form's groups only those are shown that fit the choice they depend on. One with something wrong in it stays.
const form = document.querySelector("form:has([data-only-with])");

function fit() {
  for (const group of form.querySelectorAll("[data-only-with]")) {
    const fits = form.elements[group.dataset.onlyWith].value === group.dataset.only;
    group.hidden = !fits && !group.querySelector(".is-invalid");
  }
}

if (form) {
  form.addEventListener("change", fit);
  fit();
}
