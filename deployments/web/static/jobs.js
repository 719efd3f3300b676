// The list of jobs: while somebody points at a row, has the focus in one or has scrolled down, no row moves.
(() => {
  const isHeld = (rows) => rows.matches(":hover, :focus-within") || rows.getBoundingClientRect().top < 0;

  document.addEventListener("htmx:config:request", (event) => {
    const rows = document.getElementById("rows");
    const first = rows?.querySelector("[data-first]")?.dataset.first;
    const request = event.detail?.ctx?.request;
    if (event.target !== rows || !first || !request || !isHeld(rows)) return;
    const wanted = new URL(request.action, location.href);
    wanted.searchParams.set("cursor", first);
    wanted.searchParams.set("held", "1");
    request.action = wanted.pathname + wanted.search;
  });
})();
