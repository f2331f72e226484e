// Shows what has changed whenever the server sends a new page, says aloud when the
// light has changed, and tells when nothing is heard any more.
"use strict";
const main = document.querySelector("main[data-live]");
if (main) {
  const live = document.getElementById("live");
  const say = document.getElementById("say");
  const pulse = document.getElementById("pulse");
  const headline = () => document.getElementById("h-light")?.textContent.trim() ?? "";

  // What is the same stays: a text that is being copied stays selected, and a button
  // that is being pressed is there until it is let go.
  const renew = (old, now) => {
    if (old.isEqualNode(now)) return;
    if (old.nodeName !== now.nodeName || old.id !== now.id) {
      old.replaceWith(now);
      return;
    }
    if (old.nodeType === Node.TEXT_NODE) {
      old.data = now.data;
      return;
    }
    for (const { name } of [...old.attributes]) if (!now.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    const next = [...now.childNodes];
    if (old.childNodes.length !== next.length) old.replaceChildren(...next);
    else [...old.childNodes].forEach((child, i) => renew(child, next[i]));
  };
  const show = (text) => {
    const before = headline();
    // The focus, and how far wide tables were moved, stay where they are.
    const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
    const moved = [...live.querySelectorAll(".wide[id]")].map((box) => [box.id, box.scrollLeft]);
    const fresh = live.cloneNode(false);
    fresh.innerHTML = text;
    renew(live, fresh);
    for (const [id, left] of moved) {
      const box = document.getElementById(id);
      if (box) box.scrollLeft = left;
    }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    if (before !== headline()) say.textContent = headline();
  };

  // The server says something every few seconds. Who hears nothing asks again: a
  // connection may end without a word, and after an answer that is an error (of a
  // proxy, or because too many ask) a browser does not come back by itself.
  const patience = 30000;
  let source, silence;
  const heard = () => {
    pulse.textContent = "Live, renewed at " + new Date().toISOString().slice(11, 19) + ".";
    pulse.classList.remove("lost");
    clearTimeout(silence);
    silence = setTimeout(lost, patience);
  };
  const listen = () => {
    source?.close();
    source = new EventSource(main.dataset.live);
    source.addEventListener("page", (event) => {
      show(event.data);
      heard();
    });
    source.addEventListener("same", heard);
    source.addEventListener("error", (event) => {
      if (event.target === source && source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
    });
  };
  const lost = () => {
    const text = "The connection is lost; what you see may be old. Trying again.";
    if (!pulse.classList.contains("lost")) say.textContent = text;
    pulse.textContent = text;
    pulse.classList.add("lost");
    listen();
    silence = setTimeout(lost, patience);
  };
  listen();
  silence = setTimeout(lost, patience);
}
