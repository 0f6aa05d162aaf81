// Drives the official Node SDK through one scenario and prints what it saw as JSON.
// Arguments: scenario, base URL, key. The SDK is found under OPENAI_FOLDER.

import { createRequire } from "node:module";

const sdk = createRequire(process.env.OPENAI_FOLDER + "/")("openai");
const OpenAI = sdk.default ?? sdk.OpenAI;
const [scenario, baseURL, apiKey] = process.argv.slice(2);
const model = process.env.MODEL ?? "m";
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });

const said = (content) => [{ role: "user", content }];
const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      parameters: { type: "object", properties: { city: { type: "string" } } },
    },
  },
];
const create = (fields, options) => client.chat.completions.create({ model, ...fields }, options);
const until = async (ask, ended) => {
  for (;;) {
    const one = await ask();
    if (ended(one)) return one;
    await new Promise((go) => setTimeout(go, 10));
  }
};
const failure = async (promise) => {
  try {
    await promise;
    return null;
  } catch (error) {
    return { name: error.constructor.name, status: error.status ?? null, code: error.code ?? null };
  }
};

const scenarios = {
  async unary() {
    const { data, response } = await create({ messages: said("one two") }).withResponse();
    return {
      content: data.choices[0].message.content,
      usage: data.usage.total_tokens,
      id: response.headers.get("x-request-id"),
    };
  },

  async stream() {
    const stream = await create({
      messages: said("a b c"),
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let usage = null;
    let reason = null;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? "";
      reason = chunk.choices[0]?.finish_reason ?? reason;
      usage = chunk.usage ?? usage;
    }
    return { text, reason, usage: usage.total_tokens };
  },

  async tools() {
    const answer = await create({ messages: said(process.env.WEATHER ?? "weather?"), tools });
    const streamed = await client.chat.completions
      .stream({ model, messages: said(process.env.WEATHER ?? "weather?"), tools })
      .finalChatCompletion();
    const cities = (a) =>
      a.choices[0].message.tool_calls.map((c) => JSON.parse(c.function.arguments).city);
    return { unary: cities(answer), streamed: cities(streamed) };
  },

  async schema() {
    const answer = await client.chat.completions.parse({
      model,
      messages: said(process.env.JSON_TEXT ?? "a trip as json"),
      max_tokens: 100,
      response_format: {
        type: "json_schema",
        json_schema: { name: "trip", strict: true, schema: JSON.parse(process.env.SCHEMA ?? "{}") },
      },
    });
    return JSON.parse(answer.choices[0].message.content);
  },

  async models() {
    const ids = [];
    for await (const one of client.models.list()) ids.push(one.id);
    return { ids, one: (await client.models.retrieve("other/model")).id };
  },

  async errors() {
    const wrong = new OpenAI({ baseURL, apiKey: "sk-wrong", maxRetries: 0 });
    return {
      key: await failure(wrong.models.list()),
      model: await failure(client.chat.completions.create({ model: "x", messages: said("a") })),
      empty: await failure(create({ messages: [] })),
      url: await failure(client.fineTuning.jobs.list()),
      file: await failure(client.files.retrieve("file-none")),
      response: await failure(client.responses.retrieve("resp_none")),
      before: await failure(
        client.responses.create({ model, input: "a", previous_response_id: "resp_none" }),
      ),
      broken: await failure(
        (async () => {
          const stream = await create({ messages: said("break with close"), stream: true });
          for await (const _ of stream);
        })(),
      ),
    };
  },

  async retries() {
    const patient = { maxRetries: 2 };
    const fine = [];
    for (const text of [
      "fails twice with 500 for node",
      "fails twice with 429 for node",
      "do retry for node",
    ]) {
      const answer = await create({ messages: said(text) }, patient);
      fine.push(answer.choices[0].message.content === text);
    }
    return { fine, never: await failure(create({ messages: said("never retry") }, patient)) };
  },

  async cancel() {
    const stream = await create({ messages: said("many words"), stream: true });
    let pieces = 0;
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta?.content && ++pieces === 2) break;
    }
    stream.controller.abort();
    return { pieces };
  },

  async embeddings() {
    const input = ["a", "b"];
    const packed = await client.embeddings.create({ model, input }); // base64 on the wire
    const plain = await client.embeddings.create({ model, input, encoding_format: "float" });
    const near = (a, b) => a.length === b.length && a.every((x, n) => Math.abs(x - b[n]) < 1e-6);
    return {
      lengths: packed.data.map((one) => one.embedding.length),
      same: packed.data.map((one, n) => near(one.embedding, plain.data[n].embedding)),
    };
  },

  async responses() {
    const first = await client.responses.create({ model, input: "one two" });
    const stream = client.responses.stream({
      model,
      input: "three",
      previous_response_id: first.id,
    });
    let text = "";
    stream.on("response.output_text.delta", (event) => (text += event.delta));
    const second = await stream.finalResponse();
    const told = [];
    for await (const item of client.responses.inputItems.list(second.id, { order: "asc" })) {
      told.push(item.content[0].text);
    }
    const found = await client.responses.retrieve(second.id);
    await client.responses.delete(first.id);
    return {
      texts: [first.output_text, text, found.output[0].content[0].text],
      told,
      deleted: await failure(client.responses.retrieve(first.id)),
    };
  },

  async parsed() {
    const format = { type: "json_schema", name: "trip", schema: {}, strict: true };
    const input = "a trip as json";
    const answer = await client.responses.parse({ model, input, text: { format } });
    const tool = { type: "function", strict: true, ...tools[0].function };
    const called = await client.responses.create({ model, input: "weather?", tools: [tool] });
    return {
      parsed: answer.output_parsed,
      cities: called.output.map((call) => JSON.parse(call.arguments).city),
    };
  },

  async background() {
    const queued = await client.responses.create({ model, input: "a b", background: true });
    const done = await until(
      () => client.responses.retrieve(queued.id),
      (one) => !["queued", "in_progress"].includes(one.status),
    );
    const made = await client.responses.create({
      model,
      input: "c d",
      background: true,
      stream: true,
    });
    let id, last;
    for await (const event of made) {
      id ??= event.response.id;
      last = event.sequence_number;
      if (event.type === "response.output_text.delta") break; // the client leaves
    }
    const resumed = await client.responses.retrieve(id, { stream: true, starting_after: last });
    const seen = [];
    for await (const event of resumed) seen.push(event);
    const long = await client.responses.create({
      model,
      input: "many words",
      background: true,
      stream: true,
    });
    let cancelled;
    for await (const event of long) {
      if (event.type === "response.created") {
        cancelled = await client.responses.cancel(event.response.id);
      }
    }
    return {
      queued: queued.status,
      done: [done.status, done.output_text ?? done.output[0].content[0].text],
      gapless: seen.every((event, n) => event.sequence_number === last + 1 + n),
      end: seen.at(-1).type,
      cancelled: cancelled.status,
    };
  },

  async conversations() {
    const made = await client.conversations.create({ metadata: { a: "b" } });
    await client.responses.create({ model, input: "one", conversation: made.id });
    await client.conversations.items.create(made.id, {
      items: [{ type: "message", role: "user", content: "two" }],
    });
    const said = [];
    for await (const item of client.conversations.items.list(made.id, { order: "asc" })) {
      said.push([item.role, item.content[0].text]);
    }
    const gone = await client.conversations.delete(made.id);
    return { metadata: made.metadata, said, deleted: gone.deleted };
  },

  async stored() {
    const made = await create({ messages: said("keep"), store: true, metadata: { k: "v" } });
    const changed = await client.chat.completions.update(made.id, { metadata: { k: "w" } });
    const messages = [];
    for await (const one of client.chat.completions.messages.list(made.id)) {
      messages.push(one.content);
    }
    const listed = [];
    for await (const one of client.chat.completions.list({ metadata: { k: "w" } })) {
      listed.push(one.id === made.id);
    }
    const gone = await client.chat.completions.delete(made.id);
    return { changed: changed.metadata, messages, listed, deleted: gone.deleted };
  },

  async batches() {
    const asked = ["a", "b"].map((custom_id) =>
      JSON.stringify({
        custom_id,
        method: "POST",
        url: "/v1/chat/completions",
        body: { model, messages: said(`${custom_id} words`) },
      }),
    );
    const file = await client.files.create({
      file: await sdk.toFile(Buffer.from(asked.join("\n")), "in.jsonl"),
      purpose: "batch",
    });
    const begun = await client.batches.create({
      input_file_id: file.id,
      endpoint: "/v1/chat/completions",
      completion_window: "24h",
    });
    const batch = await until(
      () => client.batches.retrieve(begun.id),
      (one) => ["completed", "failed"].includes(one.status),
    );
    const results = await (await client.files.content(batch.output_file_id)).text();
    const names = [];
    for await (const one of client.files.list()) names.push(one.purpose);
    const gone = await client.files.delete(file.id);
    return {
      status: batch.status,
      results: results
        .trim()
        .split("\n")
        .map((one) => JSON.parse(one))
        .map((one) => [one.custom_id, one.response.body.choices[0].message.content]),
      names: names.sort(),
      deleted: gone.deleted,
    };
  },

  async uploads() {
    const bytes = Buffer.from("some bytes");
    const upload = await client.uploads.create({
      filename: "a.bin",
      purpose: "user_data",
      bytes: bytes.length,
      mime_type: "application/octet-stream",
    });
    const part = await client.uploads.parts.create(upload.id, { data: await sdk.toFile(bytes) });
    const done = await client.uploads.complete(upload.id, { part_ids: [part.id] });
    const content = await client.files.content(done.file.id);
    return { status: done.status, text: await content.text() };
  },

  async media() {
    const file = await sdk.toFile(Buffer.from("RIFF"), "a.wav");
    const heard = await client.audio.transcriptions.create({ model: "whisper", file });
    const spoken = await client.audio.speech.create({ model: "tts", voice: "alloy", input: "Hi" });
    const drawn = await client.images.generate({ model: "painter", prompt: "a cat" });
    const judged = await client.moderations.create({ model: "moderation", input: "fine" });
    const wrong = await failure(client.images.generate({ model: "chatty", prompt: "a cat" }));
    return {
      heard: heard.text,
      spoken: (await spoken.arrayBuffer()).byteLength,
      drawn: drawn.data.length,
      judged: judged.results.length,
      wrong,
    };
  },

  async realtime() {
    const { OpenAIRealtimeWebSocket } = createRequire(process.env.OPENAI_FOLDER + "/")(
      "openai/realtime/websocket",
    );
    const session = new OpenAIRealtimeWebSocket(
      { model: "rt", onURL: (url) => (url.protocol = "ws:") }, // no TLS on loopback
      client,
    );
    const seen = [];
    const done = new Promise((resolve, reject) => {
      session.on("error", reject);
      session.on("event", (event) => seen.push(event.type));
      session.on("response.done", (event) => resolve(event.response));
    });
    await new Promise((open) => session.socket.addEventListener("open", open));
    session.send({
      type: "conversation.item.create",
      item: { type: "message", role: "user", content: [{ type: "input_text", text: "hi" }] },
    });
    session.send({ type: "response.create" });
    const response = await done;
    session.close();
    return { first: seen[0], status: response.status, tokens: response.usage.total_tokens };
  },

  async azure() {
    const endpoint = baseURL.replace(/\/v1$/, "");
    const azure = new sdk.AzureOpenAI({
      endpoint,
      apiKey,
      apiVersion: "2024-10-21",
      deployment: model,
      maxRetries: 0,
    });
    const answer = await azure.chat.completions.create({ model, messages: said("one") });
    const stream = await azure.chat.completions.create({
      model,
      messages: said("a b"),
      stream: true,
    });
    let text = "";
    let filtered = false;
    for await (const chunk of stream) {
      filtered ||= chunk.prompt_filter_results !== undefined;
      text += chunk.choices[0]?.delta?.content ?? "";
    }
    const wrong = new sdk.AzureOpenAI({
      endpoint,
      apiKey: "wrong",
      apiVersion: "2024-10-21",
      deployment: model,
      maxRetries: 0,
    });
    return {
      texts: [answer.choices[0].message.content, text],
      filtered,
      key: await failure(wrong.chat.completions.create({ model, messages: said("a") })),
    };
  },
};

console.log(JSON.stringify(await scenarios[scenario]()));
