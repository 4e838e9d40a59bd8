// Live parts change in place: what stays the same stays the same element, so focus, selection, scroll, an open question
// and what is being typed survive. Elements with an id are known by it, all others by their place.
(function () {
  "use strict";
  const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE && node.id) || "";
  const isBlank = (node) => node.nodeType === Node.TEXT_NODE && !node.data.trim();
  const fits = (now, next) => now.nodeName === next.nodeName && keyOf(now) === keyOf(next);

  function settle(now, next) {
    if (!fits(now, next)) return now.replaceWith(next);
    if (now.nodeType !== Node.ELEMENT_NODE) {
      if (now.data !== next.data) now.data = next.data;
      return;
    }
    // A person opened it, typed it or hid it: that is theirs.
    const theirs = new Set(now.matches("details") ? ["open"] : now.matches("input") ? ["value", "checked"] : []);
    for (const { name } of [...now.attributes]) if (!theirs.has(name) && !next.hasAttribute(name)) now.removeAttribute(name);
    for (const { name, value } of [...next.attributes]) {
      if (!theirs.has(name) && now.getAttribute(name) !== value) now.setAttribute(name, value);
    }
    settleChildren(now, next);
  }

  function settleChildren(now, next) {
    const wanted = new Set([...next.childNodes].map(keyOf).filter(Boolean));
    const known = new Map([...now.childNodes].filter(keyOf).map((node) => [keyOf(node), node]));
    let at = now.firstChild;
    const drop = () => {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    };
    for (const child of [...next.childNodes]) {
      const kept = known.get(keyOf(child));
      if (kept) {
        while (at && at !== kept && !wanted.has(keyOf(at))) drop();
        if (at === kept) at = at.nextSibling;
        else now.insertBefore(kept, at);
        settle(kept, child);
        continue;
      }
      while (at && isBlank(at) && child.nodeType === Node.ELEMENT_NODE) drop();
      if (at && !keyOf(at) && !keyOf(child)) {
        const here = at;
        at = at.nextSibling;
        settle(here, child);
      } else {
        now.insertBefore(child, at);
      }
    }
    while (at) drop();
  }

  // No row moves while one is selected or has the focus: new ones wait behind a pill, and what one says of itself
  // keeps the lines it had.
  function holdNewRows(now, next) {
    const table = now.querySelector("[data-rows]");
    const pill = next.querySelector("[data-show-held]");
    if (!table || !pill || !(table.querySelector("tr.picked") || table.contains(document.activeElement))) return;
    let held = 0;
    for (const row of next.querySelectorAll("tr[data-row]")) {
      if (document.getElementById(row.id)) break;
      row.remove();
      held += 1;
    }
    for (const row of next.querySelectorAll("tr[data-row]")) {
      const news = document.querySelector(`#${row.id} .news`);
      const lines = news && Math.round(news.clientHeight / parseFloat(getComputedStyle(news).lineHeight));
      if (lines) row.querySelector(".news").classList.add(`lines-${lines}`);
    }
    pill.hidden = !held;
    pill.textContent = `${held} new`;
  }

  window.htmx.defineExtension("settle", {
    isInlineSwap: (style) => style === "settle",
    handleSwap: (style, target, fragment) => {
      if (style !== "settle") return false;
      holdNewRows(target, fragment);
      settleChildren(target, fragment);
      return [target];
    },
  });

  // Live parts rest while nobody looks.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && event.detail.elt.matches("[data-live]")) event.preventDefault();
  });

  // A list that no longer lives must not look as if it did, and a press that came to nothing is told.
  const trouble = document.getElementById("trouble");
  for (const failure of ["htmx:sendError", "htmx:responseError"]) {
    document.addEventListener(failure, (event) => {
      const part = event.detail.elt;
      const lives = part.matches("[data-live]");
      const state = lives && part.querySelector("#live-state");
      if (state) state.textContent = "The server does not answer; it is asked again.";
      trouble.hidden = lives;
    });
  }
  document.addEventListener("htmx:beforeRequest", () => (trouble.hidden = true));
})();
