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
      url: await failure(client.embeddings.create({ model, input: "x" })),
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
};

console.log(JSON.stringify(await scenarios[scenario]()));
