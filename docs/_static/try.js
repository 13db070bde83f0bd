/* The "try it" button of a lesson: its code becomes editable and runs on this page, in worker.js. */
"use strict";
(() => {
  const bar = document.querySelector(".try-it");
  if (!bar) return;
  const here = document.currentScript.src;
  const status = bar.querySelector(".try-status");
  const [begin, all, stop] = ["begin", "all", "stop"].map((name) => bar.querySelector(`.try-${name}`));
  const cells = [];
  let worker = null;
  let running = null; // the cells that wait for Python, the first of which it works on

  const say = (text) => { status.textContent = text; };

  const wake = () => {
    worker = new Worker(new URL("worker.js", here));
    worker.onmessage = ({ data }) => receive(data);
    worker.onerror = (event) => say(`Python cannot start here: ${event.message}`);
    worker.postMessage({ base: new URL("../browser/", here).href });
  };

  const receive = ({ id, state, why, text, picture, done, failed }) => {
    if (state === "failed") say(`Python cannot start here: ${why}`);
    else if (state && !(state === "ready" && running)) say(state === "ready" ? "Ready." : `${state} …`);
    if (id === undefined) return;
    const { output } = cells[id];
    if (text) output.querySelector("pre").append(text);
    if (picture) {
      const image = new Image();
      image.src = `data:image/png;base64,${picture}`;
      image.alt = "picture drawn by this cell";
      output.append(image);
    }
    if (done) finish(id, failed);
  };

  const finish = (id, failed) => {
    cells[id].box.dataset.state = failed ? "failed" : "done";
    running.shift();
    if (failed) running = [];
    if (running.length) return next();
    running = null;
    all.disabled = false;
    stop.hidden = true;
    say(failed ? "A cell failed: its message is below it." : "Ready.");
  };

  const next = () => {
    const { area, output, old, box } = cells[running[0]];
    old.forEach((element) => { element.hidden = true; });
    output.replaceChildren(document.createElement("pre"));
    output.hidden = false;
    box.dataset.state = "running";
    say(`Cell ${running[0] + 1} of ${cells.length} runs …`);
    worker.postMessage({ run: running[0], code: area.value });
  };

  const run = (ids) => {
    if (running) { running.push(...ids); return; }
    if (!worker) wake();
    running = ids;
    all.disabled = true;
    stop.hidden = false;
    next();
  };

  const results = (block) => { // what the built page shows below a block of code
    const found = [];
    let element = block.nextElementSibling;
    while (element && element.matches("[class*='sphx-glr-script-out'], img, ul.sphx-glr-horizontal, .output_subarea")) {
      found.push(element);
      element = element.nextElementSibling;
    }
    return found;
  };

  const open = (block, id) => {
    const area = document.createElement("textarea");
    area.value = block.textContent.trimEnd();
    area.rows = area.value.split("\n").length;
    area.spellcheck = false;
    area.setAttribute("aria-label", `code of cell ${id + 1}`);
    area.addEventListener("input", () => { area.rows = area.value.split("\n").length; });
    area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.shiftKey) { event.preventDefault(); run([id]); }
    });
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Run";
    button.className = "btn btn-sm btn-outline-primary";
    button.addEventListener("click", () => run([id]));
    const output = document.createElement("div");
    output.className = "try-output";
    output.hidden = true;
    const box = document.createElement("div");
    box.className = "try-cell";
    const old = results(block);
    box.append(area, button, output);
    block.replaceWith(box);
    cells.push({ area, output, old, box });
  };

  begin.addEventListener("click", () => {
    if (location.protocol === "file:") { // where browsers start no worker
      say("Python does not start in a page that is opened from the disk. In the site's folder run "
        + "python -m http.server, and open http://localhost:8000.");
      return;
    }
    begin.hidden = true;
    all.hidden = false;
    document.querySelectorAll("article .highlight-Python").forEach(open);
    wake();
    bar.classList.add("open");
  });
  all.addEventListener("click", () => run(cells.map((_, id) => id)));
  stop.addEventListener("click", () => {
    worker.terminate();
    cells[running[0]].box.dataset.state = "failed";
    worker = running = null;
    all.disabled = false;
    stop.hidden = true;
    say("Stopped. What was computed is gone: run the lesson from its top.");
  });
})();
