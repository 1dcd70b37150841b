"use strict";
// Boxes are changed over a photo; every change goes to this page's own server, which keeps it.
(() => {
  const element = (id) => document.getElementById(id);
  const svg = element("sheet");
  const layer = element("boxes");
  const picture = element("photo");
  const which = element("which");
  const classes = element("name");
  const HANDLE = matchMedia("(pointer: coarse)").matches ? 20 : 10; // px of the screen
  const LARGEST = 40;
  const histories = new Map(); // by the photo's number: what was before, and what was undone
  let photos = [];
  let number = -1;
  let photo = null;
  let selected = -1;
  let drag = null;
  let view = { x: 0, y: 0, scale: 1 };

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const size = () => ({ width: photo.image_hw[1], height: photo.image_hw[0] });
  const revisions = new Map(); // by the photo's number: which state of it is changed here
  const snapshot = () => structuredClone({ boxes: photo.boxes, accepted: photo.accepted });
  const history = () => histories.get(number) ?? histories.set(number, { done: [], undone: [] }).get(number);

  function complain(text) {
    element("problem").hidden = !text;
    element("problem").textContent = text ?? "";
  }

  async function ask(path, body) {
    const options = body === undefined ? {} : { method: "POST", headers: { "X-ACNet": "1" }, body };
    let answer;
    try {
      answer = await fetch(path, options);
    } catch {
      throw new Error("The program does not answer; is it still running?");
    }
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.error);
    return content;
  }

  // The last state of a photo waits here until the one before it is kept.
  let waiting = null;
  let sending = null;

  async function send() {
    let problem = null;
    while (waiting && !problem) {
      const one = waiting;
      waiting = null;
      try {
        const body = JSON.stringify({ ...one.state, revision: revisions.get(one.index) });
        revisions.set(one.index, (await ask(`boxes/${one.index}`, body)).revision);
      } catch (error) {
        waiting ??= one;
        problem = `Not kept: ${error.message}`;
      }
    }
    sending = null;
    element("stage").setAttribute("aria-busy", "false");
    complain(problem);
    say();
    return !problem;
  }

  function keep() {
    element("stage").setAttribute("aria-busy", "true");
    waiting = { index: number, state: snapshot() };
    Object.assign(photos[number], { accepted: photo.accepted, boxes: photo.boxes.filter((box) => box.taken).length });
    label(number);
    return settle();
  }

  function settle() {
    if (waiting && !sending) sending = send();
    return sending ?? Promise.resolve(true);
  }

  window.addEventListener("beforeunload", (event) => {
    if (waiting || sending) event.preventDefault();
  });

  function label(index) {
    const { name, accepted, boxes } = photos[index];
    which.options[index].textContent = `${accepted ? "✓ " : ""}${name} (${boxes})`;
  }

  function say() {
    if (!photo) return;
    const accepted = photos.filter((one) => one.accepted).length;
    const taken = photo.boxes.filter((box) => box.taken).length;
    const parts = [`photo ${number + 1} of ${photos.length}`, `${accepted} accepted`, taken === 1 ? "1 box" : `${taken} boxes`];
    if (taken < photo.boxes.length) parts.push(`${photo.boxes.length - taken} suggested`);
    if (photo.lost) parts.push(`${photo.lost} of its annotations cannot be used`);
    element("status").textContent = parts.join(", ");
    const box = photo.boxes[selected];
    element("chosen").textContent = box ? [box.taken ? box.name : `${box.name}, suggested`, box.score === null ? [] : `score ${box.score.toFixed(2)}`].flat().join(", ") : "";
    element("accept").textContent = photo.accepted ? "Accepted ✓" : "Accept photo";
    element("accept").title = photo.accepted ? "Take it back" : "";
    element("remove").disabled = !box;
    element("take").disabled = !box || (box.taken && box.score === null);
    element("take").textContent = box?.taken && box.score !== null ? "Only suggest" : "Take box";
    element("undo").disabled = !history().done.length;
    element("redo").disabled = !history().undone.length;
    if (box) classes.value = box.name;
  }

  function shape(attributes) {
    const node = layer.appendChild(document.createElementNS(svg.namespaceURI, "rect"));
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  }

  const scale = () => svg.getScreenCTM()?.a || 1; // px of the screen by px of the photo

  function draw() {
    const { width, height } = size();
    const [w, h] = [width / view.scale, height / view.scale];
    view.x = clamp(view.x, 0, width - w);
    view.y = clamp(view.y, 0, height - h);
    svg.setAttribute("viewBox", `${view.x} ${view.y} ${w} ${h}`);
    layer.replaceChildren();
    const area = ({ xyxy: [x0, y0, x1, y1] }) => (x1 - x0) * (y1 - y0);
    const order = [...photo.boxes.keys()].sort((a, b) => (a === selected) - (b === selected) || area(photo.boxes[b]) - area(photo.boxes[a]));
    for (const index of order) {
      const { xyxy: [x0, y0, x1, y1], taken } = photo.boxes[index];
      const place = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
      shape({ ...place, class: "rim" });
      shape({ ...place, class: `${taken ? "" : "suggested"} ${index === selected ? "selected" : ""}` }).dataset.index = index;
    }
    if (photo.boxes[selected]) handles(photo.boxes[selected].xyxy);
    say();
  }

  // Handles lie outside of the box, so that a small one can still be dragged.
  function handles([x0, y0, x1, y1]) {
    const side = HANDLE / scale();
    const [across, down] = [x1 - x0, y1 - y0].map((length) => length > 3 * side);
    for (const [edge, x, y, shown] of [
      ["nw", x0 - side, y0 - side, true], ["ne", x1, y0 - side, true], ["sw", x0 - side, y1, true], ["se", x1, y1, true],
      ["n", (x0 + x1 - side) / 2, y0 - side, across], ["s", (x0 + x1 - side) / 2, y1, across],
      ["w", x0 - side, (y0 + y1 - side) / 2, down], ["e", x1, (y0 + y1 - side) / 2, down],
    ]) {
      if (shown) shape({ x, y, width: side, height: side, class: `handle ${edge}` }).dataset.edge = edge;
    }
  }

  function select(index) {
    selected = index;
    draw();
  }

  function commit(before) {
    history().done.push(before);
    history().undone = [];
    tell("");
    draw();
    return keep();
  }

  function change(action) {
    const before = snapshot();
    action();
    return commit(before);
  }

  function travel(from, to) {
    const state = history()[from].pop();
    if (!state || drag) return;
    history()[to].push(snapshot());
    Object.assign(photo, state);
    selected = Math.min(selected, photo.boxes.length - 1);
    draw();
    keep();
  }

  let asked = 0;

  async function show(index) {
    const mine = (asked += 1);
    let answer = null;
    try {
      if (index !== number && (await settle())) answer = await ask(`boxes/${index}.json`);
    } catch (error) {
      complain(error.message);
    }
    if (mine !== asked) return; // another photo was asked for meanwhile
    which.value = answer ? index : number;
    if (!answer) return;
    photo = answer;
    revisions.set(index, photo.revision);
    number = index;
    selected = -1;
    drag = null;
    view = { x: 0, y: 0, scale: 1 };
    const { width, height } = size();
    picture.setAttribute("width", width);
    picture.setAttribute("height", height);
    picture.setAttribute("preserveAspectRatio", "none");
    picture.setAttribute("href", `pictures/${index}.jpg`);
    window.history.replaceState(null, "", `#${index + 1}`);
    complain(null);
    draw();
  }

  picture.addEventListener("error", async () => {
    try {
      await ask(picture.getAttribute("href"));
    } catch (error) {
      complain(error.message);
    }
  });

  const step = (by) => show((number + by + photos.length) % photos.length);

  async function accept() {
    if (!photo.accepted && !(await change(() => { photo.accepted = true; }))) return;
    const later = [...photos.keys()].map((index) => (number + 1 + index) % photos.length);
    const next = later.find((index) => !photos[index].accepted);
    if (next !== undefined) await show(next);
    else tell("All photos are accepted: write the data set.");
  }

  // The second click of two would take back what the first accepts.
  function toggleAccepted(event) {
    if (event.detail > 1) return;
    if (photo.accepted) change(() => { photo.accepted = false; });
    else accept();
  }

  function tell(text) {
    element("told").hidden = !text;
    element("told").textContent = text;
  }

  async function write() {
    if (!(await settle())) return;
    element("write").disabled = true;
    tell("The data set is being written ...");
    try {
      tell((await ask("write", "")).told);
    } catch (error) {
      tell("");
      complain(error.message);
    }
    element("write").disabled = false;
  }

  function add() {
    const { width, height } = size();
    const side = Math.max(2, Math.min(width, height) / view.scale / 12);
    const [x, y] = [view.x + width / view.scale / 2, view.y + height / view.scale / 2];
    change(() => {
      photo.boxes.push(fresh([x - side / 2, y - side / 2, x + side / 2, y + side / 2]));
      selected = photo.boxes.length - 1;
    });
  }

  const fresh = (xyxy) => ({ xyxy, name: classes.value, score: null, taken: true });

  function remove() {
    if (photo.boxes[selected]) change(() => photo.boxes.splice(selected, 1) && (selected = -1));
  }

  // A box that somebody drew has no score, and is deleted rather than suggested.
  function take() {
    const box = photo.boxes[selected];
    if (box && !(box.taken && box.score === null)) change(() => { box.taken = !box.taken; });
  }

  function nudge(dx, dy, resizes) {
    const { width, height } = size();
    change(() => {
      const box = photo.boxes[selected];
      const [x0, y0, x1, y1] = box.xyxy;
      if (resizes) box.xyxy = [x0, y0, clamp(x1 + dx, Math.min(x0 + 1, x1), width), clamp(y1 + dy, Math.min(y0 + 1, y1), height)];
      else {
        const [x, y] = [clamp(dx, -x0, width - x1), clamp(dy, -y0, height - y1)];
        box.xyxy = inside([x0 + x, y0 + y, x1 + x, y1 + y]);
      }
    });
  }

  // Sums may miss an edge by a last bit.
  function inside([x0, y0, x1, y1]) {
    const { width, height } = size();
    return [clamp(x0, 0, width), clamp(y0, 0, height), clamp(x1, 0, width), clamp(y1, 0, height)];
  }

  function zoom(factor, x, y) {
    const { width, height } = size();
    const at = x === undefined ? { x: view.x + width / view.scale / 2, y: view.y + height / view.scale / 2 } : point({ clientX: x, clientY: y });
    const before = view.scale;
    view.scale = clamp(before * factor, 1, LARGEST);
    view.x = at.x - ((at.x - view.x) * before) / view.scale;
    view.y = at.y - ((at.y - view.y) * before) / view.scale;
    draw();
  }

  function point(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return { x: at.x, y: at.y };
  }

  const fingers = new Map();
  svg.addEventListener("pointerdown", (event) => {
    if (!photo || event.button === 2) return;
    event.preventDefault();
    element("stage").focus({ preventScroll: true });
    svg.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event);
    if (fingers.size > 1 || event.button === 1) {
      if (drag?.before) Object.assign(photo, drag.before);
      drag = { kind: "view" };
      select(-1);
      return;
    }
    const { edge, index } = event.target.dataset;
    const { width, height } = size();
    const at = point(event);
    if (index !== undefined) select(Number(index));
    const anchor = [clamp(at.x, 0, width), clamp(at.y, 0, height)];
    drag = { kind: edge ? "resize" : index === undefined ? "new" : "move", edge: edge ?? "se", at, event, before: snapshot() };
    if (drag.kind === "new") drag.at = { x: anchor[0], y: anchor[1] };
    drag.from = drag.kind === "new" ? [...anchor, ...anchor] : [...photo.boxes[selected].xyxy];
  });

  svg.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before || !drag) return;
    fingers.set(event.pointerId, event);
    const other = [...fingers.values()].find((finger) => finger.pointerId !== event.pointerId);
    if (drag.kind === "view") {
      const share = other ? 0.5 : 1;
      view.x -= (share * (event.clientX - before.clientX)) / scale();
      view.y -= (share * (event.clientY - before.clientY)) / scale();
      const far = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      if (other) zoom(far(event) / Math.max(1, far(before)), (event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2);
      else draw();
      return;
    }
    const moved = Math.hypot(event.clientX - drag.event.clientX, event.clientY - drag.event.clientY);
    if (!drag.moves && moved < 4) return;
    if (!drag.moves && drag.kind === "new") selected = photo.boxes.push(fresh(drag.from)) - 1;
    drag.moves = true;
    const { width, height } = size();
    const at = point(event);
    const [x0, y0, x1, y1] = drag.from;
    const [dx, dy] = [at.x - drag.at.x, at.y - drag.at.y];
    if (drag.kind === "move") {
      const [x, y] = [clamp(dx, -x0, width - x1), clamp(dy, -y0, height - y1)];
      photo.boxes[selected].xyxy = inside([x0 + x, y0 + y, x1 + x, y1 + y]);
    } else {
      const xs = [drag.edge.includes("w") ? x0 + dx : x0, drag.edge.includes("e") ? x1 + dx : x1].sort((a, b) => a - b);
      const ys = [drag.edge.includes("n") ? y0 + dy : y0, drag.edge.includes("s") ? y1 + dy : y1].sort((a, b) => a - b);
      photo.boxes[selected].xyxy = inside([xs[0], ys[0], xs[1], ys[1]]);
    }
    draw();
  });

  function release(event) {
    fingers.delete(event.pointerId);
    if (!drag || fingers.size) return;
    const { kind, moves, before } = drag;
    drag = null;
    if (kind === "view") return;
    if (!moves) {
      if (kind === "new") select(-1);
      return;
    }
    const [x0, y0, x1, y1] = photo.boxes[selected].xyxy;
    if (event.type === "pointerup" && x1 - x0 >= 1 && y1 - y0 >= 1) commit(before);
    else {
      Object.assign(photo, before);
      select(kind === "new" ? -1 : selected);
    }
  }

  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, release);
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (photo) zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), event.clientX, event.clientY);
  }, { passive: false });
  window.addEventListener("resize", () => photo && draw());

  const whole = () => {
    view.scale = 1;
    draw();
  };
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const circle = (by) => photo.boxes.length && select((Math.max(selected, by < 0 ? 0 : -1) + by + photo.boxes.length) % photo.boxes.length);
  const KEYS = {
    n: add, a: take, u: () => travel("done", "undone"), r: () => travel("undone", "done"), j: () => circle(1), k: () => circle(-1),
    Delete: remove, Backspace: remove, Enter: accept, Escape: () => select(-1), PageUp: () => step(-1), PageDown: () => step(1),
    "+": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: whole,
  };
  document.addEventListener("keydown", (event) => {
    if (event.repeat && event.key === "Enter") event.preventDefault(); // a held key accepts one photo
    const control = event.ctrlKey || event.metaKey;
    const on = event.target.closest("button, select, summary, a");
    if (!photo || drag || event.altKey || on?.matches("select") || (on && event.key === "Enter")) return;
    let action = control ? null : KEYS[event.key];
    if (control && event.key.toLowerCase() === "z") action = event.shiftKey ? KEYS.r : KEYS.u;
    if (control && event.key.toLowerCase() === "y") action = KEYS.r;
    const arrow = ARROWS[event.key];
    if (!control && arrow && photo.boxes[selected]) {
      const px = Math.max(1, 1 / scale()); // of the photo, to be seen on the screen
      action = () => nudge(arrow[0] * px, arrow[1] * px, event.shiftKey);
    }
    if (!action) return;
    event.preventDefault();
    if (!event.repeat || arrow || "+-".includes(event.key)) action();
  });

  const BUTTONS = {
    previous: () => step(-1), next: () => step(1), accept: toggleAccepted, write, add, take, remove, undo: KEYS.u, redo: KEYS.r,
    smaller: KEYS["-"], larger: KEYS["+"], whole,
  };
  for (const [id, action] of Object.entries(BUTTONS)) element(id).addEventListener("click", (event) => photo && action(event));
  which.addEventListener("change", () => show(Number(which.value)));
  classes.addEventListener("change", () => {
    const box = photo?.boxes[selected];
    if (box) change(() => { box.name = classes.value; });
  });

  async function begin() {
    let set;
    try {
      set = await ask("photos.json");
    } catch (error) {
      complain(error.message);
      return;
    }
    photos = set.photos;
    for (const [index, one] of photos.entries()) {
      which.append(new Option(one.name, index));
      label(index);
    }
    classes.append(...set.classes.map((name) => new Option(name)));
    classes.hidden = set.classes.length < 2;
    const asked = Number(location.hash.slice(1)) - 1;
    const open = photos.findIndex((one) => !one.accepted);
    await show(photos[asked] ? asked : Math.max(0, open));
  }

  begin();
})();
