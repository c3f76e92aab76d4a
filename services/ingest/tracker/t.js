/* The web tracker. On a page:

     <script>window.cdp=window.cdp||function(){(cdp.q=cdp.q||[]).push(arguments)}</script>
     <script async src="https://EVENTS.EXAMPLE/t.js" data-key="WRITE-ONLY KEY"></script>
     <script>cdp("product", {id: "24-MB02", price: 153, category: "tea"})</script>

   Attributes of the tag:
     data-consent="required"   nothing is stored or sent before cdp("consent", true)
     data-page="manual"        no page_viewed by itself
     data-domain=".shop.ua"    the cookie is for all hosts of the shop
     data-alias="eS"           calls of that global function are taken as well (eSputnik's snippet)
   Calls:
     page {…}  product {…}  category {…}  search {query, found}  filter {…}  track "name" {…}
     cart {id, items: […]}  the whole cart each time; [] empties it      order {id, total, items: […]}
     wishlist {…}, false: taken off                                      identify "id", {email, …}
     consent true | false   reset (somebody else sits here now)   flush   sendEvent "StatusCart", {…}

   What is stored, all of it gone after consent false: cookie cdp_vid (random id, 13 months; cdp_no: refused), and in
   localStorage cdp_visit (source of the first and of this visit), cdp_cart (last cart), cdp_q.* (calls not yet
   acknowledged). No id of a person is stored: what identify tells links the cookie at the server. */
(function (w, d) {
  "use strict";
  var tag = d.currentScript, set = tag.dataset, url = new URL("t", tag.src).href;
  var HALF_HOUR = 18e5, MOST_BYTES = 5e4, MOST_KEPT = 500, COOKIE = "cdp_vid", REFUSED = "cdp_no", OFF = "cdp_off";
  var asks = set.consent == "required", nav = navigator, loc = location, memory = {};
  var waiting = [], flying = [], timer = 0, fails = 0, hints, token, moment;
  if (w.cdp && w.cdp.on) return;

  // Storage that never throws: browsers refuse localStorage in many ways, and a full one refuses to write.
  function get(key) {
    if (memory[key]) return memory[key];
    try { return w.localStorage.getItem(key); } catch (e) { return null; }
  }
  function put(key, text) {
    delete memory[key];
    try { w.localStorage.setItem(key, text); } catch (e) { memory[key] = text; }
  }
  function drop(key) { delete memory[key]; try { w.localStorage.removeItem(key); } catch (e) { /* kept in memory */ } }
  function keys() {
    var all = Object.keys(memory);
    try { all = all.concat(Object.keys(w.localStorage)); } catch (e) { /* kept in memory */ }
    return all.filter(function (key) { return !key.indexOf("cdp_"); }).sort();
  }
  function read(key) { try { return JSON.parse(get(key)); } catch (e) { return null; } }
  function cookie(name) { return (d.cookie.match("(?:^|; )" + name + "=([^;]*)") || [])[1]; }
  function bake(name, value, days) {
    d.cookie = name + "=" + value + ";path=/;max-age=" + days * 86400 + ";samesite=lax" +
      (set.domain ? ";domain=" + set.domain : "") + (loc.protocol == "https:" ? ";secure" : "");
  }
  function random() {
    var bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, function (b) { return (b + 256).toString(16).slice(1); }).join("");
  }

  function host(address) { try { return new URL(address).host; } catch (e) { return ""; } }

  var allowed = asks ? !!cookie(COOKIE) : !cookie(REFUSED), visitor = cookie(COOKIE), early = [];

  function who() {
    if (!visitor) visitor = memory[COOKIE] = memory[COOKIE] || random();
    bake(COOKIE, visitor, 395);
    return visitor;
  }
  function consent(given) {
    if (!given) {
      if (allowed) put(OFF, 1); // tells the other tabs
      forget();
      // A shop that asks first keeps the answer itself; elsewhere the refusal has to be remembered, as a bare mark.
      if (!asks) bake(REFUSED, 1, 395);
    } else if (!allowed) {
      allowed = true;
      bake(REFUSED, "", 0);
      begin();
      early.splice(0).forEach(function (one) { moment = one; take(one.args); moment = 0; });
    }
  }
  function forget() {
    allowed = false;
    early = []; waiting = []; flying = [];
    clearTimeout(timer); timer = 0;
    keys().forEach(drop);
    bake(COOKIE, "", 0);
    visitor = token = undefined;
  }

  // Where the visit came from. A new one begins after half an hour of silence, or with another campaign.
  var landing = { at: Date.now(), referrer: d.referrer, query: new URLSearchParams(loc.search) };
  function campaign() {
    var found = {}, query = landing.query;
    ["source", "medium", "campaign", "term", "content"].forEach(function (name) {
      var value = query.get("utm_" + name);
      if (value) found[name == "campaign" ? "name" : name] = value.slice(0, 200);
    });
    return !found.source && query.get("gclid") ? { source: "google", medium: "cpc" } : found;
  }
  function begin() {
    var kept = read("cdp_visit"), source = campaign(), outside = landing.referrer;
    if (host(outside) == loc.host) outside = "";
    var other = source.source && JSON.stringify(source) != JSON.stringify(kept && kept.campaign);
    if (kept && Date.now() - kept.last < HALF_HOUR && !other) return;
    var first = kept ? kept.first : { campaign: source, referrer: outside }, utm = first.campaign;
    put("cdp_visit", JSON.stringify({ first: first, campaign: source, last: Date.now() }));
    add("track", "site_visited", {
      new_visitor: !kept, first_referrer: first.referrer || undefined,
      first_utm_source: utm.source, first_utm_medium: utm.medium, first_utm_campaign: utm.name
    }, { at: landing.at });
    if (source.source || outside) add("identify", undefined, undefined, { at: landing.at, traits: {
      last_source: source.source || host(outside), last_medium: source.medium || "referral",
      last_campaign: source.name || null
    } });
  }

  function add(type, event, properties, more) {
    if (!allowed) return;
    more = Object.assign({}, moment, more);
    var visit = read("cdp_visit") || {}, at = more.at || Date.now();
    visit.last = Date.now();
    put("cdp_visit", JSON.stringify(visit));
    var call = { type: type, event: event, properties: properties, messageId: random(), anonymousId: who(),
      timestamp: new Date(at).toISOString(), context: { page: more.page || page(), campaign: visit.campaign },
      userId: more.userId ? String(more.userId) : undefined, traits: more.traits, linkToken: token };
    token = undefined;
    var key = "cdp_q." + at.toString(36) + "." + call.messageId;
    put(key, JSON.stringify(call));
    waiting.push(key);
    if (waiting.length > MOST_KEPT) drop(waiting.shift());
    plan(1000);
  }
  function page() {
    return { url: loc.href.replace(/([?&])cdp_lt=[^&#]*&?/, "$1").replace(/[?&](?=#|$)/, ""),
      referrer: d.referrer || undefined, title: d.title };
  }

  // A call stays stored until the server has acknowledged it; a repeat has the same messageId and counts once.
  function plan(ms) {
    if (!timer && allowed) timer = setTimeout(function () { timer = 0; flush(); }, ms);
  }
  function pack() {
    var batch = [], taken = [], size = 1000;
    waiting.some(function (key) {
      if (flying.indexOf(key) >= 0) return false;
      var text = get(key), bytes = text ? new Blob([text]).size : 0;
      if (size + bytes > MOST_BYTES && batch.length) return true;
      size += bytes;
      taken.push(key);
      if (text) batch.push(text);
      return batch.length == 100;
    });
    if (!batch.length) return 0;
    var head = JSON.stringify({ writeKey: set.key, sentAt: new Date().toISOString(), context: { locale: nav.language,
      screen: { width: screen.width, height: screen.height }, webdriver: nav.webdriver || undefined,
      userAgentData: hints } });
    return { keys: taken, body: head.slice(0, -1) + ',"batch":[' + batch.join(",") + "]}" };
  }
  function flush() {
    var sent = allowed && !flying.length && pack();
    if (!sent) return;
    flying = sent.keys;
    fetch(url, { method: "POST", body: sent.body, credentials: "include", keepalive: true,
      headers: { "content-type": "text/plain" } })
      .then(function (answer) {
        if (answer.status == 429 || answer.status >= 500) throw answer;
        fails = 0;
        flying = [];
        sent.keys.forEach(drop);
        waiting = waiting.filter(function (key) { return sent.keys.indexOf(key) < 0; });
        if (waiting.length) plan(0);
        return answer.json().then(function (told) {
          if (!answer.ok || told.rejected) console.warn("cdp: refused", told);
        }, function () { /* not ours to read */ });
      })
      .catch(function (answer) {
        flying = [];
        var told = answer.headers ? answer.headers.get("retry-after") * 1000 : 0;
        plan(Math.max(told, Math.min(6e4, 1000 * Math.pow(2, fails++))) * (1 + Math.random() / 4));
      });
  }
  function leave() {
    // Nobody will know whether it arrives: it stays stored, and the next page sends it again.
    var sent = allowed && pack();
    if (sent && nav.sendBeacon && nav.sendBeacon(url, new Blob([sent.body], { type: "text/plain" }))) {
      flying = flying.concat(sent.keys);
    }
  }

  // The cart is told whole. What was put in and taken out is the difference from the last one, which only this
  // browser knows for certain; so it is told from here, whoever receives it and in whichever order.
  function lines(items) {
    var found = {};
    (items || []).forEach(function (line) {
      var id = line.product_id || line.productKey || line.id, same = found[id];
      var count = +(line.quantity === undefined ? 1 : line.quantity);
      found[id] = Object.assign({}, line, { quantity: count + (same ? same.quantity : 0) });
    });
    return found;
  }
  function compare(items) {
    if (!allowed) return;
    var before = read("cdp_cart") || {}, after = lines(items);
    put("cdp_cart", JSON.stringify(after));
    Object.keys(Object.assign({}, before, after)).forEach(function (id) {
      var more = ((after[id] || {}).quantity || 0) - ((before[id] || {}).quantity || 0);
      if (more) add("web", more > 0 ? "product_added_to_cart" : "product_removed_from_cart",
        Object.assign({}, after[id] || before[id], { quantity: Math.abs(more) }));
    });
  }
  function whole(event, name, fields) {
    var rest = Object.assign({ products: fields.items }, fields);
    rest[name] = fields.id;
    delete rest.id;
    delete rest.items;
    add("web", event, rest);
  }
  function simple(event) {
    return function (fields) { add("web", event, fields); };
  }

  var api = {
    page: function (fields) { add("page", undefined, fields); },
    product: simple("product_viewed"),
    category: simple("product_list_viewed"),
    filter: simple("product_list_filtered"),
    search: simple("products_searched"),
    wishlist: function (fields, on) { add("web", on === false ? "wishlist_removed" : "wishlist_added", fields); },
    cart: function (fields) { compare(fields.items); whole("cart_updated", "cart_id", fields); },
    order: function (fields) { drop("cdp_cart"); whole("order_completed", "order_id", fields); },
    track: function (name, fields) { add("track", name, fields); },
    identify: function (id, traits) {
      if (id && typeof id == "object") { traits = id; id = 0; }
      add("identify", undefined, undefined, { userId: id, traits: traits || {} });
    },
    sendEvent: function (name, fields) {
      var inner = (fields || {})[name] || {}, items = inner.Products || inner;
      if (name == "StatusCart" && items.forEach) compare(items);
      if (name == "PurchasedItems") drop("cdp_cart");
      add("web", name, fields);
    },
    reset: function () { drop("cdp_cart"); drop("cdp_visit"); visitor = memory[COOKIE] = random(); },
    consent: consent,
    flush: flush
  };
  api.sendEventWithTags = api.sendEvent;
  function take(args) {
    // The shop's page goes on whatever a call is like.
    try {
      if (!allowed && asks && args[0] != "consent") {
        if (early.length < 100) early.push({ args: args, at: Date.now(), page: page() });
      } else if (api.hasOwnProperty(args[0])) api[args[0]].apply(null, [].slice.call(args, 1));
    } catch (e) { console.warn("cdp", args[0], e); }
  }

  token = landing.query.get("cdp_lt") || undefined;
  if (token) history.replaceState(history.state, "", page().url);
  if (nav.userAgentData) nav.userAgentData.getHighEntropyValues(["model", "platformVersion"]).then(function (told) {
    hints = { platform: told.platform, platformVersion: told.platformVersion, model: told.model };
  }, function () { /* the User-Agent has to do */ });
  if (allowed) {
    waiting = keys().filter(function (key) { return !key.indexOf("cdp_q."); });
    begin();
    if (waiting.length) plan(0);
  }
  if (set.page != "manual") take(["page"]);
  ["cdp", set.alias].forEach(function (name) {
    if (!name) return;
    var queue = (w[name] || {}).q || [];
    w[name] = function () { take(arguments); };
    w[name].on = 1;
    queue.forEach(take);
  });
  w.addEventListener("online", function () { fails = 0; clearTimeout(timer); timer = 0; flush(); });
  w.addEventListener("storage", function (change) { if (change.key == OFF && change.newValue) forget(); });
  w.addEventListener("pagehide", leave);
  w.addEventListener("pageshow", function (shown) { if (shown.persisted) { flying = []; flush(); } });
  d.addEventListener("visibilitychange", function () { if (d.visibilityState == "hidden") flush(); });
})(window, document);
