// Questions and long texts, each in a dialog of the browser's own: it keeps the focus inside, and Escape closes it.

import { byId, make, said, write } from "./words.js";

/** What has been done, or not. What went wrong stays until it is sent away. */
export function tell(text, bad = false) {
  const region = byId("said");
  const close = make("button", { type: "button", "aria-label": "Send this message away" }, "×");
  const toast = make("div", { class: bad ? "toast bad" : "toast" }, make("bdi", {}, text), close);
  close.addEventListener("click", () => toast.remove());
  region.append(toast);
  while (region.children.length > 4) region.firstElementChild.remove();
  if (!bad) setTimeout(() => toast.remove(), 8000);
}

/** Show it; when it is closed, `after` is called with the value of the button that closed it. */
function open(dialog, after = null) {
  dialog.returnValue = "";
  dialog.addEventListener("close", () => after?.(dialog.returnValue), { once: true });
  dialog.showModal();
}

/** Buttons close their dialog with their value; a form is never sent anywhere. */
export function prepare() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    for (const button of dialog.querySelectorAll("button[data-close]")) {
      button.addEventListener("click", () => dialog.close(button.dataset.close));
    }
    dialog.querySelector("form")?.addEventListener("submit", (event) => {
      event.preventDefault();
      dialog.close("yes");
    });
  }
  byId("copy").addEventListener("click", copy);
}

async function copy() {
  const text = byId("text-body");
  try {
    await navigator.clipboard.writeText(text.textContent);
    write(byId("copied"), "Copied.");
  } catch {
    getSelection().selectAllChildren(text);
    write(byId("copied"), "All of it is selected: copy it with Ctrl-C.");
  }
}

/** A long text; `answer` may still be under way. */
export async function showText(title, answer) {
  const [dialog, body] = [byId("text-dialog"), byId("text-body")];
  const mine = (showText.latest = {});
  write(byId("text-title"), title);
  write(byId("copied"), "");
  write(body, "Asking …");
  body.setAttribute("aria-busy", "true");
  if (!dialog.open) open(dialog, () => (showText.latest = null));
  const text = await answer;
  if (showText.latest !== mine) return;
  write(body, text);
  body.removeAttribute("aria-busy");
  body.focus();
}

/** Whether to kill this worker. `row()` is how it is now, undefined when it is gone. */
export function askToKill(title, wid, row, then) {
  const dialog = byId("kill-dialog");
  const renew = () => {
    const now = row();
    const process = now?.pid ? ` (pid ${now.pid})` : "";
    write(byId("kill-title"), `Kill worker ${wid}${process} of ${title}?`);
    const more = now?.hand > 1 ? `, and has ${now.hand - 1} more in hand` : "";
    const does = said(now?.task) ? `It runs ${said(now.task)}${more}.` : `It is ${said(now?.state)}.`;
    write(byId("kill-task"), now ? does : "It has ended.");
    byId("kill-yes").disabled = !now;
  };
  renew();
  dialog.renew = renew;
  open(dialog, (value) => {
    dialog.renew = null;
    if (value === "yes") then();
  });
}

/** How many workers a pool is to have. */
export function askForSize(title, width, then) {
  const input = byId("size");
  write(byId("size-title"), `How many workers shall ${title} have?`);
  input.value = width;
  open(byId("size-dialog"), (value) => value === "yes" && input.checkValidity() && then(Number(input.value)));
  input.select();
}

export const showHelp = () => open(byId("help-dialog"));
