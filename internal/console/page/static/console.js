// Replaces the changing part of the page whenever the server sends a new one,
// says aloud when the light has changed, and tells when the connection is lost.
"use strict";
const main = document.querySelector("main[data-live]");
if (main) {
  const live = document.getElementById("live");
  const say = document.getElementById("say");
  const pulse = document.getElementById("pulse");
  const headline = () => document.getElementById("h-light")?.textContent.trim() ?? "";
  const source = new EventSource(main.dataset.live);
  source.addEventListener("page", (event) => {
    const before = headline();
    // The focus, and how far wide tables were moved, stay where they are.
    const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
    const moved = [...live.querySelectorAll(".wide[id]")].map((box) => [box.id, box.scrollLeft]);
    live.innerHTML = event.data;
    for (const [id, left] of moved) {
      const box = document.getElementById(id);
      if (box) box.scrollLeft = left;
    }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    if (before !== headline()) say.textContent = headline();
    pulse.textContent = "Live, renewed at " + new Date().toISOString().slice(11, 19) + ".";
    pulse.classList.remove("lost");
  });
  source.addEventListener("error", () => {
    pulse.textContent = "The connection is lost; what you see may be old. Trying again.";
    pulse.classList.add("lost");
  });
}
