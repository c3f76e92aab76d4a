/* Pop-ups on a shop's pages. On a page, after the tracker's own tags (t.js), whose visitor and whose consent it uses:

     <script async src="https://MESSAGES.EXAMPLE/popup.js" data-key="WRITE-ONLY KEY"></script>

   Without the tracker's cookie (cdp_vid) nothing is asked, shown or stored: who has not agreed sees no pop-up. What is
   shown is decided by the server (path and segment); when, by the pop-up's rules: here. One is shown in a page's life;
   messages that wait for this person come first. cdpPopups() asks anew, for shops that change their page by script.

   Stored in localStorage: cdp_popups (which were shown when, and which were answered), gone with the tracker's consent.
   Told by the tracker: popup_shown, popup_closed; by the server: popup_answered. All texts are put in as text. */
(function (w, d) {
  "use strict";
  var tag = d.currentScript, key = tag.dataset.key, base = new URL("popups", tag.src).href;
  var KEPT = "cdp_popups", DAY = 864e5, shown = false, armed = [], asked = 0;
  if (w.cdpPopups) return;

  function visitor() { return (d.cookie.match("(?:^|; )cdp_vid=([^;]+)") || [])[1]; }
  function kept() { try { return JSON.parse(w.localStorage.getItem(KEPT)) || {}; } catch (e) { return {}; } }
  function keep(name, answered) {
    var all = kept();
    all[name] = { at: Date.now(), done: answered || undefined };
    try { w.localStorage.setItem(KEPT, JSON.stringify(all)); } catch (e) { /* it may be shown once more */ }
  }
  function due(one) {
    var last = kept()[one.name];
    return !last || (!last.done && one.days && Date.now() - last.at >= one.days * DAY);
  }
  function track(event, one) {
    if (w.cdp) w.cdp("track", event, { popup: one.name, popup_version: one.version });
  }
  function call(path, fields) {
    var id = visitor();
    if (!id) return Promise.reject(new Error("no consent"));
    var body = JSON.stringify(Object.assign({ writeKey: key, anonymousId: id }, fields));
    return fetch(base + path, { method: "POST", body: body, headers: { "content-type": "text/plain" } })
      .then(function (answer) {
        return answer.json().then(function (told) {
          if (!answer.ok) throw Object.assign(new Error(told.reason), { status: answer.status, told: told });
          return told;
        });
      });
  }

  function ask() {
    call("", { path: location.pathname }).then(function (told) {
      if (shown) return;
      disarm();
      if (told.messages[0]) message(told.messages[0]);
      else told.popups.filter(due).forEach(arm);
      // Whom nobody knows yet: the tracker has just told of them.
      if (told.again && asked++ < 3) setTimeout(ask, 1500 * asked);
    }).catch(function (e) { if (e.status && e.status < 429) console.warn("cdp popups", e.told); });
  }
  function disarm() { armed.splice(0).forEach(function (off) { off(); }); }
  function on(target, event, listener, passive) {
    target.addEventListener(event, listener, passive);
    armed.push(function () { target.removeEventListener(event, listener); });
  }
  function arm(one) {
    function go() { if (!shown && visitor() && due(one)) { disarm(); keep(one.name); open(one); } }
    function far() {
      var page = d.documentElement, way = page.scrollHeight - w.innerHeight;
      if (way <= 0 || w.scrollY / way * 100 >= one.scroll) go();
    }
    if (one.after || !(one.scroll || one.exit)) {
      var timer = setTimeout(go, (one.after || 0) * 1000);
      armed.push(function () { clearTimeout(timer); });
    }
    if (one.scroll) on(w, "scroll", far, { passive: true });
    if (one.exit) on(d, "mouseout", function (e) { if (!e.relatedTarget && e.clientY <= 0) go(); });
  }
  function message(one) {
    call("/seen", { ids: [one.id] }).then(function () {
      open({ title: one.title, text: one.text, image: one.image, url: one.url, button: one.url && "→", place: "corner" });
    }).catch(function () { /* the next page tries again */ });
  }

  function make(name, fields, inside) {
    var element = d.createElement(name);
    Object.keys(fields || {}).forEach(function (one) {
      if (one in element) element[one] = fields[one]; else element.setAttribute(one, fields[one]);
    });
    (inside || []).forEach(function (one) { if (one) element.append(one); });
    return element;
  }
  function paragraphs(text) {
    return (text || "").split(/\n\s*\n/).filter(Boolean).map(function (one) { return make("p", { textContent: one }); });
  }
  function field(one, place) {
    var id = "f" + place;
    if (one.kind == "choice") return make("fieldset", {}, [make("legend", { textContent: one.label })].concat(
      one.options.map(function (option) {
        var radio = make("input", { type: "radio", name: one.name, value: option[0], required: !!one.required });
        return make("label", { className: "option" }, [radio, make("span", { textContent: option[1] })]);
      })));
    var input = make("input", { id: id, name: one.name, type: one.kind, required: !!one.required, maxLength: 500 });
    if (one.kind == "email" || one.kind == "tel") input.autocomplete = one.kind;
    return make("p", {}, [make("label", { htmlFor: id, textContent: one.label }), input]);
  }
  function box(one, place) {
    return make("label", { className: "box" }, [
      make("input", { type: "checkbox", name: "consent", value: place, required: !!one.required }),
      make("span", { textContent: one.text })]);
  }

  var STYLE = ":host{all:initial}dialog{box-sizing:border-box;font:16px/1.5 system-ui,sans-serif;background:var(--b);" +
    "color:var(--c);border:0;border-radius:14px;padding:28px;width:min(440px,calc(100vw - 32px));max-height:calc(100vh - " +
    "32px);overflow:auto;box-shadow:0 18px 60px #0005;z-index:2147483000}dialog::backdrop{background:#0008}" +
    "dialog.corner,dialog.bar{position:fixed;inset:auto 16px 16px auto;margin:0}dialog.bar{inset:auto 0 0 0;width:100%;" +
    "max-width:none;border-radius:14px 14px 0 0}h2{font-size:1.35em;line-height:1.25;margin:0 32px 12px 0}p{margin:0 0 " +
    "12px}img{display:block;max-width:100%;border-radius:8px;margin:0 0 16px}input{font:inherit;accent-color:var(--a)}" +
    "p>label{display:block;font-size:.9em}p>input{box-sizing:border-box;width:100%;padding:9px 12px;border:1px solid #767676;" +
    "border-radius:8px;background:#fff;color:#111}fieldset{border:0;margin:0 0 12px;padding:0}legend{padding:0;" +
    "font-size:.9em}.option,.box{display:flex;gap:10px;align-items:flex-start;padding:5px 0}.box{font-size:.85em;" +
    "margin:0 0 12px}.option input,.box input{margin:.35em 0 0;flex:none}button,.button{font:inherit;font-weight:600;" +
    "border:0;border-radius:8px;padding:11px 20px;background:var(--a);color:var(--d);cursor:pointer;text-decoration:none;" +
    "display:inline-block}.close{position:absolute;top:10px;right:10px;width:40px;height:40px;padding:0;background:none;" +
    "color:inherit;font-size:24px;line-height:1}:focus-visible{outline:3px solid var(--a);outline-offset:2px}.wrong{color:" +
    "#b00020;background:#fff;border-radius:6px;padding:6px 10px}output{display:block;font:700 1.5em/1.3 ui-monospace," +
    "monospace;letter-spacing:.06em;border:2px dashed var(--a);border-radius:8px;padding:10px;text-align:center;" +
    "user-select:all}";

  function open(one) {
    shown = true;
    var before = d.activeElement, host = make("div"), root = host.attachShadow({ mode: "open" }), sheet = new CSSStyleSheet();
    var colours = one.colours || [], over = !one.place, wrong = make("p", { className: "wrong", role: "alert", hidden: true });
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    host.dataset.cdpPopup = one.name || "message";
    ["#ffffff", "#1b1b1b", "#1f5f4a", "#ffffff"].forEach(function (usual, i) {
      host.style.setProperty("--" + "bcad"[i], colours[i] || usual);
    });
    var close = make("button", { type: "button", className: "close", textContent: "×", "aria-label": one.close || "Close" });
    var form = make("form", { method: "dialog" }), dialog;
    var asks = (one.fields || []).concat(one.consents || []).length;
    if (asks) {
      (one.fields || []).forEach(function (each, i) { form.append(field(each, i)); });
      (one.consents || []).forEach(function (each, i) { form.append(box(each, i)); });
      form.append(wrong, make("button", { textContent: one.button }));
    } else if (one.button) {
      form.append(one.url ? make("a", { className: "button", href: one.url, textContent: one.button })
        : make("button", { textContent: one.button }));
    }
    dialog = make("dialog", { className: one.place || "", "aria-labelledby": "t", "aria-describedby": "x" }, [
      one.image && make("img", { src: one.image, alt: "" }), make("h2", { id: "t", textContent: one.title }),
      make("div", { id: "x" }, paragraphs(one.text)), form, close]);
    root.append(dialog);
    d.body.append(host);
    if (one.name) track("popup_shown", one);

    var answered = false, sending = false, id = crypto.randomUUID ? crypto.randomUUID() : Date.now() + "-" + Math.random();
    // Who takes the consent back has it gone at once.
    var watch = setInterval(function () { if (!visitor()) end(); }, 500);
    function end() {
      clearInterval(watch);
      if (!host.isConnected) return;
      host.remove();
      if (one.name && !answered) track("popup_closed", one);
      if (before && before.focus) before.focus();
    }
    close.onclick = end;
    dialog.addEventListener("close", end);
    dialog.addEventListener("keydown", function (e) { if (e.key == "Escape" && !over) end(); });
    form.onsubmit = function (e) {
      if (!asks) return;
      e.preventDefault();
      if (sending) return;
      sending = true;
      var told = new FormData(form), fields = {};
      (one.fields || []).forEach(function (each) { fields[each.name] = told.get(each.name) || ""; });
      call("/answer", { popup: one.name, version: one.version, id: id, fields: fields, url: location.href.slice(0, 2000),
        consents: told.getAll("consent").map(Number) })
        .then(function (answer) {
          answered = true;
          keep(one.name, 1);
          if (!answer.thanks && !answer.coupon) { dialog.close(); return; }
          dialog.querySelector("#x").replaceChildren.apply(dialog.querySelector("#x"), paragraphs(answer.thanks).concat(
            answer.coupon ? make("output", { textContent: answer.coupon, tabIndex: 0 }) : []));
          form.remove();
          dialog.querySelector("#x").setAttribute("role", "status");
          close.focus();
        })
        .catch(function (e) {
          sending = false;
          var first = e.told && e.told.violations && e.told.violations[0];
          var name = first && /^fields\.(\w+)/.exec(first.path), input = name && form.elements[name[1]];
          wrong.textContent = one.mistake || (first ? first.description : "…");
          wrong.hidden = false;
          if (input && input.focus) input.focus();
        });
    };
    if (over) dialog.showModal(); else dialog.show();
    var first = form.querySelector("input,button,a");
    if (over) (first || close).focus();
    else if (before && before.focus) before.focus();
  }

  w.cdpPopups = function () { shown = false; asked = 0; disarm(); begin(); };
  function begin() {
    if (visitor()) ask();
    else { var waiting = setInterval(function () { if (visitor()) { clearInterval(waiting); ask(); } }, 500); armed.push(function () { clearInterval(waiting); }); }
  }
  begin();
})(window, document);
