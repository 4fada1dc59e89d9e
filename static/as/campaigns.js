// Campaigns: saving by itself, code and preview, live numbers. No inline handlers, no eval.
"use strict";
(() => {
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const say = (text) => { const said = one("#as-said"); if (said) said.textContent = text; };

  // ---- dialogs, buttons that may be pressed once ---------------------------------------------------------
  document.addEventListener("click", (event) => {
    const closer = event.target.closest("[data-close], dialog [type=submit][form]");
    closer?.closest("dialog")?.close();
    const opener = event.target.closest("dialog [data-open]");
    if (opener) opener.closest("dialog").close();
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) { event.preventDefault(); return; }
    const buttons = [...all("[data-once]", form), ...(form.id ? all(`[data-once][form="${form.id}"]`) : [])];
    if (!buttons.length) return;
    form.dataset.sent = "1";
    for (const button of buttons) button.setAttribute("aria-disabled", "true");
    window.addEventListener("pageshow", () => { delete form.dataset.sent; for (const b of buttons) b.removeAttribute("aria-disabled"); }, { once: true });
  });

  // ---- keyboard: C for a new campaign, Alt 1 to 6 for the steps ------------------------------------------
  document.addEventListener("keydown", (event) => {
    const step = event.altKey && !event.ctrlKey && /^Digit([1-6])$/.exec(event.code);
    const target = step ? all(".as-steps a")[Number(step[1]) - 1] : null;
    const typing = event.target.closest("input, textarea, select, [contenteditable], dialog");
    const starter = event.key === "c" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey ? one("a[data-key-c]") : null;
    if (target || starter) { event.preventDefault(); (target || starter).click(); }
  });

  // ---- saving by itself ----------------------------------------------------------------------------------
  const form = one("form[data-autosave]");
  if (form) startSaving(form);

  function startSaving(form) {
    const dirty = new Set();
    let timer = 0, running = false, revision = form.elements.revision;
    const saved = () => one("#as-saved");
    const mark = (state, text) => { const p = saved(); if (!p) return; p.dataset.saveState = state; if (text) one("[data-saved]", p).textContent = text; };
    const note = (text) => { const p = one("[data-note]"); if (!p) return; p.hidden = !text; p.lastElementChild.textContent = text || ""; };

    const touch = (event) => {
      const name = event.target.name;
      if (!name || name === "revision" || name === "csrfmiddlewaretoken") return;
      dirty.add(name);
      mark("dirty");
      clearTimeout(timer);
      timer = setTimeout(save, event.type === "change" ? 150 : 800);
    };
    form.addEventListener("input", touch);
    form.addEventListener("change", touch);
    window.addEventListener("beforeunload", (event) => { if (dirty.size || running) event.preventDefault(); });
    form.addEventListener("submit", () => { dirty.clear(); running = false; });
    document.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key === "s") { event.preventDefault(); save(); }
    });

    async function save() {
      clearTimeout(timer);
      if (running) { timer = setTimeout(save, 300); return; }
      if (!dirty.size) return;
      const sent = [...dirty], body = new FormData(form);
      for (const name of sent) body.append("changed", name);
      dirty.clear();
      running = true;
      try {
        const response = await fetch(location.pathname, { method: "POST", body, headers: { "X-Requested-With": "fetch" }, credentials: "same-origin" });
        const answer = await response.json();
        if (response.ok) {
          revision.value = answer.revision;
          mark("saved", answer.saved);
          note((answer.notes || []).join(" "));
          one("#as-conflict").hidden = true;
          await refresh();
        } else {
          for (const name of sent) dirty.add(name);
          mark("failed", answer.message);
          if (response.status === 409) conflict(answer);
        }
      } catch {
        for (const name of sent) dirty.add(name);
        mark("failed");
        timer = setTimeout(save, 5000);
      } finally {
        running = false;
      }
    }

    function conflict(answer) {
      const alert = one("#as-conflict");
      one("[data-said]", alert).textContent = answer.message;
      alert.hidden = false;
      one("[data-keep]", alert).onclick = () => { revision.value = answer.revision; alert.hidden = true; save(); };
      one("a", alert).onclick = () => dirty.clear();
      say(answer.message);
    }

    async function refresh() {
      await refreshParts();
      numberLines();
      reloadPreview();
    }
  }

  // The page is rendered again by the server; only the parts that say something are taken from it.
  async function refreshParts() {
    const page = new DOMParser().parseFromString(await (await fetch(location.href, { credentials: "same-origin" })).text(), "text/html");
    for (const old of all("[data-refresh][id]")) {
      const fresh = page.getElementById(old.id);
      if (fresh && !old.contains(document.activeElement)) old.replaceWith(document.importNode(fresh, true));
    }
  }

  // ---- code: line numbers, jumping to a problem, inserting a variable -------------------------------------
  const code = one("[data-code]"), lines = one("[data-lines]");
  function numberLines() {
    if (!code || !lines) return;
    const problems = new Map(all("[data-line]").map((a) => [Number(a.dataset.line), one(".as-stop", a) ? "stop" : "note"]));
    const count = code.value.split("\n").length;
    if (lines.childElementCount !== count || problems.size || one(".as-code--stop, .as-code--note", lines)) {
      lines.replaceChildren(...Array.from({ length: count }, (_, i) => {
        const b = document.createElement("b");
        b.textContent = i + 1;
        const problem = problems.get(i + 1);
        if (problem) b.className = `as-code--${problem}`;
        return b;
      }));
    }
    lines.scrollTop = code.scrollTop;
  }
  function jumpTo(line) {
    const rows = code.value.split("\n"), start = rows.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    code.focus();
    code.setSelectionRange(start, start + (rows[line - 1] || "").length);
    code.scrollTop = Math.max(0, (line - 5) * 22);
  }
  if (code) {
    code.addEventListener("input", numberLines);
    code.addEventListener("scroll", () => { lines.scrollTop = code.scrollTop; });
    let tabLeaves = false;
    code.addEventListener("keydown", (event) => {
      if (event.key === "Escape") tabLeaves = true;
      else if (event.key === "Tab" && !event.shiftKey && !tabLeaves) { event.preventDefault(); insert("  "); }
      else if (event.key !== "Tab") tabLeaves = false;
    });
    numberLines();
    const wanted = /^#L(\d+)$/.exec(location.hash);
    if (wanted) jumpTo(Number(wanted[1]));
    let place = 0;
    document.addEventListener("keydown", (event) => {
      if (event.key !== "F8") return;
      const found = all("[data-line]");
      if (!found.length) return;
      event.preventDefault();
      place = (place + (event.shiftKey ? -1 : 1) + found.length) % found.length;
      jumpTo(Number(found[place].dataset.line));
    });
  }
  function insert(text) {
    code.setRangeText(text, code.selectionStart, code.selectionEnd, "end");
    code.dispatchEvent(new Event("input", { bubbles: true }));
  }
  document.addEventListener("click", (event) => {
    const problem = event.target.closest("[data-line]");
    if (problem && code) { event.preventDefault(); jumpTo(Number(problem.dataset.line)); }
    const inserter = event.target.closest("[data-insert]");
    if (inserter && code) { insert(inserter.dataset.insert); inserter.closest("[popover]")?.hidePopover(); code.focus(); }
  });

  // ---- preview --------------------------------------------------------------------------------------------
  const preview = one("[data-preview]");
  function reloadPreview() {
    const frame = preview && one("iframe", preview);
    if (frame) frame.src = frame.src.replace(/&at=\d+/, "") + `&at=${Date.now()}`;
  }
  if (preview) {
    preview.addEventListener("click", (event) => {
      const button = event.target.closest("[data-width-to], [data-theme-to], [data-part-to]");
      if (!button) return;
      for (const other of button.parentElement.children) other.setAttribute("aria-pressed", String(other === button));
      const frame = one("iframe", preview), url = new URL(frame.src);
      if (button.dataset.widthTo) one(".as-stage", preview).dataset.width = button.dataset.widthTo;
      if (button.dataset.themeTo) { url.searchParams.set("theme", button.dataset.themeTo); frame.src = url; }
      if (button.dataset.partTo) { url.searchParams.set("part", button.dataset.partTo); frame.src = url; }
    });
    if (new URLSearchParams(location.search).has("who")) one("#as-preview-as")?.showPopover?.();
  }

  // ---- the typed number: the server checks it, this only says so early -------------------------------------
  const confirmation = one("[data-confirm]");
  if (confirmation) {
    const typed = one("[name=typed]", confirmation), button = one("[data-once]", confirmation);
    const check = () => { const right = typed.value.replace(/\D/g, "") === confirmation.dataset.confirm; button.setAttribute("aria-disabled", String(!right)); return right; };
    typed.addEventListener("input", check);
    confirmation.addEventListener("submit", (event) => { if (!check() && !confirmation.dataset.sent) { event.preventDefault(); event.stopPropagation(); typed.focus(); } }, true);
    check();
  }

  // ---- live numbers -----------------------------------------------------------------------------------------
  const number = new Intl.NumberFormat(document.documentElement.lang || "en");
  const ORDER = ["sent", "simulated", "waiting", "failed", "unknown", "excluded", "cancelled"];
  for (const root of all("[data-live-state]")) startLive(root);

  function startLive(root) {
    const key = root.dataset.stateKey, bar = one("[data-live-bar]", root), conn = one("[data-live-conn]", root), connText = conn && one("span:last-child", conn), alive = connText?.textContent;
    let spoken = 0, failures = 0, stopped = false, polls = 0;
    const show = (s) => {
      for (const el of all("[data-live]")) if (s[el.dataset.live] !== undefined) el.textContent = number.format(s[el.dataset.live]);
      for (const el of all("[data-live-text]", root)) if (s[el.dataset.liveText] !== undefined) el.textContent = s[el.dataset.liveText];
      if (bar) { bar.setAttribute("aria-valuenow", s.share); bar.firstElementChild.style.setProperty("--share", s.share); }
      const account = one(".as-account__bar", root);
      if (account) ORDER.forEach((name) => {
        let part = one(`.as-seg-${name}`, account);
        if (!part && s[name]) { part = document.createElement("span"); part.className = `as-seg-${name}`; account.append(part); }
        if (part) { part.hidden = !s[name]; part.style.order = ORDER.indexOf(name); part.style.setProperty("--share", (100 * (s[name] || 0)) / (s.total || 1)); }
      });
      const tenth = Math.floor(s.share / 10);
      if (tenth > spoken) { spoken = tenth; say(`${tenth * 10}%`); }
      if (key !== "home" && s.state_key !== key) changed(s);
    };
    // Another state is another page: it is offered, not forced on somebody who reads. A pause shows at once.
    const changed = (s) => {
      const done = one("[data-live-done]", root);
      if (done && /^(finished|cancelled):/.test(s.state_key)) { done.hidden = false; stopped = true; say(done.textContent.trim()); }
      else location.reload();
    };
    const poll = async () => {
      if (stopped) return;
      if (!document.hidden) {
        try {
          const response = await fetch(root.dataset.liveState, { credentials: "same-origin" });
          if (!response.ok) throw new Error(response.status);
          show(await response.json());
          failures = 0;
          polls += 1;
          if (polls % 10 === 0 && "liveRefresh" in root.dataset && !stopped) await refreshParts();
        } catch { failures += 1; }
        if (conn) { conn.toggleAttribute("data-lost-now", failures > 1); connText.textContent = failures > 1 ? conn.dataset.lost : alive; }
      }
      setTimeout(poll, failures > 1 ? 5000 : 1000);
    };
    poll();
  }
})();
