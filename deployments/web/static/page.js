// What the page does beyond forms and links; it works without.
(() => {
  const LOOK = 3000; // milliseconds between two looks at a list

  // Times in the reader's own zone.
  const zoned = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "medium" });
  const showTimes = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const text = zoned.format(new Date(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
  };

  // A list is asked for again only while somebody looks at it.
  setInterval(() => {
    if (document.visibilityState !== "visible") return;
    for (const list of document.querySelectorAll(`[hx-trigger*="page:look"]`)) htmx.trigger(list, "page:look");
  }, LOOK);

  document.addEventListener("DOMContentLoaded", () => showTimes(document));
  document.addEventListener("htmx:after:swap", () => showTimes(document));
})();
