// Preloaded beside a script: copies everything that its platform receives, byte for byte.
//
// `fetch` and `WebSocket` themselves are wrapped before any SDK is loaded, not each client that a
// script makes, so that none can be forgotten. What was seen is written to the file SEEN at exit.

import { writeFileSync } from "node:fs";

const answers = [];
const events = [];

// Gives a stream whose reader is waited for, as if nobody else read: it may leave at any piece.
const copied = (body, one) => {
  const reader = body.getReader();
  const pull = async (to) => {
    const { done, value } = await reader.read();
    one.ended = done;
    if (done) return to.close();
    one.pieces.push(value);
    to.enqueue(value);
  };
  return new ReadableStream({ pull, cancel: (why) => reader.cancel(why) }, { highWaterMark: 0 });
};

// Reads what comes whole, also where its client does not.
const read = async (answer, one) => {
  one.pieces.push(Buffer.from(await answer.arrayBuffer()));
  one.ended = true;
};

const { fetch } = globalThis;
globalThis.fetch = async (input, init) => {
  const answer = await fetch(input, init);
  const one = {
    method: init?.method ?? input.method ?? "GET",
    url: String(input.url ?? input),
    asked: [...new Headers(init?.headers ?? input.headers)],
    status: answer.status,
    headers: [...answer.headers],
    pieces: [],
    ended: false,
  };
  answers.push(one);
  if (answer.headers.get("content-type")?.startsWith("text/event-stream")) {
    const { status, statusText, headers } = answer;
    return new Response(copied(answer.body, one), { status, statusText, headers });
  }
  read(answer.clone(), one).catch(() => {}); // cut off, which its client notices
  return answer;
};

if (globalThis.WebSocket) {
  globalThis.WebSocket = class extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols);
      this.addEventListener("message", ({ data }) => events.push({ url: String(url), data }));
    }
  };
}

process.on("exit", () => {
  const bodies = answers.map(({ pieces, ...one }) => ({
    ...one,
    body: Buffer.concat(pieces).toString("base64"),
  }));
  writeFileSync(process.env.SEEN, JSON.stringify({ answers: bodies, events }));
});
