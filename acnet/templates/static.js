// Photos that are dropped or chosen go to a worker of this page, and no further.
(async () => {
  const element = (id) => document.getElementById(id);
  const [list, choose, progress, problem, forget] = ["cards", "choose", "progress", "problem", "forget"].map(element);
  const blank = element("blank").content.querySelector(".card");
  const least = Number(document.querySelector(".threshold input").min);
  const MOST_BYTES = 64 * 2 ** 20;
  const photos = []; // {name, card, urls, count, and what the worker answered}
  let round = 0; // photos under way are of an earlier one, once all are forgotten
  const waiting = []; // files that were dropped while others are under way
  let busy = false;
  let under = ""; // what is said of the photo under way

  function complain(text) {
    problem.hidden = false;
    problem.textContent += `${text} `;
  }

  // The worker begins as a blob, so that this page's own policy holds in it: no other host.
  function startWorker(script, tell) {
    const source = new Blob([`importScripts(${JSON.stringify(script)});`], { type: "text/javascript" });
    const worker = new Worker(URL.createObjectURL(source));
    const ask = (message) => new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => {
        if (data.error) reject(new Error(data.error));
        else if (!data.tile) resolve(data);
        else tell(data);
      };
      worker.onerror = (event) => reject(new Error(event.message || "this browser cannot start it."));
      worker.postMessage(message);
    });
    return ask;
  }

  function countOf({ rows, mayCount }) {
    if (!mayCount) return { note: settings.unlike };
    const count = rows.filter(({ score }) => score >= settings.threshold).length;
    const model = settings.count_model;
    if (!model) return { count };
    const half = Math.floor(model.quantile * Math.sqrt(count + 1) + 1e-9);
    const grade = settings.graded ? settings.grade_limits.filter((limit) => count > limit).length : undefined;
    return { count, low: Math.max(0, count - half), high: count + half, grade, counted: settings.counted };
  }

  function boxesOf({ rows, width, height }) {
    const space = "http://www.w3.org/2000/svg";
    const boxes = document.createElementNS(space, "svg");
    boxes.setAttribute("class", "boxes");
    boxes.setAttribute("viewBox", `0 0 ${width} ${height}`);
    boxes.setAttribute("aria-hidden", "true");
    for (const { bbox, score, probability } of rows.filter((row) => row.score >= least)) {
      const box = boxes.appendChild(document.createElementNS(space, "rect"));
      for (const [index, name] of ["x", "y", "width", "height"].entries()) box.setAttribute(name, bbox[index].toFixed(1));
      box.dataset.score = score;
      box.dataset.text = probability === undefined ? score.toFixed(2) : `${Math.round(100 * probability)}%`;
    }
    return boxes;
  }

  function seenOtherwise(sizePx) {
    const trainedPx = settings.sizing.size_px;
    const factor = trainedPx ? sizePx / trainedPx : 1;
    const near = factor >= 1 / settings.noted_factor && factor <= settings.noted_factor;
    return near ? "" : ` · seen at ${sizePx} px, trained at ${trainedPx} px`;
  }

  function cardOf({ name, urls, width, height, seconds, sizePx, count, rows, mayCount }) {
    const card = blank.cloneNode(true);
    const part = (selector) => card.querySelector(selector);
    card.dataset.name = name;
    card.dataset.count = count.count ?? -1;
    card.dataset.grade = count.grade ?? -1;
    part(".frame").href = urls.photo;
    part("img").src = urls.thumbnail;
    part("h2").textContent = name;
    part("img").alt = `${name}: ${mayCount ? `${count.count} ${count.count === 1 ? "lesion" : "lesions"}` : count.note}`;
    part("p.small").textContent = `${width} × ${height} px, ${seconds.toFixed(1)} s${seenOtherwise(sizePx)}`;
    if (urls.crops) {
      const link = Object.assign(document.createElement("a"), { href: urls.crops, target: "_blank", textContent: "lesions" });
      part("p.small").append(" · ", link);
    }
    if (mayCount) {
      part(".frame").append(boxesOf({ rows, width, height }));
      part(".counted").textContent = count.count;
      part(".noun").textContent = count.count === 1 ? "lesion" : "lesions";
      if (count.high !== undefined) part(".number .fitted").textContent = `${count.low}–${count.high}`;
      if (count.grade !== undefined) {
        const [dots, words] = [part(".grade .dots"), settings.grade_names[count.grade]];
        dots.querySelectorAll("i").forEach((dot, step) => dot.classList.toggle("on", step <= count.grade));
        dots.nextSibling.textContent = ` ${words} `;
      }
    } else {
      const note = Object.assign(document.createElement("p"), { className: "note" });
      note.textContent = `${count.note[0].toUpperCase()}${count.note.slice(1)}.`;
      part(".number").replaceWith(note);
      part(".grade")?.remove();
    }
    return card;
  }

  function show() {
    element("taken").textContent = photos.length.toLocaleString("en");
    element("total").textContent = photos.reduce((sum, photo) => sum + (photo.count.count ?? 0), 0).toLocaleString("en");
    element("tables").hidden = forget.hidden = !photos.length;
    list.dispatchEvent(new Event("renew"));
  }

  async function take(file, thisRound) {
    if (file.size > MOST_BYTES) throw new Error("a photo's file has at most 64 MB.");
    const answer = await ask({ file });
    if (thisRound !== round) return;
    const urls = { photo: URL.createObjectURL(file), thumbnail: URL.createObjectURL(answer.thumbnail) };
    if (answer.crops) urls.crops = URL.createObjectURL(answer.crops);
    const photo = { ...answer, urls, name: file.name.replace(/\p{C}/gu, " "), count: countOf(answer) };
    photos.push({ ...photo, card: cardOf(photo) });
    list.prepend(photos[photos.length - 1].card);
    show();
  }

  async function send(files) {
    if (choose.disabled && !busy) return; // the engine is not there yet, or cannot be
    waiting.push(...files);
    if (busy || !waiting.length) return;
    busy = choose.disabled = true;
    problem.hidden = true;
    problem.textContent = "";
    const thisRound = round;
    let [taken, seen] = [0, 0];
    while (waiting.length && thisRound === round) {
      const file = waiting.shift();
      seen += 1;
      under = `${seen} of ${seen + waiting.length}: ${file.name}`;
      progress.textContent = under;
      try {
        await take(file, thisRound);
        taken += 1;
      } catch (error) {
        complain(`${file.name}: ${error.message}`);
      }
    }
    busy = choose.disabled = false;
    choose.value = "";
    progress.textContent = thisRound === round ? `${taken} of ${seen} taken. They stay in this browser.` : "All photos are forgotten.";
    if (waiting.length) send([]); // dropped since the others were forgotten
  }

  // The same tables as acnet/photos/results.py writes.
  function csv(lines) {
    const cell = (value) => {
      const text = value === undefined || value === null ? "" : `${value}`;
      const plain = typeof value === "string" && settings.formula_signs.includes(text[0]) ? `'${text}` : text;
      return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
    };
    return lines.map((line) => `${line.map(cell).join(",")}\n`).join("");
  }

  const tables = {
    "counts.csv": () => csv([
      settings.tables["counts.csv"],
      ...photos.map(({ name, count, seconds, sizePx }) => [name, count.count, count.low, count.high, count.grade, count.counted, count.note, Number(seconds.toFixed(2)), sizePx]),
    ]),
    "lesions.csv": () => csv([
      settings.tables["lesions.csv"],
      ...photos.flatMap(({ name, rows, count }) => rows.filter(({ score }) => count.note === undefined && score >= settings.threshold)
        .map(({ bbox, category_id, score, probability }) => [name, ...bbox, settings.class_names[category_id - 1], score, probability])),
    ]),
    "predictions.json": () => JSON.stringify(photos.flatMap(({ rows }, index) => rows.map((row) => ({ image_id: index + 1, ...row })))),
    "images.json": () => JSON.stringify({
      info: settings.info,
      images: photos.map(({ name, width, height, sizePx, count }, index) => ({ id: index + 1, file_name: name, width, height, photo_size_px: sizePx, has_count: count.note === undefined })),
      categories: settings.class_names.map((name, index) => ({ id: index + 1, name })),
    }),
  };

  for (const link of element("tables").querySelectorAll("a")) {
    const name = link.getAttribute("href");
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const url = URL.createObjectURL(new Blob([tables[name]()]));
      Object.assign(document.createElement("a"), { href: url, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    });
  }

  forget.addEventListener("click", () => {
    round += 1;
    waiting.length = 0;
    for (const { card, urls } of photos.splice(0)) {
      card.remove();
      for (const url of Object.values(urls)) URL.revokeObjectURL(url);
    }
    show();
    progress.textContent = "All photos are forgotten.";
  });
  choose.addEventListener("change", () => send([...choose.files]));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      element("drop").classList.toggle("over", kind === "dragover");
      if (kind === "drop") send([...event.dataTransfer.files]);
    });
  }

  let settings = null;
  let ask = null;
  try {
    if (location.protocol === "file:") throw new Error("A browser lets no page from the disk compute. Serve its folder: python -m http.server --bind 127.0.0.1");
    const said = progress.textContent;
    progress.textContent = "The model is loaded …";
    settings = await (await fetch("settings.json", { cache: "no-cache" })).json();
    const script = new URL(`detector.js?${settings.files["detector.js"].slice(0, 12)}`, location.href).href;
    ask = startWorker(script, ({ tile, of }) => {
      if (of > 1) progress.textContent = `${under}, tile ${tile} of ${of}`;
    });
    await ask({ settings, base: new URL(".", location.href).href });
    choose.disabled = false;
    progress.textContent = said;
  } catch (error) {
    progress.textContent = "The page cannot be used.";
    complain(error.message);
  }
})();
