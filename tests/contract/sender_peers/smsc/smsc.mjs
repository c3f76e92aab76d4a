// An SMS centre: takes messages as the file `behaviour` says at that moment, and writes every unit into the file
// `units`, a line of JSON each, before it is answered. Receipts are asked for on standard input: {"id", "state", ...}.
import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";
import smpp from "smpp";

const [folder, port, password] = process.argv.slice(2);
const units = path.join(folder, "units");
const sessions = new Set();
let last = 0;
let refused = 0;

const told = (unit) => fs.appendFileSync(units, JSON.stringify(unit) + "\n");
const behaviour = () => fs.readFileSync(path.join(folder, "behaviour"), "utf8").trim();

const STATUS = { refuse: smpp.ESME_RSUBMITFAIL, gone: smpp.ESME_RINVDSTADR, throttle: smpp.ESME_RTHROTTLED, vendor: 0x402 };

// With a key and a certificate in the folder, by TLS.
const tls = fs.existsSync(path.join(folder, "key.pem"))
  ? { key: fs.readFileSync(path.join(folder, "key.pem")), cert: fs.readFileSync(path.join(folder, "cert.pem")) }
  : {};

const server = smpp.createServer(tls, (session) => {
  session.on("error", () => session.destroy());
  session.on("close", () => sessions.delete(session));
  session.on("bind_transceiver", (pdu) => {
    const good = pdu.password === password;
    told({ unit: "bind", system_id: pdu.system_id, good });
    session.send(pdu.response({ command_status: good ? 0 : smpp.ESME_RBINDFAIL }));
    if (good) sessions.add(session);
  });
  session.on("unbind", (pdu) => {
    told({ unit: "unbind" });
    session.send(pdu.response());
    session.close();
  });
  session.on("enquire_link", (pdu) => {
    told({ unit: "enquire_link" });
    if (behaviour() !== "deaf") session.send(pdu.response());
  });
  session.on("deliver_sm_resp", (pdu) => told({ unit: "deliver_sm_resp", status: pdu.command_status }));
  session.on("submit_sm", (pdu) => {
    let how = behaviour();
    if (how === "throttle part 3 once") how = pdu.short_message?.udh?.[0]?.[4] === 3 && !refused++ ? "throttle" : "accept";
    if (how in STATUS) {
      told({ unit: "refused", how });
      session.send(pdu.response({ command_status: STATUS[how] }));
      return;
    }
    const id = (0xa000 + ++last).toString(16);
    const text = pdu.message_payload ?? pdu.short_message;
    const join = (text.udh ?? []).find((one) => one[0] === 0);
    told({
      unit: "submit",
      id,
      source: pdu.source_addr,
      source_ton: pdu.source_addr_ton,
      destination: pdu.destination_addr,
      coding: pdu.data_coding,
      receipt: pdu.registered_delivery,
      validity: pdu.validity_period,
      text: text.message,
      reference: join ? join[2] : (pdu.sar_msg_ref_num ?? 0),
      total: join ? join[3] : (pdu.sar_total_segments ?? 1),
      number: join ? join[4] : (pdu.sar_segment_seqnum ?? 1),
      payload: pdu.message_payload !== undefined,
    });
    if (how === "no answer") session.destroy();
    else session.send(pdu.response({ message_id: id }));
  });
});

const receipt = (asked) => {
  const text = `id:${asked.name ?? asked.id} sub:001 dlvrd:001 submit date:2701150800 done date:2701150801 stat:${asked.state} err:${asked.error ?? "000"} text:Hello`;
  const parameters = asked.parameters ? { receipted_message_id: asked.id, message_state: asked.parameters } : {};
  for (const session of sessions) {
    session.deliver_sm({ source_addr: "436601234567", destination_addr: "Shop", esm_class: 4, short_message: text, ...parameters });
  }
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const asked = JSON.parse(line);
  if (asked.hang_up) for (const session of sessions) session.destroy();
  else if (asked.enquire) for (const session of sessions) session.enquire_link((pdu) => told({ unit: "enquire_link_resp", status: pdu.command_status }));
  else if (asked.text) for (const session of sessions) session.deliver_sm({ source_addr: "436601234567", destination_addr: "Shop", short_message: asked.text });
  else receipt(asked);
}).on("close", () => process.exit(0));

server.listen(Number(port), "127.0.0.1", () => told({ unit: "listening", port: server.address().port }));
