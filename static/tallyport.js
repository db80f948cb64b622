// What plain HTML cannot do: copy to the clipboard, and say that a partial load failed.
// Every page works without this file.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  const words = button.textContent;
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Copying was refused: select the text instead";
    }
    setTimeout(() => { button.textContent = words; }, 4000);
  });
}

for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.body.addEventListener(name, () => {
    document.getElementById("load-error").hidden = false;
  });
}
document.body.addEventListener("htmx:beforeRequest", () => {
  document.getElementById("load-error").hidden = true;
});
