// Grids like a spreadsheet. A row's cells are the controls it shows, from left to right: what is copied, pasted and filled.
const isShown = (control) => control.offsetParent !== null && control.type !== "hidden";
const controlsOf = (row) => [...row.querySelectorAll(".cell :is(input, select, textarea)")].filter(isShown);
const rowsOf = (grid) => [...grid.querySelectorAll("tbody tr:not([hidden])")].filter((row) => row.querySelector(".cell"));
// Where nothing is chosen, a list says what to choose; only the column type has a word of its own for that.
const textOf = (control) => {
  if (control.tagName !== "SELECT") return control.value;
  return control.value || control.matches(".kind select") ? control.selectedOptions[0]?.text ?? "" : "";
};
const within = (at, end) => Math.max(0, Math.min(at, end - 1));

// What is copied to and from Excel: rows by line, cells by tab; a cell with either of them, or with quotes, in quotes.
const toExcel = (text) => (/[\t\n"]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function fromExcel(text) {
  const rows = [[]];
  const cells = /(?:"((?:[^"]|"")*)"|([^\t\n]*))(\t|\n|$)/y;
  const given = text.replace(/\r\n?/g, "\n").replace(/\n$/, "");
  while (cells.lastIndex <= given.length) {
    const [, quoted, plain, end] = cells.exec(given) ?? [];
    if (end === undefined) return given.split("\n").map((line) => line.split("\t"));
    rows.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === "\n") rows.push([]);
    if (end === "") break;
  }
  return rows;
}

// What a control lets one choose from, by the words people read; null where anything may be typed.
const choicesOf = new WeakMap();

function choices(control) {
  if (control.tagName === "SELECT") {
    const options = [...control.options].map(({ text, value }) => [text.trim().toLowerCase(), value]);
    return new Map(options.some(([, value]) => value === "") ? [["", ""], ...options] : options);
  }
  if (!control.list) return null;
  if (!choicesOf.has(control.list)) {
    const names = [...control.list.options].map(({ value }) => [value.trim().toLowerCase(), value]);
    choicesOf.set(control.list, new Map([["", ""], ...names.reverse()]));
  }
  return choicesOf.get(control.list);
}

// A row has the cells of the type it came with. Another type's cells are made when it is chosen.
function complete(row, kind) {
  const offered = document.querySelector(`template[data-cells="${kind}"]`);
  const place = row.querySelector(".value");
  for (const cell of offered?.content.children ?? []) {
    if (place.querySelector(`:scope > .${cell.className}`)) continue;
    const made = document.importNode(cell, true);
    for (const { attributes } of made.querySelectorAll("[name]")) {
      for (const item of attributes) item.value = item.value.replace("__at__", row.dataset.at).replace("__of__", () => row.dataset.of);
    }
    place.append(made);
  }
}

class Grid {
  constructor(table) {
    this.table = table;
    this.done = [];
    this.undone = [];
    this.before = new WeakMap();
    this.anchor = null;
    this.handle = Object.assign(document.createElement("span"), { className: "fill-handle" });
    table.addEventListener("keydown", (event) => this.press(event));
    table.addEventListener("focusin", ({ target }) => this.enter(target));
    table.addEventListener("focusout", ({ target }) => delete target.dataset.editing);
    // Typing is editing: the arrows then belong to the text.
    table.addEventListener("input", ({ target, isTrusted }) => {
      if (isTrusted && target.tagName !== "SELECT") this.edit(target);
    });
    table.addEventListener("change", (event) => this.remember(event));
    table.addEventListener("input", ({ target }) => {
      if (target.matches(".kind select")) complete(target.closest("tr"), target.value);
    });
    table.addEventListener("pointerdown", (event) => this.point(event));
    for (const move of ["copy", "cut", "paste"]) table.addEventListener(move, (event) => this.clip(event));
    this.handle.addEventListener("pointerdown", (event) => this.pull(event));
  }

  // ---- where one is ----------------------------------------------------------------------------------------------
  controlOf(target) {
    return target.closest(".code") ? null : target.closest(".cell :is(input, select, textarea)");
  }

  enter(target) {
    const control = this.controlOf(target);
    if (!control) return;
    if (!this.before.has(control)) this.before.set(control, control.value);
    if (!this.extending) this.anchor = control;
    this.at = control;
    if (!this.stepping) this.wanted = controlsOf(control.closest("tr")).indexOf(control);
    this.mark();
  }

  edit(control) {
    control.dataset.editing = "yes";
    if (control.dataset.code) control.dispatchEvent(new Event("waybill:edit", { bubbles: true }));
  }

  go(control, extending = false) {
    this.extending = extending;
    control.focus();
    control.select?.();
    this.extending = false;
    delete control.dataset.editing;
  }

  // Rows show more cells or fewer: going up and down, the place from the left is kept where a row does not reach it.
  step(down, right, extending) {
    const rows = rowsOf(this.table);
    const row = this.at.closest("tr");
    const controls = controlsOf(rows[within(rows.indexOf(row) + down, rows.length)]);
    this.wanted = right ? within(this.wanted + right, controls.length) : this.wanted;
    this.stepping = true;
    this.go(controls[within(this.wanted, controls.length)], extending);
    this.stepping = false;
  }

  // The block from where selecting began to where one is: the chosen controls of each row.
  block() {
    if (!this.anchor?.isConnected) this.anchor = this.at;
    const [first, last] = [this.anchor.closest("tr"), this.at.closest("tr")];
    const [left, right] = [controlsOf(first).indexOf(this.anchor), this.wanted];
    if (this.anchor === this.at) return [[this.at]];
    const rows = rowsOf(this.table);
    const [top, bottom] = [rows.indexOf(first), rows.indexOf(last)].sort((one, other) => one - other);
    return rows.slice(top, bottom + 1).map((row) => controlsOf(row).slice(Math.min(left, right), Math.max(left, right) + 1));
  }

  mark() {
    for (const cell of this.table.querySelectorAll(".cell.picked")) cell.classList.remove("picked");
    const block = this.block();
    if (block.length > 1 || block[0].length > 1) {
      for (const control of block.flat()) control.closest(".cell").classList.add("picked");
    }
    if (!this.at.disabled) this.at.closest(".cell").append(this.handle);
  }

  // ---- changes, each of which is one step back -------------------------------------------------------------------
  remember({ target, isTrusted }) {
    const control = this.controlOf(target) ?? target.closest("[data-code]");
    if (!control || !this.before.has(control) || !(isTrusted || control.dataset.code)) return;
    const before = this.before.get(control);
    if (before !== control.value) this.keep([{ control, before, after: control.value }]);
  }

  keep(changes) {
    this.done.push(changes);
    this.undone = [];
    for (const { control } of changes) this.before.set(control, control.value);
  }

  // Give `control` a value, told as people read it. False when it is not one of its choices.
  put(control, text, changes) {
    const before = control.value;
    let after = text;
    if (control.disabled) return false;
    const offered = choices(control);
    if (offered) {
      after = offered.get(text.trim().toLowerCase());
      if (after === undefined) return false;
    }
    control.value = after;
    if (control.matches(".kind select")) complete(control.closest("tr"), after);
    if (control.value !== before) changes.push({ control, before, after: control.value });
    return true;
  }

  finish(changes, words, refused = []) {
    if (changes.length) {
      this.keep(changes);
      this.tellPage(changes);
    }
    const not = refused.length ? ` ${refused.length} did not fit: ${refused.slice(0, 3).join(", ")}${refused.length > 3 ? " …" : ""}.` : "";
    this.say(`${words}.${not}`);
  }

  tellPage(changes) {
    for (const row of new Set(changes.map(({ control }) => control.closest("tr")))) row.dispatchEvent(new Event("waybill:rows", { bubbles: true }));
    changes[0].control.dispatchEvent(new Event("change", { bubbles: true }));
  }

  say(words) {
    const place = this.table.closest("form").querySelector("[data-grid-says]");
    if (place) place.textContent = words;
  }

  back(from, to, side, words) {
    const changes = from.pop();
    if (!changes) return this.say(`Nothing to ${words}`);
    for (const change of side === "before" ? [...changes].reverse() : changes) {
      change.control.value = change[side];
      this.before.set(change.control, change[side]);
    }
    to.push(changes);
    this.tellPage(changes);
    this.say(`${changes.length === 1 ? "1 cell" : `${changes.length} cells`} ${words === "undo" ? "undone" : "done again"}.`);
  }

  clear() {
    const [changes, refused] = [[], []];
    for (const control of this.block().flat()) if (!this.put(control, "", changes)) refused.push(textOf(control));
    this.finish(changes, `${changes.length} cleared`, refused);
  }

  // Rows of texts go into the rows from where one is. One text fills all that is selected.
  paste(rows) {
    const [changes, refused] = [[], []];
    const block = this.block();
    const single = rows.length === 1 && rows[0].length === 1;
    if (single && block.flat().length > 1) {
      for (const control of block.flat()) if (!this.put(control, rows[0][0], changes)) refused.push(rows[0][0]);
      return this.finish(changes, `${changes.length} pasted`, refused);
    }
    const start = block[0][0];
    const [top, left] = [rowsOf(this.table).indexOf(start.closest("tr")), controlsOf(start.closest("tr")).indexOf(start)];
    this.grow(top + rows.length - rowsOf(this.table).length);
    const all = rowsOf(this.table);
    rows.forEach((texts, down) => this.putRow(all[top + down], left, texts, changes, refused));
    this.finish(changes, `${changes.length} pasted`, refused);
  }

  // A list that people add to takes as many rows as are pasted into it, up to the most that it is saved with.
  grow(count) {
    const blank = this.table.querySelector("template[data-row]");
    const total = blank && this.table.closest("form").querySelector("[name$='-TOTAL_FORMS']");
    const most = total && Number(total.form.querySelector("[name$='-MAX_NUM_FORMS']").value);
    for (let left = count; blank && left > 0 && Number(total.value) < most; left--) {
      const row = document.createElement("template");
      row.innerHTML = blank.innerHTML.replaceAll(blank.dataset.row, total.value);
      blank.before(row.content);
      total.value = Number(total.value) + 1;
    }
  }

  // A type decides which cells its row shows, so each is looked for once those before it are set.
  putRow(row, left, texts, changes, refused) {
    texts.forEach((text, right) => {
      const control = row && controlsOf(row)[left + right];
      const isNothing = !control && !text;
      if (!isNothing && !(control && this.put(control, text, changes))) refused.push(text || "nothing");
    });
  }

  // Down from the first row of the block; a single row takes what stands above it.
  fillDown() {
    let block = this.block();
    if (block.length === 1) {
      const rows = rowsOf(this.table);
      const row = block[0][0].closest("tr");
      const above = rows[rows.indexOf(row) - 1];
      if (!above) return this.say("Nothing stands above.");
      const left = controlsOf(row).indexOf(block[0][0]);
      block = [controlsOf(above).slice(left, left + block[0].length), block[0]];
    }
    const left = controlsOf(block[0][0].closest("tr")).indexOf(block[0][0]);
    const texts = block[0].map(textOf);
    const [changes, refused] = [[], []];
    for (const [first] of block.slice(1)) if (first) this.putRow(first.closest("tr"), left, texts, changes, refused);
    this.finish(changes, `${changes.length} filled`, refused);
    this.mark();
  }

  // ---- keys, clipboard, pointer ----------------------------------------------------------------------------------
  press(event) {
    const control = this.controlOf(event.target);
    if (!control || event.isComposing) return;
    const editing = control.dataset.editing === "yes";
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const command = (event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase();
    let handled = true;
    if (event.key === "Enter" && !event.shiftKey && !command) {
      if (editing && control.tagName === "TEXTAREA") return;
      if (editing) this.step(1, 0);
      else this.begin(control);
    } else if (event.key === "F2") {
      this.begin(control);
    } else if (event.key === "Escape") {
      if (editing) control.value = this.before.get(control);
      this.go(control);
      handled = editing;
    } else if (editing) {
      return;
    } else if (steps[event.key] && !event.altKey && !command) {
      this.step(...steps[event.key], event.shiftKey);
    } else if (["Delete", "Backspace"].includes(event.key)) {
      this.clear();
    } else if (command === "d") {
      this.fillDown();
    } else if (command === "z" && !event.shiftKey) {
      this.back(this.done, this.undone, "before", "undo");
    } else if (command === "y" || command === "z") {
      this.back(this.undone, this.done, "after", "do again");
    } else {
      handled = false;
    }
    if (handled) event.preventDefault();
  }

  begin(control) {
    if (control.disabled) return;
    this.edit(control);
    if (control.tagName === "SELECT") control.showPicker?.();
    else control.setSelectionRange?.(control.value.length, control.value.length);
  }

  clip(event) {
    const control = this.controlOf(event.target);
    if (!control || control.dataset.editing === "yes") return;
    event.preventDefault();
    if (event.type === "paste") return this.paste(fromExcel(event.clipboardData.getData("text/plain")));
    const rows = this.block().map((controls) => controls.map((cell) => toExcel(textOf(cell))).join("\t"));
    event.clipboardData.setData("text/plain", rows.join("\n"));
    if (event.type === "cut") this.clear();
    else this.say(`${rows.length === 1 ? "1 row" : `${rows.length} rows`} copied.`);
  }

  point(event) {
    const control = this.controlOf(event.target);
    if (!control) return;
    if (event.shiftKey && this.at && this.at !== control) {
      event.preventDefault();
      this.go(control, true);
    } else if (control.matches("input, textarea")) {
      this.edit(control);
    }
  }

  // The handle is pulled over rows, which then take what it was pulled from.
  pull(event) {
    event.preventDefault();
    this.handle.setPointerCapture(event.pointerId);
    const from = this.at;
    const left = controlsOf(from.closest("tr")).indexOf(from);
    const over = (move) => {
      const row = document.elementsFromPoint(move.clientX, move.clientY).map((item) => item.closest("tr")).find((item) => this.table.contains(item) && item?.querySelector(".cell"));
      const control = row && controlsOf(row)[left];
      if (control) this.at = control;
      for (const cell of this.table.querySelectorAll(".cell.picked")) cell.classList.remove("picked");
      for (const picked of this.block().flat()) picked.closest(".cell").classList.add("picked");
    };
    const drop = () => {
      this.handle.removeEventListener("pointermove", over);
      if (this.at !== from && this.block().length > 1) this.fillDown();
      this.go(from);
    };
    this.anchor = from;
    this.handle.addEventListener("pointermove", over);
    this.handle.addEventListener("pointerup", drop, { once: true });
  }
}

for (const table of document.querySelectorAll("[data-grid]")) new Grid(table);

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
    const names = `${row.dataset.field} ${row.querySelector(".of-column input")?.value ?? ""}`.toLowerCase();
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
