// Before anything is drawn: pages learn that scripts run, and a person whose theme follows the system gets the system's.
(function () {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  if (root.dataset.theme !== "auto") return;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const follow = () => root.setAttribute("data-bs-theme", dark.matches ? "dark" : "light");
  follow();
  dark.addEventListener("change", follow);
})();
