"use strict";
// Sorting, finding and looking closer. Without this script the page is a list with links.
(() => {
  const list = document.getElementById("cards");
  if (!list) return;
  const tools = document.getElementById("tools");
  const cards = [...list.children];
  const buttons = [...tools.querySelectorAll("[data-sort]")];
  const byName = (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true });
  let descending = false;

  function visible() {
    return [...list.children].filter((card) => !card.hidden);
  }

  function sort(button) {
    const again = button.getAttribute("aria-pressed") === "true";
    const key = button.dataset.sort;
    // The first press shows what one looks for: names from A, the most lesions, the worst grade.
    descending = again ? !descending : key !== "name";
    const value = (card) => Number(card.dataset[key]);
    const order = key === "name" ? byName : (a, b) => value(a) - value(b);
    cards.sort((a, b) => (descending ? -1 : 1) * order(a, b) || byName(a, b));
    list.append(...cards);
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    say();
  }

  function say() {
    const pressed = buttons.find((button) => button.getAttribute("aria-pressed") === "true");
    for (const button of buttons) button.textContent = button.textContent.replace(/ [↑↓]$/, "");
    pressed.textContent += descending ? " ↓" : " ↑";
    const shown = visible().length;
    document.getElementById("status").textContent = shown < cards.length ? `${shown} of ${cards.length}` : "";
  }

  for (const button of buttons) button.addEventListener("click", () => sort(button));
  const find = document.getElementById("find");
  find.addEventListener("input", () => {
    const wanted = find.value.trim().toLowerCase();
    for (const card of cards) card.hidden = !card.dataset.name.toLowerCase().includes(wanted);
    say();
  });

  const viewer = document.getElementById("viewer");
  const picture = document.getElementById("shown");
  const attention = document.getElementById("attention");
  let current = null;

  function show(card) {
    current = card;
    const link = card.querySelector(".frame");
    const other = link.dataset.attention;
    const wanted = other && attention.getAttribute("aria-pressed") === "true";
    picture.src = wanted ? other : link.getAttribute("href");
    picture.alt = link.querySelector("img").alt;
    document.getElementById("caption").textContent = picture.alt;
    attention.hidden = !other;
  }

  function step(by) {
    const among = visible();
    show(among[(among.indexOf(current) + by + among.length) % among.length]);
  }

  function toggle() {
    if (attention.hidden) return;
    attention.setAttribute("aria-pressed", String(attention.getAttribute("aria-pressed") !== "true"));
    show(current);
  }

  list.addEventListener("click", (event) => {
    const link = event.target.closest(".frame");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    show(link.closest(".card"));
    viewer.showModal();
  });
  document.getElementById("previous").addEventListener("click", () => step(-1));
  document.getElementById("next").addEventListener("click", () => step(1));
  document.getElementById("close").addEventListener("click", () => viewer.close());
  attention.addEventListener("click", toggle);
  viewer.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else if (event.key === "a") toggle();
    else return;
    event.preventDefault();
  });
  viewer.addEventListener("close", () => current.querySelector(".frame").focus());

  tools.hidden = false;
  say();
})();
