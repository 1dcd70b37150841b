// Photos that are dropped or chosen go to this page's own server, one after the other.
(() => {
  const drop = document.getElementById("drop");
  const choose = document.getElementById("choose");
  const progress = document.getElementById("progress");
  const problem = document.getElementById("problem");
  const MOST_BYTES = 64 * 2 ** 20;
  const waiting = []; // files that were dropped while others are under way
  let busy = false;

  function complain(text) {
    problem.hidden = false;
    problem.textContent += `${text} `;
  }

  async function post(path, name, body) {
    const headers = { "X-ACNet": "1", "X-Name": encodeURIComponent(name) };
    const answer = await fetch(path, { method: "POST", headers, body });
    return answer.ok ? null : (await answer.json()).error;
  }

  async function send(files) {
    waiting.push(...files);
    if (busy || !files.length) return;
    busy = true;
    choose.disabled = true;
    problem.hidden = true;
    problem.textContent = "";
    let [taken, seen] = [0, 0];
    while (waiting.length) {
      const file = waiting.shift();
      seen += 1;
      progress.textContent = `${seen} of ${seen + waiting.length}: ${file.name}`;
      try {
        const error = file.size > MOST_BYTES ? "A photo's file has at most 64 MB." : await post("photos", file.name, file);
        if (error) complain(`${file.name}: ${error}`);
        else taken += 1;
      } catch {
        complain(`${file.name}: the program does not answer; is it still running?`);
      }
    }
    busy = false;
    choose.disabled = false;
    choose.value = "";
    progress.textContent = `${taken} of ${seen} taken.`;
    if (!problem.textContent) location.reload();
    else if (taken) progress.textContent += " Reload the page to see them.";
  }

  choose.addEventListener("change", () => send([...choose.files]));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop") send([...event.dataTransfer.files]);
    });
  }
  document.getElementById("forget")?.addEventListener("click", async () => {
    try {
      await post("forget", "", null);
      location.reload();
    } catch {
      complain("The program does not answer; is it still running?");
    }
  });
})();
