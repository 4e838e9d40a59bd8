// The code box: scripts are written in a real editor, and names are clicked or dragged into it. Every box stays a text
// area underneath: that is what the form sends, and what there is without scripts.
const own = document.querySelector("script[data-editor]");
const boxes = new WeakMap();
let editor = null;
let lastCode = null;

// The editor is half a megabyte, so a page fetches it when it has something to edit with it.
const load = () => (editor ??= import(own.dataset.editor));

// ---- names to insert ---------------------------------------------------------------------------------------------
const areaOf = (node) => node.closest(".code")?.previousElementSibling ?? node;
// At a stage without a document the page puts the columns out of the way.
const fits = (token) => !token.closest(".of-document") || getComputedStyle(token.closest(".of-document")).display !== "none";

function completions(area) {
  return (context) => {
    const word = context.matchBefore(/\bthis\.[\w.]*/);
    if (!word) return null;
    const tokens = [...area.closest("form").querySelectorAll("[data-names] [data-insert]")].filter(fits);
    const options = tokens.map(({ title, dataset }) => ({ label: dataset.insert, detail: dataset.insert.endsWith(`.${title}`) ? "" : title, type: dataset.kind }));
    return { from: word.from, options, validFor: /^this\.[\w.]*$/ };
  };
}

function insert(area, text) {
  const view = boxes.get(area);
  if (view) {
    view.dispatch(view.state.replaceSelection(text), { scrollIntoView: true, userEvent: "input" });
    view.focus();
    return;
  }
  area.focus();
  area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
  area.dispatchEvent(new Event("input", { bubbles: true }));
  area.dispatchEvent(new Event("change", { bubbles: true }));
}

document.addEventListener("focusin", (event) => {
  const area = areaOf(event.target);
  if (area.matches("textarea") && !area.disabled) lastCode = area;
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-insert]");
  if (!button) return;
  const names = button.closest("[data-names]");
  const near = lastCode?.isConnected && names.closest("form").contains(lastCode);
  const code = near ? lastCode : document.getElementById(names.dataset.names);
  if (code) insert(areaOf(code), button.dataset.insert);
});

// Both the editor and a text area take dropped text by themselves, at the place where it is dropped.
document.addEventListener("dragstart", (event) => {
  const token = event.target.closest?.("[data-token]");
  if (!token) return;
  event.dataTransfer.setData("text/plain", token.dataset.token);
  event.dataTransfer.effectAllowed = "copy";
});

document.addEventListener("input", (event) => {
  if (!event.target.matches("[data-find-name]")) return;
  const wanted = event.target.value.trim().toLowerCase();
  for (const item of event.target.closest("[data-names]").querySelectorAll("[data-token]")) {
    item.hidden = !item.textContent.toLowerCase().includes(wanted);
  }
});

// Enter in Find is not a wish to save.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("[data-find-name]")) event.preventDefault();
});

// ---- what is wrong with a script ---------------------------------------------------------------------------------
// The server says it: what it finds is what it says when the script is saved.
async function ask(area, script) {
  const { form } = area;
  const body = new URLSearchParams({ script, stage: form.elements.stage?.value ?? "" });
  const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
  const answer = await fetch(form.dataset.checkScript, { method: "POST", body, headers });
  if (!answer.ok) throw new Error(`the check of the script was answered with ${answer.status}`);
  return answer.json();
}

const NO_CHECK = { line: 0, sentence: "The server does not answer, so the script is not checked now. It is when it is saved.", severity: "warning" };

function diagnosticsOf(view, complaints) {
  return complaints.map(({ line, sentence, severity }) => {
    const at = view.state.doc.line(line || view.state.doc.lines);
    const from = at.from + (at.text.length - at.text.trimStart().length);
    return { from: Math.min(from, at.to), to: at.to, severity, message: sentence };
  });
}

// The plain script has the same length, so only the characters that differ are replaced and the caret stays.
function makePlain(view, plain) {
  const changes = [];
  [...Array(view.state.doc.length).keys()].forEach((at) => {
    if (view.state.sliceDoc(at, at + 1) !== plain[at]) changes.push({ from: at, to: at + 1, insert: plain[at] });
  });
  view.dispatch({ changes, userEvent: "input" });
  view.focus();
}

function tell(view, list, { complaints, plain }, parts) {
  view.dispatch(parts.setDiagnostics(view.state, diagnosticsOf(view, complaints)));
  const items = complaints.map(({ line, sentence, severity }) => {
    const item = document.createElement("p");
    item.className = severity === "error" ? "bad" : "warn";
    item.textContent = line ? `Line ${line}: ${sentence}` : sentence;
    return item;
  });
  if (plain && !view.state.readOnly) {
    const item = document.createElement("p");
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "btn btn-sm", textContent: "Make quotes and dashes plain" });
    button.addEventListener("click", () => makePlain(view, plain));
    item.append(button);
    items.push(item);
  }
  list.replaceChildren(...items);
}

function checker(area, list, parts) {
  let waiting = 0;
  const check = async (view) => {
    const script = view.state.doc.toString();
    const answer = script.trim() ? await ask(area, script).catch(() => ({ complaints: [NO_CHECK] })) : { complaints: [] };
    // What was typed meanwhile has an answer of its own on the way.
    if (view.dom.isConnected && view.state.doc.toString() === script) tell(view, list, answer, parts);
  };
  return (view, delay) => {
    clearTimeout(waiting);
    waiting = setTimeout(check, delay, view);
  };
}

// ---- the box -----------------------------------------------------------------------------------------------------
function extensions(area, parts, changed) {
  const isCell = area.dataset.code === "cell";
  const frozen = area.disabled;
  const said = { "aria-describedby": area.getAttribute("aria-describedby"), "aria-label": area.getAttribute("aria-label") };
  const labels = [...area.labels];
  labels.forEach((label, at) => (label.id ||= `${area.id}-label-${at}`));
  if (labels.length) said["aria-labelledby"] = labels.map((label) => label.id).join(" ");
  const attributes = Object.fromEntries(Object.entries(said).filter(([, value]) => value));
  if (frozen) Object.assign(attributes, { "aria-readonly": "true" });
  return [
    parts.EditorView.cspNonce.of(own.nonce),
    parts.EditorState.readOnly.of(frozen),
    parts.EditorView.editorAttributes.of({ class: `code code-${area.dataset.code}` }),
    parts.EditorView.contentAttributes.of({ ...attributes, id: area.id }),
    isCell ? [] : [parts.lineNumbers(), parts.lintGutter()],
    parts.EditorView.lineWrapping,
    area.placeholder ? parts.placeholder(area.placeholder) : [],
    parts.history(),
    parts.drawSelection(),
    parts.indentOnInput(),
    parts.indentUnit.of("  "),
    parts.EditorState.tabSize.of(2),
    parts.bracketMatching(),
    parts.closeBrackets(),
    parts.javascript(),
    parts.javascriptLanguage.data.of({ autocomplete: completions(area) }),
    parts.autocompletion({ icons: false }),
    parts.syntaxHighlighting(parts.classHighlighter),
    parts.keymap.of([
      ...parts.closeBracketsKeymap,
      ...parts.completionKeymap,
      ...parts.lintKeymap,
      ...parts.historyKeymap,
      ...(isCell ? [] : [{ key: "Escape", run: letTabLeave }]),
      ...parts.defaultKeymap,
      ...(isCell ? [] : [parts.indentWithTab]),
    ]),
    parts.EditorView.updateListener.of(changed),
  ];
}

// Tab indents; after Escape it leads on, until something is typed or the box is left.
function letTabLeave(view) {
  view.setTabFocusMode(true);
  return true;
}

function open(area, parts) {
  const list = document.createElement("div");
  list.className = "complaints";
  list.setAttribute("role", "status");
  const check = area.form.dataset.checkScript && !area.disabled ? checker(area, list, parts) : () => {};
  const changed = (update) => {
    if (update.docChanged) {
      area.value = update.state.doc.toString();
      area.dispatchEvent(new Event("input", { bubbles: true }));
      check(update.view, 400);
    }
    if (update.docChanged || update.focusChanged) update.view.setTabFocusMode(false);
  };
  const view = new parts.EditorView({ doc: area.value, extensions: extensions(area, parts, changed) });
  const focused = document.activeElement === area;
  area.after(view.dom);
  view.dom.after(list);
  // What names the box leads to the editor now.
  Object.assign(area, { hidden: true, id: "" });
  boxes.set(area, view);
  if (focused) view.focus();
  check(view, 0);
  return { view, check };
}

async function openBox(area) {
  const parts = await load();
  const labels = [...area.labels];
  const { view, check } = open(area, parts);
  for (const label of labels) label.addEventListener("click", () => view.focus());
  area.form.elements.stage?.addEventListener("change", () => check(view, 0));
}

for (const area of document.querySelectorAll("textarea[data-code=box]")) openBox(area);

// In a grid a script is a plain cell until it is edited, and again once that is over.
document.addEventListener("waybill:edit", async ({ target: area }) => {
  const { id } = area;
  const parts = await load();
  if (document.activeElement !== area || boxes.has(area)) return;
  const before = area.value;
  const { view } = open(area, parts);
  const list = view.dom.nextElementSibling;
  view.dispatch({ selection: { anchor: area.selectionStart } });
  view.focus();
  const close = (andStay) => {
    if (!boxes.delete(area)) return;
    const caret = view.state.selection.main.head;
    Object.assign(area, { hidden: false, id });
    delete area.dataset.editing;
    if (andStay) area.focus();
    view.destroy();
    list.remove();
    area.setSelectionRange(caret, caret);
    if (area.value !== before) area.dispatchEvent(new Event("change", { bubbles: true }));
  };
  view.dom.addEventListener("focusout", (event) => {
    if (!event.relatedTarget || !(view.dom.contains(event.relatedTarget) || list.contains(event.relatedTarget))) close(false);
  });
  view.dom.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    event.preventDefault();
    close(true);
  });
});

// A link in the list of errors leads into the editor.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  const code = link && document.getElementById(link.hash.slice(1));
  if (!code?.matches(".cm-content")) return;
  event.preventDefault();
  code.focus();
});
