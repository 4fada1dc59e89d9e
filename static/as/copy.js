// Copies what a button names. Shown only where it works: without a script one selects and copies.
"use strict";
(() => {
  const write = async (text) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const field = Object.assign(document.createElement("textarea"), { value: text });   // over plain http
    field.className = "as-visually-hidden";
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    if (!copied) throw new Error("not copied");
  };
  for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const icon = button.querySelector(".as-icon");
    try {
      await write(button.dataset.copy);
      icon.textContent = "check";
      document.getElementById("as-said").textContent = button.dataset.copied;
    } catch {
      icon.textContent = "error";
    }
    setTimeout(() => { icon.textContent = "content_copy"; }, 2000);
  });
})();
