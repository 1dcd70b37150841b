"use strict";
// Sorting, finding and looking closer. Without this script the page is a list with links.
(() => {
  const tools = document.getElementById("tools");
  if (!tools) return;
  let cards = [...document.querySelectorAll(".card")];
  const buttons = [...tools.querySelectorAll("[data-sort]")];
  const byName = (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true });
  let descending = false;

  // A page that finds lesions itself adds and removes cards.
  document.addEventListener("renew", () => {
    cards = [...document.querySelectorAll(".card")];
    if (sliders.length) setThreshold(threshold);
    narrow();
    tools.hidden = !cards.length;
    say();
  }, true);

  function visible() {
    return [...document.querySelectorAll(".card")].filter((card) => !card.hidden);
  }

  function sort(button) {
    const again = button.getAttribute("aria-pressed") === "true";
    const key = button.dataset.sort;
    // The first press shows what one looks for: names from A, the most lesions, the worst grade.
    descending = again ? !descending : key !== "name";
    const value = (card) => Number(card.dataset[key]);
    const order = key === "name" ? byName : (a, b) => value(a) - value(b);
    cards.sort((a, b) => (descending ? -1 : 1) * order(a, b) || byName(a, b));
    for (const card of cards) card.parentElement.append(card);
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    say();
  }

  function say() {
    const pressed = buttons.find((button) => button.getAttribute("aria-pressed") === "true");
    for (const button of buttons) button.textContent = button.textContent.replace(/ [↑↓]$/, "");
    if (pressed) pressed.textContent += descending ? " ↓" : " ↑";
    const shown = visible().length;
    document.getElementById("status").textContent = shown < cards.length ? `${shown} of ${cards.length}` : "";
  }

  for (const button of buttons) button.addEventListener("click", () => sort(button));
  const find = document.getElementById("find");
  function narrow() {
    const wanted = find.value.trim().toLowerCase();
    for (const card of cards) card.hidden = !card.dataset.name.toLowerCase().includes(wanted);
  }
  find.addEventListener("input", () => {
    narrow();
    say();
  });

  // The threshold: which boxes are shown and counted. The page starts with the fitted one.
  const sliders = [...document.querySelectorAll(".threshold")];
  const fitted = sliders.length ? Number(sliders[0].dataset.fitted) : 0;
  const known = sliders.length ? JSON.parse(sliders[0].dataset.known) : null;
  let threshold = fitted;

  function share(score) {
    const { scores, shares } = known;
    const next = scores.findIndex((other) => other >= score);
    if (next < 0) return shares[shares.length - 1];
    if (next === 0) return shares[0];
    const part = (score - scores[next - 1]) / (scores[next] - scores[next - 1]);
    return shares[next - 1] + part * (shares[next] - shares[next - 1]);
  }

  function filter(boxes) {
    for (const box of boxes) box.toggleAttribute("hidden", Number(box.dataset.score) < threshold);
  }

  function setThreshold(value) {
    threshold = value;
    const moved = value !== fitted;
    document.body.classList.toggle("off", moved);
    for (const button of buttons) if (button.dataset.sort === "grade") button.hidden = moved; // grades are of the fitted one
    let total = 0;
    for (const card of cards) {
      const number = card.querySelector(".counted");
      if (!number) continue;
      const boxes = [...card.querySelectorAll("[data-score]")];
      filter(boxes);
      const count = boxes.filter((box) => !box.hasAttribute("hidden")).length;
      total += count;
      card.dataset.count = count;
      number.textContent = count;
      const noun = card.querySelector(".noun");
      noun.textContent = count === 1 ? "lesion" : "lesions";
      const image = card.querySelector("img");
      image.dataset.alt ??= image.alt; // with the grade, which is of the fitted one
      image.alt = moved ? `${card.dataset.name}: ${count} ${noun.textContent}` : image.dataset.alt;
    }
    document.getElementById("total").textContent = total.toLocaleString("en");
    for (const slider of sliders) {
      slider.querySelector("input").value = value;
      const right = known ? `, right in ${Math.round(100 * share(value))} %` : "";
      slider.querySelector("output").textContent = `${Number(value.toFixed(3))}${right}`;
      slider.querySelector("button").hidden = !moved;
    }
    if (current) filter(sheet.querySelectorAll("[data-score]"));
    if (current) caption();
  }

  // Once a frame, since a slider tells more than a page of thousands of photos can show.
  let wanted = null;
  function soon(value) {
    if (wanted === null) {
      requestAnimationFrame(() => {
        setThreshold(wanted);
        wanted = null;
      });
    }
    wanted = value;
  }

  const viewer = document.getElementById("viewer");
  const stage = document.getElementById("stage");
  const sheet = document.getElementById("sheet");
  const picture = document.getElementById("shown");
  const attention = document.getElementById("attention");
  const LARGEST = 40;
  let current = null;
  let view = { x: 0, y: 0, scale: 1 };

  // The sheet grows instead of being transformed, so that lines and labels keep their width.
  function place() {
    const { width, height } = stage.getBoundingClientRect();
    view.scale = Math.min(LARGEST, Math.max(1, view.scale));
    view.x = Math.min(0, Math.max(width * (1 - view.scale), view.x));
    view.y = Math.min(0, Math.max(height * (1 - view.scale), view.y));
    sheet.style.width = `${100 * view.scale}%`;
    sheet.style.height = `${100 * view.scale}%`;
    sheet.style.left = `${view.x}px`;
    sheet.style.top = `${view.y}px`;
    const boxes = sheet.querySelector("svg");
    if (!boxes) return;
    const { width: w, height: h } = boxes.viewBox.baseVal;
    boxes.style.fontSize = `${13 / (view.scale * Math.min(width / w, height / h))}px`;
  }

  function zoom(factor, x, y) {
    const box = stage.getBoundingClientRect();
    const [px, py] = x === undefined ? [box.width / 2, box.height / 2] : [x - box.left, y - box.top];
    const scale = Math.min(LARGEST, Math.max(1, view.scale * factor));
    view.x = px - ((px - view.x) * scale) / view.scale;
    view.y = py - ((py - view.y) * scale) / view.scale;
    view.scale = scale;
    place();
  }

  function whole() {
    view = { x: 0, y: 0, scale: 1 };
    place();
  }

  const fingers = new Map();
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event);
  });
  stage.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    fingers.set(event.pointerId, event);
    const others = [...fingers.values()].filter((finger) => finger.pointerId !== event.pointerId);
    if (others.length) {
      const far = (one) => Math.hypot(one.clientX - others[0].clientX, one.clientY - others[0].clientY);
      zoom(far(event) / Math.max(1, far(before)), (event.clientX + others[0].clientX) / 2, (event.clientY + others[0].clientY) / 2);
    } else {
      view.x += event.clientX - before.clientX;
      view.y += event.clientY - before.clientY;
      place();
    }
  });
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, (event) => fingers.delete(event.pointerId));
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), event.clientX, event.clientY);
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => zoom(3, event.clientX, event.clientY));
  window.addEventListener("resize", place);

  function caption() {
    const number = current.querySelector(".counted");
    const words = number ? `${number.textContent} ${current.querySelector(".noun").textContent}` : current.querySelector(".note").textContent;
    document.getElementById("caption").textContent = `${current.dataset.name}: ${words}`;
  }

  function show(card) {
    const other = card !== current;
    current = card;
    const link = card.querySelector(".frame");
    const saliency = link.dataset.attention;
    const wanted = saliency && attention.getAttribute("aria-pressed") === "true";
    picture.src = wanted ? saliency : link.getAttribute("href");
    picture.alt = link.querySelector("img").alt;
    attention.hidden = !saliency;
    document.getElementById("legend").hidden = !wanted;
    caption();
    for (const old of sheet.querySelectorAll("svg")) old.remove();
    const boxes = link.querySelector("svg");
    if (boxes) {
      const copy = sheet.appendChild(boxes.cloneNode(true));
      for (const box of copy.querySelectorAll("[data-score]")) {
        const text = document.createElementNS(copy.namespaceURI, "text");
        text.textContent = box.dataset.text;
        text.dataset.score = box.dataset.score;
        text.setAttribute("x", box.getAttribute("x"));
        text.setAttribute("y", box.getAttribute("y"));
        text.setAttribute("dy", "-.35em");
        text.toggleAttribute("hidden", box.hasAttribute("hidden"));
        copy.append(text);
      }
    }
    if (other) whole();
    else place();
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

  document.addEventListener("click", (event) => {
    const link = event.target.closest(".frame");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    viewer.showModal();
    document.getElementById("next").focus(); // not the slider, which arrow keys would move
    show(link.closest(".card"));
  });
  document.getElementById("previous").addEventListener("click", () => step(-1));
  document.getElementById("next").addEventListener("click", () => step(1));
  document.getElementById("close").addEventListener("click", () => viewer.close());
  attention.addEventListener("click", toggle);
  document.getElementById("larger").addEventListener("click", () => zoom(1.5));
  document.getElementById("smaller").addEventListener("click", () => zoom(1 / 1.5));
  document.getElementById("whole").addEventListener("click", whole);
  for (const slider of sliders) {
    slider.addEventListener("input", (event) => soon(Number(event.target.value)));
    slider.querySelector("button").addEventListener("click", () => setThreshold(fitted));
  }
  viewer.addEventListener("keydown", (event) => {
    if (event.target.type === "range") return;
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else if (event.key === "a") toggle();
    else if (event.key === "+") zoom(1.5);
    else if (event.key === "-") zoom(1 / 1.5);
    else if (event.key === "0") whole();
    else return;
    event.preventDefault();
  });
  viewer.addEventListener("close", () => current.querySelector(".frame").focus());

  tools.hidden = !cards.length;
  if (sliders.length) setThreshold(fitted);
  say();
})();
