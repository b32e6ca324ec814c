// Light, dark, or as the system has it. Loaded before anything is drawn. It is remembered in a cookie, since the
// address has another port each time, and to the browser what another port has stored is another site's.

(() => {
  const NAME = "procession-theme";
  const found = new RegExp(`(?:^|; )${NAME}=(light|dark)`).exec(document.cookie);
  const chosen = found ? found[1] : "auto";

  function set(theme) {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    document.dispatchEvent(new Event("themed"));
  }

  set(chosen);
  document.addEventListener("DOMContentLoaded", () => {
    const select = document.getElementById("theme");
    select.value = chosen;
    select.addEventListener("change", () => {
      const age = select.value === "auto" ? 0 : 365 * 24 * 3600;
      document.cookie = `${NAME}=${select.value}; Path=/; SameSite=Strict; Max-Age=${age}`;
      set(select.value);
    });
  });
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", () => document.dispatchEvent(new Event("themed")));
})();
