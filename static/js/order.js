// Tasks and lines in their order: a handle to drag them by, Alt and the arrows, and a word on where one stands then. All of
// it posts what the Move buttons post.
const itemOf = (node) => node.closest?.("[data-order] [data-place]");
const itemsOf = (item) => [...item.closest("[data-order]").querySelectorAll("[data-place]")];

document.addEventListener("keydown", (event) => {
  const item = itemOf(event.target);
  // There, the keys open the choices.
  if (!item || !event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key) || event.target.matches("select")) return;
  event.preventDefault();
  const button = item.querySelector(`button[value^="${event.key === "ArrowUp" ? "up" : "down"}-"]`);
  if (button && !button.disabled) button.click();
  else say(item);
});

function move(item, to) {
  const form = item.closest("form");
  const button = Object.assign(document.createElement("button"), { hidden: true, name: "do", value: `move-${item.dataset.place}-${to.dataset.place}` });
  form.append(button);
  form.requestSubmit(button);
}

function drag(event) {
  const handle = event.target.closest?.("[data-handle]");
  if (!handle || event.button !== 0) return;
  event.preventDefault();
  handle.setPointerCapture(event.pointerId);
  const item = itemOf(handle);
  const items = itemsOf(item);
  const others = items.filter((other) => other !== item);
  let to = item;
  const unmark = () => others.forEach((other) => other.classList.remove("drop-before", "drop-behind"));
  const over = ({ clientY }) => {
    const edge = 60;
    if (clientY < edge) scrollBy(0, -edge);
    else if (clientY > innerHeight - edge) scrollBy(0, edge);
    const middle = (other) => (other.getBoundingClientRect().top + other.getBoundingClientRect().bottom) / 2;
    const before = others.filter((other) => middle(other) < clientY).length;
    to = items[before];
    unmark();
    if (to !== item) (others[before] ?? others.at(-1)).classList.add(before < others.length ? "drop-before" : "drop-behind");
  };
  const leave = () => {
    unmark();
    item.classList.remove("dragged");
    handle.removeEventListener("pointermove", over);
    handle.removeEventListener("pointerup", drop);
    handle.removeEventListener("pointercancel", leave);
    document.removeEventListener("keydown", cancel);
  };
  const drop = () => {
    leave();
    if (to !== item) move(item, to);
  };
  const cancel = ({ key }) => key === "Escape" && leave();
  item.classList.add("dragged");
  handle.addEventListener("pointermove", over);
  handle.addEventListener("pointerup", drop);
  handle.addEventListener("pointercancel", leave);
  document.addEventListener("keydown", cancel);
}
document.addEventListener("pointerdown", drag);

function say(item) {
  const items = itemsOf(item);
  document.querySelector("[data-order-says]").textContent = `${item.dataset.name} is ${items.indexOf(item) + 1} of ${items.length}.`;
}

// What was moved keeps the focus, and is told where it stands. The browser goes to the address's anchor first, and lets go
// of any other.
const moved = document.querySelector("[data-order-says]") && itemOf(document.getElementById(location.hash.slice(1)) ?? document.body);
if (moved) {
  window.addEventListener("load", () => requestAnimationFrame(() => {
    (moved.querySelector("a.name") ?? moved).focus();
    say(moved);
  }));
}
