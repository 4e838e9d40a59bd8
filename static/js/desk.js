// The desk's manners: the drawer, keys, live parts that rest when nobody looks, and files that are dropped.
(function () {
  "use strict";
  const panel = document.getElementById("panel");
  const shell = document.querySelector(".shell");
  let cameFrom = null;

  function openPanel(url) {
    if (!panel.firstElementChild) cameFrom = document.activeElement;
    window.htmx.ajax("GET", url, { target: "#panel", swap: "innerHTML" });
  }

  function closePanel() {
    if (!panel.firstElementChild) return;
    panel.replaceChildren();
    shell.inert = false;
    if (cameFrom) cameFrom.focus();
    cameFrom = null;
  }

  function focusIn(part) {
    const wanted = part.querySelector("[data-focus]") || part.querySelector("#panel-title");
    if (wanted) wanted.focus();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-panel]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      openPanel(link.href);
    } else if (event.target.closest("[data-close-panel], [data-veil]")) {
      closePanel();
    } else if (event.target.closest("[data-close]")) {
      event.target.closest("details").open = false;
    } else if (event.target.closest("[data-menu]")) {
      const open = document.getElementById("menu").classList.toggle("is-open");
      event.target.closest("[data-menu]").setAttribute("aria-expanded", String(open));
    } else if (event.target.matches("[data-select]")) {
      event.target.select();
    }
    for (const drop of document.querySelectorAll("details.drop[open], details.ask[open]")) {
      if (!drop.contains(event.target)) drop.open = false;
    }
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== panel) return;
    shell.inert = Boolean(panel.firstElementChild);
    focusIn(panel);
  });

  // Live parts rest while the page is hidden, while a row is picked or a question is open in them.
  document.addEventListener("htmx:beforeRequest", (event) => {
    const part = event.detail.elt;
    if (!part.matches("[data-live]")) return;
    if (document.hidden || part.querySelector("tr.is-now, details.ask[open]") || part.contains(document.activeElement)) {
      event.preventDefault();
    }
  });

  // ---- keys ----------------------------------------------------------------------------------------------------
  function rows() {
    return Array.from(document.querySelectorAll("[data-rows] tr[data-row]"));
  }

  function pick(step) {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.classList.contains("is-now"));
    const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
    all.forEach((row) => row.classList.toggle("is-now", row === next));
    next.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (panel.firstElementChild) closePanel();
      else rows().forEach((row) => row.classList.remove("is-now"));
      document.querySelectorAll("details.drop[open], details.ask[open]").forEach((drop) => {
        drop.open = false;
        drop.querySelector("summary").focus();
      });
      return;
    }
    if (event.key === "Tab" && panel.firstElementChild) return keepInside(event);
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const now = document.querySelector("tr.is-now");
    if (event.key === "/") {
      const search = document.querySelector("[data-search]");
      if (search) {
        event.preventDefault();
        search.focus();
      }
    } else if (event.key === "j") pick(1);
    else if (event.key === "k") pick(-1);
    else if (event.key === "Enter" && now && !event.target.closest("a, button, summary")) now.querySelector("a.name").click();
    else if (event.key === "r") {
      const again = document.querySelector("[data-key=r]");
      if (again) {
        again.click();
        again.parentElement.querySelector("button").focus();
      }
    }
  });

  function keepInside(event) {
    const reach = Array.from(panel.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")).filter(
      (part) => !part.disabled && part.type !== "hidden" && part.offsetParent !== null,
    );
    const [first, last] = [reach[0], reach[reach.length - 1]];
    if (event.shiftKey && (document.activeElement === first || !reach.includes(document.activeElement))) {
      event.preventDefault();
      last.focus();
    } else if (!event.shiftKey && document.activeElement === last) {
      event.preventDefault();
      first.focus();
    }
  }

  // ---- files ---------------------------------------------------------------------------------------------------
  function judge(input) {
    const form = input.closest("form");
    const file = input.files[0];
    const large = Boolean(file) && file.size > Number(form.dataset.limit);
    form.querySelector("[data-too-large]").hidden = !large;
    form.querySelector("button[type=submit]").disabled = large;
  }

  document.addEventListener("change", (event) => {
    if (event.target.matches("#run-file")) judge(event.target);
  });
  document.addEventListener("dragover", (event) => {
    const drawer = event.target.closest("[data-drawer]");
    const drop = drawer && drawer.querySelector("[data-drop]");
    if (!drop) return;
    event.preventDefault();
    drop.classList.add("is-over");
  });
  document.addEventListener("dragleave", () => {
    document.querySelectorAll(".is-over").forEach((drop) => drop.classList.remove("is-over"));
  });
  document.addEventListener("drop", (event) => {
    const drawer = event.target.closest("[data-drawer]");
    const input = drawer && drawer.querySelector("#run-file");
    if (!input || !event.dataTransfer.files.length) return;
    event.preventDefault();
    input.files = event.dataTransfer.files;
    judge(input);
    document.querySelectorAll(".is-over").forEach((drop) => drop.classList.remove("is-over"));
  });
  document.addEventListener("htmx:xhr:progress", (event) => {
    const bar = panel.querySelector("[data-upload]");
    if (!bar || !event.detail.total) return;
    bar.hidden = false;
    bar.value = (event.detail.loaded * 100) / event.detail.total;
  });

  const wanted = document.querySelector("main [data-focus]");
  if (wanted) wanted.focus();
})();
