// Keys, rows and the help that lists them. Rows are walked with j and k; in Runs the selected one opens its actions.
(function () {
  "use strict";
  const help = document.getElementById("help");
  const places = { r: "/runs/", p: "/processes/", c: "/connections/", v: "/global-variables/" };
  let going = false;

  // ---- rows ----------------------------------------------------------------------------------------------------
  const rows = () => [...document.querySelectorAll("[data-rows] tr[data-row]")];
  const nameOf = (row) => row.querySelector("a.name");

  function walk(step) {
    const all = rows();
    if (!all.length) return;
    const now = all.findIndex((row) => row.contains(document.activeElement) || row.matches(".picked"));
    const row = all[Math.min(Math.max(now + step, 0), all.length - 1)];
    nameOf(row).focus();
    row.scrollIntoView({ block: "nearest" });
    if (row.id) pick(row.dataset.row);
  }

  // The selected run stands in the address, so that the view is a link and the server draws its actions.
  function pick(number) {
    const part = document.getElementById("runs");
    if (!part) return;
    const url = new URL(location.href);
    if (number) url.searchParams.set("run", number);
    else url.searchParams.delete("run");
    history.replaceState(history.state, "", url);
    for (const row of rows()) row.classList.toggle("picked", row.dataset.row === number);
    part.setAttribute("hx-get", url.pathname + url.search);
    // `process` forgets what is under way, so that a late answer would draw the row picked before this one.
    window.htmx.trigger(part, "htmx:abort");
    window.htmx.process(part);
    refresh(part);
  }

  function refresh(part) {
    const url = part.getAttribute("hx-get") || location.href;
    // One that a newer one replaced is no fault; what fails is told in live.js.
    window.htmx.ajax("GET", url, { source: part, target: part, swap: "settle" }).catch(() => {});
  }

  document.addEventListener("click", (event) => {
    const again = event.target.closest("[data-refresh]");
    if (again && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      refresh(document.getElementById(again.dataset.refresh));
    } else if (event.target.closest("[data-show-held]")) {
      document.querySelector("[data-search]").focus();
      pick("");
    } else if (event.target.closest("[data-help]")) {
      help.showModal();
    } else if (event.target.closest("[data-close-help]") || event.target === help) {
      help.close();
    } else {
      const row = event.target.closest("[data-rows=runs] tr[data-row]");
      if (row && !event.target.closest("a, button, summary") && !String(getSelection())) {
        pick(row.matches(".picked") ? "" : row.dataset.row);
      }
    }
  });
  document.addEventListener("waybill:panel-closed", () => {
    const part = document.getElementById("runs");
    if (part) refresh(part);
  });

  // ---- keys ----------------------------------------------------------------------------------------------------
  function reRun(event) {
    const question = document.querySelector("[data-key=r]");
    if (!question) return;
    event.preventDefault();
    question.closest("details").open = true;
    question.closest("details").querySelector("button").focus();
  }

  const keys = {
    j: () => walk(1),
    k: () => walk(-1),
    r: reRun,
    n: () => document.querySelector(".side a[data-panel]")?.click(),
    g: () => {
      going = true;
      setTimeout(() => (going = false), 1500);
    },
    "?": () => help.showModal(),
    "/": (event) => {
      const search = document.querySelector("[data-search]") || document.querySelector("[data-search-all]");
      event.preventDefault();
      search?.focus();
    },
  };

  document.addEventListener("keydown", (event) => {
    const search = document.querySelector("[data-search-all]");
    if ((event.ctrlKey || event.metaKey) && event.key === "k" && search && search.offsetParent) {
      event.preventDefault();
      return search.focus();
    }
    if (event.key === "Escape" && !event.defaultPrevented && document.querySelector("tr.picked")) return pick("");
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, [contenteditable], dialog, #panel")) return;
    if (going && places[event.key]) {
      going = false;
      location.assign(places[event.key]);
    } else if (keys[event.key]) {
      keys[event.key](event);
    }
  });
})();
