// The view of a job: says in words what changed, and goes on by itself after the server was away.
(() => {
  const AWAY_LOOK = 10000; // milliseconds between two looks of a tab that nobody sees, where a notification is wanted
  const RETRY = 2000;
  const $ = (id) => document.getElementById(id);
  const state = () => document.querySelector("#now [data-status]");
  const words = () => document.querySelector("#now .status")?.textContent.trim() ?? "";
  const look = (name) => {
    for (const part of document.querySelectorAll(`[hx-trigger*="${name}"]`)) htmx.trigger(part, name);
  };

  let said = "";
  let turn = "";
  let wantsNotice = false;

  const note = () => {
    const now = state();
    if (!now) return;
    if (said && words() !== said) $("announce").textContent = words();
    if (turn === "ours" && now.dataset.turn === "yours") notify();
    said = words();
    turn = now.dataset.turn;
    offerNotice();
  };

  const notify = () => {
    if (!wantsNotice || !document.hidden || Notification.permission !== "granted") return;
    const shown = new Notification($("now").dataset.name, { body: words(), tag: location.pathname });
    shown.addEventListener("click", () => { window.focus(); shown.close(); });
  };

  const mayNotify = () => window.isSecureContext && "Notification" in window && Notification.permission !== "denied";

  const offerNotice = () => {
    const button = $("notify");
    if (wantsNotice || !mayNotify()) return;
    button.hidden = turn !== "ours";
    button.onclick = async () => {
      wantsNotice = (await Notification.requestPermission()) === "granted";
      button.hidden = wantsNotice;
      if (wantsNotice) $("notified").textContent = button.dataset.granted;
    };
  };

  const isStream = (event) => event.target?.id === "stream" || event.detail?.ctx?.sourceElement?.id === "stream";
  const away = (is) => { if ($("connection").hidden === is) $("connection").hidden = !is; };

  let isOpen = false;

  // The extension tries again what was open; what never opened is begun anew.
  const reconnect = () => {
    const stream = $("stream");
    if (!stream || isOpen) return;
    const fresh = document.createElement("div");
    for (const { name, value } of stream.attributes) if (name === "id" || name.startsWith("hx-")) fresh.setAttribute(name, value);
    stream.replaceWith(fresh);
    htmx.process(fresh);
  };

  document.addEventListener("htmx:sse:error", (event) => {
    const status = event.detail?.status;
    if (status === 401 || status === 403 || status === 404) location.reload();
    else away(true);
  });
  document.addEventListener("htmx:sse:after:connection", () => { isOpen = true; away(false); });
  document.addEventListener("htmx:sse:close", () => { isOpen = false; });
  document.addEventListener("htmx:error", (event) => {
    if (!isStream(event) || isOpen) return;
    away(true);
    setTimeout(reconnect, RETRY);
  });
  document.addEventListener("htmx:after:swap", note);

  document.addEventListener("visibilitychange", () => { if (!document.hidden) { look("page:return"); look("page:look"); } });
  setInterval(() => { if (document.hidden && wantsNotice) look("page:away"); }, AWAY_LOOK);

  document.addEventListener("click", (event) => {
    const dialog = $(event.target.closest?.("[data-opens]")?.dataset.opens);
    if (!dialog?.showModal) return;
    event.preventDefault();
    dialog.showModal();
  });

  document.addEventListener("DOMContentLoaded", note);
})();
