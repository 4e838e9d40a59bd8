// The desk's manners: the drawer, menus and questions, and files that are chosen or dropped.
(function () {
  "use strict";
  const panel = document.getElementById("panel");
  const shell = document.querySelector(".shell");
  const menu = document.getElementById("menu");
  let cameFrom = null;

  // ---- the drawer ----------------------------------------------------------------------------------------------
  function openPanel(url) {
    if (!panel.firstElementChild) cameFrom = document.activeElement;
    showMenu(false);
    // What fails is told in live.js.
    window.htmx.ajax("GET", url, { target: "#panel", swap: "innerHTML settle:0ms" }).catch(() => {});
  }

  function closePanel() {
    if (!panel.firstElementChild) return;
    panel.replaceChildren();
    shell.inert = false;
    const there = cameFrom && cameFrom !== document.body && cameFrom.isConnected;
    (there ? cameFrom : document.getElementById("content")).focus({ preventScroll: true });
    cameFrom = null;
    document.dispatchEvent(new Event("waybill:panel-closed"));
  }

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== panel) return;
    shell.inert = Boolean(panel.firstElementChild);
    const wanted = panel.querySelector("[data-focus]") || panel.querySelector("#panel-title");
    if (wanted) wanted.focus();
  });

  function keepInside(event) {
    const reach = [...panel.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")].filter(
      (part) => !part.disabled && part.type !== "hidden" && part.checkVisibility(),
    );
    const [first, last] = [reach[0], reach[reach.length - 1]];
    if (event.shiftKey && (document.activeElement === first || !reach.includes(document.activeElement))) {
      event.preventDefault();
      last.focus();
    } else if (!event.shiftKey && (document.activeElement === last || !panel.contains(document.activeElement))) {
      event.preventDefault();
      first.focus();
    }
  }

  // ---- menus and questions -------------------------------------------------------------------------------------
  function showMenu(open) {
    const button = document.querySelector("[data-menu]");
    if (!menu || !button) return;
    menu.classList.toggle("is-open", open);
    button.setAttribute("aria-expanded", String(open));
    if (open) menu.querySelector("nav a").focus();
  }

  const unfolded = () => [...document.querySelectorAll("details.drop[open], details.ask[open]")];

  function fold(details) {
    const hadFocus = details.contains(document.activeElement);
    details.open = false;
    if (hadFocus) details.querySelector("summary").focus();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-panel]");
    // Where the page itself is the panel, links lead to the next page: one list in view, not two.
    const drawn = link && !document.querySelector(".in-page");
    if (drawn && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      openPanel(link.href);
    } else if (event.target.closest("[data-close-panel], [data-veil]")) {
      closePanel();
    } else if (event.target.closest("[data-close]")) {
      fold(event.target.closest("details"));
    } else if (event.target.closest("[data-menu]")) {
      showMenu(!menu.classList.contains("is-open"));
    } else if (event.target.matches("[data-select]")) {
      event.target.select();
    }
    for (const details of unfolded()) if (!details.contains(event.target)) details.open = false;
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Tab" && panel.firstElementChild) return keepInside(event);
    if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
    // One press closes one thing: what is handled here is not taken for more by others.
    if (unfolded().length) unfolded().forEach(fold);
    else if (panel.firstElementChild) closePanel();
    else if (menu && menu.classList.contains("is-open")) {
      showMenu(false);
      document.querySelector("[data-menu]").focus();
    } else return;
    event.preventDefault();
  });

  // ---- finding an integration ----------------------------------------------------------------------------------
  // Enter chooses what was found when that is one; what was found is known once the answer is here.
  let choosing = false;
  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-choose]")) choosing = true;
  });
  document.addEventListener("input", (event) => {
    if (event.target.id === "panel-q") choosing = false;
  });
  document.addEventListener("htmx:afterSettle", () => {
    if (!choosing) return;
    choosing = false;
    const found = document.querySelectorAll("#choices a[data-panel]");
    if (found.length === 1) found[0].click();
  });

  // ---- files ---------------------------------------------------------------------------------------------------
  function refusal(form, file) {
    const limit = Number(form.dataset.limit);
    const fitting = form.dataset.extensions.split(",").map((word) => word.trim().toLowerCase());
    if (file.size > limit) {
      return `${file.name} has ${file.size.toLocaleString("en")} bytes; an upload may have ${limit.toLocaleString("en")}. Put it into a server folder that the integration reads from.`;
    }
    if (!file.size) return `${file.name} is empty. Choose another file.`;
    if (!fitting.some((end) => file.name.toLowerCase().endsWith(end))) {
      return `${file.name} does not fit: this integration reads ${fitting.join(", ")}. Choose such a file.`;
    }
    return "";
  }

  // What a person filled in is what the bright button runs; untouched, it is the last run again.
  function favour(form) {
    const again = form.querySelector("[data-rerun]");
    if (!again) return;
    const name = form.querySelector("#run-name").value.trim();
    const changed = Boolean(name || form.querySelector("#run-file")?.files.length || "changed" in form.dataset);
    again.classList.toggle("btn-primary", !changed);
    form.querySelector("[data-run]").classList.toggle("btn-primary", changed);
  }

  function judge(input) {
    const form = input.closest("form");
    const file = input.files[0];
    favour(form);
    if (!file) return;
    const refused = refusal(form, file);
    form.querySelector("[data-file-name]").textContent = file.name;
    form.querySelector("[data-file-facts]").textContent = `${file.size.toLocaleString("en")} bytes · chosen just now`;
    form.querySelector("[data-file-refused]").textContent = refused;
    form.querySelector("[data-run]").disabled = Boolean(refused);
    const [fileStep, runStep] = [form.querySelector("[data-file-step]"), form.querySelector("[data-run-step]")];
    fileStep.classList.toggle("done", !refused);
    for (const [step, current] of [[fileStep, Boolean(refused)], [runStep, !refused]]) {
      if (current) step.setAttribute("aria-current", "step");
      else step.removeAttribute("aria-current");
    }
  }

  const drawerOf = (event) => event.target.closest("[data-drawer]");
  const leave = () => document.querySelectorAll(".is-over").forEach((drop) => drop.classList.remove("is-over"));

  document.addEventListener("change", (event) => {
    if (event.target.matches("#run-file")) judge(event.target);
  });
  document.addEventListener("input", (event) => {
    if (event.target.matches("#run-name")) favour(event.target.form);
  });
  // Enter in the name presses the bright button; the browser would always press the one that submits.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || !event.target.matches("#run-name")) return;
    const again = event.target.form.querySelector("summary.btn-primary[data-rerun]");
    if (!again) return;
    event.preventDefault();
    again.parentElement.open = true;
    again.parentElement.querySelector("button").focus();
  });
  document.addEventListener("dragover", (event) => {
    const drop = drawerOf(event) && drawerOf(event).querySelector("[data-drop]");
    if (!drop) return;
    event.preventDefault();
    drop.classList.add("is-over");
  });
  document.addEventListener("dragleave", leave);
  document.addEventListener("drop", (event) => {
    const input = drawerOf(event) && drawerOf(event).querySelector("#run-file");
    if (!input || !event.dataTransfer.files.length) return;
    event.preventDefault();
    input.files = event.dataTransfer.files;
    judge(input);
    leave();
  });
  document.addEventListener("htmx:xhr:progress", (event) => {
    const part = document.querySelector("[data-upload]");
    if (!part || !event.detail.total || !document.querySelector("#run-file")?.files.length) return;
    const { loaded, total } = event.detail;
    const percent = Math.floor((loaded * 100) / total);
    part.hidden = false;
    part.querySelector("progress").value = percent;
    const sent = `${loaded.toLocaleString("en")} of ${total.toLocaleString("en")} bytes, ${percent} %`;
    part.querySelector("[data-upload-said]").textContent = loaded < total ? `Uploading: ${sent}` : `Uploaded: ${sent}. Checking it.`;
  });
  // What did not arrive is no upload that goes on.
  for (const failure of ["htmx:sendError", "htmx:responseError"]) {
    document.addEventListener(failure, () => {
      const part = document.querySelector("[data-upload]");
      if (part) part.hidden = true;
    });
  }

  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  // ---- a page that opens ---------------------------------------------------------------------------------------
  const wanted = document.querySelector("main [data-focus]");
  if (wanted) wanted.focus();
  // The cell at fault is what a person came to see, so a wide table opens there.
  for (const region of document.querySelectorAll("[data-show-fault]")) {
    const cell = region.querySelector("td.cell-bad");
    if (cell) region.scrollLeft = Math.max(cell.offsetLeft + cell.offsetWidth - region.clientWidth + 24, 0);
  }
})();
