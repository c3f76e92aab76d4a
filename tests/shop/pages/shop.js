/* The demo shop itself: it draws its pages and calls the tracker where a shop would. Its own cart and its visitor's
   answer about cookies are kept under keys that begin with "shop_". */
"use strict";

const query = new URLSearchParams(location.search);
const $ = (selector) => document.querySelector(selector);
const money = (amount) => "$" + amount.toFixed(2);
const safe = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const cart = JSON.parse(localStorage.getItem("shop_cart") || '{"lines":{}}');

const SHAPES = {
  tea: '<path d="M100 128c-34-8-44-44-36-74 30 2 62 22 58 62-2-20-12-34-26-44 8 16 10 34 4 56z"/><path d="M104 126c2-28 20-44 42-48 2 26-14 46-42 48z" opacity=".7"/>',
  coffee: '<ellipse cx="84" cy="84" rx="27" ry="38" transform="rotate(-24 84 84)"/><path d="M72 52c20 18-6 40 22 64" stroke="#fff8" stroke-width="4" fill="none"/><ellipse cx="126" cy="96" rx="22" ry="31" transform="rotate(18 126 96)" opacity=".75"/>',
  cups: '<path d="M58 62h74v26c0 24-16 38-37 38s-37-14-37-38z"/><path d="M132 70c24-4 24 32-4 32" stroke-width="8" fill="none" class="s"/><path d="M52 134h86" stroke-width="6" class="s"/>',
  sweets: '<rect x="60" y="60" width="38" height="38" rx="8"/><rect x="104" y="54" width="38" height="38" rx="8" opacity=".7"/><rect x="82" y="98" width="38" height="38" rx="8" opacity=".85"/>',
};
const picture = (p) => `<svg viewBox="0 0 200 180" preserveAspectRatio="xMidYMid slice" role="img" aria-label="${safe(p.name)}">
  <rect width="200" height="180" fill="${p.colour}22"/><circle cx="100" cy="92" r="60" fill="${p.colour}2e"/>
  <g fill="${p.colour}" stroke="none">${SHAPES[p.category].replaceAll('class="s"', `stroke="${p.colour}"`)}</g></svg>`;

const described = (p) => ({ id: p.id, name: p.name, category: p.category, brand: p.brand, price: p.price, in_stock: p.in_stock });

function card(p) {
  return `<article class="card"><a href="product.html?id=${p.id}">${picture(p)}</a><div class="text">
    <a href="product.html?id=${p.id}"><b>${safe(p.name)}</b><small>${safe(p.note)}</small></a>
    <div class="row"><span>${money(p.price)}</span>${adder(p)}</div></div></article>`;
}
function adder(p) {
  return `<button class="button" data-add="${p.id}" ${p.in_stock ? "" : "disabled"}>${p.in_stock ? "Add" : "Sold out"}</button>`;
}

function start(products) {
  const byId = Object.fromEntries(products.map((p) => [p.id, p]));
  const show = (list) => { $("#products").innerHTML = list.map(card).join("") || "<p>Nothing found.</p>"; };
  const items = () => Object.entries(cart.lines).map(([id, quantity]) => ({ ...described(byId[id]), quantity }));
  const total = () => items().reduce((sum, line) => sum + line.price * 100 * line.quantity, 0) / 100;
  const count = () => { $("#count").textContent = items().reduce((sum, line) => sum + line.quantity, 0); };

  function changed() {
    cart.id = cart.id || crypto.randomUUID();
    localStorage.setItem("shop_cart", JSON.stringify(cart));
    count();
    cdp("cart", { id: cart.id, items: items(), total: total(), currency: "USD" });
  }
  document.addEventListener("click", (event) => {
    const { add, less, wish } = event.target.dataset;
    if (wish) { cdp("wishlist", described(byId[wish])); event.target.textContent = "On your list"; }
    if (!add && !less) return;
    cart.lines[add || less] = (cart.lines[add || less] || 0) + (add ? 1 : -1);
    if (cart.lines[less] === 0) delete cart.lines[less];
    changed();
    if (document.body.dataset.page === "cart") pages.cart();
  });

  const pages = {
    main() { show(["sencha", "yirga", "gaiwan", "madeleine"].map((id) => byId[id])); },
    category() {
      const name = query.get("c") || "tea", all = products.filter((p) => p.category === name);
      $("#title").textContent = name[0].toUpperCase() + name.slice(1);
      document.title = `${$("#title").textContent} · Leaf & Bean`;
      document.querySelector(`nav a[href$="=${CSS.escape(name)}"]`)?.classList.add("here");
      $("#filters").innerHTML = [...new Set(all.map((p) => p.brand))].map((b) => `<button data-brand="${safe(b)}">${safe(b)}</button>`).join("");
      $("#filters").onclick = (event) => {
        const brand = event.target.dataset.brand;
        if (!brand) return;
        document.querySelectorAll("#filters button").forEach((b) => b.classList.toggle("on", b === event.target));
        show(all.filter((p) => p.brand === brand));
        cdp("filter", { category: name, filters: { brand } });
      };
      show(all);
      cdp("category", { category: name });
    },
    search() {
      const words = query.get("q") || "", word = words.toLowerCase();
      const found = products.filter((p) => (p.name + p.note + p.category).toLowerCase().includes(word));
      $("#title").textContent = `“${words}”`;
      show(found);
      cdp("search", { query: words, found: found.length > 0 });
    },
    product() {
      const p = byId[query.get("id")];
      if (!p) { location.replace("missing.html"); return; }
      document.title = `${p.name} · Leaf & Bean`;
      $("#product").innerHTML = `${picture(p)}<div><small>${safe(p.brand)}</small><h1>${safe(p.name)}</h1>
        <p>${safe(p.note)}</p><div class="price">${money(p.price)}</div>${adder(p)}
        <button class="button plain" data-wish="${p.id}">Remember</button></div>`;
      show(["assam", "huila", "mug", "halva", "oolong"].filter((id) => id !== p.id).slice(0, 4).map((id) => byId[id]));
      cdp("product", described(p));
    },
    cart() {
      $("#lines").innerHTML = items().map((line) => `<div class="line">${picture(byId[line.id])}<a href="product.html?id=${line.id}">${safe(line.name)}</a>
        <span>${money(line.price)}</span><span><button data-less="${line.id}">−</button> ${line.quantity} <button data-add="${line.id}">+</button></span></div>`).join("")
        + (items().length ? `<p class="total">${money(total())}</p>` : "<p>It is empty. Tea?</p>");
      $("#checkout").hidden = !items().length;
      $("#checkout").onsubmit = (event) => {
        event.preventDefault();
        const number = "LB-" + Date.now().toString(36).toUpperCase();
        cdp("identify", { email: new FormData(event.target).get("email") });
        cdp("order", { id: number, cart_id: cart.id, items: items(), total: total(), currency: "USD" });
        localStorage.removeItem("shop_cart");
        location.href = "done.html?order=" + number;
      };
    },
    done() { $("#number").textContent = query.get("order"); },
    missing() { cdp("sendEvent", "NotFound"); },
  };
  count();
  pages[document.body.dataset.page]();
  document.body.dataset.drawn = "yes";
}

function ask() {
  const answer = localStorage.getItem("shop_consent");
  if (document.body.dataset.consent !== "required") return;
  if (answer) { cdp("consent", answer === "yes"); return; }
  const banner = document.createElement("div");
  banner.className = "consent";
  banner.innerHTML = `<p>May we remember what you look at, to show you better tea?</p>
    <button class="button" data-answer="yes">Yes</button><button class="button plain" data-answer="no">No</button>`;
  banner.onclick = (event) => {
    const given = event.target.dataset.answer;
    if (!given) return;
    localStorage.setItem("shop_consent", given);
    cdp("consent", given === "yes");
    banner.remove();
  };
  document.body.append(banner);
}

ask();
fetch("products.json").then((answer) => answer.json()).then(start);
