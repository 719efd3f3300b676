// Files go up in parts, with their progress; one that was cut off goes on where it was when it is chosen again.
(() => {
  const PROBE = 1 << 20; // bytes at the beginning, in the middle and at the end by which a file is known again
  const TRIES = 3;
  const PAUSE = 1500; // milliseconds before a part is tried again

  const csrf = () => document.querySelector('input[name="csrf"]').value;
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const size = (bytes, locale) => {
    const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
    const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
    const style = { style: "unit", unit: units[step], maximumFractionDigits: 1 };
    return new Intl.NumberFormat(locale, style).format(bytes / 1000 ** step);
  };

  // 53 bits of a text's or file's bytes (cyrb53): crypto.subtle is there on https and localhost only.
  const fingerprint = async (file) => {
    const middle = Math.max(0, Math.floor(file.size / 2) - PROBE / 2);
    const probes = [file.slice(0, PROBE), file.slice(middle, middle + PROBE), file.slice(Math.max(0, file.size - PROBE))];
    let low = 0xdeadbeef, high = 0x41c6ce57;
    for (const byte of new Uint8Array(await new Blob(probes).arrayBuffer())) {
      low = Math.imul(low ^ byte, 2654435761);
      high = Math.imul(high ^ byte, 1597334677);
    }
    low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
    high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
    return `${(high >>> 0).toString(16)}${(low >>> 0).toString(16)}-${file.lastModified}`;
  };

  class Refused extends Error {
    constructor(said, isSignedOut = false) {
      super(said);
      Object.assign(this, { said, isSignedOut });
    }
  }

  // XMLHttpRequest, since fetch does not say how much of a body has gone.
  const send = (method, path, body, headers, onSent) =>
    new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open(method, path);
      for (const [name, value] of Object.entries({ "x-csrf": csrf(), ...headers })) request.setRequestHeader(name, value);
      request.upload.onprogress = (event) => onSent && onSent(event.loaded);
      request.onerror = request.ontimeout = () => reject(new Error("cut off"));
      request.onload = () => {
        const isJson = (request.getResponseHeader("content-type") || "").startsWith("application/json");
        if (request.status === 200 && isJson) return resolve(JSON.parse(request.responseText));
        if (request.status === 200 || request.status === 401) return reject(new Refused("", true)); // the form to sign in
        const shown = new DOMParser().parseFromString(request.responseText, "text/html").querySelector('[role="alert"]');
        const said = shown ? shown.textContent : `${request.status}`;
        const mayPass = request.status >= 500 || [404, 408, 409, 429].includes(request.status);
        reject(mayPass ? Object.assign(new Error(said), { said, seconds: Number(request.getResponseHeader("retry-after")) }) : new Refused(said));
      };
      request.send(body);
    });

  const json = (method, path, value) => send(method, path, JSON.stringify(value), { "content-type": "application/json" });

  // Sends a file and returns its key; after a failure it asks where to go on.
  const upload = async (file, part, onSent) => {
    const known = { name: file.name, size: file.size, fingerprint: await fingerprint(file) };
    for (let tries = 1; ; tries++) {
      try {
        const begun = await json("POST", "/uploads", known);
        let { offset } = begun;
        onSent(offset, true);
        while (offset < file.size) {
          const body = file.slice(offset, offset + part);
          const headers = { "upload-offset": String(offset), "content-type": "application/octet-stream" };
          ({ offset } = await send("PATCH", `/uploads/${begun.id}`, body, headers, (sent) => onSent(Math.min(offset + sent, file.size))));
          onSent(offset);
          tries = 1;
        }
        return (await json("POST", `/uploads/${begun.id}/finish`, {})).key;
      } catch (error) {
        if (error instanceof Refused || tries >= TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, Math.max(PAUSE * tries, 1000 * (error.seconds || 0))));
      }
    }
  };

  class Drop {
    constructor(zone) {
      this.zone = zone;
      this.input = zone.querySelector("input[type=file]");
      this.bar = zone.querySelector("progress");
      this.sent = zone.querySelector(".sent");
      this.error = zone.querySelector(".error");
      zone.hidden = false;
      this.input.addEventListener("change", () => this.take(this.input.files));
      for (const name of ["dragover", "dragenter"]) zone.addEventListener(name, (event) => { event.preventDefault(); zone.classList.add("over"); });
      zone.addEventListener("dragleave", () => zone.classList.remove("over"));
      zone.addEventListener("drop", (event) => {
        event.preventDefault();
        zone.classList.remove("over");
        this.take(event.dataTransfer.files);
      });
    }

    async take(files) {
      if (this.isBusy || !files.length) return;
      this.isBusy = true;
      this.input.disabled = true;
      this.error.hidden = true;
      const keys = [];
      try {
        for (const file of this.zone.dataset.many ? files : [files[0]]) keys.push(await this.send(file));
        this.goOn(keys);
      } catch (error) {
        const { cutOff, signedOut } = this.zone.dataset;
        this.error.textContent = error.isSignedOut ? signedOut : error.said || fill(cutOff, this.shown);
        this.error.hidden = false;
        this.sent.textContent = "";
      } finally {
        this.isBusy = false;
        this.input.disabled = false;
        this.input.value = ""; // the same file may be chosen again
      }
    }

    async send(file) {
      const { dataset } = this.zone;
      this.bar.hidden = false;
      this.show(file, 0);
      const key = await upload(file, Number(dataset.part), (sent, isBegin) => this.show(file, sent, isBegin && sent > 0));
      this.sent.textContent = fill(dataset.done, this.shown);
      return key;
    }

    show(file, sent, goesOn = false) {
      const { locale, goingOn, sending } = this.zone.dataset;
      this.shown = { name: file.name, sent: size(sent, locale), size: size(file.size, locale) };
      this.bar.value = file.size ? sent / file.size : 1;
      this.sent.textContent = fill(goesOn ? goingOn : sending, this.shown);
    }

    goOn(keys) {
      const { next, many } = this.zone.dataset;
      if (next) {
        location.assign(`${next}${new URLSearchParams(keys.map((key) => ["file_key", key]))}`);
        return;
      }
      const field = document.getElementById(this.zone.dataset.for);
      if (many === "lines") field.value = [field.value.trim(), ...keys].filter(Boolean).join("\n");
      else field.value = keys.length > 1 ? JSON.stringify(keys) : keys[0];
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const zone of document.querySelectorAll("[data-drop]")) new Drop(zone);
    for (const form of document.querySelectorAll("form.no-script")) form.hidden = true;
    for (const zone of document.querySelectorAll("[data-time-zone]")) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone;
  });
})();
