// The import's pages: a chosen or dropped file uploads itself, other letters read it again, progress is asked each second.
"use strict";

const drop = document.querySelector("[data-drop]");
if (drop) {
  const input = drop.querySelector("input[type=file]");
  const send = () => { if (input.files.length) { drop.setAttribute("aria-busy", "true"); drop.submit(); } };
  // Unfold hangs its own handler on every file field and expects its widget around it: it must not hear of this one.
  drop.addEventListener("change", (event) => { event.stopPropagation(); send(); }, true);
  for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("as-drop--over"); });
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("as-drop--over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); input.files = event.dataTransfer.files; send(); });
}

for (const form of document.querySelectorAll("[data-reread]")) form.addEventListener("change", () => form.submit());

const running = document.querySelector("[data-import]");
if (running) {
  const bar = running.querySelector("[role=progressbar]");
  let spoken = 0;
  const show = (state) => {
    if (state.is_over) return location.reload();
    for (const element of running.querySelectorAll("[data-live]")) element.textContent = state[element.dataset.live];
    bar.setAttribute("aria-valuenow", state.percent);
    bar.firstElementChild.style.setProperty("--share", state.percent);
    const tenth = Math.floor(state.percent / 10);
    if (tenth > spoken) { spoken = tenth; document.getElementById("as-said").textContent = state.headline; }
  };
  const ask = () => {
    if (document.hidden) return setTimeout(ask, 1000);
    fetch(running.dataset.import, { headers: { Accept: "application/json" } })
      .then((response) => (response.ok ? response.json() : Promise.reject(response.status)))
      .then(show, () => {})
      .finally(() => setTimeout(ask, 1000));
  };
  setTimeout(ask, 500);
}
